//! What a build that runs in a container tells those outside: lines as it goes, and at its end one report.
//!
//! The lines go to the standard output, each a JSON object, and are read back from the container's log. The report is
//! what the container leaves as its termination message (Kubernetes documentation, *Determine the Reason for Pod
//! Failure*), which stands in the status of the pod and so needs no right but to read pods. It holds digests and an
//! error, and never what a digest is of: whoever reads it reads the images from the registry.

use serde::{Deserialize, Serialize};

use super::redaction::redacted;
use crate::error::RecordedError;
use crate::model::{Component, Digest};
use crate::text;

/// A kubelet keeps no more of a termination message, in bytes.
pub const REPORT_MOST: usize = 4096;

/// The longest name of a step that is shown.
pub(super) const STEP_MOST: usize = 60;
/// The longest line that is kept.
pub(super) const LINE_MOST: usize = 2000;

/// How a build in a container has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildReport {
    /// The images are in their repositories.
    Images(Vec<ReportedImage>),
    /// It failed.
    Error(RecordedError),
}

/// An image that was pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedImage {
    /// Its component; the request names the repository.
    pub component: Component,
    /// The digest of its manifest.
    pub digest: Digest,
}

impl BuildReport {
    /// The report as a container leaves it: at most [`REPORT_MOST`] bytes, without secrets. Long words are cut.
    pub fn to_json(&self) -> String {
        let write = |report: &Self| serde_json::to_string(report).unwrap_or_default();
        let Self::Error(error) = self else { return write(self) };
        let mut most = REPORT_MOST / 2;
        loop {
            let cut = |words: &str, most: usize| text::line(&redacted(words), most);
            let written = write(&Self::Error(RecordedError {
                code: error.code,
                subject: cut(&error.subject, most / 2),
                message: cut(&error.message, most),
                hint: cut(&error.hint, most / 2),
                retry: error.retry,
            }));
            if written.len() <= REPORT_MOST || most < 32 {
                return written;
            }
            most /= 2;
        }
    }

    /// Reads a report. The words in it come from strangers: they are made printable, and secrets are taken out.
    pub fn read(text: &str) -> Option<Self> {
        if text.len() > 4 * REPORT_MOST {
            return None;
        }
        match serde_json::from_str(text.trim()).ok()? {
            Self::Error(mut error) => {
                for words in [&mut error.subject, &mut error.message, &mut error.hint] {
                    *words = text::line(&redacted(words), LINE_MOST);
                }
                Some(Self::Error(error))
            }
            images @ Self::Images(_) => Some(images),
        }
    }
}

/// A line of a build's step, as a container writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildLine {
    /// The step.
    pub step: String,
    /// What it says.
    pub line: String,
}

impl BuildLine {
    /// The line as a container writes it, without its end.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a line of a container's log; one that is not of this form is what the step `otherwise` says. It is bounded,
    /// printable and without what looks like a secret, nor what `known` takes out.
    pub(super) fn read(written: &str, otherwise: &str, known: &dyn Fn(&str) -> String) -> Self {
        let Self { step, line } = serde_json::from_str(written)
            .unwrap_or_else(|_| Self { step: otherwise.to_owned(), line: written.to_owned() });
        let clean = |words: &str, most: usize| text::line(&redacted(&known(words)), most);
        Self { step: clean(&step, STEP_MOST), line: clean(&line, LINE_MOST) }
    }

    /// A line of a container in which strangers' commands run: whatever it looks like, it is what this step says.
    pub(super) fn of_strangers(written: &str, step: &str, known: &dyn Fn(&str) -> String) -> Self {
        let said = logged(written);
        let said = said.as_deref().unwrap_or(written);
        Self { step: step.to_owned(), line: text::line(&redacted(&known(said)), LINE_MOST) }
    }
}

