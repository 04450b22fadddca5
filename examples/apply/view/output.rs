//! Lines to stdout and stderr that never panic.

use std::io::{ErrorKind, Write};

/// Stdout, until nobody reads it any more.
pub(super) struct Output {
    writer: Box<dyn Write + Send>,
    is_open: bool,
}

impl Output {
    pub(super) fn new(writer: Box<dyn Write + Send>) -> Self {
        Self { writer, is_open: true }
    }

    /// Writes one line, at once. When that fails, this and every further line is dropped: the deployment goes on, and
    /// can be followed from its journal.
    pub(super) fn line(&mut self, line: &str) {
        if !self.is_open {
            return;
        }
        let written = self.writer.write_all(format!("{line}\n").as_bytes()).and_then(|()| self.writer.flush());
        if let Err(error) = written {
            self.is_open = false;
            // Who closed the pipe knows it.
            if error.kind() != ErrorKind::BrokenPipe {
                say(&format!("note: stdout cannot be written any more ({error}); the deployment goes on"));
            }
        }
    }
}

/// Writes one line to stderr. With a closed stderr there is no one to tell.
pub(in super::super) fn say(line: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// Writes a text to stdout, whether or not someone reads it.
pub(in super::super) fn show(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

#[cfg(test)]
pub(super) mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps what is written; breaks after so many lines.
    #[derive(Clone, Default)]
    pub(in super::super) struct Kept {
        lines: Arc<Mutex<Vec<u8>>>,
        breaks_after: Option<usize>,
    }

    impl Kept {
        pub(in super::super) fn text(&self) -> String {
            String::from_utf8(self.lines.lock().expect("no panic while held").clone()).expect("text")
        }

        pub(in super::super) fn output(&self) -> Output {
            Output::new(Box::new(self.clone()))
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut lines = self.lines.lock().expect("no panic while held");
            if self.breaks_after.is_some_and(|most| lines.split(|byte| *byte == b'\n').count() > most) {
                return Err(ErrorKind::BrokenPipe.into());
            }
            lines.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_reason_to_stop() {
        let kept = Kept { breaks_after: Some(2), ..Kept::default() };
        let mut output = kept.output();
        for line in ["one", "two", "three", "four"] {
            output.line(line);
        }
        assert_eq!(kept.text(), "one\ntwo\n");
    }
}
