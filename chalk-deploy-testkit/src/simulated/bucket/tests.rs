use chalk_deploy_core::transport::{RequestBody, Transport};
use futures::TryStreamExt as _;

use super::*;
use crate::VirtualRuntime;
use crate::simulated::http::in_process;

/// An open server with one bucket, and requests to it as text.
struct Asked(Transport, Arc<VirtualRuntime>);

impl Asked {
    fn new(settings: BucketSettings) -> Self {
        let runtime = VirtualRuntime::new(1);
        let server = BucketServer::new(&World::memory(), runtime.clone(), settings).expect("a server");
        Self(in_process(Arc::new(server)), runtime)
    }

    fn open() -> Self {
        Self::new(BucketSettings::new("b"))
    }

    async fn ask(&self, line: &str, headers: &[(&str, &str)], body: &'static str) -> (u16, String) {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(method).uri(format!("http://s3.example{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(RequestBody::Bytes(body.into())).expect("a request");
        let response = self.0.send(request).await.expect("an answer");
        let status = response.status().as_u16();
        let pieces: Vec<_> = response.into_body().try_collect().await.expect("a whole body");
        (status, String::from_utf8(pieces.concat()).expect("text"))
    }

    async fn code(&self, line: &str, headers: &[(&str, &str)], body: &'static str) -> String {
        let (status, answer) = self.ask(line, headers, body).await;
        xml::element(&answer, "Code").unwrap_or_else(|| status.to_string())
    }
}

#[tokio::test(start_paused = true)]
async fn a_range_is_a_part_of_the_object() {
    let server = Asked::open();
    server.ask("PUT /b/a", &[], "0123456789").await;
    for (range, expected) in [
        ("bytes=2-4", (206, "234")),
        ("bytes=7-", (206, "789")),
        ("bytes=-3", (206, "789")),
        ("bytes=0-99", (206, "0123456789")),
        ("lines=1-2", (200, "0123456789")),
    ] {
        let (status, body) = server.ask("GET /b/a", &[("range", range)], "").await;
        assert_eq!((status, body.as_str()), expected, "{range}");
    }
    assert_eq!(server.code("GET /b/a", &[("range", "bytes=10-")], "").await, "InvalidRange");
}

