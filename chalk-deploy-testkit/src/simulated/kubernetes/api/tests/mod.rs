//! The server, asked as a client asks it, in the process and in virtual time.

mod access;
mod admission;
mod deletions;
mod kube_client;
mod reads;
mod watches;
mod writes;

use std::sync::Arc;

use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::runtime::Runtime;
use futures::StreamExt as _;
use http::{Method, Request, Response};
use serde_json::{Value, json};

use super::*;
use crate::simulated::kubernetes::resource::Resource;
use crate::{VirtualRuntime, World};

/// A server and someone who asks it.
pub(super) struct Client {
    pub(super) server: ApiServer,
    token: Option<String>,
}

pub(super) fn client() -> Client {
    client_with(ApiSettings::default())
}

pub(super) fn client_with(settings: ApiSettings) -> Client {
    let objects = Objects::open(&World::memory(), VirtualRuntime::new(1)).expect("a new world");
    Client { server: ApiServer::new(objects, settings), token: None }
}

pub(super) type Answer = (u16, Value);

impl Client {
    pub(super) fn as_token(&self, token: &str) -> Self {
        Self { server: self.server.clone(), token: Some(token.to_owned()) }
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<ByteStream> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(full(body.to_owned())).expect("a request");
        self.server.answer(request).await.expect("an answer")
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        value(self.send(method, path, headers, body).await).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], "").await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, &[("content-type", "application/json")], &body.to_string()).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::PUT, path, &[("content-type", "application/json")], &body.to_string()).await
    }

    pub(super) async fn patch(&self, path: &str, kind: &str, body: &Value) -> Answer {
        let media = format!("application/{kind}");
        self.ask(Method::PATCH, path, &[("content-type", &media)], &body.to_string()).await
    }

    pub(super) async fn apply(&self, path: &str, manager: &str, body: &Value) -> Answer {
        let join = if path.contains('?') { '&' } else { '?' };
        self.patch(&format!("{path}{join}fieldManager={manager}"), "apply-patch+yaml", body).await
    }

    pub(super) async fn delete(&self, path: &str, options: &Value) -> Answer {
        let body = if options.is_null() { String::new() } else { options.to_string() };
        self.ask(Method::DELETE, path, &[], &body).await
    }

    /// A watch, as its lines come.
    pub(super) async fn watch(&self, path: &str) -> Lines {
        let response = self.send(Method::GET, path, &[], "").await;
        assert_eq!(response.status(), 200, "{path}");
        Lines(response.into_body())
    }

    pub(super) fn runtime(&self) -> Arc<dyn Runtime> {
        self.server.objects().runtime().clone()
    }

    /// Puts an object into the store behind the server's back, as controllers do.
    pub(super) fn store(&self, resource: Resource, namespace: &str, name: &str, object: Value) {
        let key = crate::simulated::kubernetes::objects::Key::new(resource, namespace, name);
        self.server.objects().create(&key, object).expect("free");
    }
}

pub(super) struct Lines(ByteStream);

impl Lines {
    /// The type of the next event and its object; `None` at the end, an error where the connection breaks.
    pub(super) async fn next(&mut self) -> Option<Result<(String, Value), std::io::ErrorKind>> {
        let line = match self.0.next().await? {
            Ok(line) => line,
            Err(error) => return Some(Err(error.kind())),
        };
        let mut event: Value = serde_json::from_slice(&line).expect("a line of JSON");
        assert!(line.ends_with(b"\n"));
        let kind = event["type"].as_str().expect("a type").to_owned();
        Some(Ok((kind, event["object"].take())))
    }

    /// The type and the name of the next event.
    pub(super) async fn told(&mut self) -> String {
        match self.next().await {
            Some(Ok((kind, object))) => {
                format!("{kind} {}", object["metadata"]["name"].as_str().unwrap_or_default()).trim().to_owned()
            }
            Some(Err(kind)) => format!("{kind:?}"),
            None => "end".to_owned(),
        }
    }
}

pub(super) async fn value(response: Response<ByteStream>) -> Answer {
    let status = response.status().as_u16();
    let bytes = read_body(response.into_body(), usize::MAX).await.expect("a body");
    (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into()))
}

pub(super) fn message(answer: &Answer) -> &str {
    answer.1["message"].as_str().unwrap_or_default()
}

pub(super) const MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(super) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
pub(super) const PODS: &str = "/api/v1/namespaces/default/pods";

pub(super) fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"a": "1"}})
}

pub(super) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "x"}},
        "spec": {"containers": [{"name": "a", "image": "a:1"}]},
    })
}

pub(super) fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "a", "image": "a:1"}]},
            },
        },
    })
}
