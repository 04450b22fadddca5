//! Where an API is, when it is not where Google has it: emulators, and what the variables of gcloud lead to.
//!
//! | given by | what it may be | gets the token |
//! |---|---|---|
//! | a method `with_…_endpoint`, `STORAGE_EMULATOR_HOST` | `https` anywhere, `http` on this machine | only one that was given by `with_credentials` or `with_lender` |
//! | `CLOUDSDK_API_ENDPOINT_OVERRIDES_…` | `https` at `*.googleapis.com`, anything on this machine | yes, as gcloud shows it |
//!
//! So no token of Google ever leaves this machine in the clear, or for somebody else.

use std::net::IpAddr;

use chalk_deploy_core::Result;
use http::Uri;
use http::uri::Authority;

use crate::settings::Given;

/// The name of the metadata server ("About VM metadata" of Google's documentation).
pub(crate) const METADATA_HOST: &str = "metadata.google.internal";
/// Its address where a machine has IPv6 alone.
const METADATA_IPV6: &str = "fd20:ce::254";

/// The variables of gcloud that lead an API elsewhere (`gcloud topic configurations`, section `api_endpoint_overrides`).
pub(crate) mod variable {
    /// The Kubernetes Engine API.
    pub(crate) const CONTAINER: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER";
    /// The Artifact Registry API.
    pub(crate) const ARTIFACT_REGISTRY: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_ARTIFACTREGISTRY";
    /// The JSON API of Cloud Storage.
    pub(crate) const STORAGE: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE";
}

/// Where an API is that is not at its usual address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// Scheme and host.
    pub(crate) base: String,
    /// Whether it is shown the token.
    pub(crate) gets_token: bool,
    /// Whether Google answers there.
    pub(crate) is_googles: bool,
    /// Whether it is on this machine.
    pub(crate) is_near: bool,
}

impl Elsewhere {
    /// What was given, checked.
    pub(crate) fn read(given: &Given, tokens_for_emulators: bool) -> Result<Self> {
        let is_override = [variable::CONTAINER, variable::ARTIFACT_REGISTRY, variable::STORAGE].contains(&given.by);
        // gcloud names the version of the JSON API of Cloud Storage with its host.
        let path = if given.by == variable::STORAGE { "/storage/v1" } else { "" };
        let (scheme, authority) = endpoint(given, path)?;
        let is_near = is_near(authority.host());
        let is_googles =
            scheme == "https" && authority.port().is_none() && authority.host().ends_with(".googleapis.com");
        if is_override && !is_near && !is_googles {
            return Err(given.wrong(
                "this is no address of Google, which alone may be shown the token",
                "write https://….googleapis.com, such as an endpoint of Private Service Connect, or an address of this \
                 machine",
            ));
        }
        let gets_token = is_override || tokens_for_emulators;
        Ok(Self { base: format!("{scheme}://{authority}"), gets_token, is_googles, is_near })
    }

    /// `host[:port]`.
    pub(crate) fn authority(&self) -> &str {
        self.base.split_once("://").map_or("", |(_, authority)| authority)
    }
}

/// `https://host[:port]`, or plain HTTP to this machine; with this path, or without any.
fn endpoint(given: &Given, path: &str) -> Result<(String, Authority)> {
    let hint = "write https://host[:port], or http://127.0.0.1:port for an emulator";
    let wrong = |why: &str| given.wrong(why, hint);
    // The client libraries of Google take an emulator without a scheme.
    let text = if given.value.contains("://") { given.value.clone() } else { format!("http://{}", given.value) };
    let uri: Uri = text.parse().map_err(|_| wrong("this is no address"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong("this is no address"));
    };
    if !(scheme == "https" || scheme == "http" && is_near(authority.host())) {
        return Err(wrong("an endpoint is reached by https, or lies on this machine"));
    }
    let found = uri.path().trim_end_matches('/');
    if authority.as_str().contains('@') || !(found.is_empty() || found == path) || uri.query().is_some() {
        return Err(wrong("an endpoint is a scheme, a host and perhaps a port"));
    }
    Ok((scheme.to_owned(), authority.clone()))
}

