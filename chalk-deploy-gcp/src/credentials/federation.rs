//! Workload identity federation: what another provider of identities says of us (a token in a file or at an address) is
//! changed for a token of Google at its Security Token Service, and that for one of a service account where the
//! configuration names one ("Workload Identity Federation" of Google's documentation; RFC 8693; AIP-4117).
//!
//! Of the four sources of such a configuration the file and the address are taken: an EKS or AKS pod has its token in a
//! file, a machine of Azure at an address. A program is refused, because a configuration would say what runs here; AWS's signed request is, because it
//! needs AWS's credentials, which no cloud but its own reads.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::net::Ipv4Addr;

use async_trait::async_trait;
use chalk_deploy_core::credentials::{BearerToken, Lender, Lent, Secret};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Host, Url};

use super::exchange::of_google;
use super::impersonation::{Holder, Impersonation};
use super::{Exchange, SCOPE};
use crate::refusal::Shown;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Where a machine of Azure asks who it is, by plain HTTP on its own link ("Azure Instance Metadata Service"); what
/// `create-cred-config --azure` writes.
pub(crate) const AZURE: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// No token of a provider is longer.
const LONGEST: u64 = 64 << 10;

/// The file.
#[derive(Deserialize)]
pub(crate) struct ExternalAccount {
    audience: String,
    subject_token_type: String,
    token_url: String,
    credential_source: Source,
    service_account_impersonation_url: Option<String>,
    #[serde(default)]
    service_account_impersonation: Lifetime,
    workforce_pool_user_project: Option<String>,
}

#[derive(Deserialize, Default)]
struct Lifetime {
    token_lifetime_seconds: Option<u64>,
}

#[derive(Deserialize)]
struct Source {
    file: Option<String>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    format: Format,
    executable: Option<Value>,
    environment_id: Option<String>,
}

#[derive(Deserialize, Default)]
struct Format {
    r#type: Option<String>,
    subject_token_field_name: Option<String>,
}

/// An identity of another provider.
pub(crate) struct Federation {
    identity: Identity,
    impersonation: Option<Impersonation>,
}

/// The first of the two exchanges.
#[derive(Clone)]
struct Identity {
    audience: String,
    subject_token_type: String,
    token_url: Url,
    place: Place,
    /// The field of a document in JSON; the text itself is the token without one.
    field: Option<String>,
    scopes: String,
    /// The project that exchanges of people are counted for, who have none of their own ("Workforce Identity
    /// Federation").
    user_project: Option<String>,
    exchange: Exchange,
}

#[derive(Clone)]
enum Place {
    File(String),
    Address(Url, Vec<(String, String)>),
}

impl Federation {
    pub(crate) fn new(file: ExternalAccount, exchange: Exchange) -> Result<Self> {
        let field = match (file.credential_source.format.r#type.as_deref(), &file.credential_source.format) {
            (None | Some("text"), _) => None,
            (Some("json"), Format { subject_token_field_name: Some(field), .. }) => Some(field.clone()),
            _ => return Err(invalid("its `format` is neither text nor JSON with a field for the token")),
        };
        let place = place(file.credential_source)?;
        let token_url = of_google(&file.token_url, "token_url")?;
        let scopes = match file.service_account_impersonation_url {
            // What is asked for as the service account is asked there.
            Some(_) => SCOPE.to_owned(),
            None => exchange.scopes().join(" "),
        };
        let identity = Identity {
            audience: file.audience,
            subject_token_type: file.subject_token_type,
            token_url,
            place,
            field,
            scopes,
            user_project: file.workforce_pool_user_project,
            exchange: exchange.clone(),
        };
        let impersonation = file.service_account_impersonation_url.map(|address| {
            let acting = Impersonation::at(Holder::each_time(identity.clone()), &address, Vec::new(), exchange);
            acting.map(|acting| match file.service_account_impersonation.token_lifetime_seconds {
                Some(seconds) => acting.with_lifetime(seconds.clamp(600, 43_200)),
                None => acting,
            })
        });
        Ok(Self { identity, impersonation: impersonation.transpose()? })
    }
}

