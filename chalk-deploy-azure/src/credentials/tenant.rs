//! The tenant that everything stays in.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chalk_deploy_core::credentials::BearerToken;
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use serde_json::Value;

/// No payload of a token is longer.
const PAYLOAD_MOST: usize = 32 << 10;

/// A tenant of Entra ID: its id, or one of its domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tenant(String);

impl Tenant {
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for what is neither, and for the names that stand for any tenant.
    pub(crate) fn new(tenant: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::new(ErrorCode::ValueInvalid, why)
                .on(format!("tenant `{}`", text::line(tenant, 100)))
                .with_hint("name the tenant by its id (`az account show --query tenantId`) or by one of its domains")
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        if tenant.is_empty() || tenant.len() > 253 || !tenant.bytes().all(is_name) || tenant.starts_with('.') {
            return Err(wrong("this is no tenant of Entra ID"));
        }
        if ["common", "organizations", "consumers", "adfs"].contains(&tenant.to_ascii_lowercase().as_str()) {
            return Err(wrong("this stands for any tenant, and credentials are for one"));
        }
        Ok(Self(tenant.to_ascii_lowercase()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether another id says that something is of another tenant. A domain can be compared with none.
    pub(crate) fn differs(&self, other: &str) -> bool {
        is_guid(&self.0) && is_guid(other) && !self.0.eq_ignore_ascii_case(other)
    }

    /// Refuses a token that says to be of another tenant. What is no JSON web token says nothing.
    pub(crate) fn check(&self, token: &BearerToken) -> Result<()> {
        let claims = claims(token.expose());
        let of = claims.as_ref().and_then(|claims| claims.get("tid")).and_then(Value::as_str);
        match of.filter(|of| self.differs(of)) {
            None => Ok(()),
            Some(of) => Err(Error::new(
                ErrorCode::PermissionDenied,
                format!("the credentials are of tenant {}, and tenant {self} is configured", text::line(of, 40)),
            )
            .with_hint(format!("log in to the right tenant (`az login --tenant {self}`), or correct AZURE_TENANT_ID"))),
        }
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a JSON web token says. Nothing of it is believed: it is only read to refuse, and to renew in time.
pub(crate) fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || payload.len() > PAYLOAD_MOST {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()
}

/// `72f988bf-86f1-41af-91ab-2d7cd011db47`.
pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    const OTHER: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";

    fn token(payload: &str) -> BearerToken {
        BearerToken::new(format!("e30.{}.x", URL_SAFE_NO_PAD.encode(payload)))
    }

    #[test]
    fn a_token_of_another_tenant_is_refused_and_one_that_does_not_say_is_not() {
        let tenant = Tenant::new(&ONE.to_uppercase()).expect("a tenant");
        for payload in [format!(r#"{{"tid":"{ONE}"}}"#), "{}".to_owned(), "[".to_owned(), r#"{"tid":7}"#.to_owned()] {
            tenant.check(&token(&payload)).expect("nothing against it");
        }
        tenant.check(&BearerToken::new("opaque")).expect("nothing against it");
        let error = tenant.check(&token(&format!(r#"{{"tid":"{OTHER}"}}"#))).expect_err("another tenant");
        assert_eq!(error.code(), ErrorCode::PermissionDenied);
        assert!(error.sentence().contains(OTHER) && error.hint().contains(ONE), "{}", error.sentence());
        let domain = Tenant::new("contoso.onmicrosoft.com").expect("a domain");
        domain.check(&token(&format!(r#"{{"tid":"{OTHER}"}}"#))).expect("a domain cannot be compared");
    }

    #[test]
    fn what_is_no_tenant_or_any_tenant_is_refused() {
        for wrong in ["", "a b", "a/b", "common", "Organizations", "consumers", "x\ny", &"a".repeat(254)] {
            assert_eq!(Tenant::new(wrong).expect_err(wrong).code(), ErrorCode::ValueInvalid);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reading_of_claims_panic(text in ".{0,80}") {
            claims(&text);
            is_guid(&text);
        }
    }
}
