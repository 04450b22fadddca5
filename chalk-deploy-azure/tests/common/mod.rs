//! What the tests share: recorded cases, and a cloud that is answered from them.
#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod blob;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_azure::{Cloud, CloudBuilder, CredentialChoice, TokenIssuer};
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::credentials::{BearerToken, Lent};
use chalk_deploy_core::kubernetes::Connection;
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::transport::{BoxedFuture, Delivery, RequestBody, Transport, TransportError};
use chalk_deploy_testkit::recorded::{Case, Player};
use futures::StreamExt as _;
use http::{Request, Response};

pub(crate) const TENANT: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";
pub(crate) const CLIENT: &str = "6731de76-14a6-49ae-97bc-6eba6914391e";
pub(crate) const SUBSCRIPTION: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
pub(crate) const MANAGEMENT: &str = "https://management.azure.com/.default";

/// The cases of these names, each `api/name`.
pub(crate) fn player(names: &[&str]) -> Player {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    Player::new(names.iter().map(|name| Case::read(&folder.join(format!("{name}.json"))).expect("a case")))
}

/// A cloud with everything, whose requests these cases answer, and whose tokens are all `token-1`.
pub(crate) fn builder(player: &Player) -> CloudBuilder {
    Cloud::builder()
        .with_tenant(TENANT)
        .with_subscription(SUBSCRIPTION)
        .with_resource_group("chalk-acme")
        .with_storage_account("chalkacme")
        .with_bucket("chalk-acme-source")
        .with_registry("chalkacme.azurecr.io")
        .with_cluster("chalk")
        .with_credentials(CredentialChoice::Issuer(Arc::new(BearerToken::new("token-1"))))
        .with_transport(player.transport())
        .with_cluster_transports(player.transport())
        .with_runtime(SystemRuntime::new())
}

pub(crate) fn cloud(player: &Player) -> Cloud {
    builder(player).build().expect("valid settings")
}

/// All that was recorded was asked for, and nothing else.
pub(crate) fn assert_complete(player: &Player) {
    assert_eq!(player.complaints(), Vec::<String>::new());
}

/// Asks the API server for something, so that it is looked up.
pub(crate) async fn ask(connection: &Connection) -> Result<(), chalk_deploy_core::Error> {
    use chalk_deploy_core::cloud::{ClusterApi as _, Selector};
    use chalk_deploy_core::kubernetes::KubernetesCluster;
    use chalk_deploy_core::model::{EnvironmentId, Namespace};
    let selector = Selector { environment: EnvironmentId::new("default").expect("a name"), deployment: None };
    let namespace = Namespace::new("ns-default").expect("a name");
    KubernetesCluster::new(connection.clone()).list(&namespace, &selector).await.map(drop)
}

/// Leads to servers by their hosts.
#[derive(Clone, Default)]
pub(crate) struct Hosts(BTreeMap<String, Transport>);

impl Hosts {
    pub(crate) fn with(mut self, host: &str, transport: Transport) -> Self {
        self.0.insert(host.to_owned(), transport);
        self
    }

    pub(crate) fn transport(self) -> Transport {
        Transport::new(self)
    }
}

impl tower_service::Service<Request<RequestBody>> for Hosts {
    type Response = Response<ByteStream>;
    type Error = TransportError;
    type Future = BoxedFuture<Result<Self::Response, TransportError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let host = request.uri().authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let host = host.trim_end_matches(":443").to_owned();
        let Some(transport) = self.0.get(&host).cloned() else {
            // As a name that DNS does not know.
            let why = format!("no host of the test: {} {}", request.method(), request.uri());
            return Box::pin(async { Err(TransportError::new(Delivery::NotSent, why)) });
        };
        Box::pin(async move { transport.send(request).await })
    }
}

/// One request as a closure sees it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) token: String,
    pub(crate) body: String,
}

/// What a closure answers: status, headers, body.
pub(crate) type Reply = (u16, Vec<(&'static str, String)>, String);

/// A server that is a closure, and what it was asked.
#[derive(Clone)]
pub(crate) struct Answering {
    answer: Arc<dyn Fn(&Seen) -> Reply + Send + Sync>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Answering {
    pub(crate) fn by(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), seen: Arc::default() }
    }

    pub(crate) fn transport(&self) -> Transport {
        Transport::new(self.clone())
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("not poisoned").clone()
    }
}

impl tower_service::Service<Request<RequestBody>> for Answering {
    type Response = Response<ByteStream>;
    type Error = TransportError;
    type Future = BoxedFuture<Result<Self::Response, TransportError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let body = match body {
            RequestBody::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            _ => String::new(),
        };
        let shown = parts.headers.get("authorization").map(|value| value.to_str().expect("text"));
        let token = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default().to_owned();
        let seen = Seen { method: parts.method.to_string(), uri: parts.uri.to_string(), token, body };
        self.seen.lock().expect("not poisoned").push(seen.clone());
        let answer = self.answer.clone();
        Box::pin(async move {
            // A network lets others run.
            tokio::task::yield_now().await;
            let (status, headers, body) = answer(&seen);
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            let body = futures::stream::once(async move { Ok(body.into()) }).boxed();
            Ok(response.body(body).expect("a valid answer"))
        })
    }
}

/// Issues tokens `token-1`, `token-2`, … that live for a while, and counts them, with the scopes that they are for.
#[derive(Debug, Clone)]
pub(crate) struct Bank {
    issued: Arc<Mutex<Vec<String>>>,
    life: Option<Duration>,
    runtime: Arc<dyn Runtime>,
}

impl Bank {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, life: Option<Duration>) -> Self {
        Self { issued: Arc::default(), life, runtime }
    }

    pub(crate) fn scopes(&self) -> Vec<String> {
        self.issued.lock().expect("not poisoned").clone()
    }

    pub(crate) fn choice(&self) -> CredentialChoice {
        CredentialChoice::Issuer(Arc::new(self.clone()))
    }
}

#[async_trait]
impl TokenIssuer for Bank {
    async fn issue(&self, scope: &str) -> chalk_deploy_core::Result<Lent<BearerToken>> {
        tokio::task::yield_now().await;
        let mut issued = self.issued.lock().expect("not poisoned");
        issued.push(scope.to_owned());
        let expires = self.life.map(|life| self.runtime.now().plus(life));
        Ok(Lent { value: BearerToken::new(format!("token-{}", issued.len())), expires })
    }
}

/// The answers of recorded cases, as often as they are asked for.
pub(crate) fn repeated(names: &[&str]) -> Answering {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let cases: Vec<Case> =
        names.iter().map(|name| Case::read(&folder.join(format!("{name}.json"))).expect("a case")).collect();
    Answering::by(move |seen| {
        let path = seen.uri.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
        let path = format!("/{}", path.split('?').next().unwrap_or_default());
        let found = cases.iter().find(|case| case.request.path == path && case.request.method == seen.method);
        let Some(case) = found else { return (404, Vec::new(), String::new()) };
        (case.response.status, Vec::new(), case.response.json.as_ref().map_or_else(String::new, ToString::to_string))
    })
}
