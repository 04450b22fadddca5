//! One run: from the command line to the code that the process ends with.

use std::path::PathBuf;
use std::sync::Arc;

use chalk_deploy_core::build::Checks;
use chalk_deploy_core::checkpoint::Checkpoints;
use chalk_deploy_core::evidence::EvidencePolicy;
use chalk_deploy_core::machine::Outcome;
use chalk_deploy_core::model::{DeploymentStatus, EnvironmentId};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::store::{DeploymentRecord, DeploymentStore, HistoryQuery, STATE_MARKER, SqliteStore};
use chalk_deploy_core::{ApplyRequest, Deployer, DeploymentHandle, Result};
use chalk_deploy_examples::data_plane::DataPlanes;
use chalk_deploy_examples::data_plane::builder::BuilderArguments;
use chalk_deploy_examples::data_plane::target::TargetArguments;
use chalk_deploy_testkit::CrashSwitch;
use chalk_deploy_testkit::simulated::http;
use chalk_deploy_testkit::simulated::plane::EnvironmentFront;
use futures::StreamExt as _;

use super::arguments::Arguments;
use super::confirm::confirm;
use super::exit::{self, Stop};
use super::follow::{Following, Wish, patiently};
use super::input::{Input, Prepared};
use super::interrupt::Interrupts;
use super::view::View;

