//! What every [`ObjectStore`] does.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chalk_deploy_core::cloud::{ByteStream, ObjectStore, Payload, PayloadSource, PutMode};
use chalk_deploy_core::model::{Digest, ObjectKey};
use chalk_deploy_core::{Error, ErrorCode, Result};
use futures::StreamExt as _;

use super::{Fresh, Verdict, Violation, ensure, read, refused, suite};

suite! { "object_store", dyn ObjectStore;
    a_put_object_is_read_back_whole,
    an_empty_object_is_an_object,
    putting_the_same_bytes_again_succeeds_in_both_modes_and_leaves_one_object,
    a_write_once_key_keeps_its_first_bytes,
    a_replaced_key_holds_the_new_bytes,
    bytes_that_are_not_the_declared_ones_are_never_stored,
    a_payload_that_cannot_be_opened_fails_with_its_own_error_and_stores_nothing,
    a_payload_that_breaks_off_stores_nothing,
    of_two_writers_of_a_write_once_key_one_wins,
    a_key_that_holds_nothing_has_no_head_and_cannot_be_opened,
    the_digest_is_known_as_the_capabilities_say,
    a_copy_has_the_bytes_of_its_origin_and_may_be_repeated,
    a_copy_of_nothing_is_refused,
    a_copy_never_changes_a_write_once_key_that_holds_other_bytes,
    deleting_removes_one_object_and_may_be_repeated,
    a_list_is_ordered_and_its_prefix_is_text,
    a_list_goes_on_after_a_key,
    unusual_keys_are_told_apart,
}

/// A put object is read back whole.
pub async fn a_put_object_is_read_back_whole(store: &dyn ObjectStore, fresh: &Fresh) -> Verdict {
    let key = fresh.key("a")?;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let (pieces, sha256) = (pieces(&bytes, 700_001), Digest::of(&bytes));
    let payload = Payload::new(sha256, bytes.len() as u64, Arc::new(pieces));
    let metadata = store.put(&key, &payload, PutMode::WriteOnce).await?;
    ensure!(metadata.key == key && metadata.size == 3_000_000, "put answered {metadata:?}");
    let download = store.get(&key).await?;
    ensure!(download.metadata.size == 3_000_000, "get answered {:?}", download.metadata);
    ensure!(Digest::of(read(download.body).await?) == sha256, "the bytes read are not the bytes put");
    Ok(())
}

/// An empty object is an object.
pub async fn an_empty_object_is_an_object(store: &dyn ObjectStore, fresh: &Fresh) -> Verdict {
    let key = fresh.key("empty")?;
    put(store, &key, "", PutMode::WriteOnce).await?;
    ensure!(store.head(&key).await?.is_some_and(|metadata| metadata.size == 0), "it has no head");
    holds(store, &key, "").await
}

/// Putting the same bytes again succeeds, in both modes, and leaves one object.
pub async fn putting_the_same_bytes_again_succeeds_in_both_modes_and_leaves_one_object(
    store: &dyn ObjectStore,
    fresh: &Fresh,
) -> Verdict {
    let key = fresh.key("a")?;
    for mode in [PutMode::WriteOnce, PutMode::WriteOnce, PutMode::Replace, PutMode::WriteOnce] {
        put(store, &key, "same", mode).await?;
    }
    holds(store, &key, "same").await?;
    let found = store.list(fresh.prefix(), None, 10).await?;
    ensure!(found.len() == 1, "there are {} objects", found.len());
    Ok(())
}

/// A write-once key keeps its first bytes.
pub async fn a_write_once_key_keeps_its_first_bytes(store: &dyn ObjectStore, fresh: &Fresh) -> Verdict {
    let key = fresh.key("a")?;
    put(store, &key, "first", PutMode::WriteOnce).await?;
    let second = store.put(&key, &Payload::from_bytes("second"), PutMode::WriteOnce).await;
    refused(second, ErrorCode::ObjectExists, "putting other bytes")?;
    holds(store, &key, "first").await
}

