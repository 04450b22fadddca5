//! Moments as servers write them.

use crate::model::Timestamp;

/// `2013-05-24T00:00:00Z` (RFC 3339), in whole seconds.
pub(super) fn in_seconds(moment: Timestamp) -> String {
    let shown = moment.to_string();
    format!("{}Z", shown.split('.').next().unwrap_or_default())
}

/// `20130524T000000Z` (ISO 8601, basic format), which signatures want.
#[cfg(feature = "gcs")]
pub(super) fn basic(moment: Timestamp) -> String {
    in_seconds(moment).replace(['-', ':'], "")
}

/// `2013-05-24T00:00:00Z`, with or without a fraction, in UTC.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    from_parts(year, month, day, time.split('.').next()?)
}

/// `Fri, 24 May 2013 00:00:00 GMT` (RFC 9110, section 5.6.7).
#[cfg(feature = "azure")]
pub(super) fn read_http(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.strip_suffix(" GMT")?.split(' ');
    let (day, month, year) = (words.next()?.parse().ok()?, words.next()?, words.next()?.parse().ok()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    from_parts(year, u64::try_from(month).ok()?, day, words.next()?)
}

fn from_parts(year: u64, month: u64, day: u64, time: &str) -> Option<Timestamp> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let mut time = time.splitn(3, ':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (time.next()??, time.next()??, time.next()??);
    if hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    // Howard Hinnant's `days_from_civil`, for days from the epoch on.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let shifted_month = (month + 9) % 12;
    let of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let of_era = (shifted_year % 400) * 365 + (shifted_year % 400) / 4 - (shifted_year % 400) / 100 + of_year;
    let days = ((shifted_year / 400) * 146_097 + of_era).checked_sub(719_468)?;
    Some(Timestamp::from_millis((days * 86_400 + hours * 3600 + minutes * 60 + seconds) * 1000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_moment_is_none() {
        for text in ["", "2030-01-01", "2030-13-01T00:00:00Z", "2030-01-01T25:00:00Z", "1969-12-31T23:59:59Z", "T"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("2013-05-24T00:00:00.000Z"), Some(Timestamp::from_millis(1_369_353_600_000)));
    }

    #[cfg(feature = "azure")]
    #[test]
    fn dates_of_http_are_read() {
        assert_eq!(read_http("Fri, 24 May 2013 00:00:00 GMT"), Some(Timestamp::from_millis(1_369_353_600_000)));
        assert_eq!(read_http("24 May 2013"), None);
    }

    proptest! {
        #[test]
        fn every_second_comes_back(seconds in 0_u64..250_000_000_000) {
            let moment = Timestamp::from_millis(seconds * 1000);
            prop_assert_eq!(read(&in_seconds(moment)), Some(moment));
            prop_assert_eq!(read(&moment.to_string()), Some(moment));
        }
    }
}
