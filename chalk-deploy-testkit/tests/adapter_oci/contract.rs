//! The conformance suite.

use chalk_deploy_core::model::Repository;
use chalk_deploy_core::oci::{OciRegistry, OciSettings, UploadMode};
use chalk_deploy_testkit::conformance::registry::{RegistryHarness, suite};

use std::sync::Arc;

use super::small_registry::{Options, SmallRegistry, TagDeletion};
use super::{adapter, credentials, repository};

async fn passes(registry: OciRegistry, base: Repository) {
    suite(&RegistryHarness { registry: Arc::new(registry), base }, "run").await.assert_passed();
}

#[tokio::test(start_paused = true)]
async fn the_adapter_passes_with_every_way_to_upload_and_every_way_to_delete_a_tag() {
    for upload in [UploadMode::TwoRequests, UploadMode::OneRequest, UploadMode::Chunked { chunk: 100_000 }] {
        for tag_deletion in [TagDeletion::ByTag, TagDeletion::ByDigestOnly, TagDeletion::ClaimsNotFound] {
            let server = SmallRegistry::new(Options { tag_deletion, ..Options::default() });
            let settings = OciSettings::default().with_upload(upload);
            passes(adapter(&server, settings), repository("conformance")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_adapter_passes_with_tokens_that_last_three_requests_and_with_passwords() {
    let password = Some(("user".to_owned(), super::SECRET.to_owned()));
    let with_tokens = Options {
        realm: Some("https://auth.registry.example/token".to_owned()),
        token_uses: Some(3),
        password: password.clone(),
        ..Options::default()
    };
    let with_password = Options { password, ..Options::default() };
    for options in [with_tokens, with_password] {
        let settings = OciSettings::default().with_credentials(credentials());
        passes(adapter(&SmallRegistry::new(options), settings), repository("conformance")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_adapter_passes_where_tags_are_immutable_in_the_words_of_each_cloud() {
    for (status, words) in [
        (400, "tag already exists and cannot be overwritten because the repository is immutable"),
        (409, "conflict"),
        (412, "configured as immutable"),
        (405, "the tag has been locked"),
    ] {
        let server = SmallRegistry::new(Options { immutable: Some((status, words)), ..Options::default() });
        passes(adapter(&server, OciSettings::default()), repository("conformance")).await;
    }
}
