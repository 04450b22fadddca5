use chalk_deploy_core::transport::{RequestBody, Transport};
use futures::TryStreamExt as _;

use super::*;
use crate::VirtualRuntime;
use crate::simulated::http::in_process;

/// A server with one bucket, and requests to it as text.
struct Asked(Transport);

/// Status, headers and body.
type Said = (u16, http::HeaderMap, String);

impl Asked {
    fn new(settings: GoogleBucketSettings) -> Self {
        let server = GoogleBucketServer::new(&World::memory(), VirtualRuntime::new(1), settings).expect("a server");
        Self(in_process(Arc::new(server)))
    }

    fn open() -> Self {
        Self::new(GoogleBucketSettings::new("b"))
    }

    async fn ask(&self, line: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Said {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(method).uri(format!("https://storage.googleapis.com{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(RequestBody::Bytes(body.into())).expect("a request");
        let response = self.0.send(request).await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let pieces: Vec<_> = response.into_body().try_collect().await.expect("a whole body");
        (status, headers, String::from_utf8_lossy(&pieces.concat()).into_owned())
    }

    async fn insert(&self, name: &str, content: &str, condition: &str) -> u16 {
        let resource = json!({"name": name, "metadata": {"sha": "1"}});
        let body =
            format!("--x\r\ncontent-type: application/json\r\n\r\n{resource}\r\n--x\r\n\r\n{content}\r\n--x--\r\n");
        let line = format!("POST /upload/storage/v1/b/b/o?uploadType=multipart{condition}");
        self.ask(&line, &[("content-type", "multipart/related; boundary=x")], body).await.0
    }

    async fn begin(&self, name: &str, condition: &str) -> String {
        let line = format!("POST /upload/storage/v1/b/b/o?uploadType=resumable{condition}");
        let (status, headers, said) = self.ask(&line, &[], json!({"name": name}).to_string()).await;
        assert_eq!(status, 200, "{said}");
        let place = headers["location"].to_str().expect("text").to_owned();
        place.strip_prefix("https://storage.googleapis.com").expect("the host that was asked").to_owned()
    }

    async fn put(&self, place: &str, range: &str, body: Vec<u8>) -> (u16, String) {
        let (status, headers, _) = self.ask(&format!("PUT {place}"), &[("content-range", range)], body).await;
        (status, headers.get("range").map_or("", |range| range.to_str().expect("text")).to_owned())
    }
}

#[tokio::test(start_paused = true)]
async fn a_precondition_is_on_the_generation_and_the_generation_0_is_no_object() {
    let server = Asked::open();
    assert_eq!(server.insert("a", "one", "&ifGenerationMatch=0").await, 200);
    assert_eq!(server.insert("a", "two", "&ifGenerationMatch=0").await, 412);
    let (_, _, said) = server.ask("GET /storage/v1/b/b/o/a", &[], "").await;
    let resource: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&resource["size"], &resource["metadata"]["sha"]), (&json!("3"), &json!("1")));
    let own = format!("&ifGenerationMatch={}", resource["generation"].as_str().expect("text"));
    assert_eq!(server.insert("a", "three", &own).await, 200);
    assert_eq!(server.insert("a", "four", &own).await, 412, "it is another generation by now");
    let copy = "POST /storage/v1/b/b/o/a/rewriteTo/b/b/o/c?ifGenerationMatch=0";
    assert_eq!(server.ask(copy, &[], "").await.0, 200);
    assert_eq!(server.ask(copy, &[], "").await.0, 412);
    let (status, headers, body) = server.ask("GET /b/c", &[], "").await;
    assert_eq!((status, body.as_str()), (200, "three"));
    assert_eq!(headers["x-goog-meta-sha"], "1");
    assert_eq!(server.ask("DELETE /storage/v1/b/b/o/c", &[], "").await.0, 204);
    assert_eq!(server.ask("DELETE /storage/v1/b/b/o/c", &[], "").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn both_apis_refuse_in_their_own_form_and_tell_a_bucket_from_an_object() {
    let server = Asked::open();
    for (line, status, word) in [
        ("GET /storage/v1/b/b/o/a", 404, "\"No such object: b/a\""),
        ("GET /storage/v1/b/other/o/a", 404, "\"The specified bucket does not exist.\""),
        ("GET /b/a", 404, "<Code>NoSuchKey</Code>"),
        ("GET /other/a", 404, "<Code>NoSuchBucket</Code>"),
        ("GET /storage/v1/b/other", 404, "\"The specified bucket does not exist.\""),
        ("DELETE /storage/v1/b/b", 501, "notImplemented"),
        ("GET /storage/v1/b/b/o?delimiter=/", 501, "notImplemented"),
        ("GET /storage/v1/b/b/o/%zz", 400, "invalid"),
        ("POST /upload/storage/v1/b/b/o?uploadType=multipart", 400, "parseError"),
        ("PUT /upload/storage/v1/b/b/o?upload_id=../x", 404, "notFound"),
    ] {
        let (found, _, said) = server.ask(line, &[], "").await;
        assert_eq!(found, status, "{line}: {said}");
        assert!(said.contains(word), "{line}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_keeps_whole_quanta_goes_on_where_it_was_and_tells_its_end_again() {
    let server = Asked::open();
    let place = server.begin("a", "&ifGenerationMatch=0").await;
    let quantum = 256 << 10;
    assert_eq!(server.put(&place, "bytes */*", Vec::new()).await, (308, String::new()));
    let kept = (308, format!("bytes=0-{}", quantum - 1));
    // A half of the second quantum is not kept.
    let sent = quantum + quantum / 2;
    let range = format!("bytes 0-{}/*", sent - 1);
    assert_eq!(server.put(&place, &range, vec![1; sent]).await, kept);
    assert_eq!(server.put(&place, &range, vec![1; sent]).await, kept, "what was kept is not kept twice");
    // What begins after a gap is not.
    let gap = format!("bytes {}-{}/{}", quantum + 1, quantum + 1, quantum + 2);
    assert_eq!(server.put(&place, &gap, vec![2]).await, kept);
    assert_eq!(server.put(&place, "bytes 0-1/*", vec![1]).await.0, 400, "a range of another length");
    let last = format!("bytes {quantum}-{quantum}/{}", quantum + 1);
    assert_eq!(server.put(&place, &last, vec![2]).await.0, 200);
    assert_eq!(server.put(&place, &format!("bytes */{}", quantum + 1), Vec::new()).await.0, 200, "asked again");
    let (_, headers, _) = server.ask("GET /b/a", &[("range", "bytes=262143-")], "").await;
    assert_eq!(headers["content-range"], "bytes 262143-262144/262145");

    let given_up = server.begin("b", "").await;
    assert_eq!(server.ask(&format!("DELETE {given_up}"), &[], "").await.0, 499);
    assert_eq!(server.ask(&format!("DELETE {given_up}"), &[], "").await.0, 404);
    // Its key is taken between the beginning and the end.
    let raced = server.begin("c", "&ifGenerationMatch=0").await;
    assert_eq!(server.insert("c", "first", "").await, 200);
    assert_eq!(server.put(&raced, "bytes 0-0/1", vec![1]).await.0, 412);
}

#[tokio::test(start_paused = true)]
async fn a_list_comes_in_pages_in_the_order_of_names() {
    let server = Asked::new(GoogleBucketSettings::new("b").with_list_most(2));
    for name in ["p/c", "p/a", "q", "p/b/x"] {
        assert_eq!(server.insert(name, "x", "").await, 200);
    }
    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let (_, _, said) = server.ask(&format!("GET /storage/v1/b/b/o?prefix=p/{token}"), &[], "").await;
        let page: Value = serde_json::from_str(&said).expect("JSON");
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 2);
        names.extend(items.iter().map(|item| item["name"].as_str().expect("text").to_owned()));
        let Some(next) = page["nextPageToken"].as_str() else { break };
        token = format!("&pageToken={next}");
    }
    assert_eq!(names, ["p/a", "p/b/x", "p/c"]);
    let (_, _, said) = server.ask("GET /storage/v1/b/b/o?startOffset=p/c", &[], "").await;
    assert!(said.contains("p/c") && said.contains("\"q\"") && !said.contains("p/a"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_is_made_once_and_changed_by_merge_patches_under_its_metageneration() {
    let server = Asked::open();
    let make = "POST /storage/v1/b?project=acme-prod&enableObjectRetention=true";
    let resource = json!({"name": "made", "location": "us-central1", "labels": {"a": "1", "b": "2"}}).to_string();
    assert_eq!(server.ask(make, &[], resource.clone()).await.0, 200);
    assert_eq!(server.ask(make, &[], resource).await.0, 409);
    assert_eq!(server.ask("POST /storage/v1/b?project=acme-prod", &[], r#"{"name": "A"}"#).await.0, 400);
    assert_eq!(server.ask("POST /storage/v1/b", &[], r#"{"name": "other"}"#).await.0, 400, "of no project");
    let patch = "PATCH /storage/v1/b/made?ifMetagenerationMatch=1";
    let change = json!({"labels": {"b": null, "c": {"d": null, "e": "3"}}, "cors": [1]}).to_string();
    assert_eq!(server.ask(patch, &[], change.clone()).await.0, 200);
    assert_eq!(server.ask(patch, &[], change).await.0, 412, "it is another by now");
    assert_eq!(server.ask("PATCH /storage/v1/b/made", &[], r#"{"location": "EU"}"#).await.0, 400);
    let (_, _, said) = server.ask("GET /storage/v1/b/made", &[], "").await;
    let found: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(found["labels"], json!({"a": "1", "c": {"e": "3"}}));
    assert_eq!((&found["location"], &found["metageneration"]), (&json!("US-CENTRAL1"), &json!("2")));
    assert_eq!((&found["objectRetention"]["mode"], &found["cors"]), (&json!("Enabled"), &json!([1])));
    let (_, _, said) = server.ask("GET /storage/v1/b?project=acme-prod&prefix=ma", &[], "").await;
    assert!(said.contains("\"made\"") && !said.contains("\"b\""), "{said}");
    // One that was there from the beginning can be changed too.
    assert_eq!(server.ask("PATCH /storage/v1/b/b?ifMetagenerationMatch=1", &[], r#"{"x": 1}"#).await.0, 200);
    assert_eq!(server.ask("PATCH /storage/v1/b/b?ifMetagenerationMatch=1", &[], r#"{"x": 1}"#).await.0, 412);
}

#[tokio::test(start_paused = true)]
async fn only_the_holder_of_a_token_is_let_in_where_there_are_tokens() {
    let server = Asked::new(GoogleBucketSettings::new("b").with_token("good"));
    for (headers, status) in [
        (&[][..], 401),
        (&[("authorization", "Bearer bad")], 401),
        (&[("authorization", "Bearer good")], 404),
        (&[("authorization", "Basic good")], 401),
    ] {
        assert_eq!(server.ask("GET /storage/v1/b/b/o/a", headers, "").await.0, status, "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_retained_or_held_stays_and_what_is_locked_is_never_shortened() {
    let server = Asked::new(GoogleBucketSettings::new("b").with_object_retention(true));
    assert_eq!(server.insert("a", "x", "").await, 200);
    let retain = |mode: &str, until: &str| json!({"retention": {"mode": mode, "retainUntilTime": until}}).to_string();
    let patch = "PATCH /storage/v1/b/b/o/a";
    assert_eq!(server.ask(patch, &[], retain("Unlocked", "2030-01-01T00:00:00Z")).await.0, 200);
    assert_eq!(server.ask("DELETE /storage/v1/b/b/o/a", &[], "").await.0, 403);
    assert_eq!(server.insert("a", "y", "").await, 403);
    assert_eq!(server.ask(patch, &[], retain("Unlocked", "2029-01-01T00:00:00Z")).await.0, 403);
    let overriding = "PATCH /storage/v1/b/b/o/a?overrideUnlockedRetention=true";
    assert_eq!(server.ask(overriding, &[], r#"{"retention": null}"#).await.0, 200);
    assert_eq!(server.ask(patch, &[], r#"{"temporaryHold": true}"#).await.0, 200);
    assert_eq!(server.ask("DELETE /storage/v1/b/b/o/a", &[], "").await.0, 403);
    assert_eq!(server.ask(patch, &[], r#"{"temporaryHold": false}"#).await.0, 200);
    assert_eq!(server.ask(patch, &[], retain("Locked", "2030-01-01T00:00:00Z")).await.0, 200);
    assert_eq!(server.ask(overriding, &[], retain("Locked", "2029-01-01T00:00:00Z")).await.0, 403);
    assert_eq!(server.ask(patch, &[], retain("Locked", "2031-01-01T00:00:00Z")).await.0, 200);
    assert_eq!(server.ask(patch, &[], r#"{"contentType": "text/plain"}"#).await.0, 501);
    let other = Asked::open();
    other.insert("a", "x", "").await;
    assert_eq!(other.ask(patch, &[], retain("Locked", "2030-01-01T00:00:00Z")).await.0, 400, "not made for it");
}
