//! Checked names. Each type can only be made from text that keeps the rule of its kind, so that nothing further down
//! has to check again: these names become paths, labels, tags and object names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorCode};

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks the text and makes the name.
            ///
            /// # Errors
            /// [`ErrorCode::ValueInvalid`] with the rule that the text breaks.
            pub fn new(text: impl Into<String>) -> Result<Self, Error> {
                let text = text.into();
                match $check(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(rule) => Err(Error::new(ErrorCode::ValueInvalid, rule)
                        .on(format!(concat!($what, " `{}`"), crate::text::printable(&text)))),
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

checked_name! {
    /// The id of a deployment: 25 characters in the shape of a cuid (`c`, then lower-case letters and digits), as
    /// Chalk's own ids are. Short enough to stand in the name of every Kubernetes object of the deployment.
    DeploymentId, "deployment id", deployment_id
}
checked_name! {
    /// The id of an environment. Seed 001 asks for "lowercase, less than 10 characters, no spaces or special
    /// characters" and breaks its own rule in its samples, and real ids are cuids; so the rule here is what the names
    /// made of it can bear: a DNS label of at most 40 characters.
    EnvironmentId, "environment", environment_id
}
checked_name! {
    /// The `project` of chalk.yaml: up to 100 letters, digits, spaces and `._-`, and never `.` or `..`.
    ProjectName, "project", project_name
}
checked_name! {
    /// A tag that a customer gives a deployment; unique within the environment. The rule of OCI tags.
    DeploymentTag, "deployment tag", tag
}
checked_name! {
    /// A tag of an image in a registry. The rule of the OCI distribution specification.
    ImageTag, "image tag", tag
}
checked_name! {
    /// A key with which a client may repeat a request without starting a second deployment.
    IdempotencyKey, "idempotency key", idempotency_key
}
checked_name! {
    /// A Kubernetes namespace. Those of Kubernetes itself are refused.
    Namespace, "namespace", namespace
}
checked_name! {
    /// The name of a cluster, as its provider knows it.
    ClusterName, "cluster", cluster_name
}
checked_name! {
    /// A repository with its registry: `host[:port]/path`, without tag and digest.
    Repository, "repository", repository
}
checked_name! {
    /// The key of an object in a bucket: relative, without empty, `.` or `..` segments.
    ObjectKey, "object key", object_key
}

fn dns_label(text: &str, most: usize, rule: &'static str) -> Result<(), &'static str> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    if bytes.len() <= most && edge(bytes.first()) && edge(bytes.last()) && bytes.iter().copied().all(inner) {
        Ok(())
    } else {
        Err(rule)
    }
}

fn deployment_id(text: &str) -> Result<(), &'static str> {
    let rest_holds = text.bytes().skip(1).all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if text.len() == 25 && text.starts_with('c') && rest_holds {
        Ok(())
    } else {
        Err("a deployment id is `c` and 24 lower-case letters or digits")
    }
}

fn environment_id(text: &str) -> Result<(), &'static str> {
    dns_label(text, 40, "an environment is 1 to 40 lower-case letters, digits or inner `-`")
}

fn namespace(text: &str) -> Result<(), &'static str> {
    if text.starts_with("kube-") {
        return Err("the namespaces of Kubernetes itself are refused");
    }
    dns_label(text, 63, "a namespace is 1 to 63 lower-case letters, digits or inner `-`")
}

fn project_name(text: &str) -> Result<(), &'static str> {
    let holds = |symbol: char| symbol.is_alphanumeric() || matches!(symbol, ' ' | '.' | '_' | '-');
    if text.is_empty() || text.chars().count() > 100 || !text.chars().all(holds) || text.trim() != text {
        return Err("a project is 1 to 100 letters, digits, inner spaces or `._-`");
    }
    if text == "." || text == ".." { Err("a project cannot be `.` or `..`") } else { Ok(()) }
}

fn tag(text: &str) -> Result<(), &'static str> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let holds = text.bytes().enumerate().all(|(at, byte)| word(byte) || (at > 0 && matches!(byte, b'.' | b'-')));
    if !text.is_empty() && text.len() <= 128 && holds {
        Ok(())
    } else {
        Err("a tag is 1 to 128 letters, digits or `_`, and after the first also `.` or `-`")
    }
}

fn idempotency_key(text: &str) -> Result<(), &'static str> {
    if !text.is_empty() && text.len() <= 200 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("an idempotency key is 1 to 200 printable ASCII characters without spaces")
    }
}

