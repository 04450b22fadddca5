//! Containers of a storage account as buckets.
//!
//! The containers themselves, who may read them from a browser, and what marks them as ours are set by the Blob service's
//! own calls. Versions, retention and the lifecycle are Resource Manager's, and are set where a subscription and a
//! resource group are configured. Much of this belongs to the account and not to the container, so that it is only ever
//! added to. Azure takes these settings as a whole and without a condition: here one at a time reads and writes them, and
//! what another process changes in the moment between the two is lost, until that one keeps its plan again.
//!
//! | of the plan | on Azure |
//! |---|---|
//! | the bucket | a container; private; marked by its metadata |
//! | origins | rules for browsers of the account's Blob service, beside those of others |
//! | encryption | the provider's keys always; a customer's key through an encryption scope, by its name |
//! | versions | blob versioning, of the whole account |
//! | retention | version-level immutability, which a container has from its beginning or not at all |
//! | leftovers | versions: a rule of the account's lifecycle; blocks of unfinished uploads go after a week by themselves |

mod cors;
mod management;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chalk_deploy_core::bucket::{AzureCredentials, AzureSigner};
use chalk_deploy_core::provision::{BucketKeeper, BucketPlan, Encryption, KeptBucket};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::Transport;
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use futures::lock::Mutex;
use http::{HeaderMap, Method, StatusCode};

use self::management::Management;
use crate::api::{Api, Authorization, Call};
use crate::permissions;
use crate::refusal::Refusal;
use crate::settings::{ResourceGroup, Storage, container_name};
use crate::tags;

const METADATA: &str = "x-ms-meta-";
const PUBLIC: &str = "x-ms-blob-public-access";
const SCOPE: &str = "x-ms-default-encryption-scope";

/// The containers of one storage account.
#[derive(Clone)]
pub struct Containers {
    storage: Storage,
    blobs: Api,
    management: Option<Management>,
    /// Held over the reading and writing of what is the account's.
    account_wide: Arc<Mutex<()>>,
}

impl Containers {
    /// `management` is Resource Manager's address, calls to it, and what they are about.
    pub(crate) fn new(
        storage: Storage,
        credentials: AzureCredentials,
        management: Option<(String, Api, ResourceGroup)>,
        transport: Transport,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let signer = AzureSigner::new(storage.account.clone(), credentials, runtime.clone());
        let blobs = Api { transport, runtime, authorization: Authorization::Signer(Arc::new(signer)) };
        let account = storage.account.clone();
        let management = management.map(|(address, api, group)| {
            let path = group.path(&format!("Microsoft.Storage/storageAccounts/{account}"));
            Management { address: format!("{address}{path}"), account, api }
        });
        Self { storage, blobs, management, account_wide: Arc::default() }
    }

    fn call(&self, method: Method, tail: &str, subject: String, permission: permissions::Permission) -> Call {
        Call::new(method, format!("{}{tail}", self.storage.endpoint), subject).needing(permission.name)
    }

    fn container(&self, method: Method, name: &str, query: &str, permission: permissions::Permission) -> Call {
        let subject = format!("container `{name}` of `{}`", self.storage.account);
        self.call(method, &format!("/{name}?restype=container{query}"), subject, permission)
    }

    /// Whether it was not there.
    async fn create(&self, name: &str, scope: Option<&str>) -> Result<bool> {
        let mut call = self
            .container(Method::PUT, name, "", permissions::CONTAINER_WRITE)
            .with_header(format!("{METADATA}{}", tags::METADATA.0), tags::METADATA.1);
        if let Some(scope) = scope {
            call = call.with_header(SCOPE, scope).with_header("x-ms-deny-encryption-scope-override", "true");
        }
        let answer = self.blobs.exchange(&call).await?;
        match answer.status {
            status if status.is_success() => Ok(true),
            StatusCode::CONFLICT if Refusal::read(&answer).code() == "ContainerAlreadyExists" => Ok(false),
            _ => Err(self.blobs.refused(&call, &answer)),
        }
    }

