use chalk_deploy_core::cloud::{ObjectStore as _, PutMode};
use chalk_deploy_core::model::{
    ArchiveReference, BaseImage, Component, ObjectKey, ProjectSettings, Repository, RequirementsFile,
};
use futures::FutureExt as _;

use super::*;

fn id(letter: char) -> DeploymentId {
    DeploymentId::new(format!("c{}", letter.to_string().repeat(24))).expect("a valid id")
}

fn request(letter: char) -> BuildRequest {
    let repository = Repository::new("registry.test/engine").expect("a valid repository");
    BuildRequest {
        deployment: id(letter),
        source: ArchiveReference {
            key: ObjectKey::new("incoming/x").expect("a valid key"),
            sha256: Digest::of("archive"),
            size: 7,
        },
        base_images: [Component::QueryServer, Component::Engine]
            .map(|component| BaseImage { component, repository: repository.clone(), digest: Digest::of("base") })
            .into(),
        repositories: vec![repository.clone(), repository],
        requirements: Vec::new(),
        settings: ProjectSettings::default(),
        platform: "linux/arm64".to_owned(),
        more_platforms: Vec::new(),
    }
}

async fn builder(world: &World) -> FakeBuilder {
    let bucket = FakeObjectStore::new(world);
    let payload = Payload::from_bytes("archive");
    bucket.put(&request('a').source.key, &payload, PutMode::WriteOnce).await.expect("uploaded");
    FakeBuilder::new(world, bucket)
}

async fn finish(builder: &FakeBuilder, deployment: &DeploymentId) -> (Vec<BuildEvent>, Result<Vec<BuiltImage>>) {
    let mut seen: Vec<BuildEvent> = Vec::new();
    loop {
        let (events, end) = builder.state(deployment, seen.len() as u64).await.expect("known").into_parts();
        seen.extend(events);
        if let Some(end) = end {
            return (seen, end);
        }
    }
}

#[tokio::test]
async fn equal_content_gives_equal_images_and_any_difference_another() {
    let builder = builder(&World::memory()).await;
    let mut other = request('c');
    other.requirements.push(RequirementsFile { filename: "r.txt".to_owned(), contents: "# none\nnumpy".to_owned() });
    for request in [&request('a'), &request('b'), &other] {
        builder.submit(request).await.expect("submitted");
    }
    let [one, same, third] = [
        finish(&builder, &id('a')).await.1.expect("built"),
        finish(&builder, &id('b')).await.1.expect("built"),
        finish(&builder, &id('c')).await.1.expect("built"),
    ];
    assert_eq!(one, same);
    assert_ne!(one[0].manifest.digest, third[0].manifest.digest);
    let components: Vec<_> = one.iter().map(|image| image.component).collect();
    assert_eq!(components, [Component::Engine, Component::QueryServer]);
    let config = builder.contents().expect("held").blob(&one[0].blobs[0]).await.expect("held");
    let config: serde_json::Value = serde_json::from_slice(&config.bytes().await.expect("whole")).expect("JSON");
    assert_eq!((&config["os"], &config["architecture"]), (&"linux".into(), &"arm64".into()));
}

#[tokio::test]
async fn a_build_that_fails_says_which_step_after_the_events_up_to_it() {
    let builder = builder(&World::memory()).await;
    builder.set_behaviour(BuildBehaviour::FailAt("bytecode-compile".to_owned()));
    builder.submit(&request('a')).await.expect("submitted");
    let (events, end) = finish(&builder, &id('a')).await;
    assert_eq!(events.iter().map(|event| event.step.as_str()).collect::<Vec<_>>(), ["lint", "bytecode-compile"]);
    let error = end.expect_err("failed");
    assert!(error.code() == ErrorCode::BuildFailed && error.subject() == "bytecode-compile", "{error}");
}

#[tokio::test]
async fn a_build_that_hangs_is_waited_for_until_it_is_stopped() {
    let world = World::memory();
    let builder = builder(&world).await;
    let before = world.snapshot().expect("readable");
    builder.set_behaviour(BuildBehaviour::Hang);
    builder.submit(&request('a')).await.expect("submitted");
    let first = builder.state(&id('a'), 0).await.expect("it began");
    assert!(matches!(first, BuildState::Running { events } if events.len() == 1));
    let deployment = id('a');
    let wait = builder.state(&deployment, 1);
    tokio::pin!(wait);
    assert!(wait.as_mut().now_or_never().is_none());
    builder.stop(&id('a')).await.expect("stopped");
    assert_eq!(wait.await.expect_err("stopped").code(), ErrorCode::BuildLost);
    assert_eq!(world.snapshot().expect("readable"), before);
}

#[tokio::test]
async fn stopping_one_build_keeps_the_images_that_another_shares_with_it() {
    let builder = builder(&World::memory()).await;
    for letter in ['a', 'b'] {
        builder.submit(&request(letter)).await.expect("submitted");
    }
    let images = finish(&builder, &id('a')).await.1.expect("built");
    builder.stop(&id('a')).await.expect("stopped");
    builder.manifest(&images[0].manifest).await.expect("still held");
    builder.lose(&id('b')).expect("lost");
    assert_eq!(builder.manifest(&images[0].manifest).await.expect_err("gone").code(), ErrorCode::BuildLost);
    assert!(builder.builds().expect("listed").is_empty());
}

#[tokio::test]
async fn a_request_that_contradicts_itself_is_refused() {
    let builder = builder(&World::memory()).await;
    let whole = request('a');
    for request in [
        BuildRequest { repositories: Vec::new(), ..whole.clone() },
        BuildRequest { repositories: Vec::new(), base_images: Vec::new(), ..whole.clone() },
        BuildRequest { base_images: vec![whole.base_images[0].clone(); 2], ..whole.clone() },
    ] {
        assert_eq!(builder.submit(&request).await.expect_err("refused").code(), ErrorCode::RequestInvalid);
    }
}
