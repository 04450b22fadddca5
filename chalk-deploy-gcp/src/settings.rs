//! What a builder has gathered, checked.

use std::collections::BTreeSet;

use chalk_deploy_core::{Error, ErrorCode, Result, text};

/// The end of every host of Artifact Registry.
pub(crate) const HOST_SUFFIX: &str = "-docker.pkg.dev";
/// The hosts of Container Registry, which Artifact Registry serves where that was arranged.
const OLD_HOSTS: [&str; 4] = ["gcr.io", "us.gcr.io", "eu.gcr.io", "asia.gcr.io"];

/// A value with the variable or the method that it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) value: String,
    pub(crate) by: &'static str,
}

impl Given {
    pub(crate) fn wrong(&self, why: &str, hint: &str) -> Error {
        Error::new(ErrorCode::ValueInvalid, why)
            .on(format!("`{}`, which is `{}`", self.by, text::line(&self.value, 200)))
            .with_hint(hint)
    }
}

/// Where a cluster is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterPlace {
    pub(crate) project: String,
    pub(crate) location: String,
    pub(crate) name: String,
}

/// Where repositories are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RegistryPlace {
    pub(crate) host: String,
    pub(crate) project: String,
    pub(crate) location: String,
    pub(crate) repository: String,
}

/// The hosts that may be given a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hosts {
    /// Those of Container Registry that are taken for ours.
    old: BTreeSet<String>,
    /// The host of an emulator, and whether it may have a token.
    emulator: Option<(String, bool)>,
}

impl Hosts {
    /// `<location>-docker.pkg.dev`, what was configured, and nothing else.
    pub(crate) fn may_have_a_token(&self, host: &str) -> bool {
        if let Some((emulator, may)) = &self.emulator
            && emulator == host
        {
            return *may;
        }
        let is_own = host.strip_suffix(HOST_SUFFIX).is_some_and(is_location);
        is_own || self.old.contains(host)
    }

    pub(crate) fn is_emulator(&self, host: &str) -> bool {
        self.emulator.as_ref().is_some_and(|(emulator, _)| emulator == host)
    }

    /// Adds a host of Container Registry.
    pub(crate) fn with_old(mut self, host: &Given) -> Result<Self> {
        if !OLD_HOSTS.contains(&host.value.as_str()) {
            return Err(host
                .wrong("this is no host of Container Registry", "write gcr.io, us.gcr.io, eu.gcr.io or asia.gcr.io"));
        }
        self.old.insert(host.value.clone());
        Ok(self)
    }

    pub(crate) fn with_emulator(mut self, host: impl Into<String>, may_have_a_token: bool) -> Self {
        self.emulator = Some((host.into(), may_have_a_token));
        self
    }
}

/// A region or a zone, or one of the places with several (`us`, `eur4`).
fn is_location(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.ends_with('-')
}

/// Whether this is the id of a project, or its number.
pub(crate) fn is_project(text: &str) -> bool {
    let (domain, id) = text.split_once(':').unwrap_or(("a.b", text));
    let named = |text: &str, also: &[u8]| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || also.contains(&byte))
            && !text.ends_with('-')
    };
    text.len() <= 100 && named(domain, b"-.") && domain.contains('.') && !domain.contains("..") && named(id, b"-")
}

/// A project, by its id or its number.
pub(crate) fn project(given: &Given) -> Result<String> {
    if is_project(&given.value) {
        return Ok(given.value.clone());
    }
    Err(given.wrong("this is no project", "write the id of the project, such as acme-prod-1234"))
}

/// A location.
pub(crate) fn location(given: &Given) -> Result<String> {
    if is_location(&given.value) {
        return Ok(given.value.clone());
    }
    Err(given.wrong("this is no location", "write a region or a zone, such as us-central1 or us-central1-a"))
}

/// `NAME`, `LOCATION/NAME` or `projects/PROJECT/locations/LOCATION/clusters/NAME`.
pub(crate) fn cluster(given: &Given, project: Option<&str>, location: Option<&str>) -> Result<ClusterPlace> {
    let hint = "write NAME, LOCATION/NAME or projects/PROJECT/locations/LOCATION/clusters/NAME";
    let parts: Vec<_> = given.value.split('/').collect();
    let (project, location, name) = match parts[..] {
        [name] => (project, location, name),
        [location, name] => (project, Some(location), name),
        ["projects", project, "locations", location, "clusters", name] => (Some(project), Some(location), name),
        _ => return Err(given.wrong("this is no cluster", hint)),
    };
    let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = (1..=40).contains(&name.len())
        && name.bytes().all(named)
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-');
    if !is_name || project.is_some_and(|it| !is_project(it)) || location.is_some_and(|it| !is_location(it)) {
        return Err(given.wrong("this is no cluster", hint));
    }
    let missing = |what: &str, method: &str| {
        let why = format!("no {what} is known for the cluster");
        given.wrong(&why, &format!("name it with the cluster, or set `{method}`"))
    };
    Ok(ClusterPlace {
        project: project.ok_or_else(|| missing("project", "with_project"))?.to_owned(),
        location: location.ok_or_else(|| missing("location", "with_location"))?.to_owned(),
        name: name.to_owned(),
    })
}

