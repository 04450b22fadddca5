//! Microsoft Azure under chalk-deploy: Blob Storage, Azure Container Registry, AKS, and the credentials for them.
//!
//! # What it takes
//!
//! One builder call; nothing is asked of Azure, no file is read and no program is started before it is needed.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use chalk_deploy_core::cloud::{Builder, TrafficShifter};
//! # fn open(builder: Arc<dyn Builder>, traffic: Arc<dyn TrafficShifter>) -> chalk_deploy_core::Result<()> {
//! let cloud = chalk_deploy_azure::Cloud::builder()
//!     .from_env()
//!     .with_subscription("72f988bf-86f1-41af-91ab-2d7cd011db47")
//!     .with_resource_group("chalk-acme")
//!     .with_cluster("chalk")
//!     .with_storage_account("chalkacme")
//!     .with_bucket("chalk-acme-source")
//!     .with_registry("chalkacme.azurecr.io")
//!     .build()?;
//! let bundle = cloud.bundle(builder, traffic)?;
//! # Ok(())
//! # }
//! ```
//!
//! | what | method | variable |
//! |---|---|---|
//! | tenant, identity | `with_tenant`, `with_client` | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_FEDERATED_TOKEN_FILE` |
//! | subscription, resource group | `with_subscription`, `with_resource_group` | `AZURE_SUBSCRIPTION_ID`, `AZURE_RESOURCE_GROUP` |
//! | cluster | `with_cluster`, `with_cluster_transports` | |
//! | source bucket | `with_storage_account`, `with_bucket` | `AZURE_STORAGE_ACCOUNT` |
//! | registry | `with_registry`, `with_registry_audience` | `AZURE_CONTAINER_REGISTRY_ENDPOINT` |
//! | credentials | `with_credentials`, `with_account_key` | `AZURE_TOKEN_CREDENTIALS` |
//! | another cloud of Azure | `with_national_cloud`, `with_authority_endpoint` | `AZURE_AUTHORITY_HOST` |
//! | Resource Manager elsewhere | `with_management_endpoint` | `AZURE_RESOURCE_MANAGER_ENDPOINT` |
//! | the account elsewhere | `with_blob_endpoint` | `AZURE_STORAGE_BLOB_ENDPOINT` |
//! | the registry elsewhere | `with_registry_endpoint` | `AZURE_CONTAINER_REGISTRY_ENDPOINT`, with `://` in it |
//!
//! What a method says holds before what a variable says, in whichever order they are called. A token is never sent in the
//! clear: an endpoint that is shown tokens is reached by `https`, or is this machine (`127.0.0.1`, `localhost`), and Entra ID
//! is reached by `https` alone. Tokens for Resource Manager elsewhere are asked for in its own name
//! (`ENDPOINT/.default`), so that it is never shown one that Azure's would take.
//!
//! # Credentials
//!
//! The first of these that is set up here is the one, from then on; one that is set up and refused is the error, so that
//! nobody becomes somebody else:
//!
//! 1. Workload identity: the token of the pod's service account in the file that `AZURE_FEDERATED_TOKEN_FILE` names, as
//!    `AZURE_CLIENT_ID` of `AZURE_TENANT_ID`. It is read anew for each token. With the file and without the others, `build`
//!    refuses: the next link would make the pod its node.
//! 2. Managed identity of the machine (IMDS), or of App Service; the one of several that `AZURE_CLIENT_ID` names. Where the
//!    machine has several and none is named, that is the error. The metadata services of other clouds, and the identities of
//!    Azure Arc, Cloud Shell, Azure ML and Service Fabric, are passed over.
//! 3. Developer tools: whoever is logged in with `az`, else with `azd`. The programs are looked for in the folders of `PATH`
//!    (not in the current folder): whoever may write to one of those decides whose token is shown. A service that should not
//!    run programs takes [`CredentialChoice::Deployed`]. Azure PowerShell and Visual Studio are not asked.
//!
//! Each can be switched on alone ([`CredentialChoice`]). Secrets and certificates of applications are not taken.
//!
//! `azure_identity` speaks with Entra ID, over the one transport and without repetitions of its own. Two things of it cannot
//! be handed in: the variables by which App Service says that it is one (`IDENTITY_ENDPOINT` and its siblings), which it
//! reads from the process, and the programs of the third link, which are no requests.
//!
//! Where a tenant is named, a token that says to be of another one is never given out. Tokens are fetched once a scope for
//! all who ask, kept until five minutes before they end, and fetched anew when one is refused. Nothing prints them. The
//! scopes are [`credentials::scope`], and `https://management.azure.com/.default` for Resource Manager.
//!
//! # Buckets
//!
//! [`Cloud::buckets`] makes and keeps the five buckets of a data plane, as containers of one storage account. A setting is
//! changed only where it is not as the plan says; what is there beside the plan stays.
//!
//! | the plan says | the container has |
//! |---|---|
//! | always | no public access, [`METADATA`](tags::METADATA), the encryption that every account has |
//! | origins | a rule for browsers of the account's Blob service, beside those of others (an account has five) |
//! | encryption | the encryption scope of this name, from its beginning |
//! | versioned | versions, of the whole account, through Resource Manager |
//! | retention | version-level immutability, from its beginning, through Resource Manager |
//! | leftovers | a rule of the account's lifecycle for versions, through Resource Manager; unfinished uploads go by themselves |
//!
//! What belongs to the account and is not as it should be (requests without TLS, containers that may be public) is reported
//! and not changed, because others use the account too.
//!
//! [`Cloud::bucket`] is the source bucket of deployments. Its presigned addresses are signed with a key that Azure gives to
//! the holder of a token (a user delegation SAS of version 2023-11-03), for up to an hour less than seven days.
//!
//! # Registry
//!
//! [`Cloud::registry`] changes a token of Entra ID for a refresh token of the registry, and that for a token of each
//! repository; only the configured login server gets to see either. Repositories appear with their first push.
//! [`Cloud::images`] lists images with all that they lead to, removes those that
//! [`sweep_images`](chalk_deploy_core::Deployer::sweep_images) finds to be needed by nobody, and locks tags and images.
//! [`Cloud::inspect_registry`] tells of a retention policy that would remove what a rollback needs.
//!
//! # Cluster
//!
//! [`Cloud::connection`] finds the cluster by its name at the first request, and again when no request reaches it. Its
//! authority is that of the kubeconfig which Azure gives to users; the program that this names (kubelogin) is not run, and
//! local accounts are not used: the cluster has to take tokens of Entra ID. [`Cloud::describe_cluster`] says which networks
//! may reach it.
//!
//! # Permissions
//!
//! [`permissions::PERMISSIONS`] lists each permission with the call that needs it, and [`permissions::role_definition`] makes
//! a custom role of those that a purpose needs. The role "Chalk Platform Manager" of Chalk's own page covers all of them.
//!
//! # When it fails
//!
//! | what happens | code | next step |
//! |---|---|---|
//! | no credentials anywhere | `PERMISSION_DENIED` | log in; what each link said is listed |
//! | a login expired or was revoked | `PERMISSION_DENIED` | log in again |
//! | a token, a subscription, a cluster or an application of another tenant | `PERMISSION_DENIED` | correct the tenant or the client id |
//! | no federated credential for this service account | `PERMISSION_DENIED` | add one to the identity |
//! | the clock is off | `PERMISSION_DENIED` | correct it; both clocks are named |
//! | a missing permission | `PERMISSION_DENIED` | grant the permission named |
//! | the firewall of an account or a registry, or a policy | `PERMISSION_DENIED` | let this network through, ask who administers it |
//! | an account that takes no keys | `PERMISSION_DENIED` | use tokens |
//! | several identities on a machine, and none is named | `PERMISSION_DENIED` | name one in `AZURE_CLIENT_ID` |
//! | a registry of another account | `PERMISSION_DENIED` | assign `AcrPull` and `AcrPush` there |
//! | throttling | `CLOUD_UNAVAILABLE` | resume in the seconds that Azure says |
//! | the metadata service is being updated | `CLOUD_UNAVAILABLE` | resume in the 70 seconds that this takes at most |
//! | somebody else has changed the same setting meanwhile | `CLOUD_UNAVAILABLE` | resume |
//! | a stopped cluster | `CLOUD_UNAVAILABLE` | start it |
//! | an account of another name: accounts have one address in all regions | `CLOUD_UNAVAILABLE` | correct its name |
//! | no cluster of this name | `OBJECT_MISSING` | correct the name, the resource group or the subscription |
//! | a cluster without Entra ID | `REQUEST_INVALID` | integrate it |
//! | half of workload identity, or an endpoint of another account | `REQUEST_INVALID` | complete or correct what is named |
//! | a setting that no name can be, or an endpoint in the clear | `VALUE_INVALID` | correct the variable or method named |
//!
//! # Tested against
//!
//! Azurite for containers and blobs, by key and by token; the distribution project's registry, which verifies tokens of
//! realms like ACR's, one of them ending in the middle of a push (`tests/distribution.rs`); the simulated registry with
//! ACR's manners; a simulated storage account and Kubernetes API for the whole pipeline, also by the program `apply --cloud
//! azure`, and Azurite with that registry for the same (`tests/emulator.rs`); and recorded cases for Entra ID, IMDS, Resource
//! Manager (AKS, storage, registries), ACR and Blob Storage, each made from a page of Microsoft's reference and checked
//! against Microsoft's generated clients. No test has run against a real account.

mod api;
mod buckets;
mod builder;
mod cloud;
mod cluster;
pub mod credentials;
mod endpoint;
mod national_cloud;
pub mod permissions;
mod refusal;
mod registry;
mod settings;
pub mod tags;

pub use buckets::Containers;
pub use builder::CloudBuilder;
pub use cloud::Cloud;
pub use credentials::{CredentialChoice, ScopedTokens, TokenIssuer, Tokens};
pub use national_cloud::NationalCloud;
pub use registry::AcrImages;
pub use settings::RegistryAudience;
