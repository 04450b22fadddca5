//! The name of an image as people write it: `host/path:tag`, `host/path@sha256:…`.

use std::fmt;
use std::str::FromStr;

use crate::model::{Digest, ImageTag, Repository};
use crate::{Error, ErrorCode, text};

/// A repository, and what in it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// The repository.
    pub repository: Repository,
    /// Which of its images.
    pub pointer: Pointer,
}

/// Which image of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pointer {
    /// The one with this digest.
    Digest(Digest),
    /// The one that this points to now.
    Tag(ImageTag),
}

impl FromStr for ImageName {
    type Err = Error;

    /// A tag beside a digest is a remark for people, as for other tools; without either it is `latest`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = |error: Error| error.on(format!("image `{}`", text::line(text, 200)));
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest.parse::<Digest>().map_err(invalid)?)),
            None => (text, None),
        };
        let slash = named.rfind('/').ok_or_else(|| {
            invalid(Error::new(ErrorCode::ValueInvalid, "the image is not named with its registry"))
                .with_hint("write it as host/path:tag or host/path@sha256:…")
        })?;
        // A colon before the last slash belongs to the host's port.
        let (path, tag) = match named[slash..].split_once(':') {
            Some((last, tag)) => (&named[..slash + last.len()], Some(ImageTag::new(tag).map_err(invalid)?)),
            None => (named, None),
        };
        let repository = Repository::new(path).map_err(invalid)?;
        let pointer = match (digest, tag) {
            (Some(digest), _) => Pointer::Digest(digest),
            (None, Some(tag)) => Pointer::Tag(tag),
            (None, None) => Pointer::Tag(ImageTag::new("latest")?),
        };
        Ok(Self { repository, pointer })
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pointer {
            Pointer::Digest(digest) => write!(formatter, "{}@{digest}", self.repository),
            Pointer::Tag(tag) => write!(formatter, "{}:{tag}", self.repository),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_other_tools_read_them() {
        let digest = Digest::of("x");
        for (text, shown) in [
            ("127.0.0.1:5000/base", "127.0.0.1:5000/base:latest"),
            ("registry.example/a/b:1.2", "registry.example/a/b:1.2"),
            (&format!("localhost:5000/a@{digest}"), &format!("localhost:5000/a@{digest}")),
            (&format!("localhost:5000/a:remark@{digest}"), &format!("localhost:5000/a@{digest}")),
        ] {
            assert_eq!(text.parse::<ImageName>().expect(text).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_name_is_refused_and_quoted() {
        for text in
            ["", "base", "base:1", "h/a:", "h/a:-x", "h/a@sha256:1", "h/a@md5:00", "h/A b:1", "h/../a:1", "@", "/"]
        {
            let error = text.parse::<ImageName>().expect_err(text);
            assert_eq!(error.code(), ErrorCode::ValueInvalid, "{text}");
            assert!(error.sentence().contains(&format!("`{text}`")), "{}", error.sentence());
        }
    }
}
