//! One run: from the command line to the code that the process ends with.

use std::path::PathBuf;
use std::sync::Arc;

use chalk_deploy_core::checkpoint::Checkpoints;
use chalk_deploy_core::model::{DeploymentStatus, EnvironmentId};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::source::STATE_MARKER;
use chalk_deploy_core::store::{DeploymentRecord, DeploymentStore, HistoryQuery, SqliteStore};
use chalk_deploy_core::{ApplyRequest, Deployer, DeploymentHandle, Result};
use chalk_deploy_testkit::{CrashSwitch, EmbeddedEnvironments, EmbeddedWorld};
use futures::StreamExt as _;

use super::arguments::Arguments;
use super::confirm::confirm;
use super::exit::{self, Stop};
use super::follow::{Wish, follow, patiently, submitted_events};
use super::input::Input;
use super::interrupt::Interrupts;
use super::view::View;

/// What a run works with.
pub(super) struct Session<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) view: &'a mut dyn View,
    pub(super) interrupts: &'a mut Interrupts,
    pub(super) runtime: Arc<dyn Runtime>,
}

impl Session<'_> {
    /// Does what the command line asks for.
    ///
    /// # Errors
    /// Why it came to no end of a deployment.
    pub(super) async fn run(&mut self) -> Result<u8, Stop> {
        let checkpoints: Arc<dyn Checkpoints> = Arc::new(CrashSwitch::from_environment()?);
        let input = Input::open(self.arguments, self.view)?;
        if self.arguments.resume && self.arguments.state.join(STATE_MARKER).exists() {
            let deployer = self.open(&input, &checkpoints).await?;
            if let Some(code) = self.resume(&input, &deployer).await? {
                return Ok(code);
            }
            // Nothing was ever deployed here.
        }
        let (request, graph) = tokio::select! {
            prepared = input.request(self.arguments, &self.runtime, self.view) => prepared?,
            () = self.interrupts.next() => return Err(Stop::Interrupted),
        };
        let deployer = self.open(&input, &checkpoints).await?;
        if !self.arguments.force
            && let Some(diff) = deployer.diff(input.environment(), &graph).await?
            && !diff.is_empty()
        {
            for line in diff.to_string().lines() {
                self.view.note(line);
            }
            confirm(input.environment(), self.interrupts).await?;
        }
        if self.arguments.no_await {
            self.submit(&input, &deployer, request).await
        } else {
            self.apply(&deployer, request).await
        }
    }

    fn open(
        &self,
        input: &Input,
        checkpoints: &Arc<dyn Checkpoints>,
    ) -> impl Future<Output = Result<Deployer>> + use<> {
        let (state, runtime) = (self.arguments.state.clone(), Arc::clone(&self.runtime));
        open(state, input.environments(), runtime, Arc::clone(checkpoints))
    }

    async fn apply(&mut self, deployer: &Deployer, request: ApplyRequest) -> Result<u8, Stop> {
        let mut wish = Wish::default();
        let handle = patiently(deployer.apply(request), &mut wish, self.interrupts, self.view).await??;
        self.finish(deployer, &handle, wish).await
    }

    async fn submit(&mut self, input: &Input, deployer: &Deployer, request: ApplyRequest) -> Result<u8, Stop> {
        let before = newest(input.environment(), deployer).await?.map(|record| record.plan.id);
        let mut wish = Wish::default();
        let submitted = patiently(deployer.submit(request), &mut wish, self.interrupts, self.view).await?;
        let deployment = match submitted {
            Ok(deployment) => deployment,
            Err(error) => {
                // Either nothing was created, or there is a new deployment, which has ended with this error.
                let newest = newest(input.environment(), deployer).await?;
                let created = newest.filter(|record| Some(&record.plan.id) != before.as_ref());
                return match created {
                    Some(record) if record.status.is_terminal() => {
                        let handle = deployer.resume(&record.plan.id, None).await.map_err(Stop::Broken)?;
                        self.finish(deployer, &handle, wish).await
                    }
                    Some(_) => Err(Stop::Broken(error)),
                    None => Err(Stop::Refused(error)),
                };
            }
        };
        if wish.is_to_cancel() {
            let handle = deployer.resume(&deployment, None).await.map_err(Stop::Broken)?;
            return self.finish(deployer, &handle, wish).await;
        }
        submitted_events(deployer, &deployment, self.view).await.map_err(Stop::Broken)?;
        self.view.detached(&deployment);
        Ok(exit::DONE)
    }

    /// Goes on with what is there. `None` when nothing was ever deployed into the environment.
    async fn resume(&mut self, input: &Input, deployer: &Deployer) -> Result<Option<u8>, Stop> {
        let query = HistoryQuery { environment: Some(input.environment().clone()), ..HistoryQuery::default() };
        let history = deployer.history(&query).await?;
        let Some(record) = to_resume(&history) else { return Ok(None) };
        let deployment = record.plan.id.clone();
        if record.status.is_terminal() {
            let handle = deployer.resume(&deployment, None).await.map_err(Stop::Broken)?;
            self.view.note(&format!("note: deployment {deployment} has ended; this is how"));
            let last = handle.events().collect::<Vec<_>>().await.pop();
            if let Some(event) = last {
                self.view.event(&event);
            }
            return self.judge(&handle).await.map(Some);
        }
        for older in history.iter().rev().filter(|older| goes_before(older, record)) {
            self.view.note(&format!("note: deployment {} was begun before and is finished first", older.plan.id));
            let mut wish = Wish::default();
            let handle = deployer.resume(&older.plan.id, None).await.map_err(Stop::Broken)?;
            follow(deployer, &handle, &mut wish, self.interrupts, self.view, false).await?;
        }
        let source = if record.status == DeploymentStatus::AwaitingSource {
            let collected = tokio::select! {
                collected = input.source(&self.arguments.state, &self.runtime, self.view) => collected?,
                () = self.interrupts.next() => return Err(Stop::Interrupted),
            };
            Some(collected.payload())
        } else {
            None
        };
        let mut wish = Wish::default();
        let resuming = deployer.resume(&deployment, source);
        let handle = patiently(resuming, &mut wish, self.interrupts, self.view).await?.map_err(Stop::Broken)?;
        self.finish(deployer, &handle, wish).await.map(Some)
    }

    async fn finish(&mut self, deployer: &Deployer, handle: &DeploymentHandle, mut wish: Wish) -> Result<u8, Stop> {
        follow(deployer, handle, &mut wish, self.interrupts, self.view, true).await?;
        self.judge(handle).await
    }

    /// The code for the end of a deployment; why it is no success is told.
    async fn judge(&mut self, handle: &DeploymentHandle) -> Result<u8, Stop> {
        let outcome = handle.wait().await.map_err(Stop::Broken)?;
        if let Some(error) = &outcome.error {
            self.view.note(&super::sentence(&error.clone().into()));
        }
        Ok(exit::ended(&outcome))
    }
}