#[tokio::test(start_paused = true)]
async fn conditions_of_reads_writes_and_copies_are_kept() {
    let server = Asked::open();
    assert_eq!(server.code("PUT /b/a", &[("if-none-match", "*")], "one").await, "200");
    assert_eq!(server.code("PUT /b/a", &[("if-none-match", "*")], "two").await, "PreconditionFailed");
    assert_eq!(server.code("PUT /b/a", &[("if-match", "\"wrong\"")], "two").await, "PreconditionFailed");
    assert_eq!(server.code("PUT /b/none", &[("if-match", "\"wrong\"")], "two").await, "NoSuchKey");
    let tag = format!("\"{}\"", body::md5_hex("one"));
    assert_eq!(server.ask("GET /b/a", &[("if-none-match", &tag)], "").await.0, 304);
    assert_eq!(server.code("GET /b/a", &[("if-match", "\"wrong\"")], "").await, "PreconditionFailed");
    assert_eq!(server.code("PUT /b/a", &[("if-match", &tag)], "two").await, "200");
    let copy = [("x-amz-copy-source", "/b/a"), ("if-none-match", "*")];
    assert_eq!(server.code("PUT /b/c", &copy, "").await, "200");
    assert_eq!(server.code("PUT /b/c", &copy, "").await, "PreconditionFailed");
    let unless = [("x-amz-copy-source", "/b/a"), ("x-amz-copy-source-if-match", "\"wrong\"")];
    assert_eq!(server.code("PUT /b/d", &unless, "").await, "PreconditionFailed");
    assert_eq!(server.ask("GET /b/c", &[], "").await, (200, "two".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_not_the_declared_ones_are_not_stored() {
    let server = Asked::open();
    for (name, value, code) in [
        ("content-md5", "AAAA", "BadDigest"),
        ("x-amz-checksum-sha256", "AAAA", "BadDigest"),
        ("x-amz-checksum-crc32", "AAAA", "BadDigest"),
        ("x-amz-content-sha256", "0000", "XAmzContentSHA256Mismatch"),
        ("content-length", "99", "IncompleteBody"),
    ] {
        assert_eq!(server.code("PUT /b/a", &[(name, value)], "bytes").await, code, "{name}");
    }
    assert_eq!(server.code("GET /b/a", &[], "").await, "NoSuchKey");
    let streaming =
        [("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), ("x-amz-decoded-content-length", "5")];
    let wrong = "5\r\nbytes\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
    assert_eq!(server.code("PUT /b/a", &streaming, wrong).await, "BadDigest");
    let right = "5\r\nbytes\r\n0\r\nx-amz-checksum-crc32:/zqTCw==\r\n\r\n";
    let crc = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, body::crc32(b"bytes").to_be_bytes());
    let right: &'static str = right.replace("/zqTCw==", &crc).leak();
    assert_eq!(server.code("PUT /b/a", &streaming, right).await, "200");
    assert_eq!(server.ask("GET /b/a", &[], "").await.1, "bytes");
}

#[tokio::test(start_paused = true)]
async fn an_upload_in_parts_is_held_to_its_rules() {
    let server = Asked::new(BucketSettings::new("b").with_part_least(3));
    let begun = server.ask("POST /b/a?uploads", &[("x-amz-meta-x", "1")], "").await.1;
    let id = xml::element(&begun, "UploadId").expect("an id");
    let at = |rest: &str| format!("/b/a?uploadId={id}{rest}");
    for (number, bytes) in [("1", "12"), ("2", "34"), ("3", "5")] {
        let line = format!("PUT {}", at(&format!("&partNumber={number}")));
        assert_eq!(server.code(&line, &[], bytes).await, "200");
    }
    let complete = format!("POST {}", at(""));
    let named = |parts: &[(u32, &str)]| -> &'static str {
        let part = |(number, bytes): &(u32, &str)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", body::md5_hex(bytes))
        };
        parts.iter().map(part).collect::<Vec<_>>().concat().leak()
    };
    for (body, code) in [
        ("", "MalformedXML"),
        ("<Part><PartNumber>x</PartNumber></Part>", "MalformedXML"),
        (named(&[(1, "other")]), "InvalidPart"),
        (named(&[(9, "12")]), "InvalidPart"),
        (named(&[(2, "34"), (1, "12")]), "InvalidPartOrder"),
        (named(&[(1, "12"), (2, "34")]), "EntityTooSmall"),
    ] {
        assert_eq!(server.code(&complete, &[], body).await, code, "{body}");
    }
    assert_eq!(server.code("GET /b/a", &[], "").await, "NoSuchKey");
    assert_eq!(server.code(&format!("PUT {}", at("&partNumber=1")), &[], "123").await, "200");
    server.ask("PUT /b/a", &[], "taken").await;
    let parts = named(&[(1, "123"), (3, "5")]);
    assert_eq!(server.code(&complete, &[("if-none-match", "*")], parts).await, "PreconditionFailed");
    assert_eq!(server.code(&complete, &[], parts).await, "200");
    assert_eq!(server.ask("GET /b/a", &[], "").await.1, "1235");
    assert_eq!(server.code(&complete, &[], parts).await, "NoSuchUpload");
    assert_eq!(server.code("DELETE /b/a?uploadId=../../x", &[], "").await, "NoSuchUpload");
}

#[tokio::test(start_paused = true)]
async fn a_list_has_folders_pages_and_a_lag_if_it_is_set() {
    let server = Asked::new(BucketSettings::new("b").with_list_lag(Duration::from_secs(5)));
    for key in ["a/1", "a/2", "b", "c/1", "<&>"] {
        server.ask(&format!("PUT /b/{}", authentication::encoded(key, true)), &[], "x").await;
    }
    assert!(server.ask("GET /b?list-type=2", &[], "").await.1.contains("<KeyCount>0</KeyCount>"));
    server.1.sleep(Duration::from_secs(5)).await;
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let line = format!("GET /b?list-type=2&delimiter=%2F&max-keys=2{token}");
        let page = server.ask(&line, &[], "").await.1;
        found.extend(["Key", "Prefix"].iter().flat_map(|name| {
            xml::elements(&page, name)
                .iter()
                .filter(|text| !text.is_empty())
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        }));
        let Some(next) = xml::element(&page, "NextContinuationToken") else { break };
        token = format!("&continuation-token={next}");
    }
    assert_eq!(found, ["&lt;&amp;&gt;", "a/", "b", "c/"]);
    let deleted = "<Delete><Object><Key>b</Key></Object><Object><Key>none</Key></Object></Delete>";
    assert_eq!(server.code("POST /b?delete", &[], deleted).await, "200");
    assert_eq!(server.code("GET /b/b", &[], "").await, "NoSuchKey");
}

#[tokio::test(start_paused = true)]
async fn what_it_does_not_know_and_what_is_hostile_is_refused() {
    let server = Asked::open();
    for (line, code) in [
        ("GET /none/a", "NoSuchBucket"),
        ("PUT /b", "BucketAlreadyOwnedByYou"),
        ("DELETE /none", "NoSuchBucket"),
        ("GET /b/a?tagging", "NotImplemented"),
        ("GET /b", "NotImplemented"),
        ("PATCH /b/a", "NotImplemented"),
        ("GET /..%2F..%2Fetc/a", "InvalidBucketName"),
        ("GET /b/%ff", "InvalidURI"),
        ("GET /b/%+1", "InvalidURI"),
        ("GET /b?list-type=2&continuation-token=!", "InvalidArgument"),
    ] {
        assert_eq!(server.code(line, &[], "").await, code, "{line}");
    }
    let signed = Asked::new(BucketSettings::new("b").with_key(AccessKey::new("A", "secret")));
    for authorization in ["", "x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=A/1/2,SignedHeaders=,Signature="] {
        let headers = [("authorization", authorization), ("x-amz-date", "20250101T000000Z")];
        assert!(server_refuses(&signed, &headers).await, "{authorization}");
    }
    assert_eq!(signed.code("GET /b/a", &[], "").await, "AccessDenied");
}

async fn server_refuses(server: &Asked, headers: &[(&str, &str)]) -> bool {
    matches!(server.ask("GET /b/a", headers, "").await.0, 400 | 403)
}
