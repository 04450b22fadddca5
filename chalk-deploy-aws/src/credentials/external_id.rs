//! The external id of a customer: what keeps one customer of ours from making us act in the account of another.

use std::fmt;

use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::{Error, ErrorCode, Result};
use serde::{Deserialize, Serialize};

/// What a customer's trust policy asks for as `sts:ExternalId` (seed 003; "The confused deputy problem" of the IAM user
/// guide).
///
/// We make it, at random, once for each customer's account, and store it with the customer. It is no secret, but nobody
/// may choose it: were it taken from a request, a customer who knows the role of another could name that role's own id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExternalId(String);

impl ExternalId {
    /// A new one.
    pub fn generate(runtime: &dyn Runtime) -> Self {
        let mut random = [0; 16];
        runtime.fill_random(&mut random);
        let digits: Vec<_> = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("chalk-{}", digits.concat()))
    }

    /// One that was stored.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for what STS does not take: 2 to 1224 letters, digits and `_ + = , . @ : / -`.
    pub fn stored(id: impl Into<String>) -> Result<Self> {
        let id = id.into();
        let usable = (2..=1224).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte));
        if usable {
            return Ok(Self(id));
        }
        Err(Error::new(ErrorCode::ValueInvalid, "the stored external id is none")
            .on("role of a tenant")
            .with_hint("store what `ExternalId::generate` makes, and put it into the customer's trust policy"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ExternalId {
    type Error = Error;

    fn try_from(id: String) -> Result<Self> {
        Self::stored(id)
    }
}

impl From<ExternalId> for String {
    fn from(id: ExternalId) -> Self {
        id.0
    }
}

impl fmt::Display for ExternalId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use chalk_deploy_core::runtime::SystemRuntime;

    use super::*;

    #[test]
    fn each_is_another_and_can_be_stored() {
        let runtime = SystemRuntime::new();
        let (one, other) = (ExternalId::generate(&*runtime), ExternalId::generate(&*runtime));
        assert_ne!(one, other);
        assert_eq!(ExternalId::stored(one.as_str()).expect("it is one"), one);
        let stored = serde_json::to_string(&one).expect("text");
        assert_eq!(serde_json::from_str::<ExternalId>(&stored).expect("it is one"), one);
    }

    #[test]
    fn a_pattern_or_nothing_is_none() {
        for id in ["", "a", "*", "a b", "a\nb", "ä-ä", &"a".repeat(1225)] {
            assert_eq!(ExternalId::stored(id).expect_err(id).code(), ErrorCode::ValueInvalid);
        }
    }
}
