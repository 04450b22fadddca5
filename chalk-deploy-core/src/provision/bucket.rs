//! The five buckets of a data plane (seed 001): what each is for and how it is to be set up.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Error, ErrorCode, Result, text};

/// What a bucket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BucketRole {
    /// Feature data.
    Data,
    /// Deployed source code.
    Source,
    /// Materialised datasets.
    Dataset,
    /// Model artifacts.
    Model,
    /// Stages of query plans.
    Stages,
}

impl BucketRole {
    /// All five, as the seed lists them.
    pub const ALL: [Self; 5] = [Self::Data, Self::Source, Self::Dataset, Self::Model, Self::Stages];

    /// The name in the seed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Source => "source",
            Self::Dataset => "dataset",
            Self::Model => "model",
            Self::Stages => "stages",
        }
    }
}

impl fmt::Display for BucketRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A web origin that may read from a bucket (RFC 6454): `https://host[:port]`, and `http` to loopback.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

impl Origin {
    /// The text of the header `Origin`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for Origin {
    type Err = Error;

    fn from_str(origin: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::new(ErrorCode::ValueInvalid, why)
                .on(format!("origin `{}`", text::line(origin, 200)))
                .with_hint("write `https://host` or `https://host:port`; a pattern would open the buckets to others")
        };
        let uri: http::Uri = origin.parse().map_err(|_| wrong("this is no web origin"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong("this is no web origin"));
        };
        let host = authority.host();
        let is_loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        if !(scheme == "https" || scheme == "http" && is_loopback) {
            return Err(wrong("a web origin that reads from buckets is reached by https"));
        }
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'[' | b']' | b':');
        if origin.contains(['@', '*', '?', '#']) || host.is_empty() || !authority.as_str().bytes().all(named) {
            return Err(wrong("a web origin is a scheme, a host and perhaps a port"));
        }
        if origin != format!("{scheme}://{authority}") {
            return Err(wrong("a web origin has no path"));
        }
        Ok(Self(origin.to_ascii_lowercase()))
    }
}

/// Whose key a bucket is encrypted with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Encryption {
    /// The provider's own.
    #[default]
    Provider,
    /// One in the customer's key management, by the name that the provider gives it.
    CustomerKey(String),
}

/// How one bucket is to be set up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BucketPlan {
    /// What it is for.
    pub role: BucketRole,
    /// Its name, such as `chalk-acme-source`. The scoped role of seed 003 reaches only names that begin with `chalk-`.
    pub name: String,
    /// Who may read it from a browser (GET alone).
    pub origins: Vec<Origin>,
    /// Whose key it is encrypted with.
    pub encryption: Encryption,
    /// Whether an object that is written over or removed is kept as a version.
    pub versioned: bool,
    /// How long an object cannot be removed after it was written, where the provider has that.
    pub retention: Option<Duration>,
    /// After how long unfinished uploads, and versions that were written over, are removed.
    pub leftovers: Duration,
}

impl BucketPlan {
    /// The origins of a hosted Metadata Plane (seed 001).
    pub const HOSTED_ORIGINS: [&str; 2] = ["https://api.chalk.ai", "https://chalk.ai"];
    /// Leftovers are kept for a week: longer than any deployment takes.
    pub const LEFTOVERS: Duration = Duration::from_hours(7 * 24);

    /// The five buckets `chalk-PREFIX-ROLE`. The one for source is versioned; retention is for who sets it.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for a prefix with which a name breaks the rule of the strictest provider (S3: 3 to 63
    /// lower-case letters, digits and hyphens, beginning and ending with a letter or digit).
    pub fn five(prefix: &str, origins: &[Origin]) -> Result<[Self; 5]> {
        let usable = !prefix.is_empty()
            && prefix.len() <= 63 - "chalk--dataset".len()
            && prefix.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !prefix.starts_with('-')
            && !prefix.ends_with('-')
            // Google refuses it, and S3 its own forms of it.
            && !prefix.contains("--")
            && !prefix.contains("goog");
        if !usable {
            return Err(Error::new(ErrorCode::ValueInvalid, "no bucket can be named after this")
                .on(format!("bucket prefix `{}`", text::line(prefix, 80)))
                .with_hint(
                    "use up to 49 lower-case letters, digits and single hyphens, such as the name of the team",
                ));
        }
        Ok(BucketRole::ALL.map(|role| Self {
            role,
            name: format!("chalk-{prefix}-{role}"),
            origins: origins.to_vec(),
            encryption: Encryption::Provider,
            versioned: role == BucketRole::Source,
            retention: None,
            leftovers: Self::LEFTOVERS,
        }))
    }

