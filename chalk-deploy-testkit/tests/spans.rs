//! The names of the spans are API. Alone in its file: what a thread without a subscriber does decides, for the whole
//! process, whether a span that it meets first is ever told.

use std::sync::{Arc, Mutex, PoisonError};

use chalk_deploy_core::Deployer;
use chalk_deploy_core::machine::Stage;
use chalk_deploy_core::model::DeploymentStatus;
use chalk_deploy_core::store::MemoryStore;
use chalk_deploy_testkit::{EmbeddedWorld, sample};

async fn deploy() {
    let plane = EmbeddedWorld::memory().data_plane(&sample::environment().expect("valid")).expect("a data plane");
    let deployer = Deployer::single(plane, MemoryStore::new()).expect("a deployer");
    let handle = deployer.apply(sample::request("one").expect("valid")).await.expect("admitted");
    assert_eq!(handle.wait().await.expect("it ends").status, DeploymentStatus::Success);
}

/// Collects the names of the spans that are opened.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Spans {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with("chalk_deploy")
    }

    fn new_span(&self, attributes: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spans.push(format!("{} {}", attributes.metadata().name(), fields.0.join(" ")));
        tracing::span::Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[derive(Default)]
struct Fields(Vec<String>);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.push(format!("{}={value:?}", field.name()));
    }
}

#[test]
fn a_deployment_each_stage_and_each_step_have_a_span_with_a_stable_name() {
    let spans = Spans::default();
    tracing::subscriber::with_default(spans.clone(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(async { deploy().await });
    });
    let spans = spans.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(
        spans.iter().any(|span| span.starts_with("deployment deployment_id=c") && span.contains("environment=default"))
    );
    for stage in Stage::ALL {
        assert!(spans.contains(&format!("stage stage=\"{stage}\"")), "{stage}: {spans:?}");
        for step in stage.steps() {
            assert!(spans.contains(&format!("step step=\"{step}\"")), "{step}: {spans:?}");
        }
    }
}
