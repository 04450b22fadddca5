use std::sync::Arc;

use chalk_deploy_core::transport::{RequestBody, Transport};
use futures::TryStreamExt as _;

use super::*;
use crate::VirtualRuntime;
use crate::simulated::bucket::xml::element;
use crate::simulated::http::in_process;

/// An account with one container, and requests to it as text.
struct Asked(Transport);

impl Asked {
    fn new(settings: AzureBucketSettings) -> Self {
        let server = AzureBucketServer::new(&World::memory(), VirtualRuntime::new(1), settings).expect("a server");
        Self(in_process(Arc::new(server)))
    }

    fn open() -> Self {
        Self::new(AzureBucketSettings::new("sources"))
    }

    async fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> (u16, Vec<(String, String)>, String) {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(method).uri(format!("http://acme.blob.example{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(RequestBody::Bytes(body.to_owned().into())).expect("a request");
        let response = self.0.send(request).await.expect("an answer");
        let status = response.status().as_u16();
        let text = |value: &HeaderValue| value.to_str().expect("text").to_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let pieces: Vec<_> = response.into_body().try_collect().await.expect("a whole body");
        (status, headers, String::from_utf8(pieces.concat()).expect("text"))
    }

    async fn put(&self, name: &str, body: &str) -> u16 {
        self.ask(&format!("PUT /sources/{name}"), &[("x-ms-blob-type", "BlockBlob")], body).await.0
    }

    /// The code of a refusal, else the status.
    async fn code(&self, line: &str, headers: &[(&str, &str)], body: &str) -> String {
        let (status, _, answer) = self.ask(line, headers, body).await;
        element(&answer, "Code").unwrap_or_else(|| status.to_string())
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str()).unwrap_or_default()
}

const BLOCK_BLOB: (&str, &str) = ("x-ms-blob-type", "BlockBlob");

#[tokio::test]
async fn a_blob_is_given_back_with_what_was_said_of_it_whole_and_in_ranges() {
    let account = Asked::open();
    let said =
        [BLOCK_BLOB, ("x-ms-meta-a", "1"), ("content-type", "text/plain"), ("x-ms-blob-cache-control", "no-store")];
    assert_eq!(account.ask("PUT /sources/d/a%20b", &said, "0123456789").await.0, 201);
    let (status, headers, body) = account.ask("GET /sources/d/a%20b", &[], "").await;
    assert_eq!((status, body.as_str(), header(&headers, "x-ms-meta-a")), (200, "0123456789", "1"));
    assert_eq!((header(&headers, "content-type"), header(&headers, "cache-control")), ("text/plain", "no-store"));
    for (range, expected) in
        [("bytes=2-4", (206, "234")), ("bytes=7-", (206, "789")), ("bytes=0-99", (206, "0123456789"))]
    {
        let (status, _, body) = account.ask("GET /sources/d/a%20b", &[("x-ms-range", range)], "").await;
        assert_eq!((status, body.as_str()), expected, "{range}");
    }
    assert_eq!(account.code("GET /sources/d/a%20b", &[("range", "bytes=10-")], "").await, "InvalidRange");
    let (status, headers, body) = account.ask("HEAD /sources/d/a%20b", &[], "").await;
    assert_eq!((status, header(&headers, "content-length"), body.as_str()), (200, "10", ""));
    assert_eq!(account.ask("DELETE /sources/d/a%20b", &[], "").await.0, 202);
    assert_eq!(account.code("DELETE /sources/d/a%20b", &[], "").await, "BlobNotFound");
}

#[tokio::test]
async fn conditions_of_reads_writes_and_copies_are_kept() {
    let account = Asked::open();
    let once = [BLOCK_BLOB, ("if-none-match", "*")];
    assert_eq!(account.code("PUT /sources/a", &once, "one").await, "201");
    assert_eq!(account.code("PUT /sources/a", &once, "two").await, "BlobAlreadyExists");
    let (_, headers, _) = account.ask("GET /sources/a", &[], "").await;
    let tag = header(&headers, "etag").to_owned();
    assert_eq!(account.ask("GET /sources/a", &[("if-none-match", &tag)], "").await.0, 304);
    for (line, wrong) in [("GET /sources/a", "\"0x1\""), ("DELETE /sources/a", "\"0x1\"")] {
        assert_eq!(account.code(line, &[("if-match", wrong)], "").await, "ConditionNotMet", "{line}");
    }
    assert_eq!(account.code("PUT /sources/a", &[BLOCK_BLOB, ("if-match", "\"0x1\"")], "x").await, "ConditionNotMet");
    assert_eq!(account.code("PUT /sources/none", &[BLOCK_BLOB, ("if-match", &tag)], "x").await, "ConditionNotMet");
    assert_eq!(account.code("PUT /sources/a", &[BLOCK_BLOB, ("if-match", &tag)], "two").await, "201");
    let copy = [("x-ms-copy-source", "http://acme.blob.example/sources/a"), ("if-none-match", "*")];
    let (status, headers, _) = account.ask("PUT /sources/b", &copy, "").await;
    assert_eq!((status, header(&headers, "x-ms-copy-status")), (202, "success"));
    assert_eq!(account.code("PUT /sources/b", &copy, "").await, "BlobAlreadyExists");
    assert_eq!(account.ask("GET /sources/b", &[], "").await.2, "two");
    let nothing = [("x-ms-copy-source", "http://acme.blob.example/sources/none")];
    assert_eq!(account.code("PUT /sources/c", &nothing, "").await, "CannotVerifyCopySource");
}

#[tokio::test]
async fn blocks_become_a_blob_in_the_order_of_their_list_and_not_before() {
    let account = Asked::open();
    for (id, bytes) in [("YQ%3D%3D", "one,"), ("Yg%3D%3D", "two,")] {
        let line = format!("PUT /sources/a?comp=block&blockid={id}");
        assert_eq!(account.ask(&line, &[], bytes).await.0, 201);
    }
    assert_eq!(account.code("GET /sources/a", &[], "").await, "BlobNotFound");
    let list = |ids: &str| format!("<?xml version=\"1.0\"?><BlockList>{ids}</BlockList>");
    let commit = "PUT /sources/a?comp=blocklist";
    let missing = list("<Latest>Yw==</Latest>");
    assert_eq!(account.code(commit, &[], &missing).await, "InvalidBlockList");
    assert_eq!(account.code(commit, &[], "no list").await, "InvalidXmlDocument");
    let both = list("<Uncommitted>Yg==</Uncommitted><Latest>YQ==</Latest>");
    let said = [("x-ms-meta-a", "1"), ("content-type", "application/xml")];
    assert_eq!(account.ask(commit, &said, &both).await.0, 201);
    let (_, headers, body) = account.ask("GET /sources/a", &[], "").await;
    assert_eq!((body.as_str(), header(&headers, "x-ms-meta-a")), ("two,one,", "1"));
    assert_eq!(header(&headers, "content-type"), "application/octet-stream", "that of the list is not the blob's");
    assert_eq!(account.code(commit, &[], &both).await, "InvalidBlockList", "they were committed");
}

#[tokio::test]
async fn a_list_has_folders_and_pages() {
    let account = Asked::new(AzureBucketSettings::new("sources").with_list_most(2));
    for name in ["a/1", "a/2", "b", "c/1", "%3C%26%3E"] {
        assert_eq!(account.put(name, "x").await, 201);
    }
    for (query, expected) in [
        ("", vec!["&lt;&amp;&gt;", "a/1", "a/2", "b", "c/1"]),
        ("&delimiter=%2F", vec!["&lt;&amp;&gt;", "a/", "b", "c/"]),
        ("&prefix=a%2F", vec!["a/1", "a/2"]),
    ] {
        let (mut found, mut marker) = (Vec::new(), String::new());
        loop {
            let line = format!("GET /sources?restype=container&comp=list{query}&marker={marker}");
            let page = account.ask(&line, &[], "").await.2;
            let names = crate::simulated::bucket::xml::elements(&page, "Name");
            assert!((1..=2).contains(&names.len()), "{page}");
            found.extend(names.into_iter().map(str::to_owned));
            marker = element(&page, "NextMarker").expect("it is always there");
            if marker.is_empty() {
                break;
            }
        }
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn nobody_is_let_in_without_a_token_that_it_knows_once_it_knows_one() {
    let account = Asked::new(AzureBucketSettings::new("sources").with_token("token-1"));
    let version = ("x-ms-version", "2023-11-03");
    for (headers, code) in [
        (vec![version], "NoAuthenticationInformation"),
        (vec![version, ("authorization", "Bearer token-2")], "InvalidAuthenticationInfo"),
        (vec![version, ("authorization", "SharedKey acme:x")], "NoAuthenticationInformation"),
        (vec![("authorization", "Bearer token-1")], "InvalidAuthenticationInfo"),
        (vec![version, ("authorization", "Bearer token-1")], "BlobNotFound"),
    ] {
        assert_eq!(account.code("GET /sources/a", &headers, "").await, code, "{headers:?}");
    }
    assert!(!format!("{:?}", AzureBucketSettings::new("sources").with_token("hidden")).contains("hidden"));
}

#[tokio::test]
async fn what_it_does_not_know_and_what_is_hostile_is_refused() {
    let account = Asked::open();
    for (line, code) in [
        ("GET /none/a", "ContainerNotFound"),
        ("GET /..%2F..%2Fetc/a", "InvalidResourceName"),
        ("GET /sources/%ff", "InvalidUri"),
        ("PUT /sources/a", "InvalidHeaderValue"),
        ("PUT /sources/a?comp=block&blockid=!", "InvalidQueryParameterValue"),
        ("PUT /sources/a?comp=block", "InvalidQueryParameterValue"),
        ("PUT /sources/a?comp=lease", "UnsupportedQueryParameter"),
        ("GET /sources?restype=container&comp=acl", "UnsupportedQueryParameter"),
        ("GET /sources?restype=container&comp=list&maxresults=0", "InvalidQueryParameterValue"),
        ("GET /sources?restype=container&comp=list&marker=!", "InvalidQueryParameterValue"),
    ] {
        assert_eq!(account.code(line, &[], "").await, code, "{line}");
    }
    let wrong = [BLOCK_BLOB, ("content-md5", "AAAA")];
    assert_eq!(account.code("PUT /sources/a", &wrong, "x").await, "Md5Mismatch");
    let emulated = Asked::new(AzureBucketSettings::new("sources").with_account_in_path("acme"));
    assert_eq!(emulated.code("GET /sources/a", &[], "").await, "InvalidUri");
    assert_eq!(emulated.ask("PUT /acme/sources/a", &[BLOCK_BLOB], "x").await.0, 201);
    assert_eq!(emulated.ask("GET /acme/sources/a", &[], "").await.2, "x");
    let copy = [("x-ms-copy-source", "http://h/acme/sources/a")];
    assert_eq!(emulated.ask("PUT /acme/sources/b", &copy, "").await.0, 202);
}

#[tokio::test]
async fn what_it_has_acknowledged_outlives_it() {
    let world = World::memory();
    let account = || {
        let settings = AzureBucketSettings::new("sources");
        AzureBucketServer::new(&world, VirtualRuntime::new(1), settings).expect("a server")
    };
    let first = Asked(in_process(Arc::new(account())));
    assert_eq!(first.put("a", "kept").await, 201);
    assert_eq!(first.ask("PUT /sources/b?comp=block&blockid=YQ%3D%3D", &[], "block").await.0, 201);
    drop(first);
    let again = account();
    assert_eq!(again.names("sources").expect("readable"), ["a"]);
    let again = Asked(in_process(Arc::new(again)));
    assert_eq!(again.ask("GET /sources/a", &[], "").await.2, "kept");
    let list = "<BlockList><Latest>YQ==</Latest></BlockList>";
    assert_eq!(again.ask("PUT /sources/b?comp=blocklist", &[], list).await.0, 201);
    assert_eq!(again.ask("GET /sources/b", &[], "").await.2, "block");
}
