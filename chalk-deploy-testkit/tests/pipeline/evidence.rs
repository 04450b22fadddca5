//! Evidence in the pipeline: what is attached, when nothing more is, and what is not rolled out without it.

use std::sync::Arc;

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::{Referrer, Referrers as _};
use chalk_deploy_core::evidence::{BILL_TYPE, BUILD_TYPE, BUNDLE_TYPE, EvidencePolicy, Signer as _, Verified, verify};
use chalk_deploy_core::machine::{Event, Outcome, Step, StepOutput};
use chalk_deploy_core::model::{Component, DeploymentId, DeploymentStatus, ImageReference};
use chalk_deploy_core::observe::EventKind;
use chalk_deploy_testkit::fake::FakeSigner;
use chalk_deploy_testkit::{Fault, FaultPlan, World};
use futures::StreamExt as _;

use crate::house::{House, Plan, assert_success, denied, no_answer, request};

fn signed(policy: impl Fn(EvidencePolicy) -> EvidencePolicy) -> (House, FakeSigner) {
    let signer = FakeSigner::new("key");
    let evidence = policy(EvidencePolicy::none().signed_by(Arc::new(signer.clone())));
    (House::of(Plan { evidence, ..Plan::default() }), signer)
}

fn image(outcome: &Outcome) -> ImageReference {
    let (repository, digest) = outcome.images[&Component::Engine].split_once('@').expect("a reference");
    ImageReference { repository: repository.parse().expect("a repository"), digest: digest.parse().expect("a digest") }
}

async fn attached(house: &House, image: &ImageReference) -> Vec<Referrer> {
    house.world.registry().list_referrers(&image.repository, &image.digest).await.expect("listed")
}

async fn verified(house: &House, image: &ImageReference) -> Verified {
    let key = FakeSigner::new("key").key();
    verify(house.world.registry(), &image.repository, &image.digest, &*key).await.expect("verified")
}