    /// Sets [`retention`](Self::retention).
    #[must_use]
    pub const fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Sets [`encryption`](Self::encryption).
    #[must_use]
    pub fn with_encryption(mut self, encryption: Encryption) -> Self {
        self.encryption = encryption;
        self
    }
}

/// What was done to a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptBucket {
    /// Its name.
    pub name: String,
    /// Whether it was made now.
    pub created: bool,
    /// The settings that were changed, in words: `cors`, `encryption`, `versioning`, `retention`, `lifecycle`, `tags`.
    pub changed: Vec<&'static str>,
    /// What the plan asks for and this provider cannot do, in words for a person.
    pub cannot: Vec<String>,
}

impl KeptBucket {
    /// A bucket at which nothing was done yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), created: false, changed: Vec::new(), cannot: Vec::new() }
    }
}

/// Makes buckets, and sets them up.
#[async_trait]
pub trait BucketKeeper: fmt::Debug + Send + Sync + 'static {
    /// Makes a bucket as the plan says, or sets up the one that is there. Public access is always shut, what is written
    /// is always encrypted, and requests without TLS are refused where the provider has a setting for it.
    ///
    /// **Idempotency.** A bucket that is as the plan says is left alone. Settings beside those of the plan stay.
    ///
    /// **After a crash.** A bucket may be there with a part of its settings; the same call goes on. Nothing is removed.
    ///
    /// **Errors.** `PERMISSION_DENIED`, also when the name is another account's; `VALUE_INVALID` for a name or a region
    /// that the bucket cannot have; `CLOUD_UNAVAILABLE`.
    async fn keep(&self, plan: &BucketPlan) -> Result<KeptBucket>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_buckets_are_those_of_the_seed_and_only_source_is_versioned() {
        let origins = BucketPlan::HOSTED_ORIGINS.map(|origin| origin.parse().expect("an origin"));
        let five = BucketPlan::five("acme", &origins).expect("a prefix");
        let names: Vec<_> = five.iter().map(|plan| (plan.name.as_str(), plan.versioned)).collect();
        let expected = [
            ("chalk-acme-data", false),
            ("chalk-acme-source", true),
            ("chalk-acme-dataset", false),
            ("chalk-acme-model", false),
            ("chalk-acme-stages", false),
        ];
        assert_eq!(names, expected);
        assert!(five.iter().all(|plan| plan.origins == origins));
    }

    #[test]
    fn a_prefix_that_makes_no_name_everywhere_is_refused() {
        for prefix in ["", "Acme", "a_b", "-a", "a-", "a--b", "a.b", "google", &"a".repeat(50), "a\n"] {
            let error = BucketPlan::five(prefix, &[]).expect_err(prefix);
            assert_eq!(error.code(), ErrorCode::ValueInvalid, "{prefix:?}");
        }
        let longest = "a".repeat(49);
        assert!(BucketPlan::five(&longest, &[]).expect("fits").iter().all(|plan| plan.name.len() <= 63));
    }

    #[test]
    fn an_origin_is_a_host_and_never_a_pattern() {
        for origin in ["https://api.chalk.ai", "https://chalk.example:8443", "http://localhost:3000", "http://[::1]:80"]
        {
            assert_eq!(origin.parse::<Origin>().expect(origin).as_str(), origin);
        }
        assert_eq!("https://CHALK.ai".parse::<Origin>().expect("a host").as_str(), "https://chalk.ai");
        for wrong in [
            "*",
            "https://*",
            "https://*.chalk.ai",
            "http://chalk.ai",
            "https://chalk.ai/",
            "https://a@b",
            "chalk.ai",
            "",
            "null",
            "https://a?b",
            "https://a b",
        ] {
            assert_eq!(wrong.parse::<Origin>().expect_err(wrong).code(), ErrorCode::ValueInvalid);
        }
    }
}