/// A replaced key holds the new bytes.
pub async fn a_replaced_key_holds_the_new_bytes(store: &dyn ObjectStore, fresh: &Fresh) -> Verdict {
    let key = fresh.key("a")?;
    for text in ["first", "the second, which is longer", "3"] {
        put(store, &key, text, PutMode::Replace).await?;
        holds(store, &key, text).await?;
    }
    Ok(())
}

/// Bytes that are not the declared ones are never stored: another digest, fewer, more.
pub async fn bytes_that_are_not_the_declared_ones_are_never_stored(store: &dyn ObjectStore, fresh: &Fresh) -> Verdict {
    let kept = fresh.key("kept")?;
    put(store, &kept, "kept", PutMode::Replace).await?;
    for (declared, size) in [("other", 5), ("bytes", 4), ("bytes", 6)] {
        let lie = Payload::new(Digest::of(declared), size, Arc::new(pieces(b"bytes", 2)));
        for (key, mode) in [(fresh.key("new")?, PutMode::WriteOnce), (kept.clone(), PutMode::Replace)] {
            let what = format!("putting `bytes` declared as {size} bytes of `{declared}`");
            refused(store.put(&key, &lie, mode).await, ErrorCode::DigestMismatch, &what)?;
        }
    }
    absent(store, &fresh.key("new")?).await?;
    holds(store, &kept, "kept").await
}

/// A payload that cannot be opened fails with its own error and stores nothing.
pub async fn a_payload_that_cannot_be_opened_fails_with_its_own_error_and_stores_nothing(
    store: &dyn ObjectStore,
    fresh: &Fresh,
) -> Verdict {
    struct Closed;
    #[async_trait]
    impl PayloadSource for Closed {
        async fn open(&self) -> Result<ByteStream> {
            Err(Error::new(ErrorCode::SourceUnreadable, "the file is locked"))
        }
    }
    let key = fresh.key("a")?;
    let payload = Payload::new(Digest::of("x"), 1, Arc::new(Closed));
    refused(store.put(&key, &payload, PutMode::WriteOnce).await, ErrorCode::SourceUnreadable, "putting it")?;
    absent(store, &key).await
}

/// A payload that breaks off stores nothing.
pub async fn a_payload_that_breaks_off_stores_nothing(store: &dyn ObjectStore, fresh: &Fresh) -> Verdict {
    struct Torn;
    #[async_trait]
    impl PayloadSource for Torn {
        async fn open(&self) -> Result<ByteStream> {
            let torn = std::io::Error::other("the disk went away");
            Ok(futures::stream::iter([Ok(Bytes::from_static(b"by")), Err(torn)]).boxed())
        }
    }
    let key = fresh.key("a")?;
    let payload = Payload::new(Digest::of("bytes"), 5, Arc::new(Torn));
    ensure!(store.put(&key, &payload, PutMode::WriteOnce).await.is_err(), "a torn body was taken for a whole one");
    absent(store, &key).await?;
    put(store, &key, "bytes", PutMode::WriteOnce).await
}

/// Of two writers of a write-once key one wins, where the store says that it can tell.
pub async fn of_two_writers_of_a_write_once_key_one_wins(store: &dyn ObjectStore, fresh: &Fresh) -> Verdict {
    if !store.capabilities().conditional_put {
        return Ok(());
    }
    for round in 0..10 {
        let key = fresh.key(&format!("round-{round}"))?;
        let payloads =
            ["one", "two"].map(|text| Payload::new(Digest::of(text), 3, Arc::new(pieces(text.as_bytes(), 1))));
        let [one, two] = payloads.each_ref().map(|payload| store.put(&key, payload, PutMode::WriteOnce));
        let (one, two) = futures::join!(one, two);
        let (winner, lost) = match (one, two) {
            (Ok(_), Err(error)) => ("one", error),
            (Err(error), Ok(_)) => ("two", error),
            (one, two) => {
                return Err(Violation::new(format!("not exactly one has won: {:?}, {:?}", one.is_ok(), two.is_ok())));
            }
        };
        ensure!(lost.code() == ErrorCode::ObjectExists, "the other failed with {}", lost.code());
        holds(store, &key, winner).await?;
    }
    Ok(())
}

