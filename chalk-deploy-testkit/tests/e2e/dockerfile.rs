//! Projects that bring their own Dockerfile, built by the real kaniko under the real controller of Argo Workflows. The
//! executor takes minutes to compile, so that the testbed has it only with `CHALK_TESTBED_KANIKO=1`.

#![expect(clippy::print_stdout, reason = "what a test has measured, or was skipped for, is for whoever runs it")]

use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::build::argo::{BuildResources, DockerfileSettings};
use chalk_deploy_core::build::{BuildFolder, InProcessBuilder, RoutedBuilder};
use chalk_deploy_core::cloud::{BuildRequest, Builder as _};
use chalk_deploy_core::model::{DeploymentStatus, ImageReference, ProjectSettings, Repository};
use chalk_deploy_core::runtime::{Runtime as _, SystemRuntime};

use chalk_deploy_testkit::following::follow;

use crate::argo::Site;
use crate::house::{House, TESTBED, testbed};

const DOCKERFILE: &str = "docker/Dockerfile";

fn own() -> ProjectSettings {
    ProjectSettings { dockerfile: Some(DOCKERFILE.to_owned()), ..ProjectSettings::default() }
}

fn image(reference: &str) -> ImageReference {
    let (repository, digest) = reference.split_once('@').expect("a reference by digest");
    let repository = Repository::new(repository).expect("a repository");
    ImageReference { repository, digest: digest.parse().expect("a digest") }
}

/// An environment in whose namespace Dockerfiles can be built, where the testbed has the executor.
async fn site(name: &str) -> Option<Site> {
    let testbed = testbed().await;
    let Ok(executor) = testbed.value("KANIKO_IMAGE").map(image) else {
        println!("SKIPPED: the testbed has no executor of Dockerfiles; CHALK_TESTBED_KANIKO=1 testbed/up builds it");
        return None;
    };
    let site = Site::with(name, |_: &House, settings| {
        let resources =
            BuildResources { processors: "50m".to_owned(), memory: "1Gi".to_owned(), disk: "2Gi".to_owned() };
        settings.dockerfiles = Some(DockerfileSettings { resources, ..DockerfileSettings::new(executor) });
    })
    .await;
    // The executor is root in its container, which the level of environments forbids.
    let level = "pod-security.kubernetes.io/enforce=baseline";
    let namespace = site.house().namespace().to_string();
    site.house().kubectl(&["label", "--overwrite", "namespace", &namespace, level], "").await;
    Some(site)
}

/// Runs Python on the stand-in of an engine, and leaves what it makes to the platform image.
fn dockerfile(site: &Site, commands: &[&str]) -> String {
    let engine = site.house().testbed.value("BASE_IMAGE_ENGINE").expect("a value");
    let run = |command: &&str| format!("RUN {}\n", serde_json::json!(["/usr/bin/python3.11", "-c", command]));
    let commands: String = commands.iter().map(run).collect();
    format!(
        "# syntax=docker/dockerfile:1\nARG CHALK_BASE_IMAGE\nFROM {engine} AS tools\nUSER 0\n{commands}\
         FROM ${{CHALK_BASE_IMAGE}}\nCOPY --from=tools /made /made\nCOPY . /app\nUSER 65532:65532\n"
    )
}

