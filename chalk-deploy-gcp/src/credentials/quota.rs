//! The project that calls are counted for, where it is not the credentials' own ("Set the quota project" of Google's
//! documentation): the one that was set, else the one that the login in use names.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderName, HeaderValue};

use crate::settings::is_project;

/// The header that names it.
pub(crate) const USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

/// The project. Clones share what is found.
#[derive(Debug, Clone, Default)]
pub(crate) struct QuotaProject {
    set: Option<HeaderValue>,
    /// Known once the file of the login was read.
    found: Arc<Mutex<Option<HeaderValue>>>,
}

impl QuotaProject {
    /// The one that was set, if one was.
    pub(crate) fn new(set: Option<&str>) -> Self {
        Self { set: set.and_then(header), found: Arc::default() }
    }

    /// The same, which shares nothing of what is found.
    pub(crate) fn apart(&self) -> Self {
        Self { set: self.set.clone(), found: Arc::default() }
    }

    /// Says what the file of a login names. `gcloud auth application-default login` writes a project there.
    pub(crate) fn find(&self, project: Option<&str>) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = project.and_then(header);
    }

    /// What the header says, if there is one to be sent.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.set.clone().or_else(found)
    }
}

fn header(project: &str) -> Option<HeaderValue> {
    // A project is a word that a header can hold.
    is_project(project).then(|| HeaderValue::from_str(project).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_counts_more_than_what_a_login_names_and_nonsense_counts_nothing() {
        for (set, found, expected) in [
            (Some("acme-set"), Some("acme-found"), Some("acme-set")),
            (None, Some("acme-found"), Some("acme-found")),
            (None, Some("evil\r\nx: y"), None),
            (None, None, None),
        ] {
            let project = QuotaProject::new(set);
            project.clone().find(found);
            assert_eq!(project.header().as_ref().map(|it| it.to_str().expect("text")), expected);
            assert_eq!(project.apart().header().is_some(), set.is_some());
        }
    }
}
