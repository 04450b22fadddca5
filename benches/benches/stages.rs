//! What the house itself costs: all five stages with effects that do next to nothing, over the real SQLite journal,
//! beside what this disk takes for one fdatasync. Goal: 100 ms for the five stages.
//!
//! `cargo bench -p chalk-deploy-benches --bench stages`

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use chalk_deploy_core::Deployer;
use chalk_deploy_core::model::DeploymentStatus;
use chalk_deploy_core::store::SqliteStore;
use chalk_deploy_testkit::{EmbeddedEnvironments, EmbeddedWorld, sample};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

fn stages(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let state = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk of the build");
    let mut group = criterion.benchmark_group("house");

    let mut journal = File::create(state.path().join("fdatasync")).expect("a file");
    group.bench_function("peer: one append of 4 KiB with fdatasync", |bencher| {
        bencher.iter(|| {
            journal.write_all(&[7; 4096]).expect("written");
            journal.sync_data().expect("durable");
        });
    });

    let store = runtime.block_on(SqliteStore::open(&state.path().join("state"))).expect("a store");
    group.bench_function("five stages, effects in memory, journal on disk", |bencher| {
        bencher.to_async(&runtime).iter_batched(
            || {
                let environments = EmbeddedEnvironments::any(EmbeddedWorld::memory());
                Deployer::builder(Arc::new(environments), store.clone()).build().expect("a deployer")
            },
            |deployer| async move {
                let handle = deployer.apply(sample::request("source").expect("valid")).await.expect("admitted");
                let outcome = handle.wait().await.expect("it ends");
                assert_eq!(outcome.status, DeploymentStatus::Success, "{:?}", outcome.error);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
