//! Whom a registry may send us to.
//!
//! A server that is asked for a blob may name other hosts in three places, and each could make us hand out credentials,
//! or knock on doors inside the network that we run in. So:
//!
//! **A realm**, which is given credentials, is `https`, has a host, no user and no fragment, and its host is
//! - the registry's own host, on any port, or a host below it (`auth.registry.example` for `registry.example`), or
//! - the one that Docker Hub and GitLab are known to use, for their own registries, or
//! - listed in [`OciSettings::trusted_realms`](super::OciSettings::trusted_realms).
//!
//! A registry that is itself reached by plain HTTP may name a plain realm on its own host and, if it is on this machine,
//! on this machine. "The same registrable domain" is not the rule: it needs the list of public suffixes, and without it
//! `mine.azurecr.io` and `yours.azurecr.io` are siblings. Addresses that only this machine or this network link can
//! reach (loopback, link-local and so the metadata services of the clouds, unspecified) are refused unless they are the
//! registry's own. The answer of a realm is never followed anywhere.
//!
//! **A redirect** is followed when a blob is read, at most five times, to `https` (or from plain to plain), without
//! credentials once it leaves the registry, and never to such an address.
//!
//! **An upload location** stays on the registry's origin, or is on a host listed in
//! [`OciSettings::upload_hosts`](super::OciSettings::upload_hosts), which is sent the blob but no credentials.

use http::HeaderValue;
use url::{Host, Url};

use super::endpoint::{Endpoint, host_of, is_loopback, resolve};
use super::settings::OciSettings;
use crate::{Error, ErrorCode, Result, text};

/// Registries whose realm is on another host, as published by those who run them.
const KNOWN_REALMS: [(&str, &str); 3] = [
    ("index.docker.io", "auth.docker.io"),
    ("registry-1.docker.io", "auth.docker.io"),
    ("registry.gitlab.com", "gitlab.com"),
];

const LONGEST: usize = 2 << 10;

/// The realm that a registry names, if it may be given credentials.
pub(super) fn realm(endpoint: &Endpoint, named: &str, settings: &OciSettings) -> Result<Url> {
    let refused = |reason: &str| {
        Error::new(ErrorCode::RegistryUntrusted, format!("the registry asks for credentials at {reason}"))
            .on(format!("realm `{}` of {}", text::line(without_query(named), 200), endpoint.host()))
            .with_hint("nothing was sent; if that host is right, add it to the trusted realms")
    };
    if named.len() > LONGEST {
        return Err(refused("an address that is too long"));
    }
    let url = Url::parse(named).map_err(|_| refused("something that is no address"))?;
    let registry = endpoint.base();
    let own_host = url.host_str() == registry.host_str();
    let plain = url.scheme() == "http"
        && registry.scheme() == "http"
        && (own_host || (is_loopback(&url) && is_loopback(registry)));
    if url.scheme() != "https" && !plain {
        return Err(refused("an address that is not https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("an address with a user in it"));
    }
    if url.fragment().is_some() {
        return Err(refused("an address with a fragment"));
    }
    let host = url.host_str().unwrap_or_default();
    let of_registry = registry.host_str().unwrap_or_default();
    let below = matches!(url.host(), Some(Host::Domain(_)))
        && matches!(registry.host(), Some(Host::Domain(_)))
        && host.strip_suffix(of_registry).is_some_and(|rest| rest.ends_with('.'));
    let known = KNOWN_REALMS.contains(&(of_registry, host)) && registry.port().is_none();
    let listed = settings.trusted_realms.contains(host) || settings.trusted_realms.contains(&host_of(&url));
    if own_host || below || known || listed || plain {
        return Ok(url);
    }
    Err(refused("a host that is neither its own nor a trusted one"))
}

/// Where the reading of a blob goes on.
pub(super) fn redirect(endpoint: &Endpoint, from: &Url, location: Option<&HeaderValue>) -> Result<Url> {
    let refused = |reason: &str, to: Option<&Url>| {
        let to = to.map_or_else(String::new, |url| format!(" to `{}`", text::line(&host_of(url), 200)));
        Error::new(ErrorCode::RegistryUntrusted, format!("the registry redirects{to}, {reason}"))
            .on(endpoint.host())
            .with_hint("nothing was sent there; check the registry and what stands before it")
    };
    let url = resolve(from, location).ok_or_else(|| refused("which is no address", None))?;
    if url.scheme() != "https" && !(url.scheme() == "http" && from.scheme() == "http") {
        return Err(refused("which is not https", Some(&url)));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("with a user in the address", Some(&url)));
    }
    let own_host = url.host_str() == endpoint.base().host_str();
    if is_only_near(&url) && !own_host && !(is_loopback(&url) && is_loopback(endpoint.base())) {
        return Err(refused("which is an address inside this machine or its network link", Some(&url)));
    }
    Ok(url)
}

/// Where an upload goes on, and whether our credentials go with it.
pub(super) fn upload(
    endpoint: &Endpoint,
    from: &Url,
    location: Option<&HeaderValue>,
    settings: &OciSettings,
) -> Result<(Url, bool)> {
    let url = resolve(from, location).ok_or_else(|| {
        Error::new(ErrorCode::CloudAnswerInvalid, "the registry opened an upload and did not say where")
            .on(endpoint.host())
    })?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    if !has_user && endpoint.is_origin_of(&url) {
        return Ok((url, true));
    }
    let listed = |host: &str| settings.upload_hosts.contains(host);
    let is_listed = listed(&host_of(&url)) || url.host_str().is_some_and(listed);
    if !has_user && url.scheme() == "https" && is_listed {
        return Ok((url, false));
    }
    Err(Error::new(
        ErrorCode::RegistryUntrusted,
        format!("the registry wants the upload at `{}`, which is not its own address", text::line(&host_of(&url), 200)),
    )
    .on(endpoint.host())
    .with_hint("nothing was sent there; if that host is right, add it to the upload hosts"))
}

/// Loopback, link-local (and so the metadata services of the clouds) and unspecified addresses.
fn is_only_near(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_link_local() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => {
            let mapped = address.to_ipv4_mapped();
            let mapped =
                mapped.is_some_and(|mapped| mapped.is_loopback() || mapped.is_link_local() || mapped.is_unspecified());
            // AWS serves its metadata under a unique local address too.
            let metadata = address.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254];
            address.is_loopback() || address.is_unicast_link_local() || address.is_unspecified() || mapped || metadata
        }
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost") || name == "metadata.google.internal"
        }
        None => true,
    }
}

