//! How long ago something was, as kubectl says it.

use chalk_deploy_core::model::Timestamp;
use k8s_openapi::jiff;
use serde_json::Value;

/// The time since a time in RFC 3339.
pub(super) fn since(time: &Value, now: Timestamp) -> Option<u64> {
    let then: jiff::Timestamp = time.as_str()?.parse().ok()?;
    let then = u64::try_from(then.as_millisecond()).ok()?;
    Some(now.as_millis().saturating_sub(then) / 1000)
}

/// `5s`, `3m20s`, `17m`, `5h10m`, `22h`, `3d4h`, `12d`, `2y40d`: two places while the first is small.
pub(super) fn words(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |first: u64, first_unit: &str, second: u64, second_unit: &str| {
        if second == 0 { format!("{first}{first_unit}") } else { format!("{first}{first_unit}{second}{second_unit}") }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_kubectl_writes_them() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (200, "3m20s"),
            (1020, "17m"),
            (18_600, "5h10m"),
            (79_200, "22h"),
            (273_600, "3d4h"),
            (1_036_800, "12d"),
        ];
        for (seconds, written) in cases {
            assert_eq!(words(seconds), written);
        }
    }
}
