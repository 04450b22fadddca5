//! The process that builds is killed at each request, and another one goes on. The controller is, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chalk_deploy_core::cloud::{BuildRequest, Builder as _, ByteStream};
use chalk_deploy_core::model::BuiltImage;
use chalk_deploy_testkit::simulated::http::{Server, Severed};
use http::{Request, Response};

use super::yard::{Yard, anonymous, finish, said};

/// Ends the process that sends the n-th request, before the server has it or after it has answered.
#[derive(Debug)]
struct Mortal {
    server: Arc<dyn Server>,
    sent: AtomicUsize,
    dies_at: usize,
    after: bool,
}

#[async_trait]
impl Server for Mortal {
    fn name(&self) -> &'static str {
        self.server.name()
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        let dies = self.sent.fetch_add(1, Ordering::SeqCst) + 1 == self.dies_at;
        if dies && !self.after {
            std::panic::resume_unwind(Box::new("killed by the test"));
        }
        let answered = self.server.answer(request).await;
        if dies {
            std::panic::resume_unwind(Box::new("killed by the test"));
        }
        answered
    }
}

/// A process that builds, and is killed at this request; how many requests it has sent.
async fn build(yard: &Yard, request: &BuildRequest, dies_at: usize, after: bool, stops: bool) -> usize {
    let server = Arc::new(Mortal { server: yard.api(), sent: AtomicUsize::new(0), dies_at, after });
    let builder = yard.builder_over(yard.connection_to(server.clone(), anonymous()));
    let request = request.clone();
    let process = tokio::spawn(async move {
        builder.submit(&request).await.expect("submitted");
        if stops {
            builder.stop(&request.deployment).await.expect("stopped");
        } else {
            finish(&builder, &request.deployment).await.1.expect("built");
        }
    });
    let ended = process.await;
    let sent = server.sent.load(Ordering::SeqCst);
    assert_eq!(ended.is_err(), dies_at <= sent, "{ended:?}");
    sent
}

async fn adopted(yard: &Yard, request: &BuildRequest) -> Vec<BuiltImage> {
    let before: Vec<_> = yard.workflows().iter().map(|workflow| workflow["metadata"]["uid"].clone()).collect();
    let builder = yard.builder();
    builder.submit(request).await.expect("submitted");
    let images = finish(&builder, &request.deployment).await.1.expect("built");
    let workflows = yard.workflows();
    let after: Vec<_> = workflows.iter().map(|workflow| workflow["metadata"]["uid"].clone()).collect();
    assert!(before.is_empty() || before == after, "it was built twice");
    assert_eq!((after.len(), yard.pods().len()), (1, 1));
    images
}

#[tokio::test(start_paused = true)]
async fn a_process_killed_at_any_request_leaves_one_build_which_the_next_process_adopts() {
    let yard = Yard::new().await;
    let request = yard.request('a', "x").await;
    let requests = build(&yard, &request, usize::MAX, false, false).await;
    assert!(requests > 10, "{requests} requests are few");
    let expected = adopted(&yard, &request).await;
    for after in [false, true] {
        for dies_at in 1..=requests {
            let yard = Yard::new().await;
            let request = yard.request('a', "x").await;
            build(&yard, &request, dies_at, after, false).await;
            assert_eq!(adopted(&yard, &request).await, expected, "killed at {dies_at}, after: {after}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_killed_while_it_stops_a_build_leaves_one_that_the_next_process_stops() {
    let yard = Yard::new().await;
    let request = yard.request('a', "x").await;
    let requests = build(&yard, &request, usize::MAX, false, true).await;
    for after in [false, true] {
        for dies_at in 1..=requests {
            let yard = Yard::new().await;
            let request = yard.request('a', "x").await;
            build(&yard, &request, dies_at, after, true).await;
            yard.builder().stop(&request.deployment).await.expect("stopped");
            yard.seconds(20).await;
            assert!(yard.workflows().is_empty() && yard.pods().is_empty(), "killed at {dies_at}, after: {after}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_comes_later_hears_what_the_build_has_said() {
    let yard = Yard::new().await;
    let (builder, request) = (yard.builder(), yard.request('a', "x").await);
    builder.submit(&request).await.expect("submitted");
    let (events, _) = finish(&builder, &request.deployment).await;
    // Whoever looks at the end only was not told what the pod had waited for.
    let lines = |events| said(events).into_iter().filter(|line| !line.contains("its pod waits")).collect::<Vec<_>>();
    assert_eq!(lines(&finish(&yard.builder(), &request.deployment).await.0), lines(&events));
}

#[tokio::test(start_paused = true)]
async fn the_cluster_may_restart_at_any_moment() {
    for pause in [0, 50, 150, 1000, 3000] {
        let mut yard = Yard::new().await;
        let (builder, request) = (yard.builder(), yard.request('a', "x").await);
        builder.submit(&request).await.expect("submitted");
        chalk_deploy_core::runtime::Runtime::sleep(&*yard.runtime, std::time::Duration::from_millis(pause)).await;
        yard.restart();
        // The images of its nodes outlive it.
        yard.open();
        finish(&builder, &request.deployment).await.1.expect("built");
        assert_eq!(yard.workflows().len(), 1);
    }
}