/// An address without what it may carry.
pub(super) fn shown(url: &Url) -> String {
    text::line(without_query(url.as_str()), 200)
}

fn without_query(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Repository;

    fn endpoint(repository: &str) -> Endpoint {
        let repository = Repository::new(repository).expect("a valid repository");
        Endpoint::of(&repository, &OciSettings::default()).expect("an endpoint")
    }

    #[test]
    fn realms_that_are_the_registrys_own_known_or_listed_are_trusted() {
        let settings = OciSettings::default().with_trusted_realm("Login.Example");
        for (registry, realm_named) in [
            ("registry.example/a", "https://registry.example/token"),
            ("registry.example/a", "https://registry.example:8443/token?x=y"),
            ("registry.example/a", "https://auth.registry.example/token"),
            ("docker.io/library/a", "https://auth.docker.io/token"),
            ("registry.gitlab.com/a", "https://gitlab.com/jwt/auth"),
            ("registry.example/a", "https://login.example/token"),
            ("127.0.0.1:5000/a", "http://127.0.0.1:5001/token"),
            ("localhost:5000/a", "http://127.0.0.1:5001/token"),
            ("registry.embedded/a", "http://registry.embedded/token"),
        ] {
            realm(&endpoint(registry), realm_named, &settings).expect(realm_named);
        }
    }

    #[test]
    fn a_redirect_stays_away_from_this_machine_and_its_link_and_from_plain_http() {
        let (registry, from) =
            (endpoint("registry.example/a"), Url::parse("https://registry.example/v2/").expect("a URL"));
        let to = |text: &str| redirect(&registry, &from, Some(&HeaderValue::from_str(text).expect("a header")));
        for text in ["https://store.example/blob?signature=x", "/elsewhere", "https://10.0.0.1/blob"] {
            to(text).expect(text);
        }
        for text in [
            "http://store.example/blob",
            "ftp://store.example/blob",
            "file:///etc/passwd",
            "https://127.0.0.1/blob",
            "https://[::1]/blob",
            "https://[::ffff:169.254.169.254]/latest",
            "https://169.254.169.254/latest",
            "https://2852039166/latest",
            "https://0xa9fea9fe/latest",
            "https://0.0.0.0/blob",
            "https://[fd00:ec2::254]/latest",
            "https://localhost./blob",
            "https://metadata.google.internal/",
            "https://user:password@store.example/blob",
        ] {
            assert_eq!(to(text).expect_err(text).code(), ErrorCode::RegistryUntrusted, "{text}");
        }
        assert!(redirect(&registry, &from, None).is_err());
    }

    #[test]
    fn an_upload_goes_to_the_registrys_origin_or_to_a_listed_host_without_credentials() {
        let (registry, from) =
            (endpoint("registry.example/a"), Url::parse("https://registry.example/v2/").expect("a URL"));
        let settings = OciSettings::default().with_upload_host("uploads.example");
        let to = |text: &'static str| upload(&registry, &from, Some(&HeaderValue::from_static(text)), &settings);
        assert!(to("/v2/a/blobs/uploads/1").expect("its own").1);
        assert!(!to("https://uploads.example/1").expect("listed").1);
        for text in [
            "http://registry.example/1",
            "https://registry.example:444/1",
            "https://evil.example/1",
            "//evil.example/1",
            "https://user@registry.example/1",
            "http://uploads.example/1",
        ] {
            assert_eq!(to(text).expect_err(text).code(), ErrorCode::RegistryUntrusted, "{text}");
        }
    }
}
