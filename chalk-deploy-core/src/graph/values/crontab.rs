//! Lines of a crontab: when something runs.

/// What a field may say.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    /// Names of values, the first of which is `least`.
    names: &'static [&'static str],
}

/// The five fields of a line, in the order of crontab(5) and of the documentation of chalkpy's `CronTab`.
const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of the month", least: 1, most: 31, names: &[] },
    Field {
        name: "month",
        least: 1,
        most: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    // Sunday is 0 and 7.
    Field { name: "day of the week", least: 0, most: 7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

/// What is wrong with a crontab line; nothing when it says when to run. Names of months and days, ranges, steps and
/// lists are read as crontab(5) has them, and `?` for a day as Quartz does.
pub(in crate::graph) fn defect_of_crontab(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Some(format!(
            "a crontab line has 5 fields (minute, hour, day, month, weekday), and this has {}",
            fields.len()
        ));
    }
    FIELDS.iter().zip(fields).find_map(|(field, text)| {
        let part = text.split(',').find(|part| !field.allows(part))?;
        let (name, least, most) = (field.name, field.least, field.most);
        Some(format!("`{part}` is no {name} ({least} to {most})"))
    })
}

impl Field {
    fn allows(&self, part: &str) -> bool {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        if step.is_some_and(|step| number(step).is_none_or(|step| step == 0)) {
            return false;
        }
        match range {
            "*" => true,
            "?" => step.is_none() && self.name.starts_with("day"),
            _ => match range.split_once('-') {
                None => self.value(range).is_some(),
                Some((first, last)) => match (self.value(first), self.value(last)) {
                    (Some(first), Some(last)) => first <= last,
                    _ => false,
                },
            },
        }
    }

    fn value(&self, text: &str) -> Option<u32> {
        if let Some(place) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Some(self.least + u32::try_from(place).ok()?);
        }
        number(text).filter(|value| (self.least..=self.most).contains(value))
    }
}

fn number(text: &str) -> Option<u32> {
    // `parse` would take a sign.
    text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_that_run_are_lines() {
        for line in [
            "* * * * *",
            "0 2 * * *",
            "*/5 0-6 1,15 * mon-fri",
            "59 23 31 12 7",
            "0 0 ? JAN Sun",
            "0-30/10 * * * *",
            "  0  0 * *\t*",
        ] {
            assert_eq!(defect_of_crontab(line), None, "{line}");
        }
    }

    #[test]
    fn what_never_runs_is_told_by_its_field() {
        for (line, told) in [
            ("61 2 * * *", "`61` is no minute"),
            ("0 24 * * *", "`24` is no hour"),
            ("0 0 0 * *", "`0` is no day of the month"),
            ("0 0 * 13 *", "`13` is no month"),
            ("0 0 * * 8", "`8` is no day of the week"),
            ("5-1 * * * *", "`5-1` is no minute"),
            ("*/0 * * * *", "`*/0` is no minute"),
            ("+5 * * * *", "`+5` is no minute"),
            ("? * * * *", "`?` is no minute"),
            ("every night", "5 fields"),
            ("", "5 fields"),
        ] {
            let defect = defect_of_crontab(line).expect("a defect");
            assert!(defect.contains(told), "{line}: {defect}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,60}") {
            let _ = defect_of_crontab(&text);
        }
    }
}
