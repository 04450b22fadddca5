//! Google Cloud under chalk-deploy: Cloud Storage, Artifact Registry, GKE, and the credentials for them.
//!
//! # What it takes
//!
//! One builder call; nothing is asked of Google, and no file is read, before it is needed.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use chalk_deploy_core::cloud::{Builder, TrafficShifter};
//! # fn open(builder: Arc<dyn Builder>, traffic: Arc<dyn TrafficShifter>) -> chalk_deploy_core::Result<()> {
//! let cloud = chalk_deploy_gcp::Cloud::builder()
//!     .from_env()
//!     .with_project("acme-prod-1234")
//!     .with_location("us-central1")
//!     .with_cluster("chalk")
//!     .with_bucket("chalk-acme-source")
//!     .with_registry("us-central1-docker.pkg.dev/acme-prod-1234/chalk")
//!     .build()?;
//! let bundle = cloud.bundle(builder, traffic)?;
//! # Ok(())
//! # }
//! ```
//!
//! | what | method | variable |
//! |---|---|---|
//! | project | `with_project` | `GOOGLE_CLOUD_PROJECT`, `CLOUDSDK_CORE_PROJECT` |
//! | project that a user's calls are counted for | `with_quota_project` | `GOOGLE_CLOUD_QUOTA_PROJECT` |
//! | location | `with_location` | `GOOGLE_CLOUD_LOCATION`, `CLOUDSDK_COMPUTE_REGION` |
//! | cluster | `with_cluster`, `with_control_plane` | |
//! | source bucket | `with_bucket` | |
//! | registry | `with_registry`, `with_registry_host`, `with_immutable_tags` | |
//! | credentials | `with_credentials`, `with_lender`, `with_credentials_file`, `with_impersonation`, `with_scopes` | `GOOGLE_APPLICATION_CREDENTIALS`, `CLOUDSDK_CONFIG`, HOME |
//! | emulators | `with_storage_endpoint`, `with_registry_endpoint`, `with_artifact_registry_endpoint`, `with_container_endpoint` | `STORAGE_EMULATOR_HOST` |
//!
//! # Credentials
//!
//! The first of these that has any is the one, from then on:
//!
//! 1. The file that `GOOGLE_APPLICATION_CREDENTIALS` names. It must be there.
//! 2. The file of `gcloud auth application-default login`, in the folder that `CLOUDSDK_CONFIG` names or in
//!    `~/.config/gcloud`.
//! 3. The metadata server: the service account of the machine or, by Workload Identity Federation for GKE, of the pod.
//! 4. The `gcloud` program, as whoever has logged in with `gcloud auth login`; only after `from_env`.
//!
//! A file is the key of a service account, the login of a user, an impersonated service account, or a configuration of
//! workload identity federation (token in a file or at an address). With `with_impersonation` all requests are made as
//! a service account that the credentials may act as.
//!
//! Tokens are fetched once for all who ask, kept until five minutes before they end, and fetched anew when one is
//! refused. Nothing prints them. Which parts of `gcp_auth` are used is said in the source, at `credentials`.
//!
//! # Buckets
//!
//! [`Cloud::buckets`] makes and keeps the five buckets of a data plane. A setting is changed only where it is not as
//! the plan says, and only if nobody else has changed the bucket since it was read; what is there beside the plan
//! stays.
//!
//! | the plan says | the bucket has |
//! |---|---|
//! | always | uniform bucket-level access, public access prevention, [`LABEL`](tags::LABEL), a week of soft delete when made |
//! | origins | a CORS entry for GET |
//! | encryption | a default key of Cloud KMS, or Google's own |
//! | versioned | versions |
//! | retention | a retention policy; with versions, which exclude one, the retention of single objects |
//! | leftovers | lifecycle rules for unfinished uploads and for versions that were written over |
//!
//! [`Cloud::bucket`] is the source bucket of deployments. A bucket of its name in another project, or in another
//! location, is an error of [`Cloud::buckets`], and nothing is done to it.
//!
//! # Registry
//!
//! [`Cloud::registry`] pushes and pulls with the access token, which only hosts `LOCATION-docker.pkg.dev` and what was
//! configured get to see, and makes a repository that a push does not find (format DOCKER, [`LABEL`](tags::LABEL), no
//! cleanup policy). [`Cloud::images`] lists images with all that they lead to, and removes those that nobody needs.
//!
//! # Cluster
//!
//! [`Cloud::connection`] finds the cluster by its name at the first request, and again when no request reaches it. Its
//! token is the access token. [`ControlPlane`] chooses between the public address, the private one and the DNS name.
//! [`Cloud::describe_cluster`] says which networks may reach it.
//!
//! # Permissions
//!
//! [`permissions::PERMISSIONS`] lists each permission with the call that needs it, [`permissions::role`] makes a custom
//! role of those that a purpose needs, and [`permissions::bucket_condition`] binds it to buckets by their names,
//! because IAM has no condition on labels.
//!
//! # When it fails
//!
//! | what happens | code | next step |
//! |---|---|---|
//! | no credentials anywhere | `PERMISSION_DENIED` | name a file or log in; the places looked at are listed |
//! | a login expired or was revoked | `PERMISSION_DENIED` | log in again |
//! | a key was revoked, an account deleted | `PERMISSION_DENIED` | make a new key, restore the account |
//! | the clock is off | `PERMISSION_DENIED` | correct it; both clocks are named |
//! | an account that may not be acted as | `PERMISSION_DENIED` | grant `iam.serviceAccounts.getAccessToken` on it |
//! | a pool, a provider or a condition that does not let us in | `PERMISSION_DENIED` | correct the audience or the condition |
//! | a missing permission | `PERMISSION_DENIED` | grant the permission named |
//! | a user's login without a quota project | `PERMISSION_DENIED` | name one |
//! | an API that is switched off | `PERMISSION_DENIED` | enable the API named |
//! | throttling | `CLOUD_UNAVAILABLE` | resume in the seconds that Google says |
//! | a bucket in another location | `VALUE_INVALID` | set its location, or choose another prefix |
//! | a bucket or a repository of another project | `PERMISSION_DENIED` | choose another prefix, or another registry |
//! | no cluster of this name | `OBJECT_MISSING` | correct the name, the zone or region |
//! | a cluster without the address that was chosen | `REQUEST_INVALID` | choose another one |
//! | a setting that no name can be | `VALUE_INVALID` | correct the variable or method named |
//!
//! # Tested against
//!
//! The whole pipeline on a simulated bucket of the JSON API, the simulated registry with Artifact Registry's manners
//! and the simulated Kubernetes API, under just the permissions of the role for deployments; the conformance suites on
//! the same; and fake-gcs-server. The distribution project's registry, which verifies tokens of a realm like Artifact
//! Registry's, one of them ending in the middle of a push (`tests/distribution.rs`). GKE, Artifact Registry, Cloud
//! Storage, STS and IAM credentials by recorded cases, each made from a page of Google's reference and checked against
//! Google's discovery documents. The gcloud program by a script in its stead. No test asks a metadata server, and none
//! has run against a real account.

mod api;
mod buckets;
mod builder;
mod cloud;
mod cluster;
mod credentials;
mod endpoints;
mod moment;
pub mod permissions;
mod refusal;
mod registry;
mod settings;
pub mod tags;

pub use builder::CloudBuilder;
pub use cloud::Cloud;
pub use cluster::ControlPlane;
pub use credentials::{SCOPE, Tokens};