/// The store and the embedded world in the state folder, and the deployer on both.
async fn open(
    state: PathBuf,
    environments: Vec<EnvironmentId>,
    runtime: Arc<dyn Runtime>,
    checkpoints: Arc<dyn Checkpoints>,
) -> Result<Deployer> {
    let store = SqliteStore::open(&state).await?;
    let world = EmbeddedWorld::open(state.join("world"), Arc::clone(&checkpoints))?;
    let environments = EmbeddedEnvironments::listed(world, environments);
    Deployer::builder(Arc::new(environments), store as Arc<dyn DeploymentStore>)
        .with_runtime(runtime)
        .with_checkpoints(checkpoints)
        .build()
}

async fn newest(environment: &EnvironmentId, deployer: &Deployer) -> Result<Option<DeploymentRecord>> {
    let query = HistoryQuery { environment: Some(environment.clone()), most: Some(1), ..HistoryQuery::default() };
    Ok(deployer.history(&query).await?.into_iter().next())
}

/// Which of the deployments of an environment, newest first, `--resume` is about: the newest that has not ended, else
/// the newest. One whose source never arrived is forgotten when a later one has ended: it was given up.
fn to_resume(history: &[DeploymentRecord]) -> Option<&DeploymentRecord> {
    let is_superseded = |position: usize| history[..position].iter().any(|later| later.status.is_terminal());
    let unfinished = history.iter().enumerate().find(|(position, record)| {
        let is_waiting = record.status == DeploymentStatus::AwaitingSource;
        !(record.status.is_terminal() || is_waiting && is_superseded(*position))
    });
    unfinished.map(|(_, record)| record).or_else(|| history.first())
}

