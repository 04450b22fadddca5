//! What is written down while a push goes on: no password, no token, no signed address, at whatever level.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use chalk_deploy_core::cloud::{Payload, Registry as _};
use chalk_deploy_core::oci::{OciRegistry, OciSettings};
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::simulated::fault::{ProtocolFault, ProtocolFaults, Requests, faulty};
use chalk_deploy_testkit::simulated::http::in_process;
use tracing::field::{Field, Visit};

use super::small_registry::{Canned, Options, SmallRegistry, basic};
use super::{HOST, SECRET, blob, credentials, repository};

/// Keeps every field of every event and span, at every level.
#[derive(Clone, Default)]
struct Everything(Arc<Mutex<String>>);

impl Visit for Everything {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = writeln!(self.0.lock().expect("one thread"), "{field}: {value:?}");
    }
}

impl tracing::Subscriber for Everything {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        attributes.record(&mut self.clone());
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn no_line_of_a_log_holds_a_password_a_token_or_a_signature() {
    let log = Everything::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let server = SmallRegistry::new(Options {
        realm: Some(format!("https://auth.{HOST}/token")),
        password: Some(("user".to_owned(), SECRET.to_owned())),
        token_uses: Some(3),
        blobs_at: Some("store.example".to_owned()),
        ..Options::default()
    });
    let echo = format!(r#"{{"errors":[{{"code":"DENIED","message":"{SECRET} {}"}}]}}"#, basic("user", SECRET));
    server.instead("DELETE", Canned { status: 500, body: echo.clone(), ..Canned::default() });
    let faults = Arc::new(ProtocolFaults::new());
    let runtime = VirtualRuntime::new(1);
    let between = in_process(faulty(Arc::new(server.clone()), faults.clone(), runtime.clone()));
    let settings = OciSettings::default().with_credentials(credentials());
    let registry = OciRegistry::new(between, runtime, settings);
    let (layer, mut told) = (blob(300_000), String::new());
    // Cut in the middle, refused with an echo, and answered by nobody.
    faults.nth(Requests::any().method("PUT"), 1, ProtocolFault::CutRequest { after: 100_000 });
    faults.nth(Requests::any().method("PUT"), 3, ProtocolFault::SeverAfter);
    registry.push_blob(&repository("a"), &layer).await.expect("pushed");
    server.instead("PUT", Canned { status: 403, body: echo, ..Canned::default() });
    for _ in 0..2 {
        if let Err(error) = registry.push_blob(&repository("a"), &Payload::from_bytes("other")).await {
            let _ = write!(told, "{error:?} {}", error.sentence());
        }
    }
    assert!(!told.is_empty(), "one was refused");
    faults.nth(Requests::any().containing("signature"), 1, ProtocolFault::CutAnswer { after: 1000 });
    let stream = registry.pull_blob(&repository("a"), &layer.sha256()).await.expect("found");
    let read: Result<Vec<_>, _> = futures::TryStreamExt::try_collect(stream).await;
    read.expect("whole");
    let _ = write!(told, "{registry:?} {:?}", registry.memory());
    drop(guard);
    let written = log.0.lock().expect("one thread").clone();
    assert!(written.contains("cut goes on"), "something was written down: {written}");
    told.push_str(&written);
    let encoded = basic("user", SECRET);
    for secret in [SECRET, encoded.trim_start_matches("Basic "), "token-1", "token-2", "signature=secret", "session-1"]
    {
        assert!(!told.contains(secret), "{secret} in: {told}");
    }
}
