use super::*;

fn worlds() -> (tempfile::TempDir, [World; 2]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let directory = World::directory(folder.path().join("world")).expect("a new world");
    (folder, [World::memory(), directory])
}

fn write(world: &World, document: &str, bytes: &[u8]) {
    world.room("bucket").exclusively(|room| room.write(document, bytes)).expect("the disk works");
}

#[test]
fn both_forms_hold_the_same_documents_under_the_same_paths() {
    let (_folder, worlds) = worlds();
    for world in &worlds {
        write(world, "a/b", b"one");
        write(world, "../../escape", b"two");
        write(world, &"long/".repeat(120), b"three");
        write(world, "gone", b"four");
        world.room("bucket").exclusively(|room| room.remove("gone")).expect("it is there");
        world.room("bucket").exclusively(|room| room.remove("gone")).expect("removing twice succeeds");
        assert_eq!(world.room("bucket").read("../../escape").expect("readable").as_deref(), Some(&b"two"[..]));
        assert_eq!(world.room("bucket").names("a/").expect("listed"), ["a/b"]);
        assert_eq!(world.room("bucket").names("").expect("listed").len(), 3);
        assert_eq!(world.room("registry").names("").expect("listed").len(), 0);
    }
    let [memory, directory] = worlds.map(|world| world.snapshot().expect("readable"));
    assert_eq!(memory, directory);
}

#[test]
fn a_renamed_document_is_under_its_new_name_alone() {
    let (_folder, worlds) = worlds();
    for world in worlds {
        let room = world.room("bucket");
        let long = "long/".repeat(120);
        write(&world, "from", b"moved");
        write(&world, &long, b"overwritten");
        assert!(room.exclusively(|writer| writer.rename("from", &long)).expect("the disk works"));
        assert!(!room.exclusively(|writer| writer.rename("from", "to")).expect("the disk works"), "nothing is there");
        assert_eq!(room.read(&long).expect("readable").as_deref(), Some(&b"moved"[..]));
        assert_eq!(room.names("").expect("listed"), [long]);
    }
}

#[test]
fn a_second_world_on_the_directory_sees_every_write_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let one = World::directory(folder.path()).expect("a new world");
    let other = World::directory(folder.path().join(".")).expect("the same world");
    for value in [&b"1"[..], b"2", b"3"] {
        write(&one, "counter", value);
        assert_eq!(other.room("bucket").read("counter").expect("readable").as_deref(), Some(value));
    }
}

#[test]
fn read_modify_write_from_many_threads_and_two_worlds_loses_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let worlds = [(); 2].map(|()| World::directory(folder.path()).expect("the world"));
    std::thread::scope(|scope| {
        for world in worlds.iter().cycle().take(6) {
            scope.spawn(|| {
                for _ in 0..10 {
                    world
                        .room("cluster")
                        .exclusively(|room| {
                            let count = world.room("cluster").read_json::<u32>("counter")?.unwrap_or_default();
                            room.write_json("counter", &(count + 1))
                        })
                        .expect("the disk works");
                }
            });
        }
    });
    assert_eq!(worlds[0].room("cluster").read_json::<u32>("counter").expect("readable"), Some(60));
}

#[tokio::test]
async fn what_is_being_received_cannot_be_seen_and_leaves_nothing_when_it_is_dropped() {
    let (_folder, worlds) = worlds();
    for world in worlds {
        let room = world.room("bucket");
        let mut receiving = room.receive("big").await.expect("room for it");
        receiving.push(b"half of").expect("the disk works");
        assert_eq!(room.read("big").expect("readable"), None);
        assert!(room.names("").expect("listed").is_empty());
        drop(receiving);
        assert!(world.snapshot().expect("readable").is_empty());
    }
}

#[tokio::test]
async fn two_who_receive_one_document_take_turns_and_leave_it_whole() {
    let (_folder, worlds) = worlds();
    for world in worlds {
        let receive = |letter: u8| {
            let room = world.room("bucket");
            async move {
                let mut receiving = room.receive("big").await.expect("its turn comes");
                for _ in 0..50 {
                    receiving.push(&[letter; 1000]).expect("the disk works");
                    tokio::task::yield_now().await;
                }
                let received = receiving.finish().expect("the disk works");
                room.exclusively(|room| room.accept(received)).expect("the disk works");
            }
        };
        tokio::join!(receive(b'a'), receive(b'b'));
        let bytes = world.room("bucket").read("big").expect("readable").expect("received");
        assert!(bytes.len() == 50_000 && bytes.iter().all(|byte| *byte == bytes[0]), "the two were mixed");
        assert_eq!(world.snapshot().expect("readable").len(), 1);
    }
}

#[tokio::test]
async fn what_a_killed_write_left_is_in_the_snapshot_and_used_up_by_the_next() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let world = World::directory(folder.path()).expect("a new world");
    write(&world, "small", b"whole");
    for name in ["small~", "big~"] {
        std::fs::write(folder.path().join("bucket").join(name), "torn, and longer than what follows").expect("written");
    }
    assert_eq!(world.snapshot().expect("readable").len(), 3);

    write(&world, "small", b"whole");
    let mut receiving = world.room("bucket").receive("big").await.expect("nobody else does");
    receiving.push(b"whole").expect("the disk works");
    let received = receiving.finish().expect("the disk works");
    world.room("bucket").exclusively(|room| room.accept(received)).expect("the disk works");

    let snapshot = world.snapshot().expect("readable");
    let expected = [("bucket/big", "whole"), ("bucket/small", "whole")];
    assert_eq!(snapshot, expected.map(|(path, text)| (path.to_owned(), text.into())).into());
}

#[test]
fn a_document_that_is_no_json_is_an_error_and_no_panic() {
    let world = World::memory();
    write(&world, "broken", b"{");
    let error = world.room("bucket").read_json::<u32>("broken").expect_err("no JSON");
    assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid);
}

#[test]
fn a_world_that_is_a_file_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    std::fs::write(&path, "").expect("written");
    let error = World::directory(&path).expect_err("a file is no directory");
    assert!(error.subject().contains("file"), "{error}");
}