    /// Sets up a container that is there.
    async fn set_up(&self, plan: &BucketPlan, scope: Option<&str>, kept: &mut KeptBucket) -> Result<()> {
        let name = &plan.name;
        let call = self.container(Method::GET, name, "", permissions::CONTAINER_READ);
        let headers = self.blobs.send(&call).await?.headers;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if text(PUBLIC).is_some_and(|access| !access.is_empty()) {
            if let Some(management) = &self.management {
                management.shut(name).await?;
            } else {
                self.shut(name).await?;
            }
            kept.changed.push("access");
        }
        let mut metadata = metadata(&headers);
        if metadata.insert(tags::METADATA.0.to_owned(), tags::METADATA.1.to_owned()).as_deref()
            != Some(tags::METADATA.1)
        {
            // A write replaces all of it. That names come back in small letters changes nothing: case does not count.
            let mut call = self.container(Method::PUT, name, "&comp=metadata", permissions::CONTAINER_WRITE);
            for (name, value) in metadata {
                call = call.with_header(format!("{METADATA}{name}"), value);
            }
            self.blobs.send(&call).await?;
            kept.changed.push("tags");
        }
        let has = text(SCOPE).unwrap_or_default();
        if let Some(scope) = scope.filter(|scope| *scope != has) {
            let has =
                if has.is_empty() { "the account's key".to_owned() } else { format!("`{}`", text::line(has, 80)) };
            kept.cannot.push(format!(
                "container `{name}` is encrypted with {has} and not with `{scope}`, which is decided when it is made"
            ));
        }
        Ok(())
    }

    /// Takes what is public of a container away. The write replaces its stored access policies too, which others may have
    /// given signatures under, so they are read first and written back ("Set Container ACL", remarks).
    async fn shut(&self, name: &str) -> Result<()> {
        let read = self.container(Method::GET, name, "&comp=acl", permissions::CONTAINER_ACL_READ);
        let answer = self.blobs.send(&read).await?;
        let policies = policies(&String::from_utf8_lossy(&answer.body)).ok_or_else(|| {
            let message = "the answer of Azure holds no stored access policies, so that they would be lost";
            Error::new(ErrorCode::CloudAnswerInvalid, message).on(&read.subject)
        })?;
        // Without the header that names it there is no public access.
        let mut write = self.container(Method::PUT, name, "&comp=acl", permissions::CONTAINER_ACL);
        if !policies.is_empty() {
            write = write.with_xml(policies);
        }
        self.blobs.send(&write).await.map(drop)
    }

    async fn admit_browsers(&self, plan: &BucketPlan, kept: &mut KeptBucket) -> Result<()> {
        let service = |method, permission| {
            let subject = format!("Blob service of `{}`", self.storage.account);
            self.call(method, "/?restype=service&comp=properties", subject, permission)
        };
        let answer = self.blobs.send(&service(Method::GET, permissions::SERVICE_READ)).await?;
        match cors::change(&String::from_utf8_lossy(&answer.body), &plan.origins) {
            cors::Change::None => {}
            cors::Change::Cannot(why) => kept.cannot.push(why),
            cors::Change::Unreadable => {
                let message = "the answer of Azure holds no rules for browsers, so that those of others would be lost";
                let subject = format!("Blob service of `{}`", self.storage.account);
                return Err(Error::new(ErrorCode::CloudAnswerInvalid, message).on(subject));
            }
            cors::Change::Write(document) => {
                let call = service(Method::PUT, permissions::SERVICE_WRITE).with_xml(document);
                self.blobs.send(&call).await?;
                kept.changed.push("cors");
            }
        }
        Ok(())
    }
}