/// A key that holds nothing has no head and cannot be opened.
pub async fn a_key_that_holds_nothing_has_no_head_and_cannot_be_opened(
    store: &dyn ObjectStore,
    fresh: &Fresh,
) -> Verdict {
    put(store, &fresh.key("a/b")?, "below", PutMode::WriteOnce).await?;
    absent(store, &fresh.key("a")?).await?;
    absent(store, &fresh.key("a/b/c")?).await
}

/// The digest is known without reading the object exactly when the capabilities say so.
pub async fn the_digest_is_known_as_the_capabilities_say(store: &dyn ObjectStore, fresh: &Fresh) -> Verdict {
    let key = fresh.key("a")?;
    put(store, &key, "text", PutMode::WriteOnce).await?;
    let Some(metadata) = store.head(&key).await? else { return Err(Violation::new("the object has no head")) };
    let expected = store.capabilities().stored_digest.then(|| Digest::of("text"));
    ensure!(metadata.sha256 == expected, "head says {:?}", metadata.sha256);
    Ok(())
}

/// A copy has the bytes of its origin and may be repeated.
pub async fn a_copy_has_the_bytes_of_its_origin_and_may_be_repeated(store: &dyn ObjectStore, fresh: &Fresh) -> Verdict {
    let (from, to) = (fresh.key("from")?, fresh.key("to")?);
    put(store, &from, "text", PutMode::WriteOnce).await?;
    for mode in [PutMode::WriteOnce, PutMode::WriteOnce, PutMode::Replace] {
        let metadata = store.copy(&from, &to, mode).await?;
        ensure!(metadata.key == to && metadata.size == 4, "copy answered {metadata:?}");
    }
    store.delete(&from).await?;
    holds(store, &to, "text").await
}

/// A copy of nothing is refused and makes nothing.
pub async fn a_copy_of_nothing_is_refused(store: &dyn ObjectStore, fresh: &Fresh) -> Verdict {
    let to = fresh.key("to")?;
    let copied = store.copy(&fresh.key("from")?, &to, PutMode::Replace).await;
    refused(copied, ErrorCode::ObjectMissing, "copying nothing")?;
    absent(store, &to).await
}

/// A copy never changes a write-once key that holds other bytes.
pub async fn a_copy_never_changes_a_write_once_key_that_holds_other_bytes(
    store: &dyn ObjectStore,
    fresh: &Fresh,
) -> Verdict {
    let (from, to) = (fresh.key("from")?, fresh.key("to")?);
    put(store, &from, "new", PutMode::WriteOnce).await?;
    put(store, &to, "old", PutMode::WriteOnce).await?;
    refused(store.copy(&from, &to, PutMode::WriteOnce).await, ErrorCode::ObjectExists, "copying over it")?;
    holds(store, &to, "old").await?;
    store.copy(&from, &to, PutMode::Replace).await?;
    holds(store, &to, "new").await
}

/// Deleting removes one object, and may be repeated.
pub async fn deleting_removes_one_object_and_may_be_repeated(store: &dyn ObjectStore, fresh: &Fresh) -> Verdict {
    let (gone, kept) = (fresh.key("a")?, fresh.key("a/b")?);
    put(store, &gone, "text", PutMode::WriteOnce).await?;
    put(store, &kept, "text", PutMode::WriteOnce).await?;
    store.delete(&gone).await?;
    store.delete(&gone).await?;
    absent(store, &gone).await?;
    holds(store, &kept, "text").await?;
    put(store, &gone, "other text", PutMode::WriteOnce).await?;
    holds(store, &gone, "other text").await
}

