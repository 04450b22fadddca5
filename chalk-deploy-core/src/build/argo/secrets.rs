//! Secrets that are known, in every form in which a log may hold them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::build::redaction::REDACTED;
use crate::kubernetes::Secret;

/// Shorter texts are no secrets, and would be found everywhere.
const LEAST: usize = 6;

/// The forms of what must not be kept, longest first.
#[derive(Clone, Default)]
pub(super) struct Known(Vec<String>);

impl Known {
    pub(super) fn new(secrets: &[Secret]) -> Self {
        let secrets = secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= LEAST);
        let mut forms: Vec<_> = secrets.flat_map(forms).collect();
        forms.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        forms.dedup();
        Self(forms)
    }

    /// The text without them.
    pub(super) fn redact(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, form| if text.contains(form) { text.replace(form, REDACTED) } else { text })
    }
}

/// As it is, percent-encoded, and in base64 at any place of a longer text: `user:password` is encoded as a whole.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    let percent: String = secret
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    forms.extend([percent.to_lowercase(), percent]);
    for offset in 0..3_usize {
        let bytes = [&vec![0; offset][..], secret.as_bytes()].concat();
        // The first letters hold bits of what stands before, the last one of what follows.
        let from = (offset * 8).div_ceil(6);
        let to = bytes.len() * 8 / 6;
        forms.extend(
            [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)].map(|text| text[from..to].to_owned()),
        );
    }
    forms.retain(|form| form.len() >= LEAST);
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_secret_is_found_as_it_is_percent_encoded_and_inside_of_base64() {
        let known = Known::new(&[Secret::new("p@ss/word+1"), Secret::new("short")]);
        for line in [
            "it is p@ss/word+1.".to_owned(),
            "p%40ss%2Fword%2B1".to_owned(),
            "p%40ss%2fword%2b1".to_owned(),
            STANDARD_NO_PAD.encode("p@ss/word+1"),
            STANDARD_NO_PAD.encode("me:p@ss/word+1"),
            STANDARD_NO_PAD.encode("you:p@ss/word+1\n"),
            URL_SAFE_NO_PAD.encode("them:p@ss/word+1 and more"),
        ] {
            assert!(known.redact(&line).contains(REDACTED), "{line}");
        }
        assert_eq!(known.redact("short words stay"), "short words stay");
    }
}
