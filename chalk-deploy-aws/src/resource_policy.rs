//! The policy of a resource, a bucket or a queue, with one statement of ours beside those of others.

use chalk_deploy_core::{Error, ErrorCode, Result};
use serde_json::{Value, json};

/// The id of our statement.
pub(crate) const STATEMENT: &str = "ChalkTlsOnly";

/// The policy that refuses what comes without TLS, as it has to be written; nothing where it says so already.
pub(crate) fn refusing_plain(document: &str, actions: &str, resource: &Value) -> Result<Option<String>> {
    let ours = json!({
        "Sid": STATEMENT,
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": resource,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    });
    let mut policy: Value = if document.trim().is_empty() {
        json!({"Version": "2012-10-17", "Statement": []})
    } else {
        serde_json::from_str(document).map_err(|_| unreadable())?
    };
    let stated = policy.get_mut("Statement").ok_or_else(unreadable)?;
    // One statement may stand without a list around it.
    if stated.is_object() {
        *stated = json!([stated.take()]);
    }
    let statements = stated.as_array_mut().ok_or_else(unreadable)?;
    if statements.iter().any(|statement| says_the_same(statement, &ours)) {
        return Ok(None);
    }
    statements.retain(|statement| statement["Sid"] != STATEMENT);
    statements.push(ours);
    Ok(Some(policy.to_string()))
}

/// Whether two documents say the same to AWS, which may hand out a list in another order, a list of one without its
/// brackets, and a number or a truth as text ("Grammar of the IAM JSON policy language").
pub(crate) fn says_the_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| says_the_same(value, other)))
        }
        (Value::Array(_), _) | (_, Value::Array(_)) => {
            let (one, other) = (items(one), items(other));
            let within = |some: &[Value], all: &[Value]| {
                some.iter().all(|value| all.iter().any(|other| says_the_same(value, other)))
            };
            within(one, other) && within(other, one)
        }
        (Value::Object(_), _) | (_, Value::Object(_)) => false,
        (one, other) => word(one) == word(other),
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn unreadable() -> Error {
    Error::new(ErrorCode::CloudAnswerInvalid, "the policy that is there cannot be read")
        .with_hint("read the policy and correct it; it was left as it is")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OTHER: &str =
        r#"{"Sid":"Audit","Effect":"Allow","Principal":{"AWS":"1"},"Action":"s3:GetObject","Resource":"*"}"#;

    fn resource() -> Value {
        json!(["arn:a", "arn:a/*"])
    }

    fn refusing(document: &str) -> Option<String> {
        refusing_plain(document, "s3:*", &resource()).expect("readable")
    }

    #[test]
    fn the_statements_of_others_stay_and_ours_is_written_once() {
        for before in
            [String::new(), format!(r#"{{"Statement":[{OTHER}]}}"#), format!(r#"{{"Id":"x","Statement":{OTHER}}}"#)]
        {
            let written = refusing(&before).expect("it was not there");
            assert_eq!(written.contains("Audit"), before.contains("Audit"), "{written}");
            assert_eq!(written.matches(STATEMENT).count(), 1);
            assert_eq!(refusing(&written), None, "{written}");
            let edited = written.replace("\"false\"", "\"true\"");
            let again = refusing(&edited).expect("somebody has turned it around");
            assert_eq!(again.matches(STATEMENT).count(), 1, "{again}");
        }
    }

    #[test]
    fn a_policy_that_aws_hands_out_in_another_form_is_not_written_again() {
        let written = refusing("").expect("it was not there");
        for (from, to) in [
            (r#"["arn:a","arn:a/*"]"#, r#"["arn:a/*","arn:a"]"#),
            (r#""s3:*""#, r#"["s3:*"]"#),
            (r#""false""#, "false"),
            (r#""false""#, r#"["false"]"#),
        ] {
            let other = written.replace(from, to);
            assert_ne!(other, written, "{from}");
            assert_eq!(refusing(&other), None, "{other}");
        }
        let narrower = written.replace(r#"["arn:a","arn:a/*"]"#, r#""arn:a""#);
        assert!(refusing(&narrower).is_some(), "{narrower}");
    }

    #[test]
    fn a_policy_that_cannot_be_read_is_not_written_over() {
        for before in ["{", "[]", "{\"Statement\": 7}", "{\"Version\": \"1\"}", "<Policy/>"] {
            let error = refusing_plain(before, "s3:*", &resource()).expect_err(before);
            assert_eq!(error.code(), ErrorCode::CloudAnswerInvalid);
            assert!(error.hint().contains("left as it is"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_there_nothing_panics(document in "[\\[\\]{}\":,a-cStatement0-9 ]{0,80}") {
            let _ = refusing_plain(&document, "s3:*", &resource());
        }
    }
}
