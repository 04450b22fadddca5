//! What a test or an operator chooses about the server. Everything can be changed while it runs.

use std::fmt;
use std::time::Duration;

use chalk_deploy_core::model::Timestamp;

/// The settings of a server. The default lets everyone do everything.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Who a bearer token stands for. An unknown token is answered with 401.
    pub tokens: Vec<Token>,
    /// Who a request without a token comes from.
    pub anonymous: Anonymous,
    /// Whether roles and bindings are evaluated. If not, everyone may do everything.
    pub rbac: bool,
    /// Refusals by admission, as a webhook would give.
    pub denials: Vec<Denial>,
    /// What goes wrong with watches.
    pub watches: WatchFaults,
    /// Requests to be answered with 429 from now on.
    pub overload: Option<Overload>,
    /// How often a watch that allows it gets a bookmark. About a minute on real servers.
    pub bookmarks: Duration,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            tokens: Vec::new(),
            anonymous: Anonymous::Administrator,
            rbac: false,
            denials: Vec::new(),
            watches: WatchFaults::default(),
            overload: None,
            bookmarks: Duration::from_mins(1),
        }
    }
}

/// Who a request without a token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// Someone who may do everything.
    Administrator,
    /// `system:anonymous`, who may do what roles say.
    Anonymous,
    /// Nobody: 401.
    Refused,
}

/// A bearer token.
#[derive(Clone)]
pub struct Token {
    secret: String,
    pub(super) user: User,
    expires: Option<Timestamp>,
}

impl Token {
    /// A token of this user.
    pub fn new(secret: impl Into<String>, user: User) -> Self {
        Self { secret: secret.into(), user, expires: None }
    }

    /// A token of someone who may do everything.
    pub fn administrator(secret: impl Into<String>) -> Self {
        Self::new(secret, User::administrator())
    }

    /// Ends it at a time of the runtime.
    #[must_use]
    pub const fn until(mut self, time: Timestamp) -> Self {
        self.expires = Some(time);
        self
    }

    pub(super) fn is(&self, secret: &str, now: Timestamp) -> bool {
        self.secret == secret && self.expires.is_none_or(|expires| now < expires)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Token")
            .field("user", &self.user)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Someone who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their name, such as `system:serviceaccount:default:deployer`.
    pub name: String,
    /// Their groups.
    pub groups: Vec<String>,
}

impl User {
    /// A user in groups. `system:authenticated` is added.
    pub fn new(name: impl Into<String>, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        groups.push("system:authenticated".to_owned());
        Self { name: name.into(), groups }
    }

    /// A service account.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self::new(
            format!("system:serviceaccount:{namespace}:{name}"),
            ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")],
        )
    }

    /// Someone who may do everything.
    pub fn administrator() -> Self {
        Self::new("kubernetes-admin", ["system:masters"])
    }

    /// Someone without a token.
    pub fn anonymous() -> Self {
        Self { name: "system:anonymous".to_owned(), groups: vec!["system:unauthenticated".to_owned()] }
    }
}

/// A refusal by admission. A field that is `None` matches everything.
#[derive(Debug, Clone, Default)]
pub struct Denial {
    /// The webhook's name.
    pub webhook: String,
    /// The kind, such as `Deployment`.
    pub kind: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
    /// A label of the object.
    pub label: Option<(String, String)>,
    /// What it says.
    pub message: String,
    /// With which code it says so: 403 if nothing else is said.
    pub code: Option<u16>,
    /// Whether it is deletions that it refuses, and not creations and changes.
    pub deletions: bool,
    /// How often; for ever if nothing is said.
    pub times: Option<u32>,
}

/// What goes wrong with watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WatchFaults {
    /// The connection of every watch is cut after so many events.
    pub cut_after: Option<u64>,
    /// Every watch is told 410 after so many events.
    pub expire_after: Option<u64>,
    /// Every watch that begins at a version is told 410 at once.
    pub expire_at_start: bool,
}

/// Refusals under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overload {
    /// How many requests are still to be refused.
    pub requests: u32,
    /// `Retry-After`.
    pub retry_after_seconds: u32,
}
