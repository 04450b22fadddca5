//! What an archive may be at most. The same limits hold when a tree is collected and when an archive is read back, so
//! that what one side makes the other side accepts.

use crate::text;
use crate::{Error, ErrorCode, Result};

/// The limits of an archive; each is a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArchiveLimits {
    /// Files, links and directories.
    pub entries: u64,
    /// Bytes of the `.tar.gz`.
    pub packed: u64,
    /// Sum of the files' lengths in bytes.
    pub unpacked: u64,
    /// How many bytes one packed byte may become, beyond the first [`ratio_grace`](Self::ratio_grace) bytes.
    pub ratio: u64,
    /// Bytes that are never counted against the ratio, so that a small repetitive tree is no bomb.
    pub ratio_grace: u64,
    /// Bytes of one path.
    pub path: usize,
    /// Bytes of one component of a path.
    pub component: usize,
    /// Bytes of all paths together. They are what has to be kept in memory.
    pub names: u64,
}

impl Default for ArchiveLimits {
    /// 200,000 entries, 512 MiB packed, 4 GiB unpacked, ratio 200 after the first 16 MiB, paths of 4096 bytes with
    /// components of 255 (those of Linux), 32 MiB of names.
    fn default() -> Self {
        Self {
            entries: 200_000,
            packed: 512 << 20,
            unpacked: 4 << 30,
            ratio: 200,
            ratio_grace: 16 << 20,
            path: 4096,
            component: 255,
            names: 32 << 20,
        }
    }
}

impl ArchiveLimits {
    /// Sets [`entries`](Self::entries).
    #[must_use]
    pub const fn with_entries(mut self, entries: u64) -> Self {
        self.entries = entries;
        self
    }

    /// Sets [`packed`](Self::packed).
    #[must_use]
    pub const fn with_packed(mut self, bytes: u64) -> Self {
        self.packed = bytes;
        self
    }

    /// Sets [`unpacked`](Self::unpacked).
    #[must_use]
    pub const fn with_unpacked(mut self, bytes: u64) -> Self {
        self.unpacked = bytes;
        self
    }

    /// Sets [`ratio`](Self::ratio) and [`ratio_grace`](Self::ratio_grace).
    #[must_use]
    pub const fn with_ratio(mut self, ratio: u64, grace: u64) -> Self {
        self.ratio = ratio;
        self.ratio_grace = grace;
        self
    }

    /// Sets [`names`](Self::names).
    #[must_use]
    pub const fn with_names(mut self, bytes: u64) -> Self {
        self.names = bytes;
        self
    }

    pub(super) fn check_entries(&self, entries: u64) -> Result<()> {
        if entries <= self.entries {
            return Ok(());
        }
        Err(too_large("entries", &format!("more than {} entries", self.entries)))
    }

    pub(super) fn check_names(&self, names: u64) -> Result<()> {
        if names <= self.names {
            return Ok(());
        }
        Err(too_large("names", &format!("more than {} of file names", text::bytes(self.names))))
    }

    pub(super) fn check_packed(&self, packed: u64) -> Result<()> {
        if packed <= self.packed {
            return Ok(());
        }
        Err(too_large("packed", &format!("more than {} packed", text::bytes(self.packed))))
    }

    pub(super) fn check_unpacked(&self, unpacked: u64) -> Result<()> {
        if unpacked <= self.unpacked {
            return Ok(());
        }
        let figure = format!("{} unpacked, more than {}", text::bytes(unpacked), text::bytes(self.unpacked));
        Err(too_large("unpacked", &figure))
    }

    /// Checked as the bytes pass, on both sides. The writer counts what its compressor has already let go of and the
    /// reader what it has already taken in, so the writer is never the more generous of the two.
    pub(super) fn check_ratio(&self, packed: u64, expanded: u64) -> Result<()> {
        if expanded <= self.ratio_grace.saturating_add(self.ratio.saturating_mul(packed)) {
            return Ok(());
        }
        let figure =
            format!("{} out of {} packed, a ratio above {}", text::bytes(expanded), text::bytes(packed), self.ratio);
        Err(too_large("ratio", &figure))
    }
}

fn too_large(setting: &str, figure: &str) -> Error {
    Error::new(ErrorCode::ArchiveTooLarge, format!("the archive has {figure}")).on("source archive").with_hint(format!(
        "list what need not be deployed in .chalkignore, or raise the limit `ArchiveLimits::{setting}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_names_the_limit_the_figure_and_the_setting() {
        let limits = ArchiveLimits::default().with_entries(2).with_packed(1024).with_unpacked(2048).with_ratio(3, 10);
        let cases = [
            (limits.check_entries(3), "2 entries", "ArchiveLimits::entries"),
            (limits.check_packed(1025), "1.0 KiB packed", "ArchiveLimits::packed"),
            (limits.check_unpacked(4096), "4.0 KiB unpacked, more than 2.0 KiB", "ArchiveLimits::unpacked"),
            (limits.check_ratio(10, 41), "ratio above 3", "ArchiveLimits::ratio"),
            (limits.clone().with_names(1).check_names(2), "1 B of file names", "ArchiveLimits::names"),
        ];
        for (result, figure, setting) in cases {
            let error = result.expect_err("over the limit");
            assert_eq!(error.code(), ErrorCode::ArchiveTooLarge);
            assert!(error.message().contains(figure), "{error}");
            assert!(error.hint().contains(setting), "{}", error.hint());
        }
    }

    #[test]
    fn what_stands_exactly_at_a_limit_is_accepted() {
        let limits = ArchiveLimits::default().with_entries(2).with_packed(1024).with_unpacked(2048).with_ratio(3, 10);
        limits.check_entries(2).expect("at the limit");
        limits.check_packed(1024).expect("at the limit");
        limits.check_unpacked(2048).expect("at the limit");
        limits.check_ratio(10, 40).expect("at the limit");
    }
}