#[async_trait]
impl BucketKeeper for Containers {
    async fn keep(&self, plan: &BucketPlan) -> Result<KeptBucket> {
        container_name(&plan.name)?;
        let mut kept = KeptBucket::new(plan.name.clone());
        let scope = match &plan.encryption {
            Encryption::Provider => None,
            Encryption::CustomerKey(scope) => Some(scope_name(scope)?),
            _ => {
                kept.cannot.push("Azure encrypts with its own keys or with those of an encryption scope".to_owned());
                None
            }
        };
        if let Some(management) = &self.management {
            management.inspect(&mut kept).await?;
            // What is retained is retained as a version, so versions come before the container.
            if plan.versioned || plan.retention.is_some() {
                let _alone = self.account_wide.lock().await;
                management.keep_versions(&mut kept).await?;
            }
            if plan.retention.is_some() {
                kept.created = management.create_with_locks(plan, scope).await?;
            }
        }
        if !kept.created {
            kept.created = self.create(&plan.name, scope).await?;
        }
        if !kept.created {
            self.set_up(plan, scope, &mut kept).await?;
        }
        if !plan.origins.is_empty() {
            let _alone = self.account_wide.lock().await;
            self.admit_browsers(plan, &mut kept).await?;
        }
        match &self.management {
            Some(management) => {
                if let Some(retention) = plan.retention {
                    management.retain(plan, retention, &mut kept).await?;
                }
                if plan.versioned || plan.retention.is_some() {
                    let _alone = self.account_wide.lock().await;
                    management.clear_leftovers(plan, &mut kept).await?;
                }
            }
            None if plan.versioned || plan.retention.is_some() => kept.cannot.push(format!(
                "versions and retention of container `{}` are set through Resource Manager, and no subscription and \
                 resource group are configured",
                plan.name
            )),
            None => {}
        }
        Ok(kept)
    }
}

impl fmt::Debug for Containers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Containers").field("account", &self.storage.account).finish_non_exhaustive()
    }
}

/// The stored access policies in an answer, as a document to write; empty for none. `None` for an answer without them.
fn policies(document: &str) -> Option<String> {
    let (_, rest) = document.split_once("<SignedIdentifiers")?;
    let rest = rest.trim_start();
    if rest.starts_with("/>") {
        return Some(String::new());
    }
    let (policies, _) = rest.strip_prefix('>')?.rsplit_once("</SignedIdentifiers>")?;
    if policies.trim().is_empty() {
        return Some(String::new());
    }
    Some(format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><SignedIdentifiers>{policies}</SignedIdentifiers>"))
}

/// The metadata in an answer, by name.
fn metadata(headers: &HeaderMap) -> BTreeMap<String, String> {
    let own = headers.iter().filter_map(|(name, value)| {
        Some((name.as_str().strip_prefix(METADATA)?.to_owned(), value.to_str().ok()?.to_owned()))
    });
    own.collect()
}

/// The name of an encryption scope ("Encryption scopes for Blob storage").
fn scope_name(scope: &str) -> Result<&str> {
    let usable = (3..=63).contains(&scope.len())
        && scope.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !scope.starts_with('-');
    if usable {
        return Ok(scope);
    }
    Err(Error::new(ErrorCode::ValueInvalid, "no encryption scope has such a name")
        .on(format!("encryption scope `{}`", text::line(scope, 80)))
        .with_hint("name an encryption scope of the storage account, which holds the customer's key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_access_policies_are_written_back_as_they_were_read() {
        let one =
            "<SignedIdentifier><Id>a</Id><AccessPolicy><Permission>r</Permission></AccessPolicy></SignedIdentifier>";
        let read = format!("\u{feff}<?xml version=\"1.0\"?><SignedIdentifiers>{one}</SignedIdentifiers>");
        assert!(policies(&read).is_some_and(|written| written.contains(one)));
        for none in ["<SignedIdentifiers/>", "<SignedIdentifiers />", "<SignedIdentifiers></SignedIdentifiers>"] {
            assert_eq!(policies(none).as_deref(), Some(""), "{none}");
        }
        for odd in ["", "<Error/>", "<SignedIdentifiers>", "<SignedIdentifiersX></SignedIdentifiers>"] {
            assert_eq!(policies(odd), None, "{odd}");
        }
    }
}
