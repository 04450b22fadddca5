//! Where the requests about a repository go.

use http::HeaderValue;
use oci_distribution::Reference;
use url::{Host, Url};

use super::settings::OciSettings;
use crate::model::Repository;
use crate::{Error, ErrorCode, Result};

/// A repository as the protocol addresses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `scheme://host[:port]/v2/<path>/`.
    base: Url,
    /// The path, which is the repository's name inside its registry.
    path: String,
    /// The host as the repository writes it, in lower case.
    written: String,
}

impl Endpoint {
    pub(super) fn of(repository: &Repository, settings: &OciSettings) -> Result<Self> {
        let invalid = || {
            Error::new(ErrorCode::ValueInvalid, "the host of the repository is no host of a registry").on(repository)
        };
        let (host, path) = repository.as_str().split_once('/').ok_or_else(invalid)?;
        // The crate knows under which host Docker Hub, whose name is `docker.io`, speaks the protocol.
        let named = Reference::with_tag(host.to_owned(), path.to_owned(), "latest".to_owned());
        let mut base =
            Url::parse(&format!("https://{}/v2/{path}/", named.resolve_registry())).map_err(|_| invalid())?;
        if base.host().is_none() || !base.username().is_empty() {
            return Err(invalid());
        }
        if is_plain(&base, settings) {
            let plain = format!("http{}", base.as_str().trim_start_matches("https"));
            // `https` drops its own port when it is parsed; 443 without TLS is nobody's registry.
            base = Url::parse(&plain).map_err(|_| invalid())?;
        }
        Ok(Self { base, path: path.to_owned(), written: host.to_ascii_lowercase() })
    }

    /// A URL below the repository: `blobs/…`, `manifests/…`. The tail is made of checked names only.
    pub(super) fn at(&self, tail: &str) -> Result<Url> {
        Url::parse(&format!("{}{tail}", self.base)).map_err(|error| {
            Error::new(ErrorCode::Internal, "an address inside the registry cannot be written").caused_by(error)
        })
    }

    pub(super) const fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The host with its port, if that is not the usual one.
    pub(super) fn host(&self) -> String {
        host_of(&self.base)
    }

    /// The host as the repository writes it, in lower case.
    pub(super) fn written(&self) -> &str {
        &self.written
    }

    /// Scheme, host and port.
    pub(super) fn registry(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    pub(super) fn is_origin_of(&self, url: &Url) -> bool {
        same_origin(&self.base, url)
    }
}

/// Scheme, host and port: what credentials belong to.
pub(super) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn is_plain(url: &Url, settings: &OciSettings) -> bool {
    let name = url.host_str().unwrap_or_default();
    is_loopback(url)
        || name.ends_with(".embedded")
        || settings.plain_http.contains(name)
        || settings.plain_http.contains(&host_of(url))
}

/// What a `Location` header leads to, seen from the request that was answered with it.
pub(super) fn resolve(from: &Url, location: Option<&HeaderValue>) -> Option<Url> {
    const LONGEST: usize = 8 << 10;
    let text = location?.to_str().ok().filter(|text| !text.trim().is_empty() && text.len() <= LONGEST)?;
    let mut url = from.join(text).ok()?;
    url.set_fragment(None);
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(repository: &str, settings: &OciSettings) -> String {
        let repository = Repository::new(repository).expect("a valid repository");
        Endpoint::of(&repository, settings).expect("an endpoint").base().to_string()
    }

    #[test]
    fn a_registry_is_reached_by_https_unless_it_is_this_machine_or_listed() {
        let settings = OciSettings::default().with_plain_http("registry.lan").with_plain_http("10.0.0.1:5000");
        for (repository, url) in [
            ("registry.example/a/b", "https://registry.example/v2/a/b/"),
            ("registry.example:5000/a", "https://registry.example:5000/v2/a/"),
            ("docker.io/library/a", "https://index.docker.io/v2/library/a/"),
            ("localhost:5000/a", "http://localhost:5000/v2/a/"),
            ("127.0.0.1:5000/a", "http://127.0.0.1:5000/v2/a/"),
            ("[::1]:5000/a", "http://[::1]:5000/v2/a/"),
            ("registry.embedded/chalk/engine", "http://registry.embedded/v2/chalk/engine/"),
            ("registry.lan:81/a", "http://registry.lan:81/v2/a/"),
            ("10.0.0.1:5000/a", "http://10.0.0.1:5000/v2/a/"),
            ("10.0.0.1:5001/a", "https://10.0.0.1:5001/v2/a/"),
            ("localhost.evil.example/a", "https://localhost.evil.example/v2/a/"),
            ("registry.embedded.example/a", "https://registry.embedded.example/v2/a/"),
        ] {
            assert_eq!(base(repository, &settings), url);
        }
    }

    #[test]
    fn what_looks_like_a_host_and_is_none_is_refused() {
        for repository in ["a:b:c/d", ":5000/a", "[::1/a", "a:99999/b"] {
            let repository = Repository::new(repository).expect("the rule of names lets it pass");
            let error = Endpoint::of(&repository, &OciSettings::default()).expect_err("no host");
            assert_eq!(error.code(), ErrorCode::ValueInvalid);
        }
    }

    #[test]
    fn a_location_is_resolved_against_the_request_and_its_fragment_dropped() {
        let from = Url::parse("https://r.example/v2/a/blobs/uploads/").expect("a URL");
        let resolved = |text: &'static str| {
            resolve(&from, Some(&HeaderValue::from_static(text))).map(|url| url.to_string()).unwrap_or_default()
        };
        assert_eq!(resolved("/v2/a/blobs/uploads/1?s=2#x"), "https://r.example/v2/a/blobs/uploads/1?s=2");
        assert_eq!(resolved("//evil.example/x"), "https://evil.example/x");
        assert_eq!(resolved("\\\\evil.example\\x"), "https://evil.example/x");
        assert_eq!(resolved("https://r.example/x"), "https://r.example/x");
        assert_eq!(resolved(" "), "");
        assert_eq!(resolve(&from, None), None);
    }
}
