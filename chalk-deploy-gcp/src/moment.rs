//! Moments as Google writes them.

use chalk_deploy_core::model::Timestamp;

/// `2014-10-02T15:01:23.045123456Z` (RFC 3339, in UTC), in milliseconds.
pub(crate) fn read(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let millis = format!("{fraction:0<3}").get(..3)?.parse::<u64>().ok()?;
    Some(Timestamp::from_millis(seconds(year, month, day, time)? * 1000 + millis))
}

/// `Fri, 24 May 2013 00:00:00 GMT`, the form of the header `Date` (RFC 9110, section 5.6.7).
pub(crate) fn read_http(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.strip_suffix(" GMT")?.split(' ');
    let (day, month, year) = (words.next()?.parse().ok()?, words.next()?, words.next()?.parse().ok()?);
    let month = MONTHS.iter().zip(1..).find_map(|(name, number)| (*name == month).then_some(number))?;
    Some(Timestamp::from_millis(seconds(year, month, day, words.next()?)? * 1000))
}

/// Seconds since the epoch. Days are counted by Howard Hinnant's `days_from_civil`.
fn seconds(year: u64, month: u64, day: u64, time: &str) -> Option<u64> {
    let mut time = time.splitn(3, ':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (time.next()??, time.next()??, time.next()??);
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date || hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = (year % 400) * 365 + (year % 400) / 4 - (year % 400) / 100 + day_of_year;
    let days = ((year / 400) * 146_097 + day_of_era).checked_sub(719_468)?;
    Some(days * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_moment_is_none() {
        for text in ["", "Z", "2024-01-01", "2024-13-01T00:00:00Z", "1969-01-01T00:00:00Z", "2024-01-01T00:00:00.é1Z"]
        {
            assert_eq!(read(text), None, "{text}");
        }
        for text in ["", "Fri, 24 Mai 2013 00:00:00 GMT", "Fri, 24 May 2013 00:00 GMT", "24 May 2013 00:00:00 GMT"] {
            assert_eq!(read_http(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_of_http_is_the_moment_of_the_same_date_in_a_document() {
        assert_eq!(read_http("Fri, 24 May 2013 01:02:03 GMT"), read("2013-05-24T01:02:03Z"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(millis in 0_u64..253_402_300_800_000) {
            let moment = Timestamp::from_millis(millis);
            prop_assert_eq!(read(&moment.to_string()), Some(moment));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = (read(&text), read_http(&text));
        }
    }
}
