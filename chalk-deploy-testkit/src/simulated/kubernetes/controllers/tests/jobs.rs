//! Jobs.

use std::time::Duration;

use serde_json::{Value, json};

use super::stage::{IMAGE, Stage};
use crate::fake::PodScope;
use crate::simulated::kubernetes::controllers::{ClusterSettings, view};
use crate::simulated::kubernetes::kubelet::PodBehaviour;
use crate::simulated::kubernetes::resource::JOB;

fn job(fields: &Value) -> Value {
    let mut spec = json!({"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "probe", "image": IMAGE}],
    }}});
    for (name, value) in fields.as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    json!({"spec": spec})
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_its_pods_to_their_end_and_goes_when_its_time_has_passed() {
    let stage = Stage::new(ClusterSettings::default());
    stage.create(JOB, "probe", job(&json!({"completions": 3, "parallelism": 2, "ttlSecondsAfterFinished": 60})));
    stage.millis(200).await;
    assert_eq!(stage.get(JOB, "probe")["status"]["active"], 2);
    stage.seconds(3).await;
    let done = stage.get(JOB, "probe");
    assert!(view::holds(&done, "Complete") && view::holds(&done, "SuccessCriteriaMet"), "{done:#}");
    assert_eq!((&done["status"]["succeeded"], &done["status"]["active"]), (&json!(3), &json!(null)));
    assert!(stage.pods().iter().all(|pod| view::text(pod, "/status/phase") == "Succeeded"));
    stage.seconds(60).await;
    assert!(stage.list(JOB).is_empty() && stage.pods().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_pods_fail_tries_again_later_and_gives_up_at_its_limit() {
    let stage = Stage::new(ClusterSettings::default());
    stage
        .cluster
        .set_behaviour(PodScope::All, PodBehaviour::Crash { after: Duration::from_millis(50), restarts: None });
    stage.create(JOB, "probe", job(&json!({"backoffLimit": 2})));
    stage.seconds(5).await;
    assert_eq!((stage.pods().len(), &stage.get(JOB, "probe")["status"]["failed"]), (1, &json!(1)));
    stage.seconds(10).await;
    assert_eq!(stage.pods().len(), 2);
    stage.seconds(20).await;
    let failed = stage.get(JOB, "probe");
    assert_eq!(view::condition(&failed, "Failed").expect("it failed")["reason"], "BackoffLimitExceeded");
    assert_eq!((stage.pods().len(), &failed["status"]["failed"]), (3, &json!(3)));
}

#[tokio::test(start_paused = true)]
async fn a_job_is_stopped_at_its_deadline_and_a_suspended_one_does_nothing() {
    let stage = Stage::new(ClusterSettings { work: Duration::from_hours(1), ..ClusterSettings::default() });
    stage.create(JOB, "late", job(&json!({"activeDeadlineSeconds": 30})));
    stage.create(JOB, "suspended", job(&json!({"suspend": true})));
    stage.seconds(20).await;
    assert_eq!(stage.pods().len(), 1);
    stage.seconds(20).await;
    assert_eq!(view::condition(&stage.get(JOB, "late"), "Failed").expect("it failed")["reason"], "DeadlineExceeded");
    assert!(stage.pods().is_empty());
    stage.change(JOB, "suspended", |job| job["spec"]["suspend"] = false.into());
    stage.seconds(5).await;
    assert_eq!(stage.get(JOB, "suspended")["status"]["ready"], 1);
}
