//! Over a socket.

use std::time::Duration;

use chalk_deploy_core::runtime::SystemRuntime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::simulated::http::serve;

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a foreign client opens its own socket")]
async fn a_foreign_client_is_routed_over_a_socket() {
    let runtime = SystemRuntime::new();
    let objects = Objects::open(&World::memory(), runtime.clone()).expect("a new world");
    ensure_gateway(&objects, "chalk-envoy", "chalk-gw").expect("a new world");
    let pods = Arc::new(Pods::default());
    let network = Network { pods: pods.clone(), runtime: runtime.clone(), seen: Arc::default() };
    let settings = GatewaySettings {
        controller_delay: Duration::ZERO,
        route_delay: Duration::ZERO,
        endpoint_delay: Duration::ZERO,
        ..GatewaySettings::default()
    };
    let gateway = SimulatedGateway::start(objects.clone(), Arc::new(network), settings);
    let fixture_objects = objects.clone();
    let listening = serve(Arc::new(gateway.clone()), 0).await.expect("a free port");
    let ask = async || {
        let mut stream = tokio::net::TcpStream::connect(listening.address()).await.expect("it listens");
        let request =
            "POST /v1/query HTTP/1.1\r\nhost: chalk.example\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    };
    assert!(ask().await.starts_with("HTTP/1.1 404"));
    pods.set("10.0.0.1", Pod::Echo);
    let service = json!({"spec": {"ports": [{"name": "http", "port": 80}]}});
    fixture_objects.create(&Key::new(SERVICE, "prod", "new"), service).expect("a new service");
    let slice = json!({
        "metadata": {"labels": {"kubernetes.io/service-name": "new"}},
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}],
        "ports": [{"name": "http", "port": 8080}],
    });
    fixture_objects.create(&Key::new(ENDPOINT_SLICE, "prod", "new-1"), slice).expect("a new slice");
    let mut route = to(&[backend("new", 1)]);
    route["parentRefs"] = json!([{"name": "chalk-gw", "namespace": "chalk-envoy"}]);
    fixture_objects.create(&Key::new(HTTP_ROUTE, "prod", "main"), json!({"spec": route})).expect("a new route");
    let served = || gateway.weights().iter().any(|record| record.moment == Moment::Served);
    let arrived = async {
        while !served() {
            runtime.sleep(Duration::from_millis(1)).await;
        }
    };
    chalk_deploy_core::runtime::RuntimeExt::within(&*runtime, Duration::from_secs(10), arrived)
        .await
        .expect("a route arrives within seconds");
    let answer = ask().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"body\":\"hello\""), "{answer}");
}