#[async_trait]
impl Lender<BearerToken> for Federation {
    async fn lend(&self) -> Result<Lent<BearerToken>> {
        match &self.impersonation {
            Some(impersonation) => impersonation.lend().await,
            None => self.identity.lend().await,
        }
    }
}

impl fmt::Debug for Federation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.identity, formatter)
    }
}

#[async_trait]
impl Lender<BearerToken> for Identity {
    async fn lend(&self) -> Result<Lent<BearerToken>> {
        let subject = format!("{self:?}");
        let token = self.subject_token(&subject).await?;
        // "Method: token" of the reference of the Security Token Service API.
        let mut body = json!({
            "grantType": GRANT,
            "audience": self.audience,
            "scope": self.scopes,
            "requestedTokenType": ACCESS_TOKEN,
            "subjectTokenType": self.subject_token_type,
            "subjectToken": token.expose(),
        });
        if let Some(project) = &self.user_project {
            body["options"] = json!(json!({"userProject": project}).to_string());
        }
        self.exchange.json(&self.token_url, &body, (Shown::Identity, &subject)).await
    }
}

impl Identity {
    async fn subject_token(&self, subject: &str) -> Result<Secret> {
        let text = match &self.place {
            Place::File(path) => read(path).map_err(|error| {
                Error::new(ErrorCode::PermissionDenied, "the token of the other provider cannot be read")
                    .on(format!("file {}", text::line(path, 200)))
                    .with_hint("check that the token is projected into this container")
                    .caused_by(error)
            })?,
            Place::Address(url, headers) => self.exchange.read(url, headers, subject).await?,
        };
        let token = match &self.field {
            None => text.trim().to_owned(),
            Some(field) => {
                let document: Value = serde_json::from_str(&text).unwrap_or_default();
                document.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
            }
        };
        if token.is_empty() || token.len() as u64 > LONGEST {
            return Err(Error::new(ErrorCode::PermissionDenied, "the other provider has given no token")
                .on(subject)
                .with_hint("check `credential_source` of the configuration, and its `format`"));
        }
        Ok(Secret::new(token))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "identity of {}", text::line(&self.audience, 200))
    }
}

fn place(source: Source) -> Result<Place> {
    match source {
        Source { executable: Some(_), .. } => Err(invalid("it would have a program run")
            .with_hint("have the program write its token into a file, and name that in `credential_source`")),
        Source { environment_id: Some(_), .. } => Err(invalid("it wants a request that AWS's credentials sign")
            .with_hint("use the OIDC provider of the EKS cluster, whose token is in a file")),
        Source { file: Some(file), url: None, .. } => Ok(Place::File(file)),
        Source { url: Some(address), file: None, headers, .. } => {
            let url = Url::parse(&address).map_err(|_| invalid("the `url` of its source is no address"))?;
            let near = match url.host() {
                Some(Host::Domain(host)) => host == "localhost",
                Some(Host::Ipv4(address)) => address.is_loopback() || address == AZURE,
                Some(Host::Ipv6(address)) => address.is_loopback(),
                None => false,
            };
            if !(url.scheme() == "https" || url.scheme() == "http" && near) {
                return Err(invalid("the `url` of its source is neither https nor on this machine or Azure's"));
            }
            Ok(Place::Address(url, headers.into_iter().collect()))
        }
        _ => Err(invalid("it names no source, or two")),
    }
}

fn invalid(why: &str) -> Error {
    Error::new(ErrorCode::ValueInvalid, why)
        .with_hint("make the configuration with `gcloud iam workload-identity-pools create-cred-config`")
}

fn read(path: &str) -> std::io::Result<String> {
    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text)?;
    Ok(text)
}
