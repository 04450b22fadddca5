//! What tests have chosen about the steps of workflows, and what runs in them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::runtime::Runtime;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::TemplateBehaviour;
use crate::simulated::kubernetes::controllers::view;
use crate::simulated::seam::{ContainerLog, LogLine, StepEnd, StepInvocation, StepProgram};

/// The steps of a cluster's workflows.
#[derive(Default)]
pub(crate) struct Steps {
    chosen: Mutex<Chosen>,
    /// What runs or has run, by the uid of its pod and its container.
    runs: Mutex<BTreeMap<(String, String), Run>>,
    /// Kept until it is heard: a step may end while the controllers look.
    news: Notify,
}

#[derive(Default)]
struct Chosen {
    behaviours: BTreeMap<String, TemplateBehaviour>,
    words: BTreeMap<String, (Vec<String>, String)>,
    program: Option<Arc<dyn StepProgram>>,
}

struct Run {
    lines: Arc<Mutex<Vec<LogLine>>>,
    end: Arc<Mutex<Option<StepEnd>>>,
    task: AbortHandle,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Steps")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Steps {
    pub(crate) fn choose(&self, template: String, behaviour: TemplateBehaviour) {
        lock(&self.chosen).behaviours.insert(template, behaviour);
    }

    pub(crate) fn set_words(&self, template: String, lines: Vec<String>, message: String) {
        lock(&self.chosen).words.insert(template, (lines, message));
    }

    pub(crate) fn set_program(&self, program: Arc<dyn StepProgram>) {
        lock(&self.chosen).program = Some(program);
    }

    /// Ends when something of a step has changed.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// How the steps of a template come out; `None` where a program decides.
    pub(super) fn behaviour(&self, template: &str) -> Option<TemplateBehaviour> {
        let chosen = lock(&self.chosen);
        let found = chosen.behaviours.get(template).cloned();
        found.or_else(|| chosen.program.is_none().then(TemplateBehaviour::default))
    }

    /// The termination message that was chosen for a template.
    pub(super) fn message(&self, template: &str) -> String {
        lock(&self.chosen).words.get(template).map(|(_, message)| message.clone()).unwrap_or_default()
    }

    /// The end of the program in a container of a pod, which is started if it does not run.
    pub(super) fn end(
        self: &Arc<Self>,
        (pod, container): (&str, &str),
        runtime: &Arc<dyn Runtime>,
        invocation: impl FnOnce() -> StepInvocation,
    ) -> Option<StepEnd> {
        let program = lock(&self.chosen).program.clone()?;
        let mut runs = lock(&self.runs);
        let key = (pod.to_owned(), container.to_owned());
        if let Some(run) = runs.get(&key) {
            return lock(&run.end).clone();
        }
        let (lines, end) = (Arc::<Mutex<Vec<LogLine>>>::default(), Arc::<Mutex<Option<StepEnd>>>::default());
        let task = {
            let (steps, lines, end) = (Arc::downgrade(self), lines.clone(), end.clone());
            let (runtime, invocation) = (runtime.clone(), invocation());
            tokio::spawn(async move {
                let say = move |text: String| {
                    lock(&lines).push(LogLine { time: runtime.now(), text: Bytes::from(text) });
                };
                let ended = program.run(invocation, &say).await;
                *lock(&end) = Some(ended);
                if let Some(steps) = steps.upgrade() {
                    steps.news.notify_one();
                }
            })
        };
        runs.insert(key, Run { lines, end, task: task.abort_handle() });
        None
    }

    /// Kills what runs in a pod; what it has written stays.
    pub(super) fn kill(&self, pod: &str) {
        for (_, run) in lock(&self.runs).iter().filter(|((of, _), _)| of == pod) {
            run.task.abort();
        }
    }

    /// Forgets what ran in pods that are gone.
    pub(super) fn keep(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.runs).retain(|(pod, _), _| is_there(pod));
    }

    /// What a step's container has written.
    ///
    /// # Errors
    /// In the words of a kubelet, for a container that has not begun.
    pub(crate) fn lines(&self, pod: &Value, log: &ContainerLog) -> Result<Vec<LogLine>, String> {
        let ContainerLog { pod: name, container, .. } = log;
        let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"].map(|of| view::items(pod, of));
        let status =
            statuses.into_iter().flatten().find(|status| status["name"] == container.as_str()).unwrap_or(&Value::Null);
        let begun = ["/state/running", "/state/terminated"].iter().find_map(|state| status.pointer(state));
        let Some(begun) = begun else {
            return Err(format!("container \"{container}\" in pod \"{name}\" is waiting to start: PodInitializing"));
        };
        if let Some(run) = lock(&self.runs).get(&(log.uid.clone(), container.clone())) {
            return Ok(lock(&run.lines).clone());
        }
        if container != super::step_pod::MAIN {
            return Ok(Vec::new());
        }
        let started = super::super::time::parse(view::text(begun, "/startedAt")).unwrap_or_default();
        let line = |text: &String, at: Timestamp| LogLine { time: at, text: Bytes::from(text.clone()) };
        let chosen = lock(&self.chosen);
        let words = chosen.words.get(view::annotation(pod, super::step_pod::TEMPLATE));
        Ok(words.map(|(lines, _)| lines.iter().map(|text| line(text, started)).collect()).unwrap_or_default())
    }
}