/// Whether a deployment must end before another one can go on.
fn goes_before(older: &DeploymentRecord, record: &DeploymentRecord) -> bool {
    let is_under_way = !older.status.is_terminal() && older.status != DeploymentStatus::AwaitingSource;
    is_under_way && older.plan.id != record.plan.id
}

#[cfg(test)]
mod tests {
    use chalk_deploy_core::model::{
        DeploymentId, DeploymentPlan, Digest, GitMetadata, ProjectSettings, Promotion, Sizing, SourceFingerprint,
        Strategy, Timestamp,
    };

    use super::*;
    use DeploymentStatus::{AwaitingSource, Failure, Pending, Success, Working};

    /// Deployments in these statuses, newest first; the newest one's id holds `a`, the next one's `b`.
    fn history(statuses: &[DeploymentStatus]) -> Vec<DeploymentRecord> {
        let record = |(letter, status): (char, &DeploymentStatus)| {
            let time = Timestamp::from_millis(0);
            let plan = DeploymentPlan {
                id: DeploymentId::new(format!("c{}", letter.to_string().repeat(24))).expect("an id"),
                environment: "default".parse().expect("an environment"),
                project: "fraud".parse().expect("a project"),
                created_at: time,
                deadline: time,
                source: SourceFingerprint {
                    sha256: Digest::of(""),
                    size: 0,
                    unpacked_size: 0,
                    entries: 0,
                    source_code_hash: Digest::of(""),
                },
                graph: Digest::of(""),
                git: GitMetadata::default(),
                requirements: Vec::new(),
                settings: ProjectSettings::default(),
                tags: Vec::new(),
                sizing: Sizing::default(),
                strategy: Strategy::default(),
                promotion: Promotion::default(),
                idempotency_key: None,
            };
            DeploymentRecord { plan, status: *status, version: 1, updated_at: time, cancel_requested: false }
        };
        ('a'..='z').zip(statuses).map(record).collect()
    }

    #[test]
    fn a_resume_is_about_the_newest_that_has_not_ended_else_about_the_newest() {
        let cases: [(&[DeploymentStatus], Option<char>); 9] = [
            (&[], None),
            (&[Success, Failure], Some('a')),
            (&[Working], Some('a')),
            (&[Success, Working, Pending], Some('b')),
            (&[AwaitingSource, Success], Some('a')),
            (&[AwaitingSource, Working], Some('a')),
            (&[Working, AwaitingSource], Some('a')),
            // Its source never came, and something else was deployed since.
            (&[Success, AwaitingSource], Some('a')),
            (&[Success, AwaitingSource, Working], Some('c')),
        ];
        for (statuses, expected) in cases {
            let history = history(statuses);
            let found = to_resume(&history).and_then(|record| record.plan.id.as_str().chars().nth(1));
            assert_eq!(found, expected, "{statuses:?}");
        }
    }

    #[test]
    fn what_is_under_way_goes_before_what_was_begun_later() {
        let history = history(&[Working, Pending, AwaitingSource, Success, Working]);
        let before: Vec<_> = history.iter().map(|older| goes_before(older, &history[0])).collect();
        assert_eq!(before, [false, true, false, false, true]);
    }
}
