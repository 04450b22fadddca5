//! Tags, repositories and referrers, page by page.

use super::*;

/// Follows `Link` to the end.
async fn pages(registry: &RegistryServer, first: &str, of: &str) -> Vec<Vec<Value>> {
    let mut target = first.to_owned();
    let mut pages = Vec::new();
    loop {
        let reply = ask(registry, "GET", &target).await.is(200);
        pages.push(reply.json()[of].as_array().expect("a list").clone());
        let Some((next, _)) =
            reply.header("link").strip_prefix('<').and_then(|link| link.split_once(">; rel=\"next\""))
        else {
            return pages;
        };
        target = next.to_owned();
        assert!(pages.len() < 50, "the pages do not end");
    }
}

#[tokio::test(start_paused = true)]
async fn tags_come_in_lexical_order_in_pages() {
    let registry = plain();
    let image = image(&registry, "a", "one").await;
    for tag in ["b", "A", "c", "a", "B"] {
        put_manifest(&registry, &format!("a/manifests/{tag}"), IMAGE, &image).await.is(201);
    }
    let expected = json!(["A", "a", "B", "b", "c"]);
    for n in [1, 2, 5, 9] {
        let pages = pages(&registry, &format!("/v2/a/tags/list?n={n}"), "tags").await;
        assert!(pages.iter().all(|page| page.len() <= n));
        assert_eq!(pages.len(), 5_usize.div_ceil(n));
        assert_eq!(Value::from(pages.concat()), expected);
    }
    let reply = ask(&registry, "GET", "/v2/a/tags/list?n=2&last=a").await.is(200);
    assert_eq!(reply.json(), json!({"name": "a", "tags": ["B", "b"]}));
    let none = ask(&registry, "GET", "/v2/a/tags/list?n=0").await.is(200);
    assert_eq!((none.json()["tags"].clone(), none.header("link")), (json!([]), ""));
    ask(&registry, "GET", "/v2/a/tags/list?n=-1").await.is_refused(400, "PAGINATION_NUMBER_INVALID");
    ask(&registry, "GET", "/v2/none/tags/list").await.is_refused(404, "NAME_UNKNOWN");
}

#[tokio::test(start_paused = true)]
async fn repositories_are_listed_in_pages_no_larger_than_the_settings_allow() {
    let registry = registry(RegistrySettings { largest_page: 2, ..RegistrySettings::plain() });
    for name in ["b/c", "a", "b", "d"] {
        registry.create_repository(name).expect("a valid name");
    }
    registry.create_repository("../x").expect_err("no name");
    for n in ["", "?n=100"] {
        let pages = pages(&registry, &format!("/v2/_catalog{n}"), "repositories").await;
        assert_eq!(json!(pages), json!([["a", "b"], ["b/c", "d"]]));
    }
    let without = super::registry(RegistrySettings { catalog: false, ..RegistrySettings::plain() });
    ask(&without, "GET", "/v2/_catalog").await.is(405);
}

#[tokio::test(start_paused = true)]
async fn what_refers_to_a_manifest_is_listed_by_its_kind_even_before_the_manifest_is_there() {
    let registry = plain();
    let image = image(&registry, "a", "one").await;
    let bytes = image.to_string();
    let subject = json!({"mediaType": IMAGE, "digest": digest(bytes.as_bytes()), "size": bytes.len()});
    let place = format!("/v2/a/referrers/{}", digest(bytes.as_bytes()));
    let nothing = ask(&registry, "GET", &place).await.is(200);
    assert_eq!(nothing.json(), json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}));

    let empty_config = push(&registry, "a", b"{}").await;
    let mut digests = Vec::new();
    for (kind, note) in [(Some("test/sbom"), "1"), (Some("test/signature"), "2"), (None, "3")] {
        let mut artifact = json!({
            "schemaVersion": 2, "mediaType": IMAGE, "config": empty_config, "layers": [], "subject": subject,
            "annotations": {"note": note},
        });
        if let Some(kind) = kind {
            artifact["artifactType"] = kind.into();
        }
        digests.push(digest(artifact.to_string().as_bytes()));
        let stored =
            put_manifest(&registry, &format!("a/manifests/{}", digests.last().expect("pushed")), IMAGE, &artifact)
                .await;
        assert_eq!(stored.is(201).header("oci-subject"), digest(bytes.as_bytes()));
    }
    let all = ask(&registry, "GET", &place).await.is(200);
    assert_eq!(all.header("content-type"), INDEX);
    assert_eq!((all.json()["manifests"].as_array().expect("a list").len(), all.header("oci-filters-applied")), (3, ""));
    for (kind, note) in [("test/sbom", "1"), ("application/octet-stream", "3")] {
        let some = ask(&registry, "GET", &format!("{place}?artifactType={kind}")).await.is(200);
        assert_eq!(some.header("oci-filters-applied"), "artifactType");
        let found = some.json()["manifests"].clone();
        assert_eq!((found.as_array().expect("a list").len(), &found[0]["annotations"]["note"]), (1, &json!(note)));
        assert_eq!(found[0]["artifactType"], kind);
    }
    let paged = pages(&registry, &format!("{place}?n=1&artifactType=test%2Fsbom"), "manifests").await;
    assert_eq!(paged.concat().len(), 1);
    assert_eq!(
        pages(&registry, &format!("{place}?n=2"), "manifests").await.iter().map(Vec::len).collect::<Vec<_>>(),
        [2, 1]
    );

    ask(&registry, "DELETE", &format!("/v2/a/manifests/{}", digests[0])).await.is(202);
    assert_eq!(ask(&registry, "GET", &place).await.json()["manifests"].as_array().expect("a list").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_the_referrers_api_clients_are_left_to_the_tag_schema() {
    let registry = registry(RegistrySettings { referrers: false, ..RegistrySettings::plain() });
    let image = image(&registry, "a", "one").await;
    let subject = digest(image.to_string().as_bytes());
    ask(&registry, "GET", &format!("/v2/a/referrers/{subject}")).await.is(404);
    let mut artifact = image.clone();
    artifact["subject"] = json!({"mediaType": IMAGE, "digest": subject, "size": 1});
    let stored = put_manifest(&registry, "a/manifests/artifact", IMAGE, &artifact).await.is(201);
    // Its absence tells the client to keep the index itself.
    assert_eq!(stored.header("oci-subject"), "");
    let child = json!({"mediaType": IMAGE, "digest": digest(artifact.to_string().as_bytes()), "size": artifact.to_string().len()});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]});
    let tag = subject.replace(':', "-");
    put_manifest(&registry, &format!("a/manifests/{tag}"), INDEX, &index).await.is(201);
    ask(&registry, "GET", &format!("/v2/a/manifests/{tag}")).await.is(200);
}
