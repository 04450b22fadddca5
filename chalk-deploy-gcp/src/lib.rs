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
//! | credentials | `with_credentials`, `with_lender`, `with_credentials_file`, `with_impersonation`, `with_scopes` | `GOOGLE_APPLICATION_CREDENTIALS`, `CLOUDSDK_CONFIG`, HOME, `GCE_METADATA_HOST` |
//! | emulators | `with_storage_endpoint`, `with_registry_endpoint`, `with_artifact_registry_endpoint`, `with_container_endpoint` | `STORAGE_EMULATOR_HOST` |
//! | APIs that are elsewhere | | `CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER`, `…_ARTIFACTREGISTRY`, `…_STORAGE` |
//!
//! An emulator is shown no token, unless one was given by `with_credentials` or `with_lender`. What the variables of
//! gcloud lead to is shown the token, as gcloud does, and is therefore `https` at `*.googleapis.com` (such as an endpoint
//! of Private Service Connect) or on this machine. Where the Artifact Registry API is on this machine, a registry on this
//! machine stands for Artifact Registry; where the Kubernetes Engine API is, a cluster may have a port of it.
//!
//! # Credentials
//!
//! The first of these that has any is the one, from then on:
//!
//! 1. The file that `GOOGLE_APPLICATION_CREDENTIALS` names. It must be there.
//! 2. The file of `gcloud auth application-default login`, in the folder that `CLOUDSDK_CONFIG` names or in
//!    `~/.config/gcloud`.
//! 3. The metadata server: the service account of the machine or, by Workload Identity Federation for GKE, of the pod.
//!    One that `GCE_METADATA_HOST` names must be there, on this machine or on its link.
//! 4. The `gcloud` program, as whoever has logged in with `gcloud auth login`; only after `from_env`.
//!
//! A file is the key of a service account, the login of a user, an impersonated service account, or a configuration of
//! workload identity federation (token in a file or at an address). With `with_impersonation` all requests are made as
//! a service account that the credentials may act as. Calls are counted for the project that was set, else for the one
//! that the file of a login names. `with_scopes` asks for other scopes than the usual one; those of the gcloud program are
//! its login's.
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
//! cleanup policy). [`Cloud::images`] lists images with all that they lead to, and removes those that
//! [`sweep_images`](chalk_deploy_core::Deployer::sweep_images) finds to be needed by nobody.
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
//! | what happens | code | next step | test |
//! |---|---|---|---|
//! | no credentials anywhere | `PERMISSION_DENIED` | name a file or log in; the places looked at are listed | `metadata::where_nobody_has_credentials_…` |
//! | a file of credentials that is none, or leads elsewhere than to Google | `VALUE_INVALID` | take it from Google; nothing was sent | `credentials::a_file_that_is_no_file_of_google_…` |
//! | a login expired or was revoked | `PERMISSION_DENIED` | log in again | `credentials::credentials_that_are_refused_…` |
//! | a key was revoked, an account deleted | `PERMISSION_DENIED` | make a new key, restore the account | `credentials::a_key_that_is_revoked_…` |
//! | the clock is off | `PERMISSION_DENIED` | correct it; both clocks are named | `credentials::a_key_that_is_revoked_…`, `weather::a_token_that_is_refused_…` |
//! | a token that is revoked before its end | none | it is fetched anew once, in the middle of a push or an upload too | `weather::a_token_that_ends_…`, `weather::a_token_that_is_revoked_…` |
//! | an account that may not be acted as | `PERMISSION_DENIED` | grant `iam.serviceAccounts.getAccessToken` on it | `credentials::credentials_that_are_refused_…` |
//! | an account to act as that is gone | `OBJECT_MISSING` | correct its address | `credentials::an_account_that_is_not_there_…` |
//! | an identity of another tenant, or for another audience | `PERMISSION_DENIED` | name the provider of its issuer, have it made for this one | `credentials::an_identity_of_another_tenant_…` |
//! | a pool, a provider or a condition that does not let us in | `PERMISSION_DENIED` | correct the audience or the condition | `credentials::credentials_that_are_refused_…` |
//! | a pod that may not act as its account | `PERMISSION_DENIED` | grant `roles/iam.workloadIdentityUser` | `metadata::a_pod_that_may_not_…` |
//! | a missing permission | `PERMISSION_DENIED` | grant the permission named | `pipeline::a_deployment_needs_each_permission_…` |
//! | a user's login without a quota project | `PERMISSION_DENIED` | name one | `refusal::a_login_without_a_project_…` |
//! | a quota project that may not be used | `PERMISSION_DENIED` | grant `serviceusage.services.use` there | `refusal::a_quota_project_that_may_not_…` |
//! | an API that is switched off | `PERMISSION_DENIED` | enable the API named | `recorded::a_cluster_that_cannot_be_used_…` |
//! | a policy of the organization | `PERMISSION_DENIED` | choose what it allows | `buckets::a_bucket_that_a_policy_…` |
//! | a key that the agent of Cloud Storage may not use | `PERMISSION_DENIED` | grant the role on the key to the agent | `buckets::a_key_that_the_agent_…` |
//! | throttling | `CLOUD_UNAVAILABLE` | resume in the seconds that Google says | `weather::throttling_is_waited_out_…` |
//! | a bucket in another location | `VALUE_INVALID` | set its location, or choose another prefix | `recorded::a_bucket_in_another_location_…` |
//! | a bucket of another project | `PERMISSION_DENIED` | choose another prefix | `recorded::a_bucket_of_somebody_else_…` |
//! | a repository of another project | `PERMISSION_DENIED` | push into this one, or set another registry | `weather::a_push_into_a_repository_…` |
//! | an image that an index or an immutable tag holds | `VALUE_INVALID` | remove the index first, or keep it | `weather::an_image_that_may_not_go_…` |
//! | a manifest that does not say what it consists of | `CLOUD_ANSWER_INVALID` | nothing is removed; look at the image named | `registry::what_a_manifest_does_not_say_…` |
//! | no cluster of this name | `OBJECT_MISSING` | correct the name, the zone or region | `recorded::a_cluster_that_cannot_be_used_…` |
//! | a cluster without the address that was chosen | `REQUEST_INVALID` | choose another one | `recorded::a_cluster_that_cannot_be_used_…` |
//! | a setting that no name can be | `VALUE_INVALID` | correct the variable or method named | `settings::what_is_wrong_is_told_…` |
//!
//! # Tested against
//!
//! The whole pipeline on a simulated bucket of the JSON API, the simulated registry with Artifact Registry's manners
//! and the simulated Kubernetes API, under just the permissions of the role for deployments; the conformance suites on
//! the same; fake-gcs-server, and the whole pipeline on it and the registry below (`tests/emulator.rs`). `apply --cloud gcp` as a program, with a metadata server and a GKE of a few lines
//! (`examples/tests/script/cloud/google.rs`). The distribution project's registry, which verifies tokens of a realm like
//! Artifact Registry's, one of them ending in the middle of a push (`tests/distribution.rs`). GKE, Artifact Registry, Cloud
//! Storage, STS and IAM credentials by recorded cases, each made from a page of Google's reference and checked against
//! Google's discovery documents. The metadata server by what its pages say, and the gcloud program by a script in its
//! stead. None has run against a real account.

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