/// `host[:port]` of a metadata server: whoever can listen on the way to it has the token, so it is on this machine or on
/// its link, as Google's is.
pub(crate) fn metadata_host(given: &Given) -> Result<Authority> {
    let wrong = |why: &str| given.wrong(why, "write host[:port] of a metadata server, such as 169.254.169.254");
    let authority: Authority = given.value.parse().map_err(|_| wrong("this is no host"))?;
    let host = bare(authority.host());
    let is_linked = match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unicast_link_local() || METADATA_IPV6.parse() == Ok(address)
        }
        Err(_) => matches!(host, METADATA_HOST | "metadata" | "localhost"),
    };
    if authority.as_str().contains('@') || !is_linked {
        return Err(wrong("a metadata server is on this machine or on its link"));
    }
    Ok(authority)
}

/// Whether a host is this machine.
pub(crate) fn is_near(host: &str) -> bool {
    let host = bare(host);
    host == "localhost" || host.parse().is_ok_and(|it: IpAddr| it.is_loopback())
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn given(value: &str, by: &'static str) -> Given {
        Given { value: value.to_owned(), by }
    }

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        let read = |text: &str| Elsewhere::read(&given(text, "with_storage_endpoint"), false);
        for (text, expected) in [
            ("http://127.0.0.1:4443/", "http://127.0.0.1:4443"),
            ("localhost:4443", "http://localhost:4443"),
            ("https://storage.example", "https://storage.example"),
            ("http://[::1]:1", "http://[::1]:1"),
        ] {
            let found = read(text).expect(text);
            assert_eq!((found.base.as_str(), found.gets_token), (expected, false));
        }
        for text in [
            "http://storage.example",
            "http://127.0.0.1.evil.example",
            "ftp://127.0.0.1",
            "https://a@b",
            "https://a/b",
            "https://a?b",
            "",
            "evil.example",
        ] {
            read(text).expect_err(text);
        }
    }

    #[test]
    fn an_override_gets_the_token_and_is_googles_or_on_this_machine() {
        for (text, is_googles) in [
            ("https://container-chalk.p.googleapis.com/", true),
            ("https://us-central1-container.googleapis.com", true),
            ("http://127.0.0.1:8080/", false),
            ("https://localhost:8443", false),
        ] {
            let found = Elsewhere::read(&given(text, variable::CONTAINER), false).expect(text);
            assert_eq!((found.gets_token, found.is_googles, found.is_near), (true, is_googles, !is_googles), "{text}");
        }
        for text in [
            "https://container.example",
            "https://googleapis.com.evil.example",
            "https://evilgoogleapis.com",
            "https://container.googleapis.com:444",
            "http://container.googleapis.com",
            "https://container.googleapis.com/v1",
        ] {
            let error = Elsewhere::read(&given(text, variable::CONTAINER), true).expect_err(text);
            assert!(error.subject().contains(variable::CONTAINER), "{error}");
        }
        let storage = given("https://storage-chalk.p.googleapis.com/storage/v1/", variable::STORAGE);
        assert_eq!(
            Elsewhere::read(&storage, false).expect("as gcloud writes it").authority(),
            "storage-chalk.p.googleapis.com"
        );
    }

    #[test]
    fn a_metadata_server_is_on_this_machine_or_on_its_link() {
        let read = |text: &str| metadata_host(&given(text, "GCE_METADATA_HOST"));
        for text in [
            "metadata.google.internal",
            "169.254.169.254",
            "169.254.169.252:988",
            "[fd20:ce::254]",
            "127.0.0.1:8080",
            "localhost:1",
        ] {
            assert_eq!(read(text).expect(text).as_str(), text);
        }
        for text in ["", "evil.example", "10.0.0.1", "http://127.0.0.1", "a@127.0.0.1", "127.0.0.1/x", "[fd20:ce::255]"]
        {
            read(text).expect_err(text);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_check_panic_or_lead_elsewhere(text in ".{0,80}") {
            let _ = metadata_host(&given(&text, "GCE_METADATA_HOST"));
            if let Ok(found) = Elsewhere::read(&given(&text, variable::STORAGE), true) {
                prop_assert!(found.is_near || found.is_googles);
            }
        }
    }
}
