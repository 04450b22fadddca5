//! Requests to the gateway from outside the testbed, at a steady rate, bounded in count and time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::traffic::ENVIRONMENT_HEADER;
use chalk_deploy_testkit::testbed::Testbed;
use tokio::task::{JoinHandle, JoinSet};

/// No load lasts longer.
const LONGEST: Duration = Duration::from_mins(3);
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests are sent in groups, so often.
const TICK: Duration = Duration::from_millis(20);
const TICKS_A_SECOND: u64 = 50;
/// No more requests are under way at once: an answer that does not come must not pile up others.
const UNDER_WAY: usize = 2000;

/// How a load ended.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) failed: u64,
    /// The first failures in words.
    pub(crate) failures: Vec<String>,
    /// Who answered how often.
    pub(crate) answers: BTreeMap<String, u64>,
}

impl Tally {
    fn count(&mut self, answer: Result<String, String>) {
        self.sent += 1;
        match answer {
            Ok(who) => *self.answers.entry(who).or_default() += 1,
            Err(words) => {
                self.failed += 1;
                if self.failures.len() < 8 {
                    self.failures.push(words);
                }
            }
        }
    }
}

/// Requests under way.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Tally>,
}

/// Who asks.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    environment: String,
}

impl Client {
    pub(crate) fn new(testbed: &Testbed, environment: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        let url = format!("{}/", testbed.value("GATEWAY").expect("an address"));
        Self { http, url, environment: environment.to_owned() }
    }

    /// The deployment that answers, or what went wrong.
    pub(crate) async fn ask(&self) -> Result<String, String> {
        let answer = self.http.get(&self.url).header(ENVIRONMENT_HEADER, &self.environment).send().await;
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        let status = answer.status();
        let body = answer.text().await.map_err(|error| format!("{error:?}"))?;
        if status.is_success() { Ok(body.trim().to_owned()) } else { Err(format!("{status}: {body}")) }
    }

    /// What this machine holds steadily, in requests a second: a quarter of what eight workers get out of it for two
    /// seconds, and at most 400, so that what is deployed beside has room.
    pub(crate) async fn calibrate(&self) -> u64 {
        let runtime = SystemRuntime::new();
        let end = runtime.monotonic() + Duration::from_secs(2);
        let mut workers = JoinSet::new();
        for _ in 0..8 {
            let (client, runtime) = (self.clone(), runtime.clone());
            workers.spawn(async move {
                let mut answered = 0_u64;
                while runtime.monotonic() < end {
                    // Only what is answered counts. A gateway whose routes of the test before are just being removed has
                    // been seen to refuse connections for a moment; what is measured later is not forgiven that.
                    match client.ask().await {
                        Ok(_) => answered += 1,
                        Err(error) => {
                            report(&format!("while it was calibrated: {error}"));
                            runtime.sleep(Duration::from_millis(50)).await;
                        }
                    }
                }
                answered
            });
        }
        let answered: u64 = workers.join_all().await.into_iter().sum();
        assert!(answered > 0, "what serves does not answer");
        let rate = (answered / 2 / 4).clamp(TICKS_A_SECOND, 400);
        report(&format!("load: {} requests/s at most, {rate} requests/s chosen", answered / 2));
        rate
    }

    /// Asks at this rate until it is stopped.
    pub(crate) fn start(&self, rate: u64) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(send(self.clone(), rate, stop.clone()));
        Load { stop, task }
    }
}

impl Load {
    pub(crate) async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.expect("the load was not cut off")
    }
}

async fn send(client: Client, rate: u64, stop: Arc<AtomicBool>) -> Tally {
    let runtime = SystemRuntime::new();
    let begin = runtime.monotonic();
    let mut tally = Tally::default();
    let mut under_way = JoinSet::new();
    let mut due = 0_u64;
    while !stop.load(Ordering::SeqCst) {
        let elapsed = runtime.monotonic().saturating_sub(begin);
        assert!(elapsed < LONGEST, "the load has lasted too long");
        let until_now = u64::try_from(elapsed.as_millis()).expect("minutes") * rate / 1000;
        while due < until_now {
            due += 1;
            assert!(under_way.len() < UNDER_WAY, "answers do not come: {tally:?}");
            let client = client.clone();
            under_way.spawn(async move { client.ask().await });
        }
        while let Some(answer) = under_way.try_join_next() {
            tally.count(answer.expect("it was not cut off"));
        }
        runtime.sleep(TICK).await;
    }
    while let Some(answer) = under_way.join_next().await {
        tally.count(answer.expect("it was not cut off"));
    }
    tally
}

/// A line for whoever reads the suite's output.
#[expect(clippy::print_stderr, reason = "the figures of the suite are for a person")]
pub(crate) fn report(line: &str) {
    eprintln!("e2e: {line}");
}
