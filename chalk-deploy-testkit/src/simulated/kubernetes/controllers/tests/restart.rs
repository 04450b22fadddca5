//! A process that is killed, and one that starts again on what it has left.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::stage::{IMAGE, SPACE, Shelf, Stage};
use crate::simulated::kubernetes::controllers::{Cluster, ClusterSettings, view};
use crate::simulated::kubernetes::objects::{Change, ChangeKind, Key, Objects};
use crate::simulated::kubernetes::resource::{DEPLOYMENT, ENDPOINT_SLICE, JOB, POD, REPLICA_SET, RESOURCES, SERVICE};
use crate::simulated::seam::SIMULATED_ENGINE;
use crate::{VirtualRuntime, World};

const SECOND: &str = "registry.embedded/chalk/engine:v2";

/// Everything about the end of a run that does not depend on when and as what things were made.
fn summary(objects: &Objects) -> Value {
    let list = |resource| objects.list(resource, Some(SPACE)).0;
    let mut pods: Vec<_> = list(POD)
        .iter()
        .map(|pod| {
            let ready = view::holds(pod, "Ready");
            json!([pod["spec"]["containers"][0]["image"], pod["status"]["phase"], ready, view::is_deleting(pod)])
        })
        .collect();
    pods.sort_by_key(Value::to_string);
    let mut sets: Vec<_> = list(REPLICA_SET)
        .iter()
        .map(|set| json!([view::name(set), set["spec"]["replicas"], set["status"]["readyReplicas"]]))
        .collect();
    sets.sort_by_key(Value::to_string);
    let deployments: Vec<_> = list(DEPLOYMENT)
        .iter()
        .map(|deployment| {
            let mut status = deployment["status"].clone();
            for condition in status["conditions"].as_array_mut().into_iter().flatten() {
                *condition = json!([condition["type"], condition["status"], condition["reason"]]);
            }
            status["conditions"].as_array_mut().into_iter().for_each(|all| all.sort_by_key(Value::to_string));
            json!([view::annotation(deployment, "deployment.kubernetes.io/revision"), status])
        })
        .collect();
    let endpoints: Vec<_> = list(ENDPOINT_SLICE)
        .iter()
        .flat_map(|slice| view::items(slice, "/endpoints").to_vec())
        .map(|endpoint| endpoint["conditions"].clone())
        .collect();
    let jobs: Vec<_> =
        list(JOB).iter().map(|job| json!([job["status"]["succeeded"], view::holds(job, "Complete")])).collect();
    json!({"pods": pods, "sets": sets, "deployments": deployments, "endpoints": endpoints, "jobs": jobs})
}

