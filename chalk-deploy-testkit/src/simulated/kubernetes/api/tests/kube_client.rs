//! The server, asked by the kube crate.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::TryStreamExt as _;
use http_body_util::{BodyDataStream, StreamBody};
use hyper::body::Frame;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, WatchEvent, WatchParams};

use super::*;

/// A server as what kube's client stands on.
#[derive(Clone)]
struct Bridge(ApiServer);

type Body = Pin<Box<dyn hyper::body::Body<Data = bytes::Bytes, Error = std::io::Error> + Send>>;

impl tower_service::Service<Request<kube::client::Body>> for Bridge {
    type Response = Response<Body>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Response<Body>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let server = self.0.clone();
        Box::pin(async move {
            let request =
                request.map(|body| -> ByteStream { BodyDataStream::new(body).map_err(std::io::Error::other).boxed() });
            let response = server.answer(request).await.map_err(|_| std::io::Error::other("severed"))?;
            Ok(response.map(|body| -> Body { Box::pin(StreamBody::new(body.map_ok(Frame::data))) }))
        })
    }
}

fn kube_client() -> (Client, kube::Client) {
    let client = client();
    let kube = kube::Client::new(Bridge(client.server.clone()), "default");
    (client, kube)
}

#[tokio::test(start_paused = true)]
async fn kube_applies_lists_and_deletes_deployments() {
    let (_client, kube) = kube_client();
    let deployments: Api<Deployment> = Api::default_namespaced(kube);
    let applied = Patch::Apply(deployment("a"));
    let made = deployments.patch("a", &PatchParams::apply("first"), &applied).await.expect("an apply");
    let uid = made.metadata.uid.expect("a uid");
    let mut other = deployment("a");
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "a:2".into();
    let refused = deployments.patch("a", &PatchParams::apply("second"), &Patch::Apply(other)).await;
    let Err(kube::Error::Api(status)) = refused else { panic!("a conflict was expected: {refused:?}") };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    let listed = deployments.list(&ListParams::default().fields("metadata.name=a")).await.expect("a list");
    assert_eq!(listed.items.len(), 1);
    let other = DeleteParams { preconditions: None, ..DeleteParams::background() };
    let gone = deployments.delete("a", &other).await.expect("a deletion");
    assert_eq!(gone.right().and_then(|status| status.details).map(|details| details.uid), Some(uid));
}

#[tokio::test(start_paused = true)]
async fn kube_follows_a_watch_over_changes_and_bookmarks() {
    let (client, kube) = kube_client();
    let maps: Api<ConfigMap> = Api::default_namespaced(kube);
    client.post(MAPS, &map("a")).await;
    let list = maps.list_metadata(&ListParams::default()).await.expect("a list");
    let version = list.metadata.resource_version.expect("a version");
    let mut watch = maps.watch(&WatchParams::default().timeout(100), &version).await.expect("a watch").boxed();
    client.patch(&format!("{MAPS}/a"), "merge-patch+json", &json!({"data": {"a": "2"}})).await;
    client.delete(&format!("{MAPS}/a"), &Value::Null).await;
    let mut told = Vec::new();
    while let Some(event) = watch.try_next().await.expect("an event") {
        told.push(match event {
            WatchEvent::Added(_) => "added",
            WatchEvent::Modified(_) => "modified",
            WatchEvent::Deleted(_) => "deleted",
            WatchEvent::Bookmark(_) => "bookmark",
            WatchEvent::Error(_) => "error",
        });
    }
    assert_eq!(told, ["modified", "deleted", "bookmark", "bookmark"]);
}

#[tokio::test(start_paused = true)]
async fn kube_is_told_of_a_version_that_is_forgotten() {
    let (client, kube) = kube_client();
    client.post(MAPS, &map("a")).await;
    client.server.objects().compact();
    let maps: Api<ConfigMap> = Api::default_namespaced(kube);
    let mut watch = maps.watch(&WatchParams::default(), "1").await.expect("a watch").boxed();
    let event = watch.try_next().await.expect("an event").expect("an event");
    let WatchEvent::Error(status) = event else { panic!("an error was expected: {event:?}") };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
}