/// What a line of kaniko's own log says, `time="…" level=info msg="…"`, without what stands around it.
fn logged(written: &str) -> Option<String> {
    let (_, message) = written.strip_prefix("time=\"")?.split_once(" msg=")?;
    if message.starts_with('"') { serde_json::from_str(message).ok() } else { Some(message.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Retry;
    use crate::{Error, ErrorCode};

    #[test]
    fn a_report_of_any_error_fits_into_a_termination_message_and_is_read_back() {
        for message in ["short".to_owned(), "\u{1F980}\"\\".repeat(5_000), "\u{1}".repeat(9_000)] {
            let error = Error::new(ErrorCode::BuildFailed, message).on("x".repeat(9_000)).with_hint("h".repeat(9_000));
            let written = BuildReport::Error(error.with_retry(Retry::Temporary).record()).to_json();
            assert!(written.len() <= REPORT_MOST, "{} bytes", written.len());
            let Some(BuildReport::Error(read)) = BuildReport::read(&written) else { panic!("{written}") };
            assert_eq!((read.code, read.retry), (ErrorCode::BuildFailed, Retry::Temporary));
        }
    }

    #[test]
    fn a_report_of_all_components_fits_into_a_termination_message() {
        let components = [
            Component::Engine,
            Component::QueryServer,
            Component::StreamWorker,
            Component::BatchWorker,
            Component::BackgroundPersistence,
        ];
        let image = |component: &Component| ReportedImage { component: *component, digest: Digest::of("x") };
        let report = BuildReport::Images(components.iter().map(image).collect());
        let written = report.to_json();
        assert!(written.len() < REPORT_MOST / 4, "{} bytes", written.len());
        assert_eq!(BuildReport::read(&written), Some(report));
    }

    #[test]
    fn what_is_no_report_is_none() {
        for text in ["", "OOMKilled", "{}", "{\"images\":1}", &"x".repeat(100_000)] {
            assert_eq!(BuildReport::read(text), None, "{text:.20}");
        }
    }

    #[test]
    fn what_strangers_say_is_of_their_step_and_the_executors_own_log_is_read() {
        for (written, line) in [
            (r#"time="2026-11-21T15:21:16Z" level=info msg="RUN [\"x\"]""#, r#"RUN ["x"]"#),
            ("time=\"2026-11-21T15:21:16Z\" level=info msg=Retrieving", "Retrieving"),
            (r#"time="x" msg="cut"#, r#"time="x" msg="cut"#),
            (r#"{"step":"push","line":"x"}"#, r#"{"step":"push","line":"x"}"#),
            ("", ""),
        ] {
            let read = BuildLine::of_strangers(written, "dockerfile-engine", &str::to_owned);
            assert_eq!((read.step.as_str(), read.line.as_str()), ("dockerfile-engine", line));
        }
        let hostile = r#"time="x" msg="\u001b[2J Bearer abcdefghijklmnop""#;
        let read = BuildLine::of_strangers(hostile, "x", &str::to_owned);
        assert!(!read.line.contains('\u{1b}') && !read.line.contains("abcdefghijklmnop"), "{}", read.line);
    }

    #[test]
    fn a_line_of_another_form_is_what_the_step_says() {
        let read = |line: &str| BuildLine::read(line, "build", &str::to_owned);
        let line = BuildLine { step: "fetch".to_owned(), line: "a line".to_owned() };
        assert_eq!(read(&line.to_json()), line);
        for other in ["words", "{\"step\":1}", "{\"step\":\"a\",\"line\":\"b\",\"more\":1}", "[]", ""] {
            assert_eq!(read(other), BuildLine { step: "build".to_owned(), line: other.to_owned() });
        }
        let hostile = read("{\"step\":\"\\u001b[31m\",\"line\":\"\\u001b]0;x\\u0007 Bearer abcdefghijklmnop\"}");
        assert!(!hostile.step.contains('\u{1b}') && !hostile.line.contains('\u{1b}'));
        assert!(!hostile.line.contains("abcdefghijklmnop"), "{}", hostile.line);
    }
}
