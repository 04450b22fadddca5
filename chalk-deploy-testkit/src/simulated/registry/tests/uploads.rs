//! Uploads in every style, and what must be refused.

use futures::StreamExt as _;
use proptest::prelude::*;

use super::*;
use crate::simulated::registry::{Account, Action, Mounts, RequestKind, UploadLocation, UploadSettings};

#[tokio::test(start_paused = true)]
async fn a_blob_is_uploaded_in_one_request_in_two_and_in_many() {
    let registry = plain();
    let digests = ["one", "two", "many"].map(|text| digest(text.as_bytes()));
    let once = give(&registry, "POST", &format!("/v2/a/blobs/uploads/?digest={}", digests[0]), b"one").await.is(201);
    assert_eq!(once.location(), format!("/v2/a/blobs/{}", digests[0]));
    assert_eq!(once.header("docker-content-digest"), digests[0]);

    push(&registry, "a", b"two").await;

    let begun = ask(&registry, "POST", "/v2/a/blobs/uploads/").await.is(202);
    assert_eq!(begun.header("range"), "0-0");
    let first = chunk(&registry, begun.location(), 0, b"ma").await.is(202);
    assert_eq!(first.header("range"), "0-1");
    let status = ask(&registry, "GET", first.location()).await.is(204);
    assert_eq!(status.header("range"), "0-1");
    let second = chunk(&registry, status.location(), 2, b"n").await.is(202);
    give(&registry, "PUT", &with_digest(second.location(), &digests[2]), b"y").await.is(201);

    for (digest, text) in digests.iter().zip(["one", "two", "many"]) {
        let head = ask(&registry, "HEAD", &format!("/v2/a/blobs/{digest}")).await.is(200);
        assert_eq!((head.header("content-length"), head.body.len()), (text.len().to_string().as_str(), 0));
        let got = ask(&registry, "GET", &format!("/v2/a/blobs/{digest}")).await.is(200);
        assert_eq!(got.body, text);
    }
    assert_eq!(registry.blobs().expect("readable").len(), 3);
    assert_eq!(registry.uploads().expect("readable"), [""; 0]);
    let log = registry.request_log();
    assert_eq!((log.count(RequestKind::UploadStart), log.count(RequestKind::UploadChunk), log.total()), (3, 2, 14));
}