/// What strangers can find in their container. The words are none that are taken out of lines.
const LOOK: &str = "import os, glob
os.makedirs('/made')
open('/made/file', 'w').write('made')
os.chown('/made/file', 65532, 65532)
print('account is there:', os.path.exists('/var/run/secrets/kubernetes.io/serviceaccount/token'))
print('argo:', glob.glob('/var/run/argo/*'))
print('hidden:', [n for n in open('/proc/1/environ').read().split('\\0') if 'SECRET' in n.split('=')[0]])
print('mounted:', glob.glob('/kaniko/.docker/*') + glob.glob('/registry/*') + glob.glob('/work/*'))
for path in ['/chalk/project/plan/x', '/chalk/project/source/x']:
    try:
        open(path, 'w')
        print('written:', path)
    except OSError as error:
        print('not written:', error.strerror)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projects_own_dockerfile_is_built_by_the_executor_and_serves() {
    let _alone = TESTBED.lock().await;
    let Some(mut site) = site("own").await else { return };
    // As `apply --builder argo` has it: this process beside the workflows.
    let cloud = site.house().plane.cloud.clone();
    let folder = BuildFolder::temporary().expect("a folder");
    let here = InProcessBuilder::new(cloud.object_store, cloud.registry, folder, SystemRuntime::new());
    let routed = RoutedBuilder::new(Arc::new(here), Arc::new(site.builder.clone()));
    let house = site.house_mut();
    house.plane.cloud.builder = Arc::new(routed);
    house.reopen();
    let written = dockerfile(&site, &[LOOK]);
    let request = site.house().request(&[("features.py", "x = 1"), (DOCKERFILE, &written)]).with_settings(own());
    let clock = SystemRuntime::new();
    let began = clock.monotonic();
    let handle = site.house().deployer.apply(request).await.expect("admitted");
    let outcome = handle.wait().await.expect("it ends");
    println!("from the request to {:?}: {:?}", outcome.status, clock.monotonic().saturating_sub(began));
    let (events, images) = follow(&site.builder, handle.id()).await;
    for event in &events {
        println!("{:>3} {}: {}", event.number, event.step, event.line);
    }
    assert_eq!(outcome.status, DeploymentStatus::Success, "{:?} {:?}", outcome.error, outcome.residue);
    assert_eq!(site.house().answering().await, *handle.id());
    assert_eq!(images.expect("known").len(), 1);
    let heard = |line: &str| events.iter().any(|event| event.step == "dockerfile-engine" && event.line == line);
    for line in
        ["account is there: False", "argo: []", "hidden: []", "mounted: []", "not written: Read-only file system"]
    {
        assert!(heard(line), "{line}");
    }
    assert!(!events.iter().any(|event| event.line.starts_with("written:")));
    let pod = site.house().kubectl(&["get", "pods", "-l", "workflows.argoproj.io/workflow", "-o", "json"], "").await;
    let pod: serde_json::Value = serde_json::from_str(&pod).expect("JSON");
    let before = pod["items"][0]["spec"]["initContainers"].as_array().expect("containers");
    let names: Vec<_> = before.iter().map(|container| container["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["init", "unpack", "dockerfile-engine"], "in the order in which they run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dockerfile_that_fails_or_is_not_taken_says_why_and_one_that_hangs_is_stopped_with_its_pod() {
    let _alone = TESTBED.lock().await;
    let Some(site) = site("own-ends").await else { return };
    let request = async |written: &str| -> BuildRequest {
        BuildRequest { settings: own(), ..site.request_of(&[("a.py", "x"), (DOCKERFILE, written)]).await }
    };
    let fails = request(&dockerfile(&site, &["import sys; print('no such package'); sys.exit(7)"])).await;
    let by_tag = request("FROM registry.test/base:1\n").await;
    for (request, code, part) in [
        (fails, ErrorCode::BuildFailed, "no such package"),
        (by_tag, ErrorCode::RequestInvalid, "`docker/Dockerfile`, line 1: `registry.test/base:1` is named by a tag"),
    ] {
        site.builder.submit(&request).await.expect("submitted");
        let (events, end) = follow(&site.builder, &request.deployment).await;
        let error = end.expect_err(part);
        println!("{}", error.sentence());
        assert_eq!(error.code(), code, "{events:#?}");
        assert!(events.iter().any(|event| event.line.contains(part)) || error.sentence().contains(part), "{events:#?}");
        site.builder.stop(&request.deployment).await.expect("stopped");
    }
    let hangs = request(&dockerfile(&site, &["import time; print('it hangs', flush=True); time.sleep(600)"])).await;
    site.builder.submit(&hangs).await.expect("submitted");
    let mut seen = 0;
    for _ in 0..200 {
        let (events, end) = site.builder.state(&hangs.deployment, seen).await.expect("known").into_parts();
        assert!(end.is_none(), "{events:#?}");
        seen += events.len() as u64;
        if events.iter().any(|event| event.line == "it hangs") {
            break;
        }
        SystemRuntime::new().sleep(Duration::from_millis(200)).await;
    }
    site.builder.stop(&hangs.deployment).await.expect("stopped");
    for _ in 0..60 {
        let pods = site.house().kubectl(&["get", "pods", "-o", "name"], "").await;
        if pods.is_empty() && site.workflows().await.is_empty() {
            return;
        }
        SystemRuntime::new().sleep(Duration::from_millis(500)).await;
    }
    panic!("something is left: {}", site.workflows().await);
}
