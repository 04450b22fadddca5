use std::sync::Mutex;
use std::time::Duration;

use chalk_deploy_core::transport::{Delivery, RequestBody, Transport, TransportError};
use futures::TryStreamExt as _;

use super::*;
use crate::VirtualRuntime;
use crate::simulated::http::in_process;

/// Keeps what it is sent, and answers with it.
#[derive(Debug, Default)]
struct Echo(Mutex<Vec<Vec<u8>>>);

#[async_trait]
impl Server for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let mut received = Vec::new();
        let mut body = request.into_body();
        while let Ok(Some(piece)) = body.try_next().await {
            received.extend_from_slice(&piece);
        }
        self.0.lock().expect("one test, one thread").push(received.clone());
        Ok(Response::new(full(received)))
    }
}

struct World {
    echo: Arc<Echo>,
    faults: Arc<ProtocolFaults>,
    runtime: Arc<VirtualRuntime>,
    transport: Transport,
}

fn world(fault: ProtocolFault) -> World {
    let (echo, runtime) = (Arc::new(Echo::default()), VirtualRuntime::new(1));
    let faults = Arc::new(ProtocolFaults::new().at(Requests::to("echo").containing("/wanted"), 2, fault));
    let transport = in_process(faulty(echo.clone(), faults.clone(), runtime.clone()));
    World { echo, faults, runtime, transport }
}

impl World {
    async fn send(&self, path: &str) -> Result<(u16, std::io::Result<Vec<u8>>), TransportError> {
        let request = Request::put(path).body(RequestBody::Bytes("hello".into())).expect("a request");
        let response = self.transport.send(request).await?;
        let status = response.status().as_u16();
        let body: std::io::Result<Vec<_>> = response.into_body().try_collect().await;
        Ok((status, body.map(|pieces| pieces.concat())))
    }

    /// The second request that fits, after one that does and one that does not.
    async fn meet(&self) -> Result<(u16, std::io::Result<Vec<u8>>), TransportError> {
        for path in ["/wanted", "/other"] {
            let (status, body) = self.send(path).await.expect("no fault yet");
            assert_eq!((status, body.expect("whole")), (200, b"hello".to_vec()));
        }
        assert_eq!(self.faults.unmet().len(), 1);
        let result = self.send("/wanted?again").await;
        assert!(self.faults.unmet().is_empty());
        result
    }

    fn received(&self) -> usize {
        self.echo.0.lock().expect("one test, one thread").len()
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_end_before_the_effect_or_after_it() {
    let before = world(ProtocolFault::SeverBefore);
    assert_eq!(before.meet().await.expect_err("severed").delivery, Delivery::MaybeSent);
    assert_eq!(before.received(), 2);
    let after = world(ProtocolFault::SeverAfter);
    after.meet().await.expect_err("severed");
    assert_eq!(after.received(), 3);
    assert_eq!(after.faults.log().last().expect("logged").status, None);
}

#[tokio::test(start_paused = true)]
async fn a_status_may_come_instead_of_the_effect_or_after_it() {
    let instead = world(ProtocolFault::busy(429, 3));
    assert_eq!(instead.meet().await.expect("an answer").0, 429);
    assert_eq!(instead.received(), 2);
    let after = world(ProtocolFault::AnswerAfter { status: 500, headers: Vec::new(), body: "oops".to_owned() });
    let (status, body) = after.meet().await.expect("an answer");
    assert_eq!((status, body.expect("whole"), after.received()), (500, b"oops".to_vec(), 3));
    assert_eq!(after.faults.log().last().expect("logged").status, Some(500));
}

#[tokio::test(start_paused = true)]
async fn bodies_break_off_on_the_way_there_and_back() {
    let there = world(ProtocolFault::CutRequest { after: 3 });
    there.meet().await.expect_err("severed");
    assert_eq!(there.echo.0.lock().expect("one test, one thread").last().expect("three requests"), b"hel");
    let back = world(ProtocolFault::CutAnswer { after: 3 });
    let (status, body) = back.meet().await.expect("an answer");
    assert_eq!((status, body.expect_err("cut").kind()), (200, std::io::ErrorKind::ConnectionReset));
}

#[tokio::test(start_paused = true)]
async fn what_is_slow_takes_its_time_by_the_runtimes_clock() {
    for fault in
        [ProtocolFault::SlowAnswer { pause: Duration::from_mins(1) }, ProtocolFault::Delay(Duration::from_mins(1))]
    {
        let slow = world(fault);
        let (_, body) = slow.meet().await.expect("an answer");
        body.expect("whole");
        assert_eq!(slow.runtime.monotonic(), Duration::from_mins(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_of_the_true_answer_may_be_another() {
    let world = world(ProtocolFault::Headers(vec![("docker-content-digest", "sha256:0".to_owned())]));
    let mut digests = Vec::new();
    for _ in 0..3 {
        let request = Request::get("/wanted").body(RequestBody::Empty).expect("a request");
        let response = world.transport.send(request).await.expect("an answer");
        digests.push(response.headers().get("docker-content-digest").cloned());
    }
    assert_eq!(digests, [None, Some(HeaderValue::from_static("sha256:0")), None]);
    assert_eq!(world.faults.count(&Requests::to("echo").method("GET")), 3);
    assert_eq!(world.faults.count(&Requests::any().method("PUT")), 0);
}
