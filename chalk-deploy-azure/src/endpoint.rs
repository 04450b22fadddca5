//! Where services are, if not where their names say: checked, and never such that a token would go out in the clear.

use std::net::IpAddr;

use chalk_deploy_core::{Error, ErrorCode, Result};

/// `http(s)://host[:port]`, with the account after it where an emulator has it there.
pub(crate) fn checked_endpoint(url: &str, with_account: bool) -> Result<String> {
    // What it holds is not shown: it may be a password that stands in the wrong place.
    let refused = || {
        Error::new(ErrorCode::ValueInvalid, "this is no endpoint of a service")
            .on("endpoint")
            .with_hint("write an endpoint as `https://host[:port]`, without a query or a password")
    };
    let uri: http::Uri = url.parse().map_err(|_| refused())?;
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(refused()) };
    let path = uri.path().trim_end_matches('/');
    let is_account = |path: &str| {
        let name = path.strip_prefix('/').unwrap_or_default();
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if authority.as_str().contains('@')
        || uri.query().is_some()
        || !(path.is_empty() || with_account && is_account(path))
    {
        return Err(refused());
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// The same for a service that is shown tokens. Whoever reads one on its way may do what its owner may, so plain HTTP is
/// for this machine alone, whichever transport there is.
pub(crate) fn token_endpoint(url: &str, with_account: bool) -> Result<String> {
    let endpoint = checked_endpoint(url, with_account)?;
    let uri: http::Uri = endpoint.parse().unwrap_or_default();
    if uri.scheme_str() == Some("http") && !uri.host().is_some_and(is_loopback) {
        return Err(Error::new(
            ErrorCode::ValueInvalid,
            "tokens would go there over plain http, which anyone can read",
        )
        .on("endpoint")
        .with_hint("use https; plain http is for this machine alone (`127.0.0.1`, `localhost`)"));
    }
    Ok(endpoint)
}

/// The same for Entra ID, which `azure_identity` asks over TLS alone. Azure's own tools take it without its scheme too.
pub(crate) fn authority_endpoint(url: &str) -> Result<String> {
    let with_scheme = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
    let endpoint = checked_endpoint(&with_scheme, false)?;
    if endpoint.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
        return Ok(endpoint);
    }
    Err(Error::new(ErrorCode::ValueInvalid, "Entra ID is asked over TLS alone")
        .on("endpoint")
        .with_hint("write it as `https://host[:port]`"))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_and_a_host_and_is_not_shown_when_it_is_not() {
        for url in ["", "host", "ftp://h", "https://user:hidden@h", "https://h/a/hidden", "https://h?hidden=1"] {
            let error = checked_endpoint(url, true).expect_err(url);
            assert!(!error.sentence().contains("hidden"), "{}", error.sentence());
        }
        checked_endpoint("https://h/account", false).expect_err("no account here");
        assert_eq!(checked_endpoint("http://h:1/account/", true).expect("an emulator's"), "http://h:1/account");
    }

    #[test]
    fn a_token_goes_out_in_the_clear_to_this_machine_alone() {
        for url in
            ["http://127.0.0.1:1", "http://localhost:1", "http://LOCALHOST", "http://[::1]:1", "https://h.example"]
        {
            assert_eq!(token_endpoint(url, false).expect(url), url);
        }
        for url in [
            "http://h.example",
            "HTTP://h.example",
            "http://10.0.0.1",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "http://169.254.169.254",
            "http://[::2]:1",
        ] {
            let error = token_endpoint(url, false).expect_err(url);
            assert!(error.hint().contains("https"), "{}", error.sentence());
        }
    }

    #[test]
    fn entra_id_is_asked_over_tls_alone_and_may_be_named_without_a_scheme() {
        assert_eq!(authority_endpoint("login.acme.example").expect("a host"), "https://login.acme.example");
        assert_eq!(authority_endpoint("https://127.0.0.1:1/").expect("a host"), "https://127.0.0.1:1");
        for url in ["http://127.0.0.1:1", "http://login.acme.example", "https://h/tenant", "", "a b"] {
            assert_eq!(authority_endpoint(url).expect_err(url).code(), ErrorCode::ValueInvalid);
        }
    }
}
