//! ECR's own API before the distribution project's registry: it hands out passwords.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::runtime::{Runtime as _, SystemRuntime};
use chalk_deploy_testkit::distribution::{Desk, header};
use chalk_deploy_testkit::simulated::http::json as answer;
use http::request::Parts;
use http::{Response, StatusCode};
use serde_json::json;

/// Two passwords and their lines of the registry's file, made with Python's bcrypt:
/// `bcrypt.hashpw(b"first-password", bcrypt.gensalt(5))`.
pub(crate) const FIRST: (&str, &str) =
    ("first-password", "AWS:$2b$05$m5WsfThjaMD2BIzbajlESeoBl7mhcBVL6rsCZiVfKMfwMRJgXM8Sm\n");
pub(crate) const SECOND: (&str, &str) =
    ("second-password", "AWS:$2b$05$uMSqtdoF8QVaMhUhsLKwDOEiKvxelnyiVQIDAE0bxlnkm6j/Rd28K\n");

/// ECR's API, which hands out these passwords in order, the last one for ever.
#[derive(Debug)]
pub(crate) struct Ecr {
    passwords: Vec<&'static str>,
    handed_out: AtomicUsize,
}

impl Ecr {
    pub(crate) fn handing_out(passwords: &[&'static str]) -> Arc<Self> {
        Arc::new(Self { passwords: passwords.to_owned(), handed_out: AtomicUsize::new(0) })
    }

    pub(crate) fn handed_out(&self) -> usize {
        self.handed_out.load(Ordering::SeqCst)
    }
}

impl Desk for Ecr {
    fn answer(&self, request: &Parts, _: &[u8]) -> Option<Response<ByteStream>> {
        let action = header(request, "x-amz-target").strip_prefix("AmazonEC2ContainerRegistry_V20150921.")?;
        if action != "GetAuthorizationToken" || !header(request, "authorization").starts_with("AWS4-HMAC-SHA256 ") {
            return Some(answer(StatusCode::BAD_REQUEST, &json!({"__type": "UnknownOperationException"})));
        }
        let number = self.handed_out.fetch_add(1, Ordering::SeqCst);
        let password = self.passwords.get(number).or(self.passwords.last()).expect("one at least");
        let expires = SystemRuntime::new().now().as_millis() / 1000 + 12 * 3600;
        let given = json!({"authorizationToken": STANDARD.encode(format!("AWS:{password}")), "expiresAt": expires});
        Some(answer(StatusCode::OK, &json!({"authorizationData": [given]})))
    }
}
