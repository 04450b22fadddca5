//! How fast a simulated cluster is, and how large.

use std::time::Duration;

/// How fast a cluster is, and how large. The default makes a pod ready within about 300 ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    /// How many nodes there are.
    pub nodes: u32,
    /// What one node gives to pods, as quantities: processors and memory.
    pub node_size: (String, String),
    /// How many pods one node takes.
    pub pods_per_node: u32,
    /// How long after a change the controllers look.
    pub lag: Duration,
    /// How long after a pod's change the endpoints of its services follow.
    pub endpoint_lag: Duration,
    /// How long a pod waits for the scheduler.
    pub schedule: Duration,
    /// How long a pull takes at least.
    pub pull: Duration,
    /// How long a container takes from its image to running.
    pub start: Duration,
    /// How long the process in a container takes until it is ready.
    pub boot: Duration,
    /// How often probes ask. `None`: as the pod says, with its initial delay; the other settings are then small beside
    /// it. The thresholds are the pod's own either way.
    pub probe_period: Option<Duration>,
    /// How long a process goes on serving after it was asked to end; never longer than its pod's grace period.
    pub termination: Duration,
    /// How long the process of a job or of a step of a workflow runs.
    pub work: Duration,
    /// The first wait before a crashed container is started again, and before an image is pulled again. It doubles.
    pub back_off: Duration,
    /// The longest such wait.
    pub longest_back_off: Duration,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            nodes: 3,
            node_size: ("16".to_owned(), "64Gi".to_owned()),
            pods_per_node: 110,
            lag: Duration::from_millis(2),
            endpoint_lag: Duration::ZERO,
            schedule: Duration::from_millis(20),
            pull: Duration::from_millis(80),
            start: Duration::from_millis(60),
            boot: Duration::from_millis(80),
            probe_period: Some(Duration::from_millis(20)),
            termination: Duration::from_millis(500),
            work: Duration::from_millis(300),
            back_off: Duration::from_secs(10),
            longest_back_off: Duration::from_mins(5),
        }
    }
}

impl ClusterSettings {
    /// As slow as a cluster in a cloud: for tests in virtual time.
    #[must_use]
    pub fn realistic() -> Self {
        Self {
            lag: Duration::from_millis(50),
            endpoint_lag: Duration::from_millis(200),
            schedule: Duration::from_millis(100),
            pull: Duration::from_secs(8),
            start: Duration::from_secs(1),
            boot: Duration::from_secs(5),
            probe_period: None,
            termination: Duration::from_secs(5),
            work: Duration::from_secs(30),
            ..Self::default()
        }
    }

    /// Everything at once, but for the back-offs.
    #[must_use]
    pub fn immediate() -> Self {
        Self {
            lag: Duration::ZERO,
            schedule: Duration::ZERO,
            pull: Duration::ZERO,
            start: Duration::ZERO,
            boot: Duration::ZERO,
            termination: Duration::ZERO,
            work: Duration::ZERO,
            ..Self::default()
        }
    }
}
