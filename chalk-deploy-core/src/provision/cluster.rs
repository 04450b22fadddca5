//! A cluster as its provider describes it.

/// How the API server of a cluster is reached: the two options of seed 002.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// Option A: from the internet, by those whose address is listed.
    Public {
        /// The networks that may, as CIDR blocks. Empty: everyone may try.
        allowed: Vec<String>,
    },
    /// Option B: from inside of the network alone. Its addresses may change, so that no deployment through it can be
    /// promised to be without downtime.
    Private,
}

/// A cluster as its provider describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterDescription {
    /// Its name.
    pub name: String,
    /// Where its API server is.
    pub server: String,
    /// The version of Kubernetes, as the provider says it.
    pub version: String,
    /// How it is reached.
    pub endpoint: Endpoint,
}

impl ClusterDescription {
    /// A description.
    pub fn new(
        name: impl Into<String>,
        server: impl Into<String>,
        version: impl Into<String>,
        endpoint: Endpoint,
    ) -> Self {
        Self { name: name.into(), server: server.into(), version: version.into(), endpoint }
    }

    /// What a person should know of it, one sentence each.
    pub fn remarks(&self) -> Vec<String> {
        let name = crate::text::line(&self.name, 100);
        match &self.endpoint {
            Endpoint::Private => vec![format!(
                "note: cluster `{name}` has a private endpoint; its addresses may change, and deployments without \
                 downtime cannot be guaranteed until the network follows"
            )],
            Endpoint::Public { allowed } if is_open(allowed) => vec![format!(
                "note: the endpoint of cluster `{name}` is open to every address; list those of the Metadata Plane"
            )],
            Endpoint::Public { .. } => Vec::new(),
        }
    }
}

fn is_open(allowed: &[String]) -> bool {
    allowed.is_empty() || allowed.iter().any(|block| block.ends_with("/0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_endpoint_that_is_public_and_limited_is_not_remarked_on() {
        let allowed = |blocks: &[&str]| Endpoint::Public { allowed: blocks.iter().map(ToString::to_string).collect() };
        for (endpoint, word) in [
            (Endpoint::Private, Some("downtime")),
            (allowed(&[]), Some("open to every address")),
            (allowed(&["10.0.0.0/8", "0.0.0.0/0"]), Some("open to every address")),
            (allowed(&["192.0.2.0/24"]), None),
        ] {
            let remarks = ClusterDescription::new("c", "https://c", "1.35", endpoint).remarks();
            assert_eq!(remarks.iter().any(|remark| word.is_some_and(|word| remark.contains(word))), word.is_some());
            assert_eq!(remarks.len(), usize::from(word.is_some()));
        }
    }
}
