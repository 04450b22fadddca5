//! What shows that something is ours, as Azure can write it.
//!
//! The mark of every cloud is `chalk.ai/managed-by: chalk` ([`MANAGED_BY`](chalk_deploy_core::provision::MANAGED_BY)).
//! Azure takes that key nowhere:
//!
//! | where | its rule for names | written as |
//! |---|---|---|
//! | tags of resources (accounts, registries, clusters) | no `<`, `>`, `%`, `&`, `\`, `?`, `/`; at most 512 characters, 128 on storage accounts | [`RESOURCE_TAG`] |
//! | metadata of containers and blobs | an identifier of C#: letters, digits and `_`, not beginning with a digit | [`METADATA`] |
//!
//! The rules stand in "Use tags to organize your Azure resources" and in "Setting and retrieving properties and metadata
//! for Blob service resources". A container is no resource that tags can be put on; what this library makes are
//! containers, so that the metadata is what marks them. No role of Azure depends on either: what a role may touch is
//! bounded by the scope that it is assigned at.

/// The mark as a tag of a resource, for what a person makes with a template: accounts, registries, clusters.
pub const RESOURCE_TAG: (&str, &str) = ("chalk.ai_managed-by", "chalk");

/// The mark as metadata of a container.
pub const METADATA: (&str, &str) = ("chalk_ai_managed_by", "chalk");

#[cfg(test)]
mod tests {
    use chalk_deploy_core::provision::MANAGED_BY;

    use super::*;

    #[test]
    fn the_marks_are_the_common_one_without_what_azure_does_not_take() {
        let replaced = |key: &str, taken: fn(char) -> bool| -> String {
            key.chars().map(|letter| if taken(letter) { letter } else { '_' }).collect()
        };
        assert_eq!(RESOURCE_TAG, (replaced(MANAGED_BY.0, |letter| !"<>%&\\?/".contains(letter)).as_str(), MANAGED_BY.1));
        assert_eq!(METADATA, (replaced(MANAGED_BY.0, |letter| letter.is_ascii_alphanumeric()).as_str(), MANAGED_BY.1));
    }
}
