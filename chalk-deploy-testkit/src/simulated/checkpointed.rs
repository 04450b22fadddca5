//! Named moments before and after each request that changes something, so that a test can kill the process there.

use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::checkpoint::Checkpoints;
use chalk_deploy_core::cloud::ByteStream;
use http::{Method, Request, Response};

use super::http::{Server, Severed};

/// A server that tells of `<server> <method> <path>/before-effect` and `…/after-effect` (it is done, and nobody has
/// heard) for every request that may change something. What differs between two runs of the same thing, ids and
/// digests, is written as `{id}`, `{digest}` and `{uid}`.
pub fn checkpointed(server: Arc<dyn Server>, checkpoints: Arc<dyn Checkpoints>) -> Arc<dyn Server> {
    Arc::new(Checkpointed { server, checkpoints })
}

#[derive(Debug)]
struct Checkpointed {
    server: Arc<dyn Server>,
    checkpoints: Arc<dyn Checkpoints>,
}

#[async_trait]
impl Server for Checkpointed {
    fn name(&self) -> &'static str {
        self.server.name()
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
            return self.server.answer(request).await;
        }
        let moment = format!("{} {} {}", self.server.name(), request.method(), stable(request.uri().path()));
        self.checkpoints.reached(&format!("{moment}/before-effect"));
        let answer = self.server.answer(request).await;
        self.checkpoints.reached(&format!("{moment}/after-effect"));
        answer
    }
}

/// A path without what differs between two runs.
fn stable(path: &str) -> String {
    path.split('/').map(stable_segment).collect::<Vec<_>>().join("/")
}

fn stable_segment(segment: &str) -> String {
    if let Some((algorithm, _)) = segment.split_once(':') {
        return format!("{algorithm}:{{digest}}");
    }
    // `engine-<id>`, a UUID, a digest in hex: their parts between dashes.
    let uuid = [8, 4, 4, 4, 12];
    let parts: Vec<_> = segment.split('-').collect();
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if parts.len() == uuid.len() && parts.iter().zip(uuid).all(|(part, length)| part.len() == length && is_hex(part)) {
        return "{uid}".to_owned();
    }
    let named = parts.iter().map(|part| match part.len() {
        25 if part.starts_with('c') && part.bytes().all(|byte| byte.is_ascii_alphanumeric()) => "{id}",
        32.. if is_hex(part) => "{digest}",
        _ => part,
    });
    named.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use chalk_deploy_core::transport::RequestBody;

    use super::*;
    use crate::CrashSwitch;
    use crate::simulated::http::{full, in_process};

    #[test]
    fn a_path_keeps_what_is_the_same_in_every_run() {
        let id = format!("c{}", "0a".repeat(12));
        for (path, expected) in [
            (
                format!("/apis/apps/v1/namespaces/ns-dev/deployments/engine-{id}"),
                "/apis/apps/v1/namespaces/ns-dev/deployments/engine-{id}",
            ),
            (format!("/v2/chalk/engine-dev/manifests/{id}"), "/v2/chalk/engine-dev/manifests/{id}"),
            (format!("/v2/x/manifests/sha256:{}", "a".repeat(64)), "/v2/x/manifests/sha256:{digest}"),
            ("/v2/x/blobs/uploads/01234567-89ab-cdef-0123-456789abcdef".to_owned(), "/v2/x/blobs/uploads/{uid}"),
            (format!("/bucket/archives/{}", "b".repeat(64)), "/bucket/archives/{digest}"),
        ] {
            assert_eq!(stable(&path), expected);
        }
    }

    #[derive(Debug)]
    struct Yes;

    #[async_trait]
    impl Server for Yes {
        fn name(&self) -> &'static str {
            "yes"
        }

        async fn answer(&self, _: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
            Ok(Response::new(full("yes")))
        }
    }

    #[tokio::test]
    async fn only_what_may_change_something_is_a_moment() {
        let switch = Arc::new(CrashSwitch::recording());
        let transport = in_process(checkpointed(Arc::new(Yes), switch.clone()));
        for method in ["GET", "PUT", "HEAD", "DELETE"] {
            let request = Request::builder().method(method).uri("http://yes/a").body(RequestBody::Empty);
            transport.send(request.expect("a request")).await.expect("an answer");
        }
        assert_eq!(
            switch.reached_so_far(),
            [
                "yes PUT /a/before-effect",
                "yes PUT /a/after-effect",
                "yes DELETE /a/before-effect",
                "yes DELETE /a/after-effect"
            ]
        );
    }
}
