//! The adapters against an account of AWS. Runs where `CHALK_DEPLOY_LIVE` is `aws`; prints one line elsewhere.
//!
//! Takes the credentials and the region of the environment, and what `CHALK_DEPLOY_LIVE_BUCKET`, `…_REGISTRY`, `…_REPOSITORY`
//! and `…_CLUSTER` name. It writes one object below `live/`, pushes one image of a few bytes, and removes both.

use chalk_deploy_aws::Cloud;
use chalk_deploy_core::cloud::{ImageManifest, ObjectStore as _, Payload, PutMode};
use chalk_deploy_core::model::{ImageTag, ObjectKey, Repository};
use chalk_deploy_core::runtime::{Runtime as _, SystemRuntime};
use serde_json::json;

const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

fn named(what: &str) -> String {
    let name = format!("CHALK_DEPLOY_LIVE_{what}");
    std::env::var(&name).unwrap_or_else(|_| panic!("{name} is not set"))
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "that a test was skipped is for the person who runs it")]
async fn an_account_takes_an_object_and_an_image_and_names_its_cluster() {
    if std::env::var("CHALK_DEPLOY_LIVE").as_deref() != Ok("aws") {
        eprintln!("skipped: CHALK_DEPLOY_LIVE is not `aws`");
        return;
    }
    let host = named("REGISTRY");
    let cloud = Cloud::builder()
        .from_env()
        .with_bucket(named("BUCKET"))
        .with_registry(&host)
        .with_cluster(named("CLUSTER"))
        .build()
        .expect("a cloud");
    cloud.credentials().keys().await.expect("there are credentials");
    cloud.describe_cluster().await.expect("described");
    cloud.remarks().await.expect("remarked on");

    let moment = SystemRuntime::new().now().as_millis();
    let key = ObjectKey::new(format!("live/{moment}")).expect("a key");
    let bucket = cloud.bucket().expect("named");
    bucket.put(&key, &Payload::from_bytes("live"), PutMode::WriteOnce).await.expect("written");
    bucket.put(&key, &Payload::from_bytes("other"), PutMode::WriteOnce).await.expect_err("written once");
    bucket.delete(&key).await.expect("removed");

    let config = Payload::from_bytes(format!("{{\"live\":{moment}}}"));
    let descriptor = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.sha256(),
                            "size": config.size()});
    let document = json!({"schemaVersion": 2, "mediaType": TYPE, "config": descriptor, "layers": [descriptor]});
    let manifest = ImageManifest { media_type: TYPE.to_owned(), bytes: document.to_string().into() };
    let repository = Repository::new(format!("{host}/{}", named("REPOSITORY"))).expect("a repository");
    let tag = ImageTag::new(format!("live-{moment}")).expect("a tag");
    let pushed = cloud.registry().expect("named").push_image(&repository, &manifest, &[config], Some(&tag)).await;
    let digest = pushed.expect("pushed, and the repository made if need be").digest;
    let images = cloud.images().expect("named");
    assert!(images.images(&repository).await.expect("listed").iter().any(|image| image.digest == digest));
    images.remove(&repository, &[digest]).await.expect("removed");
}