#[tokio::test(start_paused = true)]
async fn a_blob_is_stored_under_its_sha512_digest_too() {
    let registry = plain();
    let digest = ContentDigest::of(b"bytes", Algorithm::Sha512);
    let begun = ask(&registry, "POST", "/v2/a/blobs/uploads/").await.is(202);
    let sent = chunk(&registry, begun.location(), 0, b"byt").await.is(202);
    give(&registry, "PUT", &with_digest(sent.location(), digest.as_str()), b"es").await.is(201);
    assert_eq!(ask(&registry, "GET", &format!("/v2/a/blobs/{digest}")).await.is(200).body, "bytes");
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_is_not_the_next_one_is_refused_with_how_far_the_upload_is() {
    let registry = plain();
    let begun = ask(&registry, "POST", "/v2/a/blobs/uploads/").await.is(202);
    let sent = chunk(&registry, begun.location(), 0, b"abc").await.is(202);
    for first in [0, 2, 4] {
        let refused = chunk(&registry, sent.location(), first, b"de").await.is_refused(416, "BLOB_UPLOAD_INVALID");
        assert_eq!((refused.header("range"), refused.location()), ("0-2", sent.location()));
    }
    for (range, length, status, code) in [
        ("3-3", "2", 400, "SIZE_INVALID"),
        ("4-3", "2", 416, "BLOB_UPLOAD_INVALID"),
        ("3-2", "2", 400, "BLOB_UPLOAD_INVALID"),
        ("bytes 3-4", "2", 400, "BLOB_UPLOAD_INVALID"),
        ("3-99999999999999999999", "2", 400, "BLOB_UPLOAD_INVALID"),
        ("3-18446744073709551615", "2", 400, "SIZE_INVALID"),
    ] {
        let headers = [("content-range", range), ("content-length", length)];
        send(&registry, "PATCH", sent.location(), &headers, full("de")).await.is_refused(status, code);
    }
    let digest = digest(b"abcde");
    let target = with_digest(sent.location(), &digest);
    send(&registry, "PUT", &target, &[("content-range", "0-1")], full("de")).await.is(416);
    send(&registry, "PUT", &target, &[("content-range", "3-4")], full("de")).await.is(201);
}

#[tokio::test(start_paused = true)]
async fn bytes_with_another_digest_are_not_stored_and_end_the_upload() {
    let registry = plain();
    let other = digest(b"other");
    give(&registry, "POST", &format!("/v2/a/blobs/uploads/?digest={other}"), b"bytes")
        .await
        .is_refused(400, "DIGEST_INVALID");
    let begun = ask(&registry, "POST", "/v2/a/blobs/uploads/").await.is(202);
    for wrong in ["md5:d41d8cd98f00b204e9800998ecf8427e", "", "sha256:short"] {
        give(&registry, "PUT", &with_digest(begun.location(), wrong), b"bytes").await.is_refused(400, "DIGEST_INVALID");
    }
    give(&registry, "PUT", begun.location(), b"bytes").await.is_refused(400, "DIGEST_INVALID");
    give(&registry, "PUT", &with_digest(begun.location(), &other), b"bytes").await.is_refused(400, "DIGEST_INVALID");
    ask(&registry, "GET", begun.location()).await.is_refused(404, "BLOB_UPLOAD_UNKNOWN");
    assert!(registry.blobs().expect("readable").is_empty() && registry.uploads().expect("readable").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_arrived_before_a_body_broke_off_is_kept_and_reported() {
    let registry = plain();
    let begun = ask(&registry, "POST", "/v2/a/blobs/uploads/").await.is(202);
    let torn =
        || futures::stream::iter([Ok(Bytes::from("abc")), Err(std::io::ErrorKind::ConnectionReset.into())]).boxed();
    send(&registry, "PATCH", begun.location(), &[("content-range", "0-9")], torn()).await.is(400);
    let short = [("content-range", "3-9"), ("content-length", "7")];
    send(&registry, "PATCH", begun.location(), &short, full("d")).await.is(400);
    let status = ask(&registry, "GET", begun.location()).await.is(204);
    assert_eq!(status.header("range"), "0-3");
    let digest = digest(b"abcdef");
    let target = with_digest(begun.location(), &digest);
    let torn = futures::stream::iter([Ok(Bytes::from("e")), Err(std::io::ErrorKind::ConnectionReset.into())]).boxed();
    send(&registry, "PUT", &target, &[], torn).await.is(400);
    give(&registry, "PUT", &target, b"f").await.is(201);
    assert_eq!(ask(&registry, "GET", &format!("/v2/a/blobs/{digest}")).await.body, "abcdef");
}

#[tokio::test(start_paused = true)]
async fn more_bytes_than_announced_or_allowed_are_refused() {
    let settings = RegistrySettings { largest_blob: 10, ..RegistrySettings::plain() };
    let registry = registry(settings);
    let begun = ask(&registry, "POST", "/v2/a/blobs/uploads/").await.is(202);
    send(&registry, "PATCH", begun.location(), &[("content-length", "2")], full("abc")).await.is(413);
    send(&registry, "PATCH", begun.location(), &[("content-length", "11")], empty()).await.is(413);
    send(&registry, "PATCH", begun.location(), &[], full("12345678901")).await.is(413);
    assert_eq!(ask(&registry, "GET", begun.location()).await.header("range"), "0-0");
}

#[tokio::test(start_paused = true)]
async fn an_upload_belongs_to_its_repository_and_can_be_cancelled() {
    let registry = plain();
    let begun = ask(&registry, "POST", "/v2/a/blobs/uploads/").await.is(202);
    let elsewhere = begun.location().replacen("/v2/a/", "/v2/b/", 1);
    for method in ["GET", "PATCH", "PUT", "DELETE"] {
        ask(&registry, method, &format!("{elsewhere}?digest={}", digest(b"")))
            .await
            .is_refused(404, "BLOB_UPLOAD_UNKNOWN");
    }
    ask(&registry, "DELETE", begun.location()).await.is(204);
    ask(&registry, "PATCH", begun.location()).await.is_refused(404, "BLOB_UPLOAD_UNKNOWN");
    ask(&registry, "GET", "/v2/a/blobs/uploads/..%2f..%2fblobs").await.is_refused(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test(start_paused = true)]
async fn of_two_who_send_a_chunk_at_once_one_is_refused_and_the_other_is_stored() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for world in [World::memory(), World::directory(folder.path()).expect("a world")] {
        let registry = on(&world, 1);
        let begun = ask(&registry, "POST", "/v2/a/blobs/uploads/").await.is(202);
        let slow = |pieces: [&'static str; 2]| {
            let pieces = pieces.map(|piece| async move {
                tokio::task::yield_now().await;
                Ok(Bytes::from(piece))
            });
            futures::stream::iter(pieces).then(|piece| piece).boxed()
        };
        let headers = [("content-range", "0-2")];
        let (one, other) = tokio::join!(
            send(&registry, "PATCH", begun.location(), &headers, slow(["ab", "c"])),
            send(&registry, "PATCH", begun.location(), &headers, slow(["xy", "z"])),
        );
        let kept = match (one.status.as_u16(), other.status.as_u16()) {
            (202, 416) => "abc",
            (416, 202) => "xyz",
            statuses => panic!("{statuses:?}"),
        };
        give(&registry, "PUT", &with_digest(begun.location(), &digest(kept.as_bytes())), b"").await.is(201);
        let got = ask(&registry, "GET", &format!("/v2/a/blobs/{}", digest(kept.as_bytes()))).await.is(200);
        assert_eq!(got.body, kept);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_server_on_the_world_goes_on_from_the_offset_that_it_reports() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let world = || World::directory(folder.path()).expect("the world");
    let first = on(&world(), 1);
    let begun = ask(&first, "POST", "/v2/a/blobs/uploads/").await.is(202);
    chunk(&first, begun.location(), 0, b"abc").await.is(202);
    {
        // Killed while the second chunk arrives: its bytes so far are on the disk, but nobody was told so.
        let pieces = futures::stream::iter([Ok(Bytes::from("de"))]).chain(futures::stream::pending()).boxed();
        let headers = [("content-range", "3-9")];
        let sending = send(&first, "PATCH", begun.location(), &headers, pieces);
        futures::pin_mut!(sending);
        assert!(futures::poll!(&mut sending).is_pending());
    }
    drop(first);

    let second = on(&world(), 2);
    let status = ask(&second, "GET", begun.location()).await.is(204);
    assert_eq!(status.header("range"), "0-2");
    let sent = chunk(&second, status.location(), 3, b"xyz").await.is(202);
    drop(second);
    let third = on(&world(), 3);
    let digest = digest(b"abcxyz!");
    give(&third, "PUT", &with_digest(sent.location(), &digest), b"!").await.is(201);
    assert_eq!(ask(&third, "GET", &format!("/v2/a/blobs/{digest}")).await.body, "abcxyz!");
    let left: Vec<_> =
        world().snapshot().expect("readable").into_keys().filter(|name| name.contains("uploads")).collect();
    assert_eq!(left, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn two_servers_on_one_world_take_turns_with_an_upload() {
    let world = World::memory();
    let (one, other) = (on(&world, 1), on(&world, 2));
    let begun = ask(&one, "POST", "/v2/a/blobs/uploads/").await.is(202);
    for (registry, first, bytes) in [(&one, 0, b"ab"), (&other, 2, b"cd"), (&one, 4, b"ef"), (&other, 6, b"gh")] {
        chunk(registry, begun.location(), first, bytes).await.is(202);
    }
    give(&one, "PUT", &with_digest(begun.location(), &digest(b"abcdefghi")), b"i").await.is(201);
}

#[tokio::test(start_paused = true)]
async fn a_location_elsewhere_must_be_followed_as_it_was_given() {
    let uploads = UploadSettings { location: UploadLocation::Elsewhere, ..RegistrySettings::plain().uploads };
    let registry = registry(RegistrySettings { uploads, ..RegistrySettings::plain() });
    let begun = ask(&registry, "POST", "/v2/a/blobs/uploads/").await.is(202);
    assert!(begun.location().starts_with("/upload-sessions/a/"), "{begun:?}");
    let (path, _) = begun.location().split_once('?').expect("a state");
    give(&registry, "PATCH", path, b"ab").await.is_refused(400, "BLOB_UPLOAD_INVALID");
    give(&registry, "PATCH", &begun.location().replace("state=0", "state=1"), b"ab").await.is(400);
    let first = give(&registry, "PATCH", begun.location(), b"ab").await.is(202);
    // The answer was lost and the chunk is sent again: refused, and told where the upload goes on.
    let again = give(&registry, "PATCH", begun.location(), b"ab").await.is_refused(416, "BLOB_UPLOAD_INVALID");
    assert_eq!((again.location(), again.header("range")), (first.location(), "0-1"));
    assert_eq!(ask(&registry, "GET", begun.location()).await.is(204).location(), first.location());
    give(&registry, "PUT", &with_digest(first.location(), &digest(b"abc")), b"c").await.is(201);
}

#[tokio::test(start_paused = true)]
async fn a_blob_is_mounted_where_the_settings_and_the_account_allow_it() {
    let digest = digest(b"layer");
    let mount = |from: &str| format!("/v2/b/blobs/uploads/?mount={digest}{from}");
    for (mounts, named, anonymous) in
        [(Mounts::Never, 202, 202), (Mounts::FromNamed, 201, 202), (Mounts::FromAny, 201, 201)]
    {
        for (from, status) in [("&from=a", named), ("", anonymous), ("&from=nowhere", 202), ("&from=..", 202)] {
            let registry = registry(RegistrySettings { mounts, ..RegistrySettings::plain() });
            push(&registry, "a", b"layer").await;
            let reply = ask(&registry, "POST", &mount(from)).await.is(status);
            let held = ask(&registry, "HEAD", &format!("/v2/b/blobs/{digest}")).await.status;
            assert_eq!(held == 200, status == 201, "{mounts:?} {from}");
            if status == 202 {
                give(&registry, "PUT", &with_digest(reply.location(), &digest), b"layer").await.is(201);
            }
        }
    }

    let all = [Action::Pull, Action::Push];
    let mut settings = RegistrySettings::plain().with_basic_user("root", "x");
    settings.accounts.push(Account::new("tenant", "y").may(all, "b"));
    let registry = registry(settings);
    let headers = |value: &str| [("authorization", value.to_owned())];
    let root = headers(&basic("root", "x"));
    let root = root.each_ref().map(|(name, value)| (*name, value.as_str()));
    send(&registry, "POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &root, full("layer")).await.is(201);
    let tenant = headers(&basic("tenant", "y"));
    let tenant = tenant.each_ref().map(|(name, value)| (*name, value.as_str()));
    for from in ["&from=a", ""] {
        send(&registry, "POST", &mount(from), &tenant, empty()).await.is(202);
    }
    send(&registry, "GET", &format!("/v2/b/blobs/{digest}"), &tenant, empty()).await.is_refused(404, "NAME_UNKNOWN");
}

#[tokio::test(start_paused = true)]
async fn a_blob_is_read_in_parts() {
    let registry = plain();
    push(&registry, "a", b"0123456789").await;
    let target = format!("/v2/a/blobs/{}", digest(b"0123456789"));
    let part = send(&registry, "GET", &target, &[("range", "bytes=2-4")], empty()).await.is(206);
    assert_eq!((part.header("content-range"), part.header("content-length")), ("bytes 2-4/10", "3"));
    assert_eq!(part.body, "234");
    let outside = send(&registry, "GET", &target, &[("range", "bytes=10-")], empty()).await.is(416);
    assert_eq!(outside.header("content-range"), "bytes */10");
    ask(&registry, "GET", &format!("/v2/a/blobs/{}", digest(b"none"))).await.is_refused(404, "BLOB_UNKNOWN");
    ask(&registry, "GET", "/v2/a/blobs/sha256:none").await.is_refused(400, "DIGEST_INVALID");
    ask(&registry, "DELETE", &target).await.is(202);
    ask(&registry, "DELETE", &target).await.is_refused(404, "BLOB_UNKNOWN");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_split_into_chunks_with_retries_and_strays_stores_the_same_blob(
        chunks in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..40), 0_u8..6), 0..8),
        last in prop::collection::vec(any::<u8>(), 0..40),
        durable in any::<bool>(),
        elsewhere in any::<bool>(),
        sha512 in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().start_paused(true).enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let world = if durable { World::directory(folder.path()).expect("a world") } else { World::memory() };
            let location = if elsewhere { UploadLocation::Elsewhere } else { UploadLocation::Relative };
            let uploads = UploadSettings { location, ..RegistrySettings::plain().uploads };
            let settings = RegistrySettings { uploads, ..RegistrySettings::plain() };
            let start = || RegistryServer::new(&world, VirtualRuntime::new(1), settings.clone());
            let mut registry = start();
            let mut place = ask(&registry, "POST", "/v2/a/blobs/uploads/").await.is(202).location().to_owned();
            let mut whole = Vec::new();
            for (bytes, what) in &chunks {
                match what {
                    // A stray chunk from before or after.
                    0 => drop(chunk(&registry, &place, whole.len() + 1, bytes).await.is(416)),
                    1 if !whole.is_empty() => drop(chunk(&registry, &place, 0, bytes).await.is(416)),
                    // The process is started anew. (The same seed gives the same key, as if it were kept.)
                    2 => registry = start(),
                    _ => {}
                }
                let sent = chunk(&registry, &place, whole.len(), bytes).await.is(202);
                if *what == 3 {
                    // The answer was lost; the client asks how far it is.
                    chunk(&registry, &place, whole.len(), bytes).await.is(416);
                    let status = ask(&registry, "GET", &place).await.is(204);
                    assert_eq!(status.header("range"), format!("0-{}", whole.len() + bytes.len() - 1));
                }
                place = sent.location().to_owned();
                whole.extend_from_slice(bytes);
            }
            whole.extend_from_slice(&last);
            let algorithm = if sha512 { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let digest = ContentDigest::of(&whole, algorithm);
            give(&registry, "PUT", &with_digest(&place, digest.as_str()), &last).await.is(201);
            let got = ask(&registry, "GET", &format!("/v2/a/blobs/{digest}")).await.is(200);
            assert_eq!(got.body, whole);
            let names: Vec<_> = world.snapshot().expect("readable").into_keys().collect();
            assert_eq!(names.iter().filter(|name| name.contains("uploads")).count(), 0, "{names:?}");
        });
    }
}
