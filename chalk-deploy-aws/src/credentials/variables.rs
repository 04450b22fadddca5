//! The variables that say where credentials are ("Environment variables" of the SDKs and tools reference), as they were
//! when the builder read them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// What was set. Shows the names alone.
#[derive(Clone, Default)]
pub(crate) struct Variables(BTreeMap<&'static str, String>);

const NAMES: [&str; 21] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ACCOUNT_ID",
    "AWS_USE_FIPS_ENDPOINT",
    "HOME",
];

#[cfg_attr(not(feature = "aws-config"), allow(dead_code, reason = "only the sources of that feature ask for some"))]
impl Variables {
    /// Reads those that matter. One that is empty is as good as not set.
    pub(crate) fn read(reader: impl Fn(&str) -> Option<String>) -> Self {
        let services = crate::settings::Service::ALL.map(crate::settings::Service::endpoint_variable);
        let names = NAMES.into_iter().chain(services);
        Self(names.filter_map(|name| Some((name, reader(name).filter(|value| !value.is_empty())?))).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The first of these that is set.
    pub(crate) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A file of the shared configuration: where the variable says, or below the home folder.
    pub(crate) fn shared_file(&self, variable: &str, usual: &str) -> Option<PathBuf> {
        match self.get(variable) {
            Some(path) => Some(self.at_home(path)),
            None => self.get("HOME").map(|home| PathBuf::from(home).join(".aws").join(usual)),
        }
    }

    /// A path that may begin with `~/`.
    fn at_home(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), self.get("HOME")) {
            (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
            _ => PathBuf::from(path),
        }
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_shown_and_empty_ones_do_not_count() {
        let variables = Variables::read(|name| match name {
            "AWS_SECRET_ACCESS_KEY" => Some("hidden".to_owned()),
            "AWS_PROFILE" => Some(String::new()),
            "HOME" => Some("/home/a".to_owned()),
            "AWS_CONFIG_FILE" => Some("~/x".to_owned()),
            _ => None,
        });
        assert!(!format!("{variables:?}").contains("hidden"));
        assert_eq!(variables.get("AWS_PROFILE"), None);
        assert_eq!(variables.shared_file("AWS_CONFIG_FILE", "config"), Some(PathBuf::from("/home/a/x")));
        let usual = variables.shared_file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        assert_eq!(usual, Some(PathBuf::from("/home/a/.aws/credentials")));
    }
}
