//! Amazon Web Services under chalk-deploy: S3, ECR, EKS, SQS and the credentials for them.
//!
//! # What it takes
//! A region, a bucket, a registry and a cluster, by their names; each may be left out, and is an error with a next step when
//! it is asked for. Building a [`Cloud`] sends nothing and reads no file.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use chalk_deploy_aws::{Cloud, ExternalId, StoredRoles, TenantRole};
//! # fn main() -> chalk_deploy_core::Result<()> {
//! // What the tenant's setup has stored.
//! let external_id = ExternalId::stored("chalk-5f0c7b1e9a")?;
//! let role = TenantRole::new("arn:aws:iam::123456789012:role/chalk-scoped", external_id)?;
//!
//! let cloud = Cloud::builder()
//!     .from_env()
//!     .with_region("us-east-1")
//!     .with_tenant(Arc::new(StoredRoles::new().with("acme", role)), "acme")
//!     .with_bucket("chalk-acme-source")
//!     .with_registry("123456789012.dkr.ecr.us-east-1.amazonaws.com")
//!     .with_cluster("chalk")
//!     .build()?;
//! let (bucket, registry, cluster) = (cloud.bucket()?, cloud.registry()?, cloud.cluster()?);
//! # Ok(())
//! # }
//! ```
//!
//! | what | method | variable |
//! |---|---|---|
//! | region, account | `with_region`, `with_account` | `AWS_REGION`, `AWS_DEFAULT_REGION`; `AWS_ACCOUNT_ID` |
//! | cluster | `with_cluster`, `with_cluster_transports` | |
//! | source bucket | `with_bucket` | |
//! | registry | `with_registry`, `with_repositories` | |
//! | credentials | `with_credentials`, `with_profile`, `with_tenant` | those below |
//! | emulators | `with_endpoint`, `with_bucket_endpoint`, `with_registry_endpoint`, `with_cluster_endpoint`, `with_token_endpoint`, `with_queue_endpoint` | `AWS_ENDPOINT_URL`, and `_S3`, `_ECR`, `_EKS`, `_STS`, `_SQS` behind it |
//!
//! Endpoints of FIPS and of the dual stack are spoken to where they are named as endpoints. `AWS_USE_FIPS_ENDPOINT` alone is
//! refused, because it would be a promise that is not kept.
//!
//! # Credentials
//! The first source that is configured decides; one that is configured and fails is an error, and no other is asked.
//! 1. What the program gives ([`CloudBuilder::with_credentials`]).
//! 2. The variables `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`. A profile that the program names
//!    ([`CloudBuilder::with_profile`]) goes before them.
//! 3. A profile of the shared files (`AWS_PROFILE`, `AWS_CONFIG_FILE`, `AWS_SHARED_CREDENTIALS_FILE`): keys, a role that is
//!    assumed with the keys of another profile (`source_profile`) or of source 2, 5 or 6 (`credential_source`), a web
//!    identity; with the feature `sso`, IAM Identity Center. A `credential_process` is refused wherever it stands: it runs a
//!    program that a file names.
//! 4. A web identity (`AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN`), which is how a pod of EKS has a role (IRSA). The file is
//!    read for each session, because the kubelet replaces it.
//! 5. The container (`AWS_CONTAINER_CREDENTIALS_…`): ECS, and EKS Pod Identity.
//! 6. The instance, by `IMDSv2`, unless `AWS_EC2_METADATA_DISABLED` is `true`.
//!
//! With a tenant ([`CloudBuilder::with_tenant`]) these keys only assume the tenant's role, with the [`ExternalId`] that was
//! made for the tenant and stored with them; neither is ever taken from a request. Sources 3, 4 and 6 are aws-config's (the
//! feature of that name, which is on), over our transport, clock and timers; 2 and 5 are ours, because aws-config reads the
//! process's own variables there.
//!
//! Keys are kept until five minutes before they end, fetched once for all who ask at the same time, and renewed in the middle
//! of long work. A call that is refused because they have ended, to a service, a bucket or a cluster, is sent once more with
//! others if there are any. The region of a profile is not read.
//!
//! # Buckets
//! [`Cloud::buckets`] makes the five of seed 001 and sets them up: public access shut, encrypted (the customer's key where the
//! plan names one), requests without TLS refused, tagged, leftovers removed, CORS for reading; the one for source versioned,
//! with object lock where the plan has a retention (GOVERNANCE: the owner of the account can lift it). What others have set
//! beside that stays, and nothing is loosened. Names begin with `chalk-`, or the scoped role could not reach them.
//!
//! # Queues
//! [`Cloud::queues`] makes the seven of the Metadata Plane that seed 001 lists, and sets them up as a [`QueuePlan`] says:
//! encrypted, requests without TLS refused, tagged when they are made. Each but `heartbeat` has a queue of dead letters of its
//! own, which takes them from it alone: after five receives, kept for 14 days. A message is hidden for five minutes and kept
//! for four days, as SQS keeps it by itself; a sign of life half a minute and an hour. Statements of others, their tags, a longer
//! retention and a key of the customer's stay. A customer's key has to let the services that send use it, too.
//!
//! # Registry
//! ECR. The password lasts twelve hours and is given to the registry's own host alone. A repository that a push finds missing
//! is made, once, with our tag and as [`RepositorySettings`] say. Blobs go in two requests (POST and PUT): ECR wants pieces of
//! 5 MiB and is reported to lose them. Layers are mounted between repositories only where the account's setting
//! `BLOB_MOUNTING` says so; [`Cloud::remarks`] tells. No lifecycle policy is set, because its rules know ages and counts and
//! not what is deployed: [`sweep_images`](chalk_deploy_core::Deployer::sweep_images) with [`Cloud::images`] removes what
//! nobody needs.
//! Listing reads each manifest by `BatchGetImage`, which ECR counts as a pull.
//!
//! # Cluster
//! EKS, by name: looked up at the first request, and again when no request reaches it. A token is an address of STS, signed
//! for this cluster, that costs no request; it is good for 15 minutes and made anew in time. [`Cloud::describe_cluster`] says
//! whether the endpoint is public and to whom (the two options of seed 002).
//!
//! # Permissions
//! [`PERMISSIONS`] has every action with what it is for and whether the published scoped role of seed 003 gives it;
//! [`policy`] prints a policy with no more than that. The published role covers a deployment whose repositories, cluster and
//! buckets are there and tagged or named as ours. It does not cover:
//! - `ecr:CreateRepository` and `ecr:TagResource`: the tag is on the request, and the role asks for it on a resource that is
//!   not there yet. Allow them under `aws:RequestTag/chalk.ai/managed-by`, or make the repositories first.
//! - `sqs:CreateQueue` and `sqs:TagQueue`, for the same reason, and `sqs:GetQueueUrl` of a queue that is not there.
//! - `ecr:GetAccountSetting`, which has no resource that could have a tag; [`Cloud::remarks`] says so.
//! - whatever is not tagged, such as a cluster that was made by somebody else: tag it.
//!
//! That `arn:aws:ecr:*` of the published role, which has three parts of six, is a pattern that IAM takes is an assumption.
//! A key of KMS needs `kms:Decrypt` and `kms:GenerateDataKey` in its own policy as well.
//!
//! # When it fails
//! Each row has a test: in `tests/sources.rs` the first, in `tests/queues.rs` those of queues, in `tests/recorded.rs` and
//! `tests/weather.rs` the others.
//!
//! | what happens | code | next step |
//! |---|---|---|
//! | no source has credentials | `PERMISSION_DENIED` | the message names all that were asked |
//! | the session has ended and cannot be renewed | `PERMISSION_DENIED`, temporary | renew them, then resume |
//! | the key was revoked, or is of another partition | `PERMISSION_DENIED` | renew the credentials |
//! | the role may not be assumed | `PERMISSION_DENIED` | the customer's trust policy names our role and the external id |
//! | the clocks differ | `PERMISSION_DENIED` | both are named; correct that of this machine |
//! | a permission is missing | `PERMISSION_DENIED` | the action and the condition are named |
//! | throttled, after three tries | `CLOUD_UNAVAILABLE` | resume, after the wait that AWS asks for |
//! | the bucket is in another region | `VALUE_INVALID` when it is set up, `REQUEST_INVALID` when it is used | the region is named |
//! | the bucket is another account's | `PERMISSION_DENIED` | use another name |
//! | the registry is of another account or region | `PERMISSION_DENIED` | ours is named |
//! | the repository is not there and may not be made | `PERMISSION_DENIED` | allow it under the tag of the request |
//! | a queue of the name was removed in the last minute | `CLOUD_UNAVAILABLE` | resume in 60 s |
//! | the credentials are of another account than the one named | `PERMISSION_DENIED` | both are named |
//! | there is no such cluster | `OBJECT_MISSING` | correct the name, the region or the account |
//! | the cluster is being made | `CLOUD_UNAVAILABLE` | resume when it is ACTIVE |
//!
//! # Tested against
//! - Recorded cases of ECR, EKS, STS, S3, SQS and the sources of credentials, each checked against botocore's models; the token of
//!   EKS against botocore's signer (`tests/foreign_model.rs`).
//! - moto for STS, IAM, S3, SQS, ECR's own API and EKS, with signatures verified for all but EKS (`tests/moto`).
//! - The distribution project's registry with ECR's authentication, a password being replaced in the middle of a push
//!   (`tests/distribution.rs`).
//! - The testkit's simulated registry with the quirks of ECR, its bucket that verifies signatures, and its Kubernetes, over
//!   which the whole pipeline runs (`tests/pipeline.rs`); the published role of seed 003 in a small evaluator.
//! - The whole pipeline on moto and the distribution project's registry, with a simulated cluster (`tests/emulated.rs`).
//! - An account of AWS where `CHALK_DEPLOY_LIVE` is `aws` (`tests/live.rs`); that has not been run.

mod api;
mod buckets;
mod builder;
mod cloud;
mod cluster;
mod credentials;
mod moment;
mod permissions;
mod queues;
mod refusal;
mod registry;
mod resource_policy;
mod settings;
mod tags;
mod throttled;
mod xml;

pub use builder::CloudBuilder;
pub use cloud::Cloud;
pub use credentials::{AccessKeySource, AccessKeys, AwsCredentials, ExternalId, StoredRoles, TenantRole, TenantRoles};
pub use permissions::{PERMISSIONS, Permission, Purpose, Reach, policy};
pub use queues::{DeadLetters, KeptQueue, QueueKeeper, QueuePlan, QueueRole};
pub use registry::RepositorySettings;
