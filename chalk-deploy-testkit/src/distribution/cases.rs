//! What every cloud whose registry has tokens is held to.

use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::model::Repository;
use chalk_deploy_core::oci::OciRegistry;
use http::StatusCode;

use super::{Distribution, Image, TokenServer};

/// An image is pushed with one token, pulled back, and mounted in another repository: what reads and writes one repository
/// asks once, and a mount for both. `registry` remembers what it has pushed, `forgetful` does not.
pub async fn assert_few_tokens_are_asked_for(
    distribution: &Distribution,
    realm: &TokenServer,
    [registry, forgetful]: [&OciRegistry; 2],
    [repository, other]: [&Repository; 2],
) {
    let image = Image::new("few tokens");
    image.assert_is_kept_and_moved_once(distribution, registry, forgetful, [repository, other]).await;
    let push = format!("repository:{}:pull,push", path(repository));
    let mounts = vec![format!("repository:{}:pull,push", path(other)), push.replace(",push", "")];
    // One to push and to pull, the same for who remembers nothing, and one that reaches both repositories.
    let expected = vec![vec![push.clone()], vec![push], mounts];
    assert_eq!(sorted(realm.given()), sorted(expected));
}

/// A token that ends in the middle of a push is renewed, once, and the push goes on.
pub async fn assert_a_token_that_ends_is_renewed_once(
    distribution: &Distribution,
    realm: &Arc<TokenServer>,
    registry: &OciRegistry,
    repository: &Repository,
) {
    realm.shorten_the_next(Duration::from_secs(3));
    let until = realm.clone();
    distribution.before_upload(2, async move { until.end_of_the_short_one().await });
    let image = Image::new("a token that ends");
    image.push(registry, repository).await.expect("pushed");
    let passed = distribution.passed();
    let stored = passed.iter().filter(|it| it.ends_an_upload() && it.status == StatusCode::CREATED).count();
    assert_eq!(stored, image.blobs.len(), "{passed:?}");
    // Both were said to last for minutes: only a refusal makes the second one be asked for.
    assert_eq!(realm.given(), vec![vec![format!("repository:{}:pull,push", path(repository))]; 2]);
    image.assert_there(registry, repository).await;
}

/// A repository without its registry.
fn path(repository: &Repository) -> &str {
    repository.as_str().split_once('/').map_or("", |(_, path)| path)
}

fn sorted(mut given: Vec<Vec<String>>) -> Vec<Vec<String>> {
    for scopes in &mut given {
        scopes.sort();
    }
    given
}