/// Deploys, then rolls out a second image beside a job, and takes a service away.
async fn play(stage: &mut Stage, kill_at: Option<u64>) -> Value {
    stage.images.put(SECOND, SIMULATED_ENGINE);
    stage.deploy(3);
    let mut left = 3000;
    let mut spend = async |stage: &mut Stage, millis: u64| {
        let passed = 3000 - left;
        match kill_at.filter(|at| (passed..passed + millis).contains(at)) {
            Some(at) => {
                stage.millis(at - passed).await;
                stage.restart();
                stage.millis(millis - (at - passed)).await;
            }
            None => stage.millis(millis).await,
        }
        left -= millis;
    };
    spend(stage, 500).await;
    stage.change(DEPLOYMENT, "engine", |deployment| {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = SECOND.into();
    });
    stage.create(
        JOB,
        "probe",
        json!({"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "probe", "image": IMAGE}],
        }}}}),
    );
    spend(stage, 300).await;
    stage.change(DEPLOYMENT, "engine", |deployment| deployment["spec"]["replicas"] = 5.into());
    spend(stage, 2200).await;
    stage.seconds(30).await;
    summary(&stage.objects)
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_moment_leads_to_the_same_end() {
    let expected = play(&mut Stage::new(ClusterSettings::default()), None).await;
    assert_eq!(expected["pods"].as_array().map(Vec::len), Some(6), "{expected:#}");
    for moment in (0..3000).step_by(263) {
        let end = play(&mut Stage::new(ClusterSettings::default()), Some(moment)).await;
        assert_eq!(end, expected, "killed after {moment} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_between_any_two_writes_leads_to_the_same_end() {
    let mut stage = Stage::new(ClusterSettings::default());
    let mut watches: Vec<_> = RESOURCES
        .iter()
        .map(|resource| stage.objects.watch(*resource, None, 0).expect("everything is remembered"))
        .collect();
    let expected = play(&mut stage, None).await;
    let mut changes: Vec<Change> = Vec::new();
    for watch in &mut watches {
        changes.extend(watch.now().expect("a short run is remembered whole"));
    }
    changes.sort_by_key(|change| change.version);
    let last_order = changes.iter().rposition(|change| {
        change.key.resource == DEPLOYMENT
            && change.before.as_ref().is_some_and(|before| before["spec"] != change.object["spec"])
    });
    let first = last_order.expect("the deployment was scaled");
    assert!(changes.len() - first > 40, "{}", changes.len() - first);
    for end in (first + 1..changes.len()).step_by(6) {
        let world = World::memory();
        let room = world.room("kubernetes");
        let mut stored: BTreeMap<&Key, &Change> = BTreeMap::new();
        for change in &changes[..end] {
            stored.insert(&change.key, change);
        }
        room.exclusively(|room| {
            room.write_json("version", &changes[end - 1].version)?;
            for (key, change) in stored.into_iter().filter(|(_, change)| change.kind != ChangeKind::Deleted) {
                let document = format!("objects/{}/{}/{}", key.resource.qualified(), key.namespace, key.name);
                let object = json!({
                    "resource": key.resource.qualified(), "namespace": key.namespace, "name": key.name,
                    "object": *change.object,
                });
                room.write_json(&document, &object)?;
            }
            Ok(())
        })
        .expect("memory takes everything");
        let runtime = VirtualRuntime::new(7);
        let objects = Objects::open(&world, runtime.clone()).expect("what was stored opens");
        let images = Arc::new(Shelf::default());
        images.put(IMAGE, SIMULATED_ENGINE);
        images.put(SECOND, SIMULATED_ENGINE);
        let _cluster = Cluster::start(objects.clone(), images, ClusterSettings::default());
        chalk_deploy_core::runtime::Runtime::sleep(&*runtime, std::time::Duration::from_secs(40)).await;
        assert_eq!(summary(&objects), expected, "killed after write {end} of {}", changes.len());
    }
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_world_to_the_byte() {
    let mut worlds = Vec::new();
    for _ in 0..2 {
        let mut stage = Stage::new(ClusterSettings::default());
        play(&mut stage, Some(450)).await;
        stage.delete(SERVICE, "engine");
        stage.seconds(1).await;
        worlds.push(stage.world.snapshot().expect("memory can be read"));
    }
    assert!(worlds[0].len() > 40);
    assert!(worlds[0] == worlds[1], "the two runs differ");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_stops_with_its_last_clone() {
    let stage = Stage::new(ClusterSettings::default());
    let Stage { cluster, objects, runtime, .. } = stage;
    let clone = cluster.clone();
    drop(cluster);
    let create = |name: &str| {
        let key = Key::new(DEPLOYMENT, SPACE, name);
        objects.create(&key, super::stage::deployment(1, IMAGE)).expect("the name is free")
    };
    create("first");
    let wait = || chalk_deploy_core::runtime::Runtime::sleep(&*runtime, std::time::Duration::from_secs(2));
    wait().await;
    assert_eq!(objects.list(POD, None).0.len(), 1);
    drop(clone);
    create("second");
    wait().await;
    assert_eq!(objects.list(POD, None).0.len(), 1);
}
