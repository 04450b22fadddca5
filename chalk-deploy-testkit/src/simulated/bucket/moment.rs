//! Moments as HTTP and signatures write them.

use chalk_deploy_core::model::Timestamp;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Fri, 24 May 2013 00:00:00 GMT` (RFC 9110, section 5.6.7).
pub(super) fn http_date(moment: Timestamp) -> String {
    let days = moment.as_millis() / 86_400_000;
    let weekday = DAYS[usize::try_from(days % 7).unwrap_or_default()];
    let text = moment.to_string();
    let (date, time) = text.split_once('T').unwrap_or_default();
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    let month = month.and_then(|month| month.parse::<usize>().ok()).and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    let time = time.split('.').next().unwrap_or_default();
    format!(
        "{weekday}, {} {} {} {time} GMT",
        day.unwrap_or_default(),
        month.copied().unwrap_or_default(),
        year.unwrap_or_default()
    )
}

/// The moment of `20130524T000000Z`.
pub(super) fn of_signature(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse::<u64>().ok() } else { None }
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60
    {
        return None;
    }
    // Hinnant's days_from_civil, for years after 1970.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let shifted = (month + 9) % 12;
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let days = days.checked_sub(719_468)?;
    Some(Timestamp::from_millis((days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_moment_is_written_in_every_form() {
        let moment = of_signature("20130524T000000Z").expect("a moment");
        assert_eq!(moment.to_string(), "2013-05-24T00:00:00.000Z");
        assert_eq!(http_date(moment), "Fri, 24 May 2013 00:00:00 GMT");
        let leap = of_signature("20240229T235959Z").expect("a moment");
        assert_eq!(http_date(leap), "Thu, 29 Feb 2024 23:59:59 GMT");
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in ["", "20130524", "20130524T000000", "20131324T000000Z", "2013052éT00000Z", "+0130524T000000Z"] {
            assert_eq!(of_signature(text), None, "{text}");
        }
    }
}
