//! The tag that shows what is ours.
//!
//! AWS takes letters, digits, spaces and `_ . : / = + - @` in keys of tags ("Tagging your AWS resources"), so
//! [`MANAGED_BY`] is written as it is: `chalk.ai/managed-by`, `chalk`. Seed 003's scoped role asks for exactly that as
//! `aws:ResourceTag/chalk.ai/managed-by`.

use chalk_deploy_core::provision::MANAGED_BY;
use serde_json::{Value, json};

use crate::xml;

/// As the JSON of ECR has it.
pub(crate) fn in_json() -> Value {
    json!([{"Key": MANAGED_BY.0, "Value": MANAGED_BY.1}])
}

/// As the XML of S3 has it, beside the tags that a bucket has already: `<Tag>` elements.
pub(crate) fn beside(others: &[&str]) -> String {
    let (key, value) = MANAGED_BY;
    format!("{}<Tag><Key>{key}</Key><Value>{value}</Value></Tag>", others.concat())
}

/// The `<Tag>` elements of a document that are not ours, and whether ours is among them as it should be.
pub(crate) fn of_others(document: &str) -> (Vec<&str>, bool) {
    let all = xml::blocks(document, "Tag");
    let (ours, others): (Vec<&str>, Vec<&str>) =
        all.into_iter().partition(|tag| xml::text(tag, "Key").as_deref() == Some(MANAGED_BY.0));
    let is_set = ours.iter().any(|tag| xml::text(tag, "Value").as_deref() == Some(MANAGED_BY.1));
    (others, is_set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tags_of_others_stay_and_ours_is_told_from_another_value() {
        let other = "<Tag><Key>team</Key><Value>risk &amp; fraud</Value></Tag>";
        let document = format!("<Tagging><TagSet>{}</TagSet></Tagging>", beside(&[other]));
        assert_eq!(of_others(&document), (vec![other], true));
        let wrong = document.replace("<Value>chalk<", "<Value>terraform<");
        assert_eq!(of_others(&wrong), (vec![other], false));
        assert_eq!(of_others(""), (Vec::new(), false));
    }
}
