//! The options of a request.

use http::StatusCode;
use http::Uri;
use url::form_urlencoded;

use super::selector::{FieldSelector, LabelSelector};
use crate::simulated::kubernetes::resource::Resource;
use crate::simulated::kubernetes::status::Status;

/// The options that a query holds. What it does not know, a server ignores.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        Self(form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// An option that is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// As Go reads a boolean in a query: there and neither `0` nor `false`.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.optional_flag(name).unwrap_or(false)
    }

    pub(super) fn optional_flag(&self, name: &str) -> Option<bool> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(!["false", "0"].contains(&value.to_ascii_lowercase().as_str()))
    }

    /// # Errors
    /// 400 for what is no number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Status> {
        self.get(name)
            .map(|value| {
                value
                    .parse()
                    .map_err(|_| Status::bad_request(format!("invalid value for {name}: {value:?} is not a number")))
            })
            .transpose()
    }

    /// # Errors
    /// 400 for anything but `All`.
    pub(super) fn dry_run(&self) -> Result<bool, Status> {
        let mut dry = false;
        for value in self.all("dryRun") {
            if value != "All" {
                return Err(Status::bad_request(format!(
                    "dryRun: Unsupported value: {value:?}: supported values: \"All\""
                )));
            }
            dry = true;
        }
        Ok(dry)
    }

    /// # Errors
    /// 400 for an unknown one.
    pub(super) fn validation(&self) -> Result<Validation, Status> {
        match self.get("fieldValidation") {
            None | Some("Warn") => Ok(Validation::Warn),
            Some("Strict") => Ok(Validation::Strict),
            Some("Ignore") => Ok(Validation::Ignore),
            Some(other) => Err(Status::bad_request(format!(
                "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
            ))),
        }
    }

    /// # Errors
    /// 400 for one that cannot be read.
    pub(super) fn selectors(&self, resource: &Resource) -> Result<(LabelSelector, FieldSelector), Status> {
        let labels = LabelSelector::parse(self.get("labelSelector").unwrap_or_default())?;
        let fields = FieldSelector::parse(self.get("fieldSelector").unwrap_or_default(), resource)?;
        Ok((labels, fields))
    }

    /// The version that a read asks for; 0 is "any".
    ///
    /// # Errors
    /// 400 for what is no version.
    pub(super) fn version(&self) -> Result<Option<u64>, Status> {
        self.get("resourceVersion").map(version_of).transpose()
    }

    /// # Errors
    /// 422 for an unknown one, or one without a version.
    pub(super) fn version_match(&self) -> Result<Option<VersionMatch>, Status> {
        let refused = |why: String| Status::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", why);
        let found = match self.get("resourceVersionMatch") {
            None => return Ok(None),
            Some("Exact") => VersionMatch::Exact,
            Some("NotOlderThan") => VersionMatch::NotOlderThan,
            Some(other) => {
                return Err(refused(format!(
                    "resourceVersionMatch: Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\""
                )));
            }
        };
        Ok(Some(found))
    }
}

/// # Errors
/// 400 for what is no version.
pub(super) fn version_of(text: &str) -> Result<u64, Status> {
    text.parse()
        .map_err(|_| Status::bad_request(format!("Invalid value: {text:?}: the resource version is not a number")))
}

/// What happens to fields that the kind does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validation {
    /// They are dropped.
    Ignore,
    /// They are dropped with a warning.
    Warn,
    /// The request is refused.
    Strict,
}

/// How the version of a list is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VersionMatch {
    Exact,
    NotOlderThan,
}
