//! A difference as text for a terminal.

use std::fmt;

use super::shown::is_digest;
use super::{Change, ChangeKind, GraphDiff};
use crate::text;

/// So many risky changes are shown; the rest is counted.
const MOST_RISKY: usize = 100;
/// So many safe changes are shown; the rest is counted.
const MOST_SAFE: usize = 50;
/// So many fields of a change are shown; the rest is counted.
const MOST_FIELDS: usize = 6;
/// Values of fields are cut at so many characters.
const LONGEST_VALUE: usize = 60;

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.change {
            ChangeKind::Added => '+',
            ChangeKind::Removed => '-',
            ChangeKind::Modified | ChangeKind::Renamed => '~',
        };
        write!(formatter, "{sign} {} {}", self.entity, self.name)?;
        if let Some(former) = &self.former_name {
            write!(formatter, " (was {former})")?;
        }
        if self.fields.is_empty() {
            return Ok(());
        }
        formatter.write_str(" (")?;
        for (place, field) in self.fields.iter().take(MOST_FIELDS).enumerate() {
            write!(formatter, "{}{}", if place == 0 { "" } else { "; " }, field.field)?;
            // Digests say no more to people than that something changed.
            if [&field.before, &field.after].into_iter().flatten().any(|value| is_digest(value)) {
                formatter.write_str(" changed")?;
            } else {
                let shown = |value: &Option<String>| {
                    value.as_ref().map_or_else(|| "none".to_owned(), |value| text::line(value, LONGEST_VALUE))
                };
                write!(formatter, ": {} -> {}", shown(&field.before), shown(&field.after))?;
            }
        }
        if let Some(more @ 1..) = self.fields.len().checked_sub(MOST_FIELDS) {
            write!(formatter, "; and {more} more")?;
        }
        formatter.write_str(")")
    }
}

impl fmt::Display for GraphDiff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return formatter.write_str("no change");
        }
        let (risky, safe): (Vec<&Change>, Vec<&Change>) = self.changes.iter().partition(|change| change.is_risky());
        group(formatter, "risky", &risky, MOST_RISKY)?;
        if !risky.is_empty() && !safe.is_empty() {
            formatter.write_str("\n")?;
        }
        group(formatter, "safe", &safe, MOST_SAFE)
    }
}

fn group(formatter: &mut fmt::Formatter<'_>, risk: &str, changes: &[&Change], most: usize) -> fmt::Result {
    let count = changes.len();
    if count == 0 {
        return Ok(());
    }
    write!(formatter, "{count} {risk} change{}:", if count == 1 { "" } else { "s" })?;
    for change in changes.iter().take(most) {
        write!(formatter, "\n  {change}")?;
        for reason in &change.reasons {
            write!(formatter, "\n      risk: {reason}")?;
        }
    }
    if count > most {
        write!(formatter, "\n  and {} more", count - most)?;
    }
    Ok(())
}
