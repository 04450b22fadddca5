//! Times as Kubernetes writes them.

use std::time::Duration;

use chalk_deploy_core::model::Timestamp;

/// Reads a time such as `2025-01-01T00:00:00Z`, with or without a fraction. `None` for anything else.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(digits);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':');
    let (hour, minute, second) = (digits(time.next()?)?, digits(time.next()?)?, time.next()?);
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let second = digits(second)?;
    let fraction =
        digits(&fraction.get(..3.min(fraction.len()))?.chars().chain("00".chars()).take(3).collect::<String>())?;
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !valid {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Timestamp::from_millis(seconds * 1000 + fraction))
}

/// A time in whole seconds.
pub(crate) fn print(time: Timestamp) -> String {
    let text = time.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// A duration as Go prints it, in the units that events use.
pub(crate) fn print_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 60, seconds % 60, duration.subsec_millis()) {
        (0, 0, millis) => format!("{millis}ms"),
        (0, seconds, 0) => format!("{seconds}s"),
        (0, seconds, millis) => {
            let fraction = format!("{millis:03}");
            format!("{seconds}.{}s", fraction.trim_end_matches('0'))
        }
        (minutes, seconds, _) => format!("{minutes}m{seconds}s"),
    }
}

fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || text.len() > 4 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Days from 1970-01-01 to a Gregorian date from then on (Howard Hinnant's `days_from_civil`).
const fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    (era * 146_097 + day_of_era).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_time_comes_back_from_its_text(millis in 0..253_402_300_799_999_u64) {
            let time = Timestamp::from_millis(millis);
            prop_assert_eq!(parse(&time.to_string()), Some(time));
            prop_assert_eq!(parse(&print(time)), Some(Timestamp::from_millis(millis / 1000 * 1000)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,40}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{0,12}Z") {
            let _ = parse(&text);
        }
    }

    #[test]
    fn durations_are_printed_as_events_have_them() {
        let cases = [(300, "300ms"), (10_000, "10s"), (1250, "1.25s"), (160_000, "2m40s"), (300_000, "5m0s")];
        for (millis, text) in cases {
            assert_eq!(print_duration(Duration::from_millis(millis)), text);
        }
    }
}
