//! How the requests of an environment are divided between deployments.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::name::DeploymentId;
use crate::{Error, ErrorCode};

/// A share of the traffic in percent, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64")]
pub struct Weight(u8);

impl Weight {
    /// No traffic.
    pub const NONE: Self = Self(0);
    /// All traffic.
    pub const ALL: Self = Self(100);

    /// Checks the range.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] outside 0 to 100.
    pub fn new(percent: i64) -> Result<Self, Error> {
        match u8::try_from(percent) {
            Ok(weight @ 0..=100) => Ok(Self(weight)),
            _ => Err(Error::new(ErrorCode::ValueInvalid, "a weight is a whole number from 0 to 100")
                .on(format!("weight {percent}"))),
        }
    }

    /// The percentage.
    pub const fn percent(self) -> u8 {
        self.0
    }
}

impl TryFrom<i64> for Weight {
    type Error = Error;

    fn try_from(percent: i64) -> Result<Self, Error> {
        Self::new(percent)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}%", self.0)
    }
}

/// One deployment's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Its share.
    pub weight: Weight,
}

/// The division of an environment's traffic. Either nothing is served yet (no backends), or the weights sum to
/// exactly 100: a split that breaks this cannot be made, so none can be written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Backend>", into = "Vec<Backend>")]
pub struct TrafficSplit(BTreeMap<DeploymentId, Weight>);

impl TrafficSplit {
    /// Nothing is served.
    pub const fn nothing() -> Self {
        Self(BTreeMap::new())
    }

    /// All traffic to one deployment.
    pub fn all_to(deployment: DeploymentId) -> Self {
        Self(BTreeMap::from([(deployment, Weight::ALL)]))
    }

    /// A split of several backends.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] when a deployment is named twice or the weights do not sum to 100.
    pub fn new(backends: impl IntoIterator<Item = Backend>) -> Result<Self, Error> {
        let mut split = BTreeMap::new();
        for Backend { deployment, weight } in backends {
            if split.insert(deployment.clone(), weight).is_some() {
                return Err(
                    Error::new(ErrorCode::ValueInvalid, "a deployment stands twice in a traffic split").on(deployment)
                );
            }
        }
        let sum: u32 = split.values().map(|weight: &Weight| u32::from(weight.0)).sum();
        if sum != 100 && !split.is_empty() {
            return Err(Error::new(ErrorCode::ValueInvalid, format!("the weights sum to {sum}, not to 100")));
        }
        Ok(Self(split))
    }

    /// The share of a deployment; none if it is not a backend.
    pub fn weight_of(&self, deployment: &DeploymentId) -> Weight {
        self.0.get(deployment).copied().unwrap_or(Weight::NONE)
    }

    /// The backends, ordered by deployment.
    pub fn backends(&self) -> impl Iterator<Item = (&DeploymentId, Weight)> {
        self.0.iter().map(|(deployment, weight)| (deployment, *weight))
    }

    /// The deployments that get requests.
    pub fn serving(&self) -> impl Iterator<Item = &DeploymentId> {
        self.backends().filter(|(_, weight)| *weight > Weight::NONE).map(|(deployment, _)| deployment)
    }

    /// Whether nothing is served.
    pub fn is_nothing(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<Backend>> for TrafficSplit {
    type Error = Error;

    fn try_from(backends: Vec<Backend>) -> Result<Self, Error> {
        Self::new(backends)
    }
}

impl From<TrafficSplit> for Vec<Backend> {
    fn from(split: TrafficSplit) -> Self {
        split.0.into_iter().map(|(deployment, weight)| Backend { deployment, weight }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(letter: char, percent: i64) -> Backend {
        let deployment = DeploymentId::new(format!("c{}", letter.to_string().repeat(24))).expect("a valid id");
        Backend { deployment, weight: Weight::new(percent).expect("a valid weight") }
    }

    #[test]
    fn weights_outside_0_to_100_cannot_be_made() {
        for percent in [-1, 101, 1_000_001] {
            assert!(Weight::new(percent).is_err(), "{percent}");
        }
        assert!(serde_json::from_str::<Weight>("300").is_err());
    }

    #[test]
    fn a_split_that_does_not_sum_to_100_cannot_be_made_or_read() {
        assert!(TrafficSplit::new([backend('a', 60), backend('b', 50)]).is_err());
        assert!(TrafficSplit::new([backend('a', 0), backend('b', 0)]).is_err());
        assert!(TrafficSplit::new([backend('a', 50), backend('a', 50)]).is_err());
        let text = format!("[{{\"deployment\":\"c{}\",\"weight\":99}}]", "a".repeat(24));
        assert!(serde_json::from_str::<TrafficSplit>(&text).is_err());
    }

    #[test]
    fn a_deployment_at_weight_zero_is_a_backend_that_does_not_serve() {
        let split = TrafficSplit::new([backend('a', 100), backend('b', 0)]).expect("sums to 100");
        assert_eq!(split.backends().count(), 2);
        assert_eq!(split.serving().count(), 1);
    }
}
