//! The quirks of the clouds.

use std::time::Duration;

use chalk_deploy_core::runtime::Runtime as _;

use super::*;
use crate::simulated::registry::{Downloads, UploadSettings};

async fn authorized(registry: &RegistryServer, method: &str, target: &str, credential: &str, body: &[u8]) -> Reply {
    let length = body.len().to_string();
    let headers = [("authorization", credential), ("content-length", &length)];
    send(registry, method, target, &headers, full(body.to_vec())).await
}

#[tokio::test(start_paused = true)]
async fn ecr_wants_a_repository_and_large_parts_and_answers_chunks_with_created() {
    let registry = registry(RegistrySettings::ecr("password"));
    let aws = basic("AWS", "password");
    let post = |query: &str| format!("/v2/chalk/engine/blobs/uploads/{query}");
    authorized(&registry, "POST", &post(""), &aws, b"").await.is_refused(404, "NAME_UNKNOWN");
    registry.create_repository("chalk/engine").expect("a valid name");
    let begun = authorized(&registry, "POST", &post(&format!("?digest={}", digest(b"x"))), &aws, b"x").await.is(202);
    assert!(begun.location().starts_with("http://registry.test/v2/chalk/engine/blobs/uploads/"), "{begun:?}");
    assert_eq!(begun.header("oci-chunk-min-length"), "5242880");

    let part = vec![7; 5 << 20];
    authorized(&registry, "PATCH", begun.location(), &aws, &part).await.is(201);
    authorized(&registry, "PATCH", begun.location(), &aws, b"small").await.is(201);
    authorized(&registry, "PATCH", begun.location(), &aws, b"more").await.is_refused(400, "BLOB_UPLOAD_INVALID");
    let whole = [&part[..], b"small"].concat();
    authorized(&registry, "PUT", &with_digest(begun.location(), &digest(&whole)), &aws, b"").await.is(201);

    authorized(&registry, "GET", "/v2/_catalog", &aws, b"").await.is(405);
    let mount = post(&format!("?mount={}&from=chalk/engine", digest(&whole)));
    authorized(&registry, "POST", &mount, &aws, b"").await.is(202);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_loses_later_chunks_says_nothing_until_the_digest_is_wrong() {
    let uploads = UploadSettings { drops_later_chunks: true, ..RegistrySettings::plain().uploads };
    let registry = registry(RegistrySettings { uploads, ..RegistrySettings::plain() });
    let begun = ask(&registry, "POST", "/v2/a/blobs/uploads/").await.is(202);
    chunk(&registry, begun.location(), 0, b"abc").await.is(202);
    let lost = give(&registry, "PATCH", begun.location(), b"def").await.is(202);
    assert_eq!(lost.header("range"), "0-2");
    give(&registry, "PUT", &with_digest(begun.location(), &digest(b"abcdef")), b"")
        .await
        .is_refused(400, "DIGEST_INVALID");
}

#[tokio::test(start_paused = true)]
async fn artifact_registry_takes_one_patch_and_wants_its_location_kept() {
    let registry = registry(RegistrySettings::artifact_registry("token"));
    let challenge = ask(&registry, "GET", "/v2/p/r/i/tags/list").await.is(401);
    assert!(challenge.header("www-authenticate").contains("realm=\"http://registry.test/v2/token\""), "{challenge:?}");
    let google = basic("oauth2accesstoken", "token");
    let begun = authorized(&registry, "POST", "/v2/p/r/i/blobs/uploads/", &google, b"").await.is(202);
    let sent = authorized(&registry, "PATCH", begun.location(), &google, b"abc").await.is(202);
    authorized(&registry, "PATCH", sent.location(), &google, b"def").await.is_refused(405, "UNSUPPORTED");
    let done = authorized(&registry, "PUT", &with_digest(sent.location(), &digest(b"abc")), &google, b"").await;
    done.is(201);

    let config = json!({"mediaType": "a/b", "digest": digest(b"abc"), "size": 3});
    let image = json!({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": []}).to_string();
    let headers = [("authorization", google.as_str()), ("content-type", IMAGE)];
    send(&registry, "PUT", "/v2/p/r/i/manifests/t", &headers, full(image.clone())).await.is(201);
    let place = format!("/v2/p/r/i/manifests/{}", digest(image.as_bytes()));
    authorized(&registry, "DELETE", &place, &google, b"").await.is_refused(400, "GOOGLE_MANIFEST_DANGLING_TAG");
    authorized(&registry, "DELETE", "/v2/p/r/i/manifests/t", &google, b"").await.is(202);
    authorized(&registry, "DELETE", &place, &google, b"").await.is(202);
}

#[tokio::test(start_paused = true)]
async fn acr_exchanges_a_token_of_the_cloud_for_a_refresh_token_and_that_for_an_access_token() {
    let registry = registry(RegistrySettings::acr("entra-token"));
    let challenge = ask(&registry, "POST", "/v2/a/blobs/uploads/").await.is(401);
    assert!(
        challenge.header("www-authenticate").contains("realm=\"http://registry.test/oauth2/token\""),
        "{challenge:?}"
    );
    let form = |token: &str| format!("grant_type=access_token&service=simulated.azurecr.io&access_token={token}");
    give(&registry, "POST", "/oauth2/exchange", form("other").as_bytes()).await.is(401);
    let refresh = give(&registry, "POST", "/oauth2/exchange", form("entra-token").as_bytes()).await.is(200);
    let refresh = refresh.json()["refresh_token"].as_str().expect("a token").to_owned();
    let scope = "repository:a:pull,push";
    let form = format!("grant_type=refresh_token&service=simulated.azurecr.io&scope={scope}&refresh_token={refresh}");
    let by_form = give(&registry, "POST", "/oauth2/token", form.as_bytes()).await.is(200);
    let zero = basic("00000000-0000-0000-0000-000000000000", &refresh);
    let by_name = authorized(&registry, "GET", &format!("/oauth2/token?scope={scope}"), &zero, b"").await.is(200);
    for token in [by_form, by_name] {
        let bearer = format!("Bearer {}", token.json()["access_token"].as_str().expect("a token"));
        authorized(&registry, "POST", "/v2/a/blobs/uploads/", &bearer, b"").await.is(202);
    }
    ask(&registry, "GET", "/oauth2/exchange").await.is(405);
}

#[tokio::test(start_paused = true)]
async fn a_download_is_redirected_to_a_storage_that_wants_its_signature_alone() {
    for (host, origin) in [(None, "http://registry.test"), (Some("storage.test".to_owned()), "http://storage.test")] {
        let settings =
            RegistrySettings { downloads: Downloads::Storage { host: host.clone() }, ..RegistrySettings::plain() };
        let (runtime, registry) = shared(settings);
        push(&registry, "a", b"layer").await;
        let target = format!("/v2/a/blobs/{}", digest(b"layer"));
        ask(&registry, "HEAD", &target).await.is(200);
        let redirect = ask(&registry, "GET", &target).await.is(307);
        let place = redirect.location().strip_prefix(origin).expect("the storage").to_owned();
        assert_eq!(ask(&registry, "GET", &place).await.is(200).body, "layer");
        let part = send(&registry, "GET", &place, &[("range", "bytes=1-2")], empty()).await.is(206);
        assert_eq!(part.body, "ay");
        let leaked = if host.is_some() { 400 } else { 200 };
        authorized(&registry, "GET", &place, "Bearer leaked", b"").await.is(leaked);
        ask(&registry, "GET", &place.replace("expires=", "expires=9")).await.is_refused(403, "DENIED");
        ask(&registry, "GET", place.split('?').next().expect("a path")).await.is_refused(403, "DENIED");
        runtime.sleep(Duration::from_mins(20)).await;
        ask(&registry, "GET", &place).await.is_refused(403, "DENIED");
    }
}
