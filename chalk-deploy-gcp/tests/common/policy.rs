//! As much of IAM as the custom role for deployments needs: which permission a request asks for, and whether it is
//! granted.
//!
//! After "IAM permissions for JSON methods" of Cloud Storage, "Access control with IAM" of Artifact Registry and "GKE
//! IAM permissions reference"; and after the condition that reaches only buckets whose names begin with `chalk-`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chalk_deploy_core::transport::{RequestBody, Transport};
use chalk_deploy_testkit::simulated::closure::{Answering, Reply};
use http::Request;
use serde_json::json;

/// What is granted, what was asked for, and what was refused.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    granted: Arc<BTreeSet<&'static str>>,
    used: Arc<Mutex<BTreeSet<String>>>,
    refused: Arc<Mutex<Vec<String>>>,
}

impl Policy {
    pub(crate) fn new(granted: Vec<&'static str>) -> Self {
        Self { granted: Arc::new(granted.into_iter().collect()), used: Arc::default(), refused: Arc::default() }
    }

    /// The same servers, for who has these permissions.
    pub(crate) fn around(&self, transport: Transport) -> Transport {
        let policy = self.clone();
        Transport::from_fn(move |request| {
            let transport = match policy.lacks(&request) {
                None => transport.clone(),
                Some(name) => refusing(&name, request.uri().path().starts_with("/v2/")),
            };
            async move { transport.send(request).await }
        })
    }

    pub(crate) fn used(&self) -> BTreeSet<String> {
        self.used.lock().expect("not poisoned").clone()
    }

    pub(crate) fn refused(&self) -> Vec<String> {
        self.refused.lock().expect("not poisoned").clone()
    }

    /// The first permission that a request lacks.
    fn lacks(&self, request: &Request<RequestBody>) -> Option<String> {
        for name in asked(request) {
            if !self.granted.contains(name.as_str()) {
                self.refused.lock().expect("not poisoned").push(name.clone());
                return Some(name);
            }
            self.used.lock().expect("not poisoned").insert(name);
        }
        None
    }
}

/// A server that says that a permission is missing, as the APIs do and as registries do.
fn refusing(name: &str, is_registry: bool) -> Transport {
    let message = format!("Permission '{name}' denied on resource (or it may not exist).");
    let body = if is_registry {
        json!({"errors": [{"code": "DENIED", "message": message}]})
    } else {
        json!({"error": {"code": 403, "message": message, "errors": [{"reason": "forbidden"}]}})
    };
    Answering::by(move |_| Reply::json(403, &body)).transport()
}

/// The permissions that a request asks for. One that nobody has for what the table does not know.
#[expect(clippy::match_same_arms, reason = "a table, row by row")]
fn asked(request: &Request<RequestBody>) -> Vec<String> {
    let path: Vec<_> = request.uri().path().trim_matches('/').split('/').collect();
    let query = request.uri().query().unwrap_or_default();
    let query: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let unknown = || vec![format!("unknown: {} {}", request.method(), request.uri())];
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let (host, method) = (request.uri().host().unwrap_or_default(), request.method().as_str());
    let bucket = match &path[..] {
        ["upload", "storage", "v1", "b", bucket, ..] | ["storage", "v1", "b", bucket, ..] => bucket,
        _ => path[0],
    };
    match (host, method, &path[..]) {
        ("container.googleapis.com", "GET", ["v1", "projects", _, "locations", _, "clusters", _]) => {
            names(&["container.clusters.get"])
        }
        // What is asked of the project.
        ("storage.googleapis.com", "GET", ["storage", "v1", "b"]) => names(&["storage.buckets.list"]),
        ("storage.googleapis.com", "POST", ["storage", "v1", "b"]) => {
            let retained = query.get("enableObjectRetention").is_some_and(|value| value == "true");
            let all = ["storage.buckets.create", "storage.buckets.enableObjectRetention"];
            names(if retained { &all } else { &all[..1] })
        }
        // The condition of the binding.
        ("storage.googleapis.com", _, _) if !bucket.starts_with("chalk-") => unknown(),
        ("storage.googleapis.com", "GET", ["storage", "v1", "b", _]) => names(&["storage.buckets.get"]),
        ("storage.googleapis.com", "PATCH", ["storage", "v1", "b", _]) => names(&["storage.buckets.update"]),
        ("storage.googleapis.com", "POST", ["upload", "storage", "v1", "b", _, "o"]) => {
            // Writing over an object removes the one that was there.
            match query.get("ifGenerationMatch").map(String::as_str) {
                Some("0") => names(&["storage.objects.create"]),
                _ => names(&["storage.objects.create", "storage.objects.delete"]),
            }
        }
        ("storage.googleapis.com", "PUT" | "DELETE", ["upload", "storage", "v1", "b", _, "o"]) => {
            names(&["storage.objects.create"])
        }
        ("storage.googleapis.com", "GET", ["storage", "v1", "b", _, "o"]) => names(&["storage.objects.list"]),
        ("storage.googleapis.com", "POST", ["storage", "v1", "b", _, "o", _, "rewriteTo", ..]) => {
            names(&["storage.objects.get", "storage.objects.create"])
        }
        ("storage.googleapis.com", "GET", ["storage", "v1", "b", _, "o", _]) => names(&["storage.objects.get"]),
        ("storage.googleapis.com", "DELETE", ["storage", "v1", "b", _, "o", _]) => names(&["storage.objects.delete"]),
        ("storage.googleapis.com", "GET", [_, ..]) => names(&["storage.objects.get"]),
        ("us-central1-docker.pkg.dev", "GET" | "POST", ["v2", "token"])
        | ("us-central1-docker.pkg.dev", "GET", ["v2"]) => Vec::new(),
        ("us-central1-docker.pkg.dev", "DELETE", [.., "manifests", _]) => names(&["artifactregistry.tags.delete"]),
        ("us-central1-docker.pkg.dev", "PUT", [.., "manifests", reference]) if !reference.starts_with("sha256:") => {
            names(&["artifactregistry.repositories.uploadArtifacts", "artifactregistry.tags.create"])
        }
        ("us-central1-docker.pkg.dev", "GET" | "HEAD", _) => {
            names(&["artifactregistry.repositories.downloadArtifacts"])
        }
        ("us-central1-docker.pkg.dev", _, _) => names(&["artifactregistry.repositories.uploadArtifacts"]),
        ("artifactregistry.googleapis.com", "POST", [.., "repositories"]) => {
            names(&["artifactregistry.repositories.create"])
        }
        ("artifactregistry.googleapis.com", "GET", [.., "repositories", _]) => {
            names(&["artifactregistry.repositories.get"])
        }
        ("artifactregistry.googleapis.com", "GET", [.., "dockerImages"]) => {
            names(&["artifactregistry.dockerimages.list"])
        }
        ("artifactregistry.googleapis.com", "DELETE", [.., "versions", _]) => {
            names(&["artifactregistry.versions.delete"])
        }
        // Google's page on access names no permission for it.
        ("artifactregistry.googleapis.com", "GET", [.., "operations", _]) => Vec::new(),
        // The cluster's own rules hold there.
        ("34.118.7.9", _, _) => Vec::new(),
        _ => unknown(),
    }
}