async fn lines(house: &House, deployment: &DeploymentId) -> Vec<String> {
    let events = house.journal(deployment).await.into_iter();
    events
        .filter_map(|event| match event.event {
            Event::Log { step: Step::AttestImages, line } => Some(line),
            _ => None,
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_image_gets_signed_provenance_and_a_signed_and_a_plain_bill_of_materials() {
    let (house, signer) = signed(|policy| policy.built_by("https://builds.example/chalk"));
    let (id, outcome) = house.apply("one").await;
    assert_success(&outcome);
    let image = image(&outcome);
    let mut kinds: Vec<_> = attached(&house, &image).await.into_iter().filter_map(|one| one.artifact_type).collect();
    kinds.sort();
    assert_eq!(kinds, [BILL_TYPE, BUNDLE_TYPE, BUNDLE_TYPE]);
    assert_eq!(signer.signed(), 2);

    let verified = verified(&house, &image).await;
    assert!(verified.rejected.is_empty());
    let provenance = &verified.provenance[0].predicate;
    let definition = &provenance["buildDefinition"];
    assert_eq!(definition["buildType"], BUILD_TYPE);
    let archive = format!("sha256:{}", outcome.archive.expect("told").sha256);
    assert_eq!(definition["externalParameters"]["archive"], archive.as_str());
    assert_eq!(definition["externalParameters"]["project"], "fraud");
    assert_eq!(provenance["runDetails"]["builder"]["id"], "https://builds.example/chalk");
    assert_eq!(provenance["runDetails"]["metadata"]["invocationId"], id.as_str());
    let bill = &verified.bills[0].predicate;
    assert_eq!(bill["metadata"]["component"]["name"], "fraud");
    assert_eq!(bill["compositions"][0]["aggregate"], "unknown", "the fake base tells nothing of its packages");

    let journal = house.journal(&id).await;
    let output = journal.iter().find_map(|recorded| match &recorded.event {
        Event::StepSucceeded { step: Step::AttestImages, output } => Some((**output).clone()),
        _ => None,
    });
    let Some(StepOutput::Evidence(evidence)) = output else { panic!("the step tells what it attached: {output:?}") };
    assert_eq!(evidence[&Component::Engine].len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_same_image_again_gets_nothing_more_and_nothing_is_signed() {
    let (house, signer) = signed(|policy| policy);
    let (_, first) = house.apply("one").await;
    let before = attached(&house, &image(&first)).await;
    let (second, outcome) = house.apply("one").await;
    assert_success(&outcome);
    assert_eq!(image(&first), image(&outcome));
    assert_eq!(attached(&house, &image(&outcome)).await, before);
    assert_eq!(signer.signed(), 2);
    let lines = lines(&house, &second).await;
    assert!(lines.iter().any(|line| line.ends_with("0 of 3 documents new")), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_key_the_step_says_that_it_does_nothing() {
    let house = House::new();
    let (id, outcome) = house.apply("one").await;
    assert_success(&outcome);
    assert!(attached(&house, &image(&outcome)).await.is_empty());
    let lines = lines(&house, &id).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("no signing key") && lines[0].contains("not verified either"), "{lines:?}");
    let handle = house.deployer.resume(&id, None).await.expect("it has ended");
    let shown = handle.events().any(|event| async move { matches!(event.kind, EventKind::Log { .. }) }).await;
    assert!(shown, "late readers see the line, too");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_rolled_out_that_the_key_does_not_verify() {
    let key = FakeSigner::new("key").key();
    let verifying = EvidencePolicy::none().verified_by(key.clone());
    // Nobody signs; somebody else signs.
    for (evidence, code) in [
        (verifying.clone(), ErrorCode::EvidenceMissing),
        (verifying.clone().signed_by(Arc::new(FakeSigner::new("other"))), ErrorCode::EvidenceInvalid),
    ] {
        let house = House::of(Plan { evidence, ..Plan::default() });
        let (_, outcome) = house.apply("one").await;
        assert_eq!(outcome.status, DeploymentStatus::Failure);
        let error = outcome.error.expect("why");
        assert_eq!(error.code, code, "{error}");
        assert!(house.production().await.objects.is_empty(), "nothing was applied");
        assert!(house.tags().is_empty(), "our tag is removed");
    }
    // The other's evidence hides nothing of ours.
    let world = World::memory();
    let other = EvidencePolicy::none().signed_by(Arc::new(FakeSigner::new("other")));
    let house = House::of(Plan { world: world.clone(), evidence: other, ..Plan::default() });
    assert_success(&house.apply("one").await.1);
    let evidence = verifying.signed_by(Arc::new(FakeSigner::new("key")));
    let house = House::of(Plan { seed: 2, world, evidence, ..Plan::default() });
    let (id, outcome) = house.apply("one").await;
    assert_success(&outcome);
    let lines = lines(&house, &id).await;
    assert!(lines.iter().any(|line| line.contains("is verified")), "{lines:?}");
    assert_eq!(verified(&house, &image(&outcome)).await.rejected.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_does_not_answer_is_asked_again_and_one_that_refuses_ends_the_deployment() {
    for (method, times) in [("list_referrers", 1), ("attach", 1)] {
        let faults = FaultPlan::new().at("referrers", method, times, Fault::before(&no_answer()));
        let evidence = EvidencePolicy::none().signed_by(Arc::new(FakeSigner::new("key")));
        let house = House::of(Plan { faults, evidence, ..Plan::default() });
        let (_, outcome) = house.apply("one").await;
        assert_success(&outcome);
        assert_eq!(attached(&house, &image(&outcome)).await.len(), 3);
    }
    let faults = FaultPlan::new().at("referrers", "attach", 1, Fault::before(&denied()));
    let evidence = EvidencePolicy::none().signed_by(Arc::new(FakeSigner::new("key")));
    let house = House::of(Plan { faults, evidence, ..Plan::default() });
    let outcome = house.finish(request("one")).await.1;
    assert_eq!(outcome.status, DeploymentStatus::Failure);
    assert!(house.production().await.objects.is_empty());
}
