//! A request, read as far as its head goes.

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Method};

use super::accept::{self, Form};
use super::path::{self, Path, Place};
use super::query::Query;
use super::settings::User;
use super::{not_allowed, not_found};
use crate::simulated::kubernetes::status::{Cause, Status};

/// Who asks for what, and how.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) user: User,
    pub(super) method: Method,
    /// The path as it was written.
    pub(super) text: String,
    pub(super) path: Path,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) form: Form,
}

impl Call {
    /// # Errors
    /// 404 for a path that cannot be decoded, 406.
    pub(super) fn read(parts: Parts, user: User) -> Result<Self, Status> {
        let text = parts.uri.path().to_owned();
        let path = path::read(&text).ok_or_else(not_found)?;
        // Health and schemas have forms of their own, which their handlers look after.
        let form = match path {
            Path::Other => accept::form(&parts.headers).unwrap_or(Form::Whole),
            // A log is text; clients accept it with all kinds of headers.
            Path::Objects(ref place) if place.subresource.as_deref() == Some("log") => Form::Whole,
            _ => accept::form(&parts.headers)?,
        };
        let query = Query::of(&parts.uri);
        Ok(Self { user, method: parts.method, text, path, query, headers: parts.headers, form })
    }

    /// The verb of a request that names no object.
    pub(super) fn verb_of_path(&self) -> &'static str {
        match self.method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "get",
        }
    }

    /// The verb in the sense of roles.
    ///
    /// # Errors
    /// 405.
    pub(super) fn verb(&self, place: &Place) -> Result<&'static str, Status> {
        let reading = [Method::GET, Method::HEAD].contains(&self.method);
        let nowhere = place.resource.namespaced && place.namespace.is_none();
        let verb = match (&place.name, place.subresource.as_deref(), &self.method) {
            (None, _, _) if reading && self.query.flag("watch") => "watch",
            (None, _, _) if reading => "list",
            // All namespaces can be read together, and not written.
            (None, _, _) if nowhere => return Err(not_allowed()),
            (None, _, &Method::DELETE) => "deletecollection",
            // Subresources that only take one method.
            (Some(_), Some("log"), _) if !reading => return Err(not_allowed()),
            (None, _, &Method::POST) | (Some(_), Some("eviction"), &Method::POST) => "create",
            (Some(_), Some("eviction"), _) => return Err(not_allowed()),
            (Some(_), Some("finalize"), method) if method != Method::PUT => return Err(not_allowed()),
            (Some(_), _, _) if reading => "get",
            (Some(_), _, &Method::PUT) => "update",
            (Some(_), _, &Method::PATCH) => "patch",
            (Some(_), None, &Method::DELETE) => "delete",
            _ => return Err(not_allowed()),
        };
        Ok(verb)
    }

    /// The media type of the body, in lower case and without parameters.
    pub(super) fn media_type(&self) -> String {
        let value = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Whose fields a write makes: `fieldManager`, else the program's name.
    ///
    /// # Errors
    /// 422 for a name that is too long or cannot be shown.
    pub(super) fn manager(&self, place: &Place) -> Result<String, Status> {
        let agent = self.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let manager = self.query.get("fieldManager").map_or_else(
            || agent.split('/').next().filter(|name| !name.is_empty()).unwrap_or("unknown").chars().take(128).collect(),
            str::to_owned,
        );
        if manager.chars().count() > 128 || manager.chars().any(char::is_control) {
            let cause =
                Cause::invalid("fieldManager", &manager.clone().into(), "must be printable and at most 128 characters");
            return Err(Status::invalid(place.resource, place.name.as_deref().unwrap_or_default(), vec![cause]));
        }
        Ok(manager)
    }
}