fn cluster_name(text: &str) -> Result<(), &'static str> {
    let holds = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/');
    if !text.is_empty() && text.len() <= 200 && text.bytes().all(holds) {
        Ok(())
    } else {
        Err("a cluster is 1 to 200 letters, digits or `-_.:/`")
    }
}

fn repository(text: &str) -> Result<(), &'static str> {
    const RULE: &str = "a repository is `host[:port]/path` in lower case, without tag and digest";
    let Some((host, path)) = text.split_once('/') else { return Err(RULE) };
    let host_holds = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']'));
    // The grammar of the OCI distribution specification: components of letters and digits, joined inside by `.`, `_`,
    // `__` or dashes.
    let component_holds = |component: &str| {
        let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        edge(component.bytes().next())
            && edge(component.bytes().last())
            && component
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-'))
            && !component.contains("..")
            && !component.contains("___")
    };
    if text.len() <= 255 && host_holds && path.split('/').all(component_holds) { Ok(()) } else { Err(RULE) }
}

fn object_key(text: &str) -> Result<(), &'static str> {
    let segment_holds = |segment: &str| !matches!(segment, "" | "." | "..");
    let holds = |symbol: char| !symbol.is_control() && symbol != '\\';
    if text.len() <= 1024 && text.split('/').all(segment_holds) && text.chars().all(holds) {
        Ok(())
    } else {
        Err("an object key is up to 1024 bytes of segments between `/`, none of them empty, `.` or `..`")
    }
}

/// One of the platform's components, each an image and a workload of its own (seed 000, stage 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Component {
    /// Serves queries over HTTP, behind the gateway.
    Engine,
    /// Serves queries over gRPC.
    QueryServer,
    /// Runs stream resolvers.
    StreamWorker,
    /// Runs scheduled and offline work.
    BatchWorker,
    /// Writes query results to the online and offline stores.
    BackgroundPersistence,
}

impl Component {
    /// The name in object names, labels, repositories and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::QueryServer => "query-server",
            Self::StreamWorker => "stream-worker",
            Self::BatchWorker => "batch-worker",
            Self::BackgroundPersistence => "background-persistence",
        }
    }

    /// Whether requests reach it through the gateway; the others are handed over at the commit point.
    pub const fn has_route(self) -> bool {
        matches!(self, Self::Engine | Self::QueryServer)
    }
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_break_out_of_a_path_a_label_or_a_tag_are_refused() {
        assert!(EnvironmentId::new("MyTeam").is_err());
        assert!(EnvironmentId::new("a b").is_err());
        assert!(EnvironmentId::new("x\nkind: ClusterRoleBinding").is_err());
        assert!(EnvironmentId::new("-prod").is_err());
        assert!(ProjectName::new("..").is_err());
        assert!(ProjectName::new("a/b").is_err());
        assert!(DeploymentTag::new("a/b").is_err());
        assert!(DeploymentTag::new("-x").is_err());
        assert!(DeploymentTag::new("x".repeat(129)).is_err());
        assert!(Namespace::new("kube-system").is_err());
        assert!(ObjectKey::new("a/../b").is_err());
        assert!(ObjectKey::new("/a").is_err());
        assert!(Repository::new("registry.example/Engines").is_err());
        assert!(Repository::new("engines").is_err());
        assert!(DeploymentId::new("cm9n46thy000bwe6y784y4j0").is_err());
    }

    #[test]
    fn names_of_the_published_shapes_are_accepted() {
        for result in [
            EnvironmentId::new("default").map(drop),
            EnvironmentId::new("cm9n46thy000bwe6y784y4j0l").map(drop),
            ProjectName::new("fraud detection_v1.2").map(drop),
            DeploymentTag::new("green").map(drop),
            Namespace::new("ns-prod").map(drop),
            Repository::new("localhost:5000/engines/engine-prod").map(drop),
            Repository::new("754784422779.dkr.ecr.us-east-1.amazonaws.com/chalk/engine__x").map(drop),
            ObjectKey::new("archives/abc").map(drop),
            DeploymentId::new("cm9n46thy000bwe6y784y4j0l").map(drop),
        ] {
            result.expect("a valid name");
        }
    }

    #[test]
    fn a_name_from_a_journal_is_checked_like_any_other() {
        assert!(serde_json::from_str::<EnvironmentId>("\"../prod\"").is_err());
    }
}