/// A list is ordered by key, and its prefix is text, not segments.
pub async fn a_list_is_ordered_and_its_prefix_is_text(store: &dyn ObjectStore, fresh: &Fresh) -> Verdict {
    for name in ["b", "a/2", "ab", "a/1", "c"] {
        put(store, &fresh.key(name)?, "text", PutMode::WriteOnce).await?;
    }
    let found = list(store, fresh.key("a")?.as_str(), None, 10).await?;
    let expected = [fresh.key("a/1")?, fresh.key("a/2")?, fresh.key("ab")?];
    ensure!(found == expected, "listed {found:?}");
    let nothing = list(store, fresh.key("d")?.as_str(), None, 10).await?;
    ensure!(nothing.is_empty(), "listed {nothing:?}");
    Ok(())
}

/// A list is cut at the number asked for, and goes on after a key.
pub async fn a_list_goes_on_after_a_key(store: &dyn ObjectStore, fresh: &Fresh) -> Verdict {
    let mut expected = Vec::new();
    for number in 0..7 {
        let key = fresh.key(&format!("{number}"))?;
        put(store, &key, "text", PutMode::WriteOnce).await?;
        expected.push(key);
    }
    let mut found: Vec<ObjectKey> = Vec::new();
    loop {
        let page = list(store, fresh.prefix(), found.last().cloned(), 3).await?;
        ensure!(page.len() <= 3, "a page of 3 has {} keys", page.len());
        let last = page.len() < 3;
        found.extend(page);
        if last {
            break;
        }
        ensure!(found.len() <= expected.len(), "the pages do not end");
    }
    ensure!(found == expected, "the pages hold {found:?}");
    Ok(())
}

/// Unusual keys are told apart.
pub async fn unusual_keys_are_told_apart(store: &dyn ObjectStore, fresh: &Fresh) -> Verdict {
    let names = ["A", "a", "a b", "a+b", "a%20b", "a%2Fb", "a/b", "a,b", "a~", "ä", "a?b#c", "=", &"long".repeat(100)];
    for name in names {
        put(store, &fresh.key(name)?, name, PutMode::WriteOnce).await?;
    }
    for name in names {
        holds(store, &fresh.key(name)?, name).await?;
    }
    Ok(())
}

async fn put(store: &dyn ObjectStore, key: &ObjectKey, text: &str, mode: PutMode) -> Verdict {
    store.put(key, &Payload::from_bytes(text.to_owned()), mode).await?;
    Ok(())
}

async fn holds(store: &dyn ObjectStore, key: &ObjectKey, text: &str) -> Verdict {
    let download = store.get(key).await?;
    ensure!(download.metadata.size == text.len() as u64, "get answered {:?}", download.metadata);
    let bytes = read(download.body).await?;
    ensure!(bytes == text.as_bytes(), "`{key}` does not hold `{text}` but {} other bytes", bytes.len());
    Ok(())
}

async fn absent(store: &dyn ObjectStore, key: &ObjectKey) -> Verdict {
    ensure!(store.head(key).await?.is_none(), "`{key}` holds something");
    refused(store.get(key).await, ErrorCode::ObjectMissing, "opening what is not there").map(drop)
}

async fn list(store: &dyn ObjectStore, prefix: &str, after: Option<ObjectKey>, most: usize) -> Result<Vec<ObjectKey>> {
    Ok(store.list(prefix, after, most).await?.into_iter().map(|metadata| metadata.key).collect())
}

/// Bytes that arrive in several pieces, with other tasks in between.
struct Pieces(Vec<Bytes>);

fn pieces(bytes: &[u8], length: usize) -> Pieces {
    Pieces(bytes.chunks(length).map(Bytes::copy_from_slice).collect())
}

#[async_trait]
impl PayloadSource for Pieces {
    async fn open(&self) -> Result<ByteStream> {
        let pieces = futures::stream::iter(self.0.clone()).then(|piece| async {
            tokio::task::yield_now().await;
            Ok(piece)
        });
        Ok(pieces.boxed())
    }
}
