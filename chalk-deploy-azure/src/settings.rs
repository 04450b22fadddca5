//! What the builder has gathered, checked.

use std::path::PathBuf;
use std::sync::Arc;

use chalk_deploy_core::bucket::AzureKeySource;
use chalk_deploy_core::{Error, ErrorCode, Result, text};

use crate::credentials::CredentialChoice;
use crate::credentials::tenant::{Tenant, is_guid};
use crate::endpoint::{checked_endpoint, token_endpoint};
use crate::national_cloud::NationalCloud;

/// Everything that requests are made from.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) national: NationalCloud,
    pub(crate) choice: CredentialChoice,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) client: Option<String>,
    pub(crate) federated_token_file: Option<PathBuf>,
    /// Where Entra ID is: scheme and host.
    pub(crate) authority: String,
    /// Where Resource Manager is: scheme and host.
    pub(crate) management: String,
    pub(crate) group: Option<ResourceGroup>,
    pub(crate) storage: Option<Storage>,
    /// The container of sources.
    pub(crate) container: Option<String>,
    pub(crate) registry: Option<RegistryName>,
    pub(crate) audience: RegistryAudience,
    pub(crate) cluster: Option<String>,
}

/// A resource group, which everything of Resource Manager lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResourceGroup {
    pub(crate) subscription: String,
    pub(crate) name: String,
}

/// A storage account.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    pub(crate) account: String,
    /// Its address, without a slash at the end.
    pub(crate) endpoint: String,
    /// Its key, instead of tokens.
    pub(crate) key: Option<Arc<dyn AzureKeySource>>,
}

/// For whom the token is that a registry changes for its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RegistryAudience {
    /// The registries themselves, which every registry takes.
    #[default]
    Registry,
    /// Resource Manager, which registries take unless `azureADAuthenticationAsArmPolicy` is off: for an identity that is
    /// given no other token.
    Management,
}

impl ResourceGroup {
    pub(crate) fn new(subscription: &str, name: &str) -> Result<Self> {
        if !is_guid(subscription) {
            return Err(Error::new(ErrorCode::ValueInvalid, "this is no id of a subscription")
                .on(format!("subscription `{}`", text::line(subscription, 60)))
                .with_hint("name it by its id (`az account show --query id`), with `with_subscription` or AZURE_SUBSCRIPTION_ID"));
        }
        // "Naming rules and restrictions for Azure resources", without the letters beyond ASCII.
        let holds = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'(' | b')');
        if name.is_empty()
            || name.len() > 90
            || !name.bytes().all(holds)
            || name.ends_with('.')
            || name.starts_with('.')
        {
            return Err(Error::new(ErrorCode::ValueInvalid, "no resource group has such a name")
                .on(format!("resource group `{}`", text::line(name, 100)))
                .with_hint("name it as `az group list` does, with `with_resource_group` or AZURE_RESOURCE_GROUP"));
        }
        Ok(Self { subscription: subscription.to_ascii_lowercase(), name: name.to_owned() })
    }

    /// The path of something in it, such as `Microsoft.Storage/storageAccounts/a`.
    pub(crate) fn path(&self, provider_and_rest: &str) -> String {
        let Self { subscription, name } = self;
        format!("/subscriptions/{subscription}/resourceGroups/{name}/providers/{provider_and_rest}")
    }
}

impl Storage {
    /// An account where its cloud has it.
    pub(crate) fn new(account: &str, key: Option<Arc<dyn AzureKeySource>>, cloud: NationalCloud) -> Result<Self> {
        let usable = (3..=24).contains(&account.len())
            && account.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !usable {
            return Err(no_account(account));
        }
        let endpoint = format!("https://{account}{}", cloud.blob_suffix());
        Ok(Self { account: account.to_owned(), endpoint, key })
    }

