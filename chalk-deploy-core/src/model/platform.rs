//! What an image runs on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorCode, Result, text};

const LONGEST_PART: usize = 40;

/// An operating system, an architecture and perhaps a variant of it, as Go and the OCI image specification name them:
/// `linux/amd64`, `linux/arm64`, `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// How well an image suits a platform; the smaller, the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// It is made for it.
    Same,
    /// One of the two names no variant.
    Unnamed,
}

impl Platform {
    /// What the clusters of seed 001 run on.
    pub fn linux_amd64() -> Self {
        Self { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None }
    }

    /// A platform of these parts.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for what is no such name.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Result<Self> {
        let is_name = |part: &str| {
            let holds = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
            !part.is_empty() && part.len() <= LONGEST_PART && part.bytes().all(holds)
        };
        if is_name(os) && is_name(architecture) && variant.is_none_or(is_name) {
            let (os, architecture) = (os.to_owned(), architecture.to_owned());
            return Ok(Self { os, architecture, variant: variant.map(str::to_owned) });
        }
        let written = [Some(os), Some(architecture).filter(|part| !part.is_empty()), variant];
        let written = written.into_iter().flatten().collect::<Vec<_>>().join("/");
        Err(Error::new(ErrorCode::ValueInvalid, "a platform is an operating system and an architecture")
            .on(format!("platform `{}`", text::line(&written, 60)))
            .with_hint("write it as linux/amd64 or linux/arm64"))
    }

    /// The operating system, such as `linux`.
    pub fn os(&self) -> &str {
        &self.os
    }

    /// The architecture, such as `amd64`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The variant of the architecture, such as `v8`.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// Whether an image for this platform runs where `asked` is asked for, and how well it suits. A variant counts where
    /// both have one; the usual one of an architecture need not be named (image specification 1.1, *Platform
    /// Variants*): `arm64` is `arm64/v8`, `arm` is `arm/v7`.
    pub fn fits(&self, asked: &Self) -> Option<Fit> {
        if self.os != asked.os || self.architecture != asked.architecture {
            return None;
        }
        if self.whole_variant() == asked.whole_variant() {
            return Some(Fit::Same);
        }
        (self.variant.is_none() || asked.variant.is_none()).then_some(Fit::Unnamed)
    }

    /// Whether the two are names of one platform.
    pub fn is_same(&self, other: &Self) -> bool {
        self.fits(other) == Some(Fit::Same)
    }

    fn whole_variant(&self) -> Option<&str> {
        self.variant.as_deref().or(match self.architecture.as_str() {
            "amd64" => Some("v1"),
            "arm64" => Some("v8"),
            "arm" => Some("v7"),
            _ => None,
        })
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, '/');
        let (os, architecture) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        Self::new(os, architecture, parts.next())
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(formatter, "/{variant}"))
    }
}

impl TryFrom<String> for Platform {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().expect(text)
    }

    #[test]
    fn names_are_read_back_as_they_are_written() {
        for text in ["linux/amd64", "linux/arm64", "linux/arm64/v8", "linux/arm/v7", "windows/amd64", "linux/ppc64le"] {
            assert_eq!(platform(text).to_string(), text);
            let json = serde_json::to_string(&platform(text)).expect("written");
            assert_eq!(serde_json::from_str::<Platform>(&json).expect("read"), platform(text));
        }
        for text in
            ["", "linux", "linux/", "/amd64", "Linux/amd64", "linux/amd64/", "linux/arm/v7/x", "linux/a b", "a/\n"]
        {
            let error = text.parse::<Platform>().expect_err(text);
            assert_eq!(error.code(), ErrorCode::ValueInvalid, "{text}");
            assert!(!error.sentence().contains('\n'), "{error}");
        }
    }

    #[test]
    fn the_usual_variant_need_not_be_named_and_another_one_does_not_fit() {
        for (image, asked, fit) in [
            ("linux/arm64/v8", "linux/arm64", Some(Fit::Same)),
            ("linux/arm64", "linux/arm64/v8", Some(Fit::Same)),
            ("linux/arm/v7", "linux/arm", Some(Fit::Same)),
            ("linux/arm/v6", "linux/arm", Some(Fit::Unnamed)),
            ("linux/arm/v6", "linux/arm/v7", None),
            ("linux/amd64/v3", "linux/amd64", Some(Fit::Unnamed)),
            ("linux/amd64", "linux/arm64", None),
            ("windows/amd64", "linux/amd64", None),
        ] {
            assert_eq!(platform(image).fits(&platform(asked)), fit, "{image} for {asked}");
        }
    }
}