/// What a run works with.
pub(super) struct Session<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) view: &'a mut dyn View,
    pub(super) interrupts: &'a mut Interrupts,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) evidence: EvidencePolicy,
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
            let (deployer, planes) = self.open(&input, &checkpoints).await?;
            self.check(&planes, input.environment()).await?;
            if let Some(code) = self.resume(&input, &deployer).await? {
                return self.serve(&planes, input.environment(), code).await;
            }
            // Nothing was ever deployed here.
        }
        let Prepared { request, graph, remarks } = tokio::select! {
            prepared = input.request(self.arguments, &self.runtime, self.view) => prepared?,
            () = self.interrupts.next() => return Err(Stop::Interrupted),
        };
        let (deployer, planes) = self.open(&input, &checkpoints).await?;
        self.check(&planes, input.environment()).await?;
        // Only now, so that bad input is one sentence.
        for remark in remarks {
            self.view.note(&remark);
        }
        if !self.arguments.force
            && let Some(diff) = deployer.diff(input.environment(), &graph).await?
            && !diff.is_empty()
        {
            for line in diff.to_string().lines() {
                self.view.note(line);
            }
            confirm(input.environment(), &diff, self.interrupts).await?;
        }
        if self.arguments.no_await {
            return self.submit(&deployer, request).await;
        }
        let code = self.apply(&deployer, request).await?;
        self.serve(&planes, input.environment(), code).await
    }

    /// Asks a real data plane whether a deployment can succeed. Ctrl-C ends that, too.
    async fn check(&mut self, planes: &DataPlanes, environment: &EnvironmentId) -> Result<(), Stop> {
        let remarks = tokio::select! {
            remarks = planes.check(environment) => remarks?,
            () = self.interrupts.next() => return Err(Stop::Interrupted),
        };
        for remark in &remarks {
            self.view.note(remark);
        }
        Ok(())
    }

    /// Keeps the simulated gateway up after a deployment that serves, if that was asked for, until someone wants it to
    /// end.
    async fn serve(&mut self, planes: &DataPlanes, environment: &EnvironmentId, code: u8) -> Result<u8, Stop> {
        let (true, exit::DONE, Some(plane)) = (self.arguments.serve, code, planes.simulated()) else { return Ok(code) };
        let front = EnvironmentFront::new(plane.adapters(), environment);
        let listening = http::serve(Arc::new(front), 0).await.map_err(Stop::Broken)?;
        self.view.serving(&format!("http://{}/", listening.address()));
        self.interrupts.next().await;
        Ok(code)
    }

    fn open(
        &self,
        input: &Input,
        checkpoints: &Arc<dyn Checkpoints>,
    ) -> impl Future<Output = Result<(Deployer, DataPlanes)>> + Send + use<> {
        let arguments = self.arguments;
        let asked = (arguments.target.clone(), arguments.builder.clone(), arguments.checks.checks());
        let (state, evidence) = (arguments.state.clone(), self.evidence.clone());
        let (environments, runtime) = (input.environments(), Arc::clone(&self.runtime));
        open(asked, state, environments, evidence, runtime, Arc::clone(checkpoints))
    }

    async fn apply(&mut self, deployer: &Deployer, request: ApplyRequest) -> Result<u8, Stop> {
        let mut wish = Wish::default();
        let handle = patiently(deployer.apply(request), &mut wish, self.interrupts, self.view).await??;
        self.finish(deployer, &handle, wish).await
    }

    async fn submit(&mut self, deployer: &Deployer, request: ApplyRequest) -> Result<u8, Stop> {
        let mut wish = Wish::default();
        let submission = patiently(deployer.submit(request), &mut wish, self.interrupts, self.view).await??;
        let mut shown = Following { deployer, deployment: submission.id(), events: submission.events() };
        shown.show(&mut wish, self.interrupts, self.view, true).await?;
        match submission.arrived().await.map_err(Stop::Broken)? {
            // Its upload failed, it was cancelled, or it is an old one, found by its idempotency key.
            Some(outcome) => Ok(self.judge(&outcome)),
            None if wish.is_to_cancel() => {
                let handle = deployer.resume(submission.id(), None).await.map_err(Stop::Broken)?;
                self.finish(deployer, &handle, wish).await
            }
            None => {
                self.view.detached(submission.id());
                Ok(exit::DONE)
            }
        }
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
            let outcome = handle.wait().await.map_err(Stop::Broken)?;
            return Ok(Some(self.judge(&outcome)));
        }
        let mut wish = Wish::default();
        for older in history.iter().rev().filter(|older| goes_before(older, record)) {
            self.view.note(&format!("note: deployment {} was begun before and is finished first", older.plan.id));
            let handle = deployer.resume(&older.plan.id, None).await.map_err(Stop::Broken)?;
            let mut older = Following { deployer, deployment: handle.id(), events: handle.events() };
            older.show(&mut wish, self.interrupts, self.view, false).await?;
        }
        let source = if record.status == DeploymentStatus::AwaitingSource && !record.cancel_requested {
            let collected = tokio::select! {
                collected = input.source(&self.arguments.state, &self.runtime, self.view) => collected?,
                () = self.interrupts.next() => return Err(Stop::Interrupted),
            };
            Some(collected.payload())
        } else {
            None
        };
        let resuming = deployer.resume(&deployment, source);
        let handle = patiently(resuming, &mut wish, self.interrupts, self.view).await?.map_err(Stop::Broken)?;
        self.finish(deployer, &handle, wish).await.map(Some)
    }

    async fn finish(&mut self, deployer: &Deployer, handle: &DeploymentHandle, mut wish: Wish) -> Result<u8, Stop> {
        let mut following = Following { deployer, deployment: handle.id(), events: handle.events() };
        following.show(&mut wish, self.interrupts, self.view, true).await?;
        let outcome = handle.wait().await.map_err(Stop::Broken)?;
        Ok(self.judge(&outcome))
    }

    /// The code for the end of a deployment; why it is no success is told.
    fn judge(&mut self, outcome: &Outcome) -> u8 {
        if let Some(error) = &outcome.error {
            self.view.note(&super::sentence(&error.clone().into()));
        }
        exit::ended(outcome)
    }
}

/// The store in the state folder, the data planes, and the deployer on both.
async fn open(
    (target, builder, checks): (TargetArguments, BuilderArguments, Checks),
    state: PathBuf,
    environments: Vec<EnvironmentId>,
    evidence: EvidencePolicy,
    runtime: Arc<dyn Runtime>,
    checkpoints: Arc<dyn Checkpoints>,
) -> Result<(Deployer, DataPlanes)> {
    let store: Arc<dyn DeploymentStore> = SqliteStore::open(&state).await?;
    let planes = DataPlanes::open(&target, &builder, checks, &state, &runtime, &checkpoints)?;
    let deployer = Deployer::builder(planes.environments(environments), store)
        .with_runtime(runtime)
        .with_checkpoints(checkpoints)
        .with_evidence(evidence)
        .build()?;
    Ok((deployer, planes))
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