    /// An account that is elsewhere: an emulator's, whose name may be longer or hold hyphens, or one behind a name of
    /// its own.
    pub(crate) fn at(
        account: &str,
        endpoint: &str,
        key: Option<Arc<dyn AzureKeySource>>,
        cloud: NationalCloud,
    ) -> Result<Self> {
        let usable = (1..=63).contains(&account.len())
            && account.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !usable {
            return Err(no_account(account));
        }
        // A key is not sent: it signs.
        let endpoint = if key.is_some() { checked_endpoint(endpoint, true)? } else { token_endpoint(endpoint, true)? };
        let uri: http::Uri = endpoint.parse().unwrap_or_default();
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        if let Some(other) = host.strip_suffix(cloud.blob_suffix()).filter(|other| *other != account) {
            let message =
                format!("it is another account than that of the endpoint, which is `{}`", text::line(other, 60));
            return Err(Error::new(ErrorCode::RequestInvalid, message)
                .on(format!("storage account `{account}`"))
                .with_hint("correct one of the two, or leave the endpoint out (AZURE_STORAGE_BLOB_ENDPOINT)"));
        }
        Ok(Self { account: account.to_owned(), endpoint, key })
    }
}

fn no_account(account: &str) -> Error {
    Error::new(ErrorCode::ValueInvalid, "no storage account has such a name")
        .on(format!("storage account `{}`", text::line(account, 60)))
        .with_hint("3 to 24 small letters and digits, with `with_storage_account` or AZURE_STORAGE_ACCOUNT")
}

/// A registry, by its login server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RegistryName {
    /// As repositories write it: `chalkacme.azurecr.io`, or an emulator's `host[:port]`.
    pub(crate) host: String,
    /// Where it is: scheme and host.
    pub(crate) endpoint: String,
}

impl RegistryName {
    /// A registry of Azure. The names of some end with a hyphen and a hash ("domain name label scope").
    pub(crate) fn new(host: &str, cloud: NationalCloud) -> Result<Self> {
        let host = host.to_ascii_lowercase();
        let suffix = cloud.registry_suffix();
        let name = host.strip_suffix(suffix).unwrap_or_default();
        let usable = (5..=63).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !name.starts_with('-')
            && !name.ends_with('-');
        if !usable {
            return Err(Error::new(ErrorCode::ValueInvalid, "this is no login server of a registry of Azure")
                .on(format!("registry `{}`", text::line(&host, 100)))
                .with_hint(format!("write `NAME{suffix}`, NAME being 5 to 50 letters and digits, as `az acr show --query loginServer` does")));
        }
        Ok(Self { endpoint: format!("https://{host}"), host })
    }

    /// An emulator.
    pub(crate) fn emulated(endpoint: &str) -> Result<Self> {
        let endpoint = token_endpoint(endpoint, false)?;
        let host = endpoint.split_once("://").map_or("", |(_, host)| host).to_ascii_lowercase();
        Ok(Self { host, endpoint })
    }

    /// What Resource Manager calls it.
    pub(crate) fn resource(&self) -> &str {
        let label = self.host.split('.').next().unwrap_or_default();
        // The hash of a domain name label is no part of the name, which holds no hyphen.
        label.split('-').next().unwrap_or_default()
    }
}

