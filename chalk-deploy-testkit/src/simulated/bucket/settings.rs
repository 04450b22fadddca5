//! What a bucket server is like.

use std::fmt;
use std::time::Duration;

use chalk_deploy_core::model::Timestamp;

/// The buckets, the keys and the quirks of a server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BucketSettings {
    /// The buckets that are there from the beginning.
    pub buckets: Vec<String>,
    /// Who may ask. With no key at all, everyone may, and nothing is verified.
    pub keys: Vec<AccessKey>,
    /// Where it says it is. A signature for another region is refused.
    pub region: String,
    /// How far the clock of a client may be from the server's.
    pub clock_skew: Duration,
    /// Whether conditions on writes are kept. Some stores that speak S3 do not know them, and write.
    pub conditional_writes: bool,
    /// Whether objects can be kept from being removed (Object Lock). Buckets have it only when they were made with it.
    pub object_lock: bool,
    /// The shortest part but for the last one.
    pub part_least: u64,
    /// The longest list in one answer.
    pub list_most: usize,
    /// How long a new object is not listed yet. S3 lists it at once since 2020; others take their time.
    pub list_lag: Duration,
    /// How many requests are answered in one second; further ones get 503 `SlowDown` with `Retry-After`.
    pub requests_per_second: Option<u32>,
}

impl BucketSettings {
    /// One bucket, open to everyone, as AWS behaves.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            buckets: vec![bucket.into()],
            keys: Vec::new(),
            region: "us-east-1".to_owned(),
            clock_skew: Duration::from_mins(15),
            conditional_writes: true,
            object_lock: false,
            part_least: 5 << 20,
            list_most: 1_000,
            list_lag: Duration::ZERO,
            requests_per_second: None,
        }
    }

    /// Lets in the holder of a key, and from then on nobody without one.
    #[must_use]
    pub fn with_key(mut self, key: AccessKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Sets [`conditional_writes`](Self::conditional_writes).
    #[must_use]
    pub const fn with_conditional_writes(mut self, kept: bool) -> Self {
        self.conditional_writes = kept;
        self
    }

    /// Sets [`object_lock`](Self::object_lock).
    #[must_use]
    pub const fn with_object_lock(mut self, has: bool) -> Self {
        self.object_lock = has;
        self
    }

    /// Sets [`part_least`](Self::part_least).
    #[must_use]
    pub const fn with_part_least(mut self, bytes: u64) -> Self {
        self.part_least = bytes;
        self
    }

    /// Sets [`list_most`](Self::list_most).
    #[must_use]
    pub const fn with_list_most(mut self, most: usize) -> Self {
        self.list_most = most;
        self
    }

    /// Sets [`list_lag`](Self::list_lag).
    #[must_use]
    pub const fn with_list_lag(mut self, lag: Duration) -> Self {
        self.list_lag = lag;
        self
    }

    /// Sets [`requests_per_second`](Self::requests_per_second).
    #[must_use]
    pub const fn with_requests_per_second(mut self, most: u32) -> Self {
        self.requests_per_second = Some(most);
        self
    }
}

/// A key that the server knows.
#[derive(Clone)]
#[non_exhaustive]
pub struct AccessKey {
    /// Its name.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// The token that must come with it.
    pub session_token: Option<String>,
    /// When it stops being valid.
    pub expires_at: Option<Timestamp>,
}

impl AccessKey {
    /// A key that stays valid.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), secret: secret.into(), session_token: None, expires_at: None }
    }

    /// A key of a session, which ends.
    #[must_use]
    pub fn in_session(mut self, token: impl Into<String>, expires_at: Timestamp) -> Self {
        self.session_token = Some(token.into());
        self.expires_at = Some(expires_at);
        self
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AccessKey({})", self.id)
    }
}
