//! Text from strangers (git authors, log lines, file names) made safe to show.

use std::borrow::Cow;

/// Replaces what could drive a terminal or break a line (C0 and C1 controls, and so every CSI and OSC sequence, and
/// the characters that reorder text) by `\u{FFFD}`. Tabs become spaces.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(|symbol| harmful(symbol) || symbol == '\t') {
        text.chars()
            .map(|symbol| match symbol {
                '\t' => ' ',
                symbol if harmful(symbol) => char::REPLACEMENT_CHARACTER,
                symbol => symbol,
            })
            .collect::<String>()
            .into()
    } else {
        Cow::Borrowed(text)
    }
}

/// One printable line of at most `most` characters; what is cut off is marked with an ellipsis.
pub fn line(text: &str, most: usize) -> String {
    let shown = printable(text.trim_end_matches(['\r', '\n']));
    if shown.chars().count() <= most {
        return shown.into_owned();
    }
    let mut cut: String = shown.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

fn harmful(symbol: char) -> bool {
    let reorders = matches!(symbol, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    (symbol.is_control() && symbol != '\t') || reorders
}

/// A count of bytes for people: `512 B`, `1.5 KiB`, `2.0 GiB`.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_cannot_reach_a_terminal() {
        let shown = line("\u{1b}]0;owned\u{7}\u{9b}31mred\nsecond", 80);
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{9b}', '\n']), "{shown:?}");
        assert!(shown.contains("red"));
    }

    #[test]
    fn a_long_line_is_cut_with_a_mark() {
        assert_eq!(line("abcdef", 4), "abc…");
        assert_eq!(line("abcd", 4), "abcd");
    }

    #[test]
    fn sizes_are_shown_in_binary_units() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(1 << 30), "1.0 GiB");
    }
}
