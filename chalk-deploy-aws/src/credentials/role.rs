//! The role of a tenant, assumed with the keys that the chain lends (`AssumeRole` of the STS API reference).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::credentials::{Lender, Lent};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use serde::{Deserialize, Serialize};

use super::{AccessKeys, ExternalId};
use crate::api::{Api, Ask};
use crate::{moment, xml};

/// What a tenant's setup has stored: which role of theirs we assume, and with which external id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
#[non_exhaustive]
pub struct TenantRole {
    /// `arn:aws:iam::<account>:role/<path and name>`.
    pub arn: String,
    /// What their trust policy asks for.
    pub external_id: ExternalId,
    /// How long a session lasts, from 15 minutes to 12 hours; no longer than the role allows.
    pub session: Duration,
}

impl TenantRole {
    /// A session of one hour: what every role allows, and the most for a role that a role assumes.
    pub const SESSION: Duration = Duration::from_hours(1);

    /// A role, and the external id that was made for the tenant.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for what is no role.
    pub fn new(arn: impl Into<String>, external_id: ExternalId) -> Result<Self> {
        let arn = arn.into();
        if !is_role(&arn) {
            return Err(Error::new(ErrorCode::ValueInvalid, "this is no role of an account")
                .on(format!("role `{}`", text::line(&arn, 200)))
                .with_hint("copy the role's ARN from the console: `arn:aws:iam::<account>:role/<name>`"));
        }
        Ok(Self { arn, external_id, session: Self::SESSION })
    }

    /// Sets [`session`](Self::session), kept between 15 minutes and 12 hours.
    #[must_use]
    pub fn with_session(mut self, session: Duration) -> Self {
        self.session = session.clamp(Duration::from_mins(15), Duration::from_hours(12));
        self
    }
}

/// A role as it was stored, which somebody may have edited.
#[derive(Deserialize)]
struct Stored {
    arn: String,
    external_id: ExternalId,
    #[serde(default = "usual_session")]
    session: Duration,
}

const fn usual_session() -> Duration {
    TenantRole::SESSION
}

impl TryFrom<Stored> for TenantRole {
    type Error = Error;

    fn try_from(Stored { arn, external_id, session }: Stored) -> Result<Self> {
        Ok(Self::new(arn, external_id)?.with_session(session))
    }
}

fn is_role(arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (scheme, partition, service, region, account, resource) = (next(), next(), next(), next(), next(), next());
    let named = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_/-".contains(&byte))
    };
    scheme == "arn"
        && partition.starts_with("aws")
        && partition.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        && (service, region) == ("iam", "")
        && crate::settings::account_id(account).is_ok()
        && resource.strip_prefix("role/").is_some_and(named)
        && arn.len() <= 2048
}

/// Finds the role of a tenant, where the tenant's setup stored it. Never asked with anything that a request of the tenant
/// has chosen but their own id.
#[async_trait]
pub trait TenantRoles: fmt::Debug + Send + Sync + 'static {
    /// The role of this tenant, or of this environment: whatever the service keys them by.
    ///
    /// **Errors.** `PERMISSION_DENIED` for a tenant that has none; `STORE_UNAVAILABLE`.
    async fn role(&self, tenant: &str) -> Result<TenantRole>;
}

/// Roles in memory, as a service has read them from its configuration.
#[derive(Debug, Clone, Default)]
pub struct StoredRoles(BTreeMap<String, TenantRole>);

impl StoredRoles {
    /// No role of anybody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Knows the role of this tenant.
    #[must_use]
    pub fn with(mut self, tenant: impl Into<String>, role: TenantRole) -> Self {
        self.0.insert(tenant.into(), role);
        self
    }
}

#[async_trait]
impl TenantRoles for StoredRoles {
    async fn role(&self, tenant: &str) -> Result<TenantRole> {
        self.0.get(tenant).cloned().ok_or_else(|| {
            Error::new(ErrorCode::PermissionDenied, "no role is stored for this tenant")
                .on(format!("tenant `{}`", text::line(tenant, 80)))
                .with_hint("store the role and the external id that the tenant was set up with")
        })
    }
}

/// Lends the keys of a tenant's role. The role is looked up each time, so that one that was changed is the next one.
pub(crate) struct AssumedRole {
    /// Signs with the keys of the chain.
    pub(crate) sts: Api,
    pub(crate) roles: Arc<dyn TenantRoles>,
    pub(crate) tenant: String,
}

impl AssumedRole {
    /// What the session is called, in `CloudTrail` too: always the same for a tenant.
    fn session_name(&self) -> String {
        let usable = |letter: char| letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter);
        let tenant: String = self.tenant.chars().map(|letter| if usable(letter) { letter } else { '-' }).collect();
        let mut name = format!("chalk-deploy-{tenant}");
        name.truncate(64);
        name
    }
}