/// The name of a container ("Naming and referencing containers, blobs, and metadata").
pub(crate) fn container_name(name: &str) -> Result<String> {
    let usable = (3..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--");
    if usable {
        return Ok(name.to_owned());
    }
    Err(Error::new(ErrorCode::ValueInvalid, "no container has such a name")
        .on(format!("container `{}`", text::line(name, 100)))
        .with_hint("use 3 to 63 small letters, digits and single hyphens, such as `chalk-acme-source`"))
}

/// The name of a cluster ("Naming rules and restrictions for Azure resources").
pub(crate) fn cluster_name(name: &str) -> Result<String> {
    let usable = (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if usable {
        return Ok(name.to_owned());
    }
    Err(Error::new(ErrorCode::ValueInvalid, "no cluster of AKS has such a name")
        .on(format!("cluster `{}`", text::line(name, 100)))
        .with_hint("name it as `az aks list` does: letters, digits, hyphens and underscores"))
}

/// The client id of an identity.
pub(crate) fn client_id(id: &str) -> Result<String> {
    if is_guid(id) {
        return Ok(id.to_ascii_lowercase());
    }
    Err(Error::new(ErrorCode::ValueInvalid, "this is no client id of an identity")
        .on(format!("client id `{}`", text::line(id, 60)))
        .with_hint(
            "copy it from the identity (`az identity show --query clientId`), with `with_client` or AZURE_CLIENT_ID",
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

    #[test]
    fn names_cannot_change_the_path_or_the_host_of_a_request() {
        for wrong in ["", "a/b", "..", "a b", "a?b", "ä", "a#b", "a\nb", "a.evil.example", "-a", &"a".repeat(300)] {
            let errors = [
                container_name(wrong).expect_err(wrong),
                cluster_name(wrong).expect_err(wrong),
                client_id(wrong).expect_err(wrong),
                Storage::new(wrong, None, NationalCloud::Public).expect_err(wrong),
                RegistryName::new(wrong, NationalCloud::Public).expect_err(wrong),
                ResourceGroup::new(wrong, "g").expect_err(wrong),
            ];
            assert!(errors.iter().all(|error| error.code() == ErrorCode::ValueInvalid), "{wrong}");
        }
        for wrong in ["", "a/b", "..", ".", "a b", "a?b", "a.", &"a".repeat(91)] {
            assert_eq!(ResourceGroup::new(ID, wrong).expect_err(wrong).code(), ErrorCode::ValueInvalid);
        }
    }

    #[test]
    fn a_registry_is_one_of_the_configured_cloud() {
        let name = RegistryName::new("ChalkAcme.azurecr.io", NationalCloud::Public).expect("a registry");
        assert_eq!((name.host.as_str(), name.resource()), ("chalkacme.azurecr.io", "chalkacme"));
        let labelled = RegistryName::new("chalkacme-a1b2c3.azurecr.io", NationalCloud::Public).expect("a registry");
        assert_eq!(labelled.resource(), "chalkacme");
        RegistryName::new("chalkacme.azurecr.us", NationalCloud::UsGovernment).expect("a registry");
        for wrong in [
            "chalkacme.azurecr.us",
            "chalkacme.azurecr.io.evil.example",
            "evil.example",
            "azurecr.io",
            "a.b.azurecr.io",
        ] {
            RegistryName::new(wrong, NationalCloud::Public).expect_err(wrong);
        }
        assert_eq!(RegistryName::emulated("http://127.0.0.1:5000").expect("an emulator").host, "127.0.0.1:5000");
    }

    #[test]
    fn an_account_is_where_its_cloud_has_it_and_an_emulator_where_it_is_said_to_be() {
        let endpoint = |account, cloud| Storage::new(account, None, cloud).expect("valid").endpoint;
        assert_eq!(endpoint("chalkacme", NationalCloud::Public), "https://chalkacme.blob.core.windows.net");
        assert_eq!(endpoint("chalkacme", NationalCloud::China), "https://chalkacme.blob.core.chinacloudapi.cn");
        let at = |account, url| Storage::at(account, url, None, NationalCloud::Public);
        let emulator = at("devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1/").expect("valid");
        assert_eq!(emulator.endpoint, "http://127.0.0.1:10000/devstoreaccount1");
        let own = at("chalkacme", "https://chalkacme.blob.core.windows.net/").expect("what Azure itself says");
        assert_eq!(own.endpoint, "https://chalkacme.blob.core.windows.net");
    }

    #[test]
    fn an_endpoint_of_another_account_is_refused_and_so_is_one_that_tokens_would_go_to_in_the_clear() {
        let at = |url, key| Storage::at("chalkacme", url, key, NationalCloud::Public);
        let error = at("https://Other.blob.core.windows.net", None).expect_err("another account");
        assert_eq!(error.code(), ErrorCode::RequestInvalid);
        assert!(error.message().contains("`other`"), "{}", error.sentence());
        at("http://azurite.example:10000/chalkacme", None).expect_err("tokens in the clear");
        let key = chalk_deploy_core::bucket::AzureSharedKey::new("aGlkZGVu").expect("base64");
        at("http://azurite.example:10000/chalkacme", Some(Arc::new(key))).expect("a key only signs");
    }
}
