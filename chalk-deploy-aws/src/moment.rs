//! Moments as the services write them.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use chalk_deploy_core::model::Timestamp;
use serde_json::Value;

/// `2026-11-21T18:00:00Z`, with or without a fraction or an offset (RFC 3339).
pub(crate) fn read(text: &str) -> Option<Timestamp> {
    let moment = DateTime::from_str(text.trim(), Format::DateTimeWithOffset).ok()?;
    Some(Timestamp::from_millis(u64::try_from(moment.to_millis().ok()?).ok()?))
}

/// Seconds since the epoch with a fraction, as the JSON of ECR has them.
pub(crate) fn in_json(value: &Value) -> Option<Timestamp> {
    const LAST: f64 = 253_402_300_799.0;
    let seconds = value.as_f64().filter(|seconds| (0.0..=LAST).contains(seconds))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between zero and the year 9999")]
    Some(Timestamp::from_millis((seconds * 1000.0).round() as u64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn moments_are_read_in_both_forms() {
        let expected = Some(Timestamp::from_millis(1_369_353_600_000));
        assert_eq!(read("2013-05-24T00:00:00Z"), expected);
        assert_eq!(read("2013-05-24T02:00:00.000+02:00"), expected);
        assert_eq!(in_json(&json!(1_369_353_600)), expected);
        assert_eq!(in_json(&json!(1.369_353_6E9)), expected);
        for text in ["", "tomorrow", "2013-05-24", "1969-12-31T23:59:59Z"] {
            assert_eq!(read(text), None, "{text}");
        }
        for value in [json!("1"), json!(-1), json!(1e300), json!(null)] {
            assert_eq!(in_json(&value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_nothing_panics(text in "\\PC{0,40}", number in any::<f64>()) {
            let _ = (read(&text), in_json(&json!(number)));
        }
    }
}