#[async_trait]
impl Lender<AccessKeys> for AssumedRole {
    async fn lend(&self) -> Result<Lent<AccessKeys>> {
        let role = self.roles.role(&self.tenant).await?;
        let subject = format!("role `{}`", text::line(&role.arn, 300));
        let parameters = [
            ("RoleArn", role.arn.as_str()),
            ("RoleSessionName", &self.session_name()),
            ("ExternalId", role.external_id.as_str()),
            ("DurationSeconds", &role.session.as_secs().to_string()),
        ];
        let ask = Ask::sts("AssumeRole", &parameters).doing("sts:AssumeRole", &subject);
        let answer = self.sts.ask(ask).await?.accepted()?;
        let document = answer.text();
        let nonsense =
            || Error::new(ErrorCode::CloudAnswerInvalid, "what STS answered are no credentials").on(&subject);
        let part = |name: &str| xml::text(&document, name).ok_or_else(nonsense);
        let expires = moment::read(&part("Expiration")?).ok_or_else(nonsense)?;
        let keys = AccessKeys::new(part("AccessKeyId")?, part("SecretAccessKey")?)
            .with_session_token(part("SessionToken")?)
            .with_expiry(expires);
        Ok(Lent { value: keys.checked().map_err(|_| nonsense())?, expires: Some(expires) })
    }
}

impl fmt::Debug for AssumedRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "role of tenant `{}`", text::line(&self.tenant, 80))
    }
}

#[cfg(test)]
mod tests {
    use chalk_deploy_core::runtime::SystemRuntime;
    use chalk_deploy_core::transport::Transport;

    use super::*;
    use crate::credentials::{AwsCredentials, Ways};
    use crate::settings::{Endpoints, Region};

    #[test]
    fn a_role_is_one_of_an_account_and_nothing_that_reaches_further() {
        let id = ExternalId::stored("chalk-1").expect("an id");
        for arn in ["arn:aws:iam::123456789012:role/chalk", "arn:aws-us-gov:iam::123456789012:role/a/b.c@d"] {
            TenantRole::new(arn, id.clone()).expect(arn);
        }
        for arn in [
            "",
            "chalk",
            "arn:aws:iam::123456789012:user/chalk",
            "arn:aws:iam::12345:role/chalk",
            "arn:aws:iam:us-east-1:123456789012:role/chalk",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/*",
            "arn:aws:iam::123456789012:role/a&Action=x",
        ] {
            assert_eq!(TenantRole::new(arn, id.clone()).expect_err(arn).code(), ErrorCode::ValueInvalid);
        }
    }

    #[test]
    fn a_role_that_was_stored_is_read_back_and_one_that_was_edited_into_none_is_refused() {
        let id = ExternalId::stored("chalk-1").expect("an id");
        let role = TenantRole::new("arn:aws:iam::123456789012:role/chalk", id).expect("a role");
        let stored = serde_json::to_string(&role).expect("text");
        assert_eq!(serde_json::from_str::<TenantRole>(&stored).expect("a role"), role);
        for (from, to) in [("role/chalk", "role/*"), ("arn:aws:iam::", "\\u001b[31m"), ("chalk-1", "*")] {
            let edited = stored.replace(from, to);
            assert_ne!(edited, stored);
            serde_json::from_str::<TenantRole>(&edited).expect_err(to);
        }
        let longer = stored.replace("\"secs\":3600", "\"secs\":999999");
        let longer: TenantRole = serde_json::from_str(&longer).expect("a role");
        assert_eq!(longer.session, Duration::from_hours(12));
    }

    #[test]
    fn a_session_is_called_after_its_tenant_in_letters_that_sts_takes() {
        let session = |tenant: &str| {
            let ways = Ways::new(&Transport::from_fn(|_| std::future::pending()), SystemRuntime::new());
            let own = AwsCredentials::given(AccessKeys::new("AKIA", "s"));
            let region = Region::new("us-east-1").expect("a region");
            let sts = Api::new(ways, own, region, Endpoints::default());
            AssumedRole { sts, roles: Arc::new(StoredRoles::new()), tenant: tenant.to_owned() }.session_name()
        };
        assert_eq!(session("acme"), "chalk-deploy-acme");
        assert_eq!(session("a b/\u{fc}&c"), "chalk-deploy-a-b---c");
        assert_eq!(session(&"a".repeat(100)).len(), 64);
    }

    #[test]
    fn a_session_lasts_as_long_as_sts_lends() {
        let id = ExternalId::stored("chalk-1").expect("an id");
        let role = TenantRole::new("arn:aws:iam::123456789012:role/chalk", id).expect("a role");
        assert_eq!(role.clone().with_session(Duration::ZERO).session, Duration::from_mins(15));
        assert_eq!(role.with_session(Duration::from_hours(99)).session, Duration::from_hours(12));
    }
}