/// `HOST/PROJECT/REPOSITORY[/PATH]`, the host being one of Artifact Registry's, or that of the emulator. Images may lie
/// below a path of the repository.
pub(crate) fn registry(given: &Given, emulator: Option<&str>, location: Option<&str>) -> Result<RegistryPlace> {
    let hint = "write LOCATION-docker.pkg.dev/PROJECT/REPOSITORY, with a path below it if need be";
    let parts: Vec<_> = given.value.split('/').collect();
    let (host, project, repository) = match parts[..] {
        [host, domain, project, repository, ..] if domain.contains('.') => {
            (host, format!("{domain}:{project}"), repository)
        }
        [host, project, repository, ..] => (host, project.to_owned(), repository),
        _ => return Err(given.wrong("this is no registry", hint)),
    };
    let location = match host.strip_suffix(HOST_SUFFIX) {
        Some(location) if is_location(location) => location,
        _ if emulator == Some(host) => location.unwrap_or("us"),
        _ => return Err(given.wrong("this is no host of Artifact Registry", hint)),
    };
    let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !is_project(&project) || repository.is_empty() || !repository.bytes().all(named) {
        return Err(given.wrong("this is no registry", hint));
    }
    Ok(RegistryPlace {
        host: host.to_owned(),
        project,
        location: location.to_owned(),
        repository: repository.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn given(value: &str) -> Given {
        Given { value: value.to_owned(), by: "with_cluster" }
    }

    #[test]
    fn a_cluster_is_named_alone_with_its_location_or_whole() {
        let full = cluster(&given("projects/acme/locations/us-east1/clusters/chalk"), None, None).expect("whole");
        assert_eq!(cluster(&given("us-east1/chalk"), Some("acme"), Some("eu")).expect("with location"), full);
        assert_eq!(cluster(&given("chalk"), Some("acme"), Some("us-east1")).expect("alone"), full);
        for (name, word) in [("chalk", "project"), ("us-east1/chalk", "project")] {
            let error = cluster(&given(name), None, None).expect_err(name);
            assert!(error.message().contains(word) && error.subject().contains("with_cluster"), "{error}");
        }
        for name in ["", "Chalk", "a/b/c", "../chalk", "us-east1/", "chalk?x", "projects/a/locations/b/clusters/c/d"] {
            cluster(&given(name), Some("acme"), Some("us")).expect_err(name);
        }
    }

    #[test]
    fn a_registry_is_a_host_of_artifact_registry_with_a_project_and_a_repository() {
        let place = registry(&given("us-central1-docker.pkg.dev/acme/chalk"), None, None).expect("a registry");
        assert_eq!(
            (place.location.as_str(), place.project.as_str(), place.repository.as_str()),
            ("us-central1", "acme", "chalk")
        );
        let old = registry(&given("us-docker.pkg.dev/example.com/acme/chalk"), None, None).expect("of an organization");
        assert_eq!(old.project, "example.com:acme");
        let below = registry(&given("us-docker.pkg.dev/acme/chalk/team"), None, None).expect("below a path");
        assert_eq!((below.project.as_str(), below.repository.as_str()), ("acme", "chalk"));
        for wrong in [
            "gcr.io/acme/chalk",
            "us-docker.pkg.dev/acme",
            "evil.example/us-docker.pkg.dev/acme/chalk",
            "evil.example-docker.pkg.dev/acme/chalk",
            "-docker.pkg.dev/acme/chalk",
            "us-docker.pkg.dev.evil.example/acme/chalk",
            "us-docker.pkg.dev/example.com/acme",
            "us-docker.pkg.dev/acme/Chalk",
        ] {
            registry(&given(wrong), None, None).expect_err(wrong);
        }
        assert_eq!(
            registry(&given("127.0.0.1:5000/acme/chalk"), Some("127.0.0.1:5000"), None).expect("emulated").location,
            "us"
        );
    }

    #[test]
    fn a_token_is_for_hosts_of_artifact_registry_and_for_those_that_were_named() {
        let hosts = Hosts::default().with_emulator("127.0.0.1:5000", false);
        for host in ["us-docker.pkg.dev", "europe-west1-docker.pkg.dev"] {
            assert!(hosts.may_have_a_token(host), "{host}");
        }
        for host in [
            "gcr.io",
            "docker.pkg.dev",
            "-docker.pkg.dev",
            "us-docker.pkg.dev:444",
            "us-docker.pkg.dev.evil.example",
            "evil.us-docker.pkg.dev",
            "evil/us-docker.pkg.dev",
            "index.docker.io",
            "127.0.0.1:5000",
        ] {
            assert!(!hosts.may_have_a_token(host), "{host}");
        }
        let named = Hosts::default().with_old(&given("eu.gcr.io")).expect("one").with_emulator("localhost:1", true);
        assert!(named.may_have_a_token("eu.gcr.io") && named.may_have_a_token("localhost:1"));
        assert!(!named.may_have_a_token("gcr.io"));
        Hosts::default().with_old(&given("evil.example")).expect_err("not one of them");
    }

    proptest! {
        #[test]
        fn no_text_makes_a_check_panic_or_lead_elsewhere(text in ".{0,80}") {
            let given = given(&text);
            let _ = (project(&given), location(&given));
            if let Ok(place) = cluster(&given, Some("acme"), Some("us")) {
                let ClusterPlace { project, location, name } = place;
                prop_assert!(![&project, &location, &name].iter().any(|part| part.contains(['/', '?', '#', '%'])));
            }
            if let Ok(place) = registry(&given, None, None) {
                prop_assert!(place.host.ends_with(HOST_SUFFIX) && !place.project.contains(['/', '?', '#', '%']));
            }
        }
    }
}
