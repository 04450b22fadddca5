use serde_json::json;

use super::*;
use crate::VirtualRuntime;
use crate::simulated::kubernetes::resource::{CONFIG_MAP, NAMESPACE};

fn objects(world: &World) -> Objects {
    Objects::open(world, VirtualRuntime::new(1)).expect("a world that can be read")
}

fn key(name: &str) -> Key {
    Key::new(CONFIG_MAP, "default", name)
}

#[tokio::test(start_paused = true)]
async fn versions_grow_over_creations_changes_removals_and_restarts() {
    let world = World::memory();
    let first = objects(&world);
    let made = first.create(&key("a"), json!({"data": {"x": "1"}})).expect("free");
    assert_eq!(made["metadata"]["resourceVersion"], "1");
    // Config maps carry no generation.
    assert_eq!(made["metadata"].get("generation"), None);
    let changed = first.update(&key("a"), Some("1"), |object| {
        object["data"]["x"] = "2".into();
        object["metadata"]["uid"] = "forged".into();
        Ok(())
    });
    let changed = changed.expect("the version is the expected one");
    assert_eq!(changed["metadata"]["resourceVersion"], "2");
    assert_eq!(changed["metadata"].get("generation"), None);
    assert_eq!(changed["metadata"]["uid"], made["metadata"]["uid"]);
    first.remove(&key("a"), None, None).expect("there").expect("there");
    let second = objects(&world);
    assert_eq!((second.version(), second.get(&key("a"))), (3, None));
    assert_eq!(second.create(&key("a"), json!({})).expect("free")["metadata"]["resourceVersion"], "4");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_changes_nothing_makes_no_version() {
    let objects = objects(&World::memory());
    objects.create(&key("a"), json!({})).expect("free");
    objects.update(&key("a"), None, |_| Ok(())).expect("there");
    assert_eq!(objects.version(), 1);
    let stale = objects.update(&key("a"), Some("7"), |_| Ok(())).expect_err("another version");
    assert_eq!((stale.code.as_u16(), stale.reason), (409, "Conflict"));
}

#[tokio::test(start_paused = true)]
async fn a_removal_by_another_uid_is_refused() {
    let objects = objects(&World::memory());
    let made = objects.create(&key("a"), json!({})).expect("free");
    assert_eq!(objects.remove(&key("a"), Some("another"), None).expect_err("refused").reason, "Conflict");
    objects.remove(&key("a"), made["metadata"]["uid"].as_str(), None).expect("its own uid").expect("there");
    assert_eq!(objects.remove(&key("a"), None, None).expect("gone"), None);
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_the_changes_of_its_kind_and_namespace_in_order() {
    let objects = objects(&World::memory());
    let mut watch = objects.watch(CONFIG_MAP, Some("default"), 0).expect("remembered");
    objects.create(&Key::new(NAMESPACE, "", "default"), json!({})).expect("free");
    objects.create(&key("a"), json!({})).expect("free");
    objects.create(&Key::new(CONFIG_MAP, "other", "b"), json!({})).expect("free");
    objects.remove(&key("a"), None, None).expect("there");
    let told: Vec<_> =
        watch.next().await.expect("remembered").iter().map(|change| (change.kind, change.version)).collect();
    assert_eq!(told, [(ChangeKind::Added, 2), (ChangeKind::Deleted, 4)]);
    assert_eq!(watch.version(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_before_a_compaction_has_expired() {
    let objects = objects(&World::memory());
    objects.create(&key("a"), json!({})).expect("free");
    let mut watch = objects.watch(CONFIG_MAP, None, 0).expect("remembered");
    objects.compact();
    assert_eq!(watch.now().expect_err("forgotten").code.as_u16(), 410);
    assert_eq!(objects.watch(CONFIG_MAP, None, 0).expect_err("forgotten").reason, "Expired");
    objects.watch(CONFIG_MAP, None, 1).expect("the newest");
}
