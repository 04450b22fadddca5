//! `get` and `list`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chalk_deploy_core::cloud::ByteStream;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::path::Place;
use super::query::VersionMatch;
use super::{ApiServer, presentation, write};
use crate::simulated::http::json as answer;
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::status::Status;

/// Where a list goes on, as the client hands it back. It is opaque to clients.
#[derive(Debug, Serialize, Deserialize)]
struct Continuation {
    /// The form of this token.
    v: String,
    /// The version of the list; -1 for one that goes on with whatever is there by then.
    rv: i64,
    /// Namespace and name of the last object given out.
    start: (String, String),
}

/// A list, or a page of one.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Vec<Arc<Value>>,
    pub(super) version: u64,
    custom: bool,
    continuation: Option<String>,
    remaining: Option<usize>,
}

impl Page {
    pub(super) fn metadata(&self) -> Value {
        let mut metadata = Map::new();
        metadata.insert("resourceVersion".to_owned(), self.version.to_string().into());
        if let Some(continuation) = &self.continuation {
            metadata.insert("continue".to_owned(), continuation.clone().into());
        } else if self.custom {
            // Lists of custom resources are written without a type that leaves out what is empty.
            metadata.insert("continue".to_owned(), "".into());
        }
        if let Some(remaining) = self.remaining {
            metadata.insert("remainingItemCount".to_owned(), remaining.into());
        }
        metadata.into()
    }
}

impl ApiServer {
    /// # Errors
    /// 404; 504 for a version that is yet to come.
    pub(super) fn get(&self, call: &Call, place: &Place) -> Result<Response<ByteStream>, Status> {
        let key = key_of(place)?;
        if let Some(asked) = call.query.version()?
            && asked > self.objects().version()
        {
            return Err(Status::too_new(asked, self.objects().version()));
        }
        let object = self
            .objects()
            .get(&key)
            .ok_or_else(|| Status::not_found(&key.resource.qualified(), &key.name).about(&key.resource, &key.name))?;
        if place.subresource.as_deref() == Some("scale") {
            return Ok(answer(StatusCode::OK, &write::scale_of(&object)));
        }
        Ok(presentation::one(call, place.resource, StatusCode::OK, &object, self.objects().runtime().now()))
    }

    /// # Errors
    /// 400, 410, 504.
    pub(super) fn list(&self, call: &Call, place: &Place) -> Result<Response<ByteStream>, Status> {
        let page = self.page(call, place)?;
        Ok(presentation::list(call, place.resource, &page, self.objects().runtime().now()))
    }

    fn page(&self, call: &Call, place: &Place) -> Result<Page, Status> {
        let (labels, fields) = call.query.selectors(place.resource)?;
        let limit = call.query.number("limit")?.filter(|limit| *limit > 0);
        let namespace = place.namespace.as_deref();
        let continuation = call.query.get("continue").map(read_continuation).transpose()?;
        let (mut items, version) = match &continuation {
            Some(_) if call.query.version()?.is_some_and(|version| version > 0) => {
                return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
            }
            Some(Continuation { rv, start, .. }) if let Ok(version) = u64::try_from(*rv) => {
                let items = self
                    .objects()
                    .list_at(*place.resource, namespace, version)
                    .map_err(|status| expired(status, start))?;
                (items, version)
            }
            Some(_) => self.objects().list(*place.resource, namespace),
            None => self.as_of(call, place, limit.is_some())?,
        };
        if let Some(Continuation { start, .. }) = &continuation {
            items.retain(|object| position(object) > *start);
        }
        let selecting = !labels.is_everything() || !fields.is_everything();
        items.retain(|object| labels.matches(object) && fields.matches(object));
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        if items.len() <= limit {
            return Ok(Page {
                items,
                version,
                custom: place.resource.is_custom(),
                continuation: None,
                remaining: None,
            });
        }
        // How many are left is only known where everything is counted.
        let remaining = (!selecting).then(|| items.len() - limit);
        items.truncate(limit);
        let start = items.last().map(|object| position(object)).unwrap_or_default();
        let continuation = write_continuation(i64::try_from(version).unwrap_or(i64::MAX), start);
        Ok(Page { items, version, custom: place.resource.is_custom(), continuation: Some(continuation), remaining })
    }

    /// The objects at the version that a list asks for: with `Exact`, or a version and a limit, at that one; with any
    /// other version at least at that one.
    fn as_of(&self, call: &Call, place: &Place, limited: bool) -> Result<(Vec<Arc<Value>>, u64), Status> {
        let namespace = place.namespace.as_deref();
        let asked = call.query.version()?;
        let how = call.query.version_match()?;
        let asked = match (asked, how) {
            (None, Some(_)) => {
                return Err(Status::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "Invalid",
                    "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            }
            (Some(0), Some(VersionMatch::Exact)) => {
                return Err(Status::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "Invalid",
                    "resourceVersionMatch: Forbidden: resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
            (None | Some(0), _) => return Ok(self.objects().list(*place.resource, namespace)),
            (Some(asked), _) => asked,
        };
        let exact = how == Some(VersionMatch::Exact) || (how.is_none() && limited);
        if exact {
            return Ok((self.objects().list_at(*place.resource, namespace, asked)?, asked));
        }
        let (items, version) = self.objects().list(*place.resource, namespace);
        if asked > version { Err(Status::too_new(asked, version)) } else { Ok((items, version)) }
    }
}

/// The key of the one object that a place names.
///
/// # Errors
/// 404 when it names none.
pub(super) fn key_of(place: &Place) -> Result<Key, Status> {
    let name = place.name.clone().ok_or_else(super::not_found)?;
    Ok(Key::new(*place.resource, place.namespace.clone().unwrap_or_default(), name))
}

fn position(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

fn write_continuation(rv: i64, start: (String, String)) -> String {
    let token = Continuation { v: "meta.k8s.io/v1".to_owned(), rv, start };
    URL_SAFE_NO_PAD.encode(json!(token).to_string())
}

fn read_continuation(text: &str) -> Result<Continuation, Status> {
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .filter(|token: &Continuation| token.v == "meta.k8s.io/v1")
        .ok_or_else(|| Status::bad_request("continue key is not valid"))
}

/// A list whose version is forgotten may go on without one, which the token in the refusal allows.
fn expired(status: Status, start: &(String, String)) -> Status {
    if status.code != StatusCode::GONE {
        return status;
    }
    let mut status = Status::new(
        StatusCode::GONE,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. Start a new list without it, \
         or go on with the token in this response and see objects of different moments.",
    );
    status.continuation = Some(write_continuation(-1, start.clone()).into());
    status
}
