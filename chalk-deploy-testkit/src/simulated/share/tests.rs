use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_core::transport::RetryPolicy;
use http::Request;

use super::*;
use crate::simulated::http::{Severed, full};

/// Counts in a file, as a server whose state outlives it, and says who answers.
#[derive(Debug)]
struct Counter {
    file: PathBuf,
    who: usize,
    one_at_a_time: Mutex<()>,
}

#[async_trait]
impl Server for Counter {
    fn name(&self) -> &'static str {
        "counter"
    }

    async fn answer(&self, request: Request<ByteStream>) -> Result<Response<ByteStream>, Severed> {
        assert_eq!(request.headers()["host"], "counter.embedded");
        let _guard = self.one_at_a_time.lock().expect("not poisoned");
        let count = std::fs::read_to_string(&self.file).map_or(0, |text| text.parse().expect("a number")) + 1;
        std::fs::write(&self.file, count.to_string()).expect("writable");
        Ok(Response::new(full(format!("{count} by {}", self.who))))
    }
}

/// As a process of its own: the lock belongs to the open file, so two values in one process exclude each other too.
fn process(directory: &Path, who: usize, started: &Arc<AtomicUsize>) -> SharedServers {
    let (file, started) = (directory.join("count"), started.clone());
    let start: Start = Box::new(move || {
        started.fetch_add(1, Ordering::SeqCst);
        let counter = Counter { file: file.clone(), who, one_at_a_time: Mutex::new(()) };
        Ok(vec![Arc::new(counter) as Arc<dyn Server>])
    });
    let network = chalk_deploy_core::transport::NetworkTransport::builder().build().expect("a transport");
    SharedServers::new(directory, SystemRuntime::new(), network, start)
}

/// Asks, and again if the connection broke off, as the adapters do with what may be repeated.
async fn ask(servers: &SharedServers) -> Result<String, TransportError> {
    let request = Request::put("http://counter.embedded/").body(RequestBody::Empty).expect("a request");
    let (policy, runtime) = (RetryPolicy::default(), SystemRuntime::new());
    let response = servers.transport("counter").send_with_retry(request, policy, &*runtime).await?;
    let body = crate::simulated::http::read_body(response.into_body(), 100).await.expect("a short body");
    Ok(String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn the_first_process_hosts_the_others_are_its_guests_and_one_of_them_takes_its_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let started = Arc::new(AtomicUsize::new(0));
    let processes: Vec<_> = (1..=3).map(|who| process(folder.path(), who, &started)).collect();
    for (position, answer) in [(0, "1 by 1"), (1, "2 by 1"), (2, "3 by 1"), (0, "4 by 1")] {
        assert_eq!(ask(&processes[position]).await.expect("an answer"), answer);
    }
    assert_eq!(started.load(Ordering::SeqCst), 1);

    let mut processes = processes.into_iter();
    drop(processes.next());
    let (second, third) = (processes.next().expect("three"), processes.next().expect("three"));
    assert_eq!(ask(&third).await.expect("it takes the place"), "5 by 3");
    assert_eq!(ask(&second).await.expect("it finds the new host"), "6 by 3");
    assert!(third.is_host().await.expect("hosted") && !second.is_host().await.expect("hosted"));
    assert_eq!(second.addresses().await.expect("hosted"), third.addresses().await.expect("hosted"));
}

#[tokio::test]
async fn many_guests_that_lose_their_host_at_once_agree_on_the_next() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let started = Arc::new(AtomicUsize::new(0));
    let host = process(folder.path(), 0, &started);
    ask(&host).await.expect("an answer");
    let guests: Vec<_> = (1..=8).map(|who| process(folder.path(), who, &started)).collect();
    for guest in &guests {
        ask(guest).await.expect("an answer");
    }
    drop(host);
    let answers = futures::future::join_all(guests.iter().map(ask)).await;
    let mut counts: Vec<u32> = answers
        .into_iter()
        .map(|answer| answer.expect("an answer").split_once(' ').expect("two parts").0.parse().expect("a number"))
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, (10..=17).collect::<Vec<_>>());
    assert_eq!(started.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_server_that_the_host_does_not_have_is_an_error_that_was_not_sent() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let servers = process(folder.path(), 1, &Arc::default());
    let request = Request::get("http://x/").body(RequestBody::Empty).expect("a request");
    let error = servers.transport("another").send(request).await.err().expect("there is none");
    assert_eq!(error.delivery, Delivery::NotSent);
    assert!(error.message.contains("`another`"), "{}", error.message);
}

#[test]
fn the_secrets_of_a_directory_are_made_once_and_only_their_owner_may_read_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runtime = SystemRuntime::new();
    let first = Secrets::of(folder.path(), &*runtime).expect("made");
    assert_eq!(Secrets::of(folder.path(), &*runtime).expect("read"), first);
    let mode = std::fs::metadata(folder.path().join("secrets.json")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 1);
    assert_ne!(first, Secrets::random(&*runtime));
    assert_eq!(format!("{first:?}"), "Secrets(..)");
}
