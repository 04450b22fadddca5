//! Credentials of registries as `config.json` holds them (docker's command line reference, *docker login*; Kubernetes
//! keeps the same document in Secrets of the type `kubernetes.io/dockerconfigjson`).
//!
//! Only what stands in the document itself is read: credential helpers are programs, and a build container runs none.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::oci::{Credential, Secret, StaticCredentials};
use crate::{Error, ErrorCode, Result};

/// No such document is longer: a Secret has at most 1 MiB.
const MOST: usize = 1 << 20;

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// The credentials of a document.
///
/// # Errors
/// [`ErrorCode::ValueInvalid`] for what is none; what is wrong is told without its content.
pub fn read(document: &[u8]) -> Result<StaticCredentials> {
    let invalid = |why: &str| {
        Error::new(ErrorCode::ValueInvalid, why).on("config.json").with_hint("make it anew with `docker login`")
    };
    if document.len() > MOST {
        return Err(invalid("it is longer than 1 MiB"));
    }
    let document: Document =
        serde_json::from_slice(document).map_err(|_| invalid("it is no document with credentials of registries"))?;
    let mut credentials = StaticCredentials::new();
    for (name, entry) in document.auths {
        let credential = credential(entry).ok_or_else(|| invalid("an entry holds no user and password"))?;
        credentials = credentials.with(host(&name), credential);
    }
    Ok(credentials)
}

/// Keys may be addresses: `https://index.docker.io/v1/`.
fn host(name: &str) -> &str {
    let rest = name.split_once("://").map_or(name, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

fn credential(entry: Entry) -> Option<Credential> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    if let Some(token) = given(entry.registrytoken) {
        return Some(Credential::Bearer(Secret::new(token)));
    }
    if let Some(token) = given(entry.identitytoken) {
        return Some(Credential::Identity(Secret::new(token)));
    }
    let (username, password) = if let Some(both) = given(entry.username).zip(given(entry.password)) {
        both
    } else {
        let pair = String::from_utf8(STANDARD.decode(given(entry.auth)?.trim()).ok()?).ok()?;
        let (username, password) = pair.split_once(':')?;
        (username.to_owned(), password.trim_end_matches('\0').to_owned())
    };
    Some(Credential::Basic { username, secret: Secret::new(password) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Asked, RegistryCredentials as _};

    async fn of(document: &str, host: &str) -> Credential {
        let credentials = read(document.as_bytes()).expect("a document");
        credentials.credential(host, Asked::First).await.expect("answered")
    }

    #[tokio::test]
    async fn users_tokens_and_addresses_are_read() {
        let basic = Credential::Basic { username: "me".to_owned(), secret: Secret::new("pass:word") };
        let packed = STANDARD.encode("me:pass:word");
        assert_eq!(
            of(&format!(r#"{{"auths":{{"registry:5000":{{"auth":"{packed}"}}}}}}"#), "registry:5000").await,
            basic
        );
        let plain = r#"{"auths":{"https://registry.example/v1/":{"username":"me","password":"pass:word","auth":""}}}"#;
        assert_eq!(of(plain, "registry.example").await, basic);
        assert_eq!(of(plain, "other.example").await, Credential::Anonymous);
        let token = r#"{"auths":{"a.example":{"identitytoken":"t"},"b.example":{"registrytoken":"u"}}}"#;
        assert_eq!(of(token, "a.example").await, Credential::Identity(Secret::new("t")));
        assert_eq!(of(token, "b.example").await, Credential::Bearer(Secret::new("u")));
        assert_eq!(of("{}", "a.example").await, Credential::Anonymous);
    }

    #[test]
    fn what_is_no_such_document_is_refused_without_its_content() {
        for document in ["", "7", r#"{"auths":{"a":{"auth":"hunter2"}}}"#, r#"{"auths":{"a":{}}}"#, r#"{"auths":7}"#] {
            let error = read(document.as_bytes()).expect_err(document);
            assert!(error.code() == ErrorCode::ValueInvalid && !error.sentence().contains("hunter2"), "{error}");
        }
        read(&vec![b' '; MOST + 1]).expect_err("too long");
    }
}
