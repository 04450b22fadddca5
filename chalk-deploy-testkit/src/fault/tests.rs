use chalk_deploy_core::cloud::{Payload, PutMode};
use chalk_deploy_core::model::ObjectKey;

use super::*;
use crate::embedded::EmbeddedWorld;

fn key() -> ObjectKey {
    ObjectKey::new("a").expect("a valid key")
}

fn cut() -> Error {
    Error::new(ErrorCode::CloudUnavailable, "the connection was cut")
}

async fn put(cloud: &Cloud) -> Result<()> {
    cloud.object_store.put(&key(), &Payload::from_bytes("x"), PutMode::WriteOnce).await.map(drop)
}

async fn stored(world: &EmbeddedWorld) -> bool {
    world.cloud().object_store.head(&key()).await.expect("no faults here").is_some()
}

#[tokio::test]
async fn a_fault_before_the_effect_leaves_nothing_and_one_after_it_leaves_everything() {
    for (fault, effect) in [(Fault::before(&cut()), false), (Fault::after(&cut()), true)] {
        let world = EmbeddedWorld::memory();
        let plan = Arc::new(FaultPlan::new().at("object_store", "put", 2, fault));
        let cloud = faulty_cloud(world.cloud(), plan.clone());
        put(&cloud).await.expect("the first call is not meant");
        cloud.object_store.delete(&key()).await.expect("another method");
        assert_eq!(put(&cloud).await.expect_err("the second call").code(), ErrorCode::CloudUnavailable);
        assert_eq!(stored(&world).await, effect);
        put(&cloud).await.expect("the third call is not meant");
        let outcomes: Vec<_> = plan.calls().into_iter().map(|call| (call.method, call.outcome)).collect();
        let failed = Some(Err(ErrorCode::CloudUnavailable));
        let expected = [("put", Some(Ok(()))), ("delete", Some(Ok(()))), ("put", failed), ("put", Some(Ok(())))];
        assert_eq!(outcomes, expected);
    }
}

#[tokio::test]
async fn an_error_of_the_call_itself_does_not_hide_behind_a_lost_answer() {
    let plan = Arc::new(FaultPlan::new().from("object_store", "get", 1, Fault::after(&cut())));
    let cloud = faulty_cloud(EmbeddedWorld::memory().cloud(), plan);
    assert_eq!(cloud.object_store.get(&key()).await.expect_err("nothing there").code(), ErrorCode::ObjectMissing);
}

#[tokio::test]
async fn a_call_done_twice_reaches_the_cloud_twice_and_is_logged_once() {
    let inner = Arc::new(FaultPlan::new());
    let outer = Arc::new(FaultPlan::new().at("object_store", "put", 1, Fault::Twice));
    let cloud = faulty_cloud(faulty_cloud(EmbeddedWorld::memory().cloud(), inner.clone()), outer.clone());
    put(&cloud).await.expect("idempotent");
    assert_eq!((inner.count("object_store", "put"), outer.count("object_store", "put")), (2, 1));
}

#[tokio::test]
async fn a_cloud_that_is_down_comes_back_when_the_faults_are_cleared() {
    let plan = Arc::new(FaultPlan::new().from("object_store", "put", 1, Fault::before(&cut())));
    let cloud = faulty_cloud(EmbeddedWorld::memory().cloud(), plan.clone());
    for _ in 0..3 {
        put(&cloud).await.expect_err("down");
    }
    plan.clear();
    put(&cloud).await.expect("back");
    plan.at_next("object_store", "put", Fault::before(&cut()));
    put(&cloud).await.expect_err("down again");
    put(&cloud).await.expect("back again");
}

#[test]
#[should_panic(expected = "no method `upload`")]
fn a_fault_at_a_method_that_there_is_not_fails_the_test_that_wants_it() {
    let _ = FaultPlan::new().at("object_store", "upload", 1, Fault::Twice);
}
