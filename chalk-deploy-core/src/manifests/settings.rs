//! What the data plane decides about workloads.

use std::time::Duration;

use crate::model::DataPlane;

/// What the data plane decides about workloads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkloadSettings {
    /// The Kubernetes service account that the pods run as; that of the namespace if there is none.
    pub service_account: Option<String>,
    /// After this long without progress the Deployment's controller says so. Kubernetes' own default if zero.
    pub ready_within: Duration,
}

impl WorkloadSettings {
    /// Those of a data plane. Its workload identity is the service account where it is the name of one; an ARN or an
    /// address of a cloud's identity is not, and stands on a service account by an annotation instead.
    pub fn of(plane: &DataPlane) -> Self {
        let identity = &plane.identities.workload;
        Self {
            service_account: is_account_name(identity).then(|| identity.clone()),
            ready_within: plane.policy.ready_within,
        }
    }
}

/// RFC 1123, *DNS subdomain*, the rule for names of service accounts. A UUID keeps it too and is none: it is the client
/// id of an identity of Azure.
fn is_account_name(text: &str) -> bool {
    let holds = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.bytes().all(inner)
    };
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    let is_uuid = lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    text.len() <= 253 && !is_uuid && text.split('.').all(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_service_account_becomes_one() {
        for name in ["chalk-workload", "engine", "a.b-c", "12345678-1234-1234-1234-123456789abz"] {
            assert!(is_account_name(name), "{name}");
        }
        for other in [
            "",
            "arn:aws:iam::123456789012:role/chalk-workload",
            "workload@project.iam.gserviceaccount.com",
            "12345678-1234-1234-1234-123456789abc",
            "Engine",
            "-x",
            "a..b",
        ] {
            assert!(!is_account_name(other), "{other}");
        }
    }
}
