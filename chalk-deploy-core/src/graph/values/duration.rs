//! Durations as people write them: `1d`, `1h30m`, `2w 3d`.

/// What chalkpy makes of `infinity` and `all`: a hundred years.
const UNBOUNDED: u64 = 100 * 365 * 86_400;

/// The units of a duration, in milliseconds, as the documentation of chalkpy's `Duration` lists them.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// The seconds of a duration, as chalkpy's `parse_chalk_duration` reads it; a fraction of a second is cut off.
pub(in crate::graph) fn seconds_of_duration(text: &str) -> Option<u64> {
    if matches!(text, "infinity" | "all") {
        return Some(UNBOUNDED);
    }
    let mut rest = text.trim();
    let mut seen = [false; UNITS.len()];
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|symbol: char| !symbol.is_ascii_digit())?;
        let (count, after) = rest.split_at_checked(digits)?;
        let letters = after.find(|symbol: char| !symbol.is_ascii_lowercase()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters)?;
        let place = UNITS.iter().position(|(known, _)| *known == unit)?;
        // chalkpy refuses a unit that comes twice.
        if std::mem::replace(seen.get_mut(place)?, true) {
            return None;
        }
        let (_, milliseconds) = UNITS.get(place)?;
        total = total.checked_add(count.parse::<u64>().ok()?.checked_mul(*milliseconds)?)?;
        rest = after.trim_start();
    }
    Some(total / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_chalkpy_reads_them() {
        for (text, seconds) in [
            ("1d", 86_400),
            ("1h30m", 5400),
            ("2w 3d", 1_468_800),
            ("500ms", 0),
            (" 1h 30m ", 5400),
            ("0s", 0),
            ("infinity", 3_153_600_000),
        ] {
            assert_eq!(seconds_of_duration(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_chalkpy_refuses_is_no_duration() {
        for text in [
            "",
            "3 fortnights",
            "1",
            "d",
            "-1d",
            "1.5h",
            "1D",
            "10 m",
            "1d1d",
            "1day",
            "99999999999999999999d",
            "18446744073709551615w",
            "1d\u{0}",
        ] {
            assert_eq!(seconds_of_duration(text), None, "{text}");
        }
    }
}
