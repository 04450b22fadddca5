//! `--cloud`: a data plane that is found in a cloud by names, with the credentials that the cloud's own tools would find.

use std::sync::Arc;

use chalk_deploy_core::bucket::Bucket;
use chalk_deploy_core::kubernetes::Connection;
use chalk_deploy_core::oci::OciRegistry;
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::{Error, ErrorCode, Result};
use clap::{Args, ValueEnum};

use super::target::RegistryUrl;

/// The variable with the external id of a role. It is no flag: whoever lists processes would read it.
const EXTERNAL_ID: &str = "CHALK_DEPLOY_EXTERNAL_ID";

/// The flags of a cloud.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "A data plane in a cloud (with --registry HOST[/PATH], --bucket NAME and --base-image)")]
pub(super) struct CloudArguments {
    /// Find the cluster, the registry and the bucket here, with the credentials that the cloud's own tools find
    #[arg(long, value_enum, value_name = "CLOUD", group = "place",
          requires_all = ["cluster", "registry", "bucket", "base_images"])]
    pub(super) cloud: Option<CloudName>,

    /// The cluster's name in the cloud
    #[arg(long, value_name = "NAME", requires = "cloud")]
    pub(super) cluster: Option<String>,

    /// The region of AWS, or the location of Google [default: what the cloud's own variables say]
    #[arg(long, value_name = "REGION", requires = "cloud")]
    pub(super) region: Option<String>,

    /// AWS: the role to act as; its external id is read from `CHALK_DEPLOY_EXTERNAL_ID`
    #[arg(long, value_name = "ARN", requires = "cloud")]
    pub(super) role: Option<String>,

    /// Google: the project [default: `GOOGLE_CLOUD_PROJECT`]
    #[arg(long, value_name = "ID", requires = "cloud")]
    pub(super) cloud_project: Option<String>,

    /// Google: the service account to act as
    #[arg(long, value_name = "EMAIL", requires = "cloud")]
    pub(super) impersonate: Option<String>,

    /// Azure: the subscription
    #[arg(long, value_name = "ID", requires = "cloud")]
    pub(super) subscription: Option<String>,

    /// Azure: the resource group
    #[arg(long, value_name = "NAME", requires = "cloud")]
    pub(super) resource_group: Option<String>,

    /// Azure: the storage account, of which --bucket names a container
    #[arg(long, value_name = "NAME", requires = "cloud")]
    pub(super) storage_account: Option<String>,

    /// Azure: the tenant [default: `AZURE_TENANT_ID`]
    #[arg(long, value_name = "ID", requires = "cloud")]
    pub(super) tenant: Option<String>,
}

/// The clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CloudName {
    /// Amazon Web Services: EKS, ECR, S3
    Aws,
    /// Google Cloud: GKE, Artifact Registry, Cloud Storage
    Gcp,
    /// Microsoft Azure: AKS, ACR, Blob Storage
    Azure,
}

/// A cloud with what a deployment needs of it.
#[derive(Debug, Clone)]
pub(super) enum OpenedCloud {
    /// AWS.
    Aws(chalk_deploy_aws::Cloud),
    /// Google.
    Gcp(chalk_deploy_gcp::Cloud),
    /// Azure.
    Azure(chalk_deploy_azure::Cloud),
}

impl CloudArguments {
    /// What clap cannot say: which flags belong to which cloud.
    ///
    /// # Errors
    /// `REQUEST_INVALID` with the flag.
    pub(super) fn check(&self) -> Result<()> {
        let Some(name) = self.cloud else { return Ok(()) };
        let flags = [
            ("--role", self.role.is_some(), CloudName::Aws),
            ("--cloud-project", self.cloud_project.is_some(), CloudName::Gcp),
            ("--impersonate", self.impersonate.is_some(), CloudName::Gcp),
            ("--subscription", self.subscription.is_some(), CloudName::Azure),
            ("--resource-group", self.resource_group.is_some(), CloudName::Azure),
            ("--storage-account", self.storage_account.is_some(), CloudName::Azure),
            ("--tenant", self.tenant.is_some(), CloudName::Azure),
        ];
        if let Some((flag, ..)) = flags.iter().find(|(_, is_given, of)| *is_given && *of != name) {
            return Err(Error::new(ErrorCode::RequestInvalid, "the flag is for another cloud")
                .on(*flag)
                .with_hint("leave it out, or name its cloud with --cloud"));
        }
        if name == CloudName::Azure {
            for (flag, is_given) in [
                ("--subscription", self.subscription.is_some()),
                ("--resource-group", self.resource_group.is_some()),
                ("--storage-account", self.storage_account.is_some()),
            ] {
                if !is_given {
                    return Err(Error::new(ErrorCode::RequestInvalid, "Azure finds nothing without it")
                        .on(flag)
                        .with_hint("give it, as `az account show` and `az resource list` name it"));
                }
            }
        }
        Ok(())
    }

    /// The cloud. Asks it nothing.
    ///
    /// # Errors
    /// What is wrong with a flag or a variable.
    pub(super) fn open(
        &self,
        name: CloudName,
        registry: &RegistryUrl,
        bucket: &str,
        runtime: &Arc<dyn Runtime>,
    ) -> Result<OpenedCloud> {
        let cluster = self.cluster.clone().unwrap_or_default();
        let (host, runtime) = (registry.host.clone(), runtime.clone());
        Ok(match name {
            CloudName::Aws => {
                use chalk_deploy_aws::{Cloud, StoredRoles};
                let mut builder = Cloud::builder().from_env().with_runtime(runtime);
                if let Some(region) = &self.region {
                    builder = builder.with_region(region);
                }
                if let Some(arn) = &self.role {
                    let role = role(arn, std::env::var(EXTERNAL_ID).ok())?;
                    builder = builder.with_tenant(Arc::new(StoredRoles::new().with("terminal", role)), "terminal");
                }
                let built = builder.with_cluster(cluster).with_bucket(bucket).with_registry(host).build();
                OpenedCloud::Aws(built.map_err(|error| flags(error, &[("no region", "--region, or set AWS_REGION")]))?)
            }
            CloudName::Gcp => {
                let mut builder = chalk_deploy_gcp::Cloud::builder().from_env().with_runtime(runtime);
                if let Some(project) = &self.cloud_project {
                    builder = builder.with_project(project);
                }
                if let Some(location) = &self.region {
                    builder = builder.with_location(location);
                }
                if let Some(account) = &self.impersonate {
                    builder = builder.with_impersonation(account);
                }
                let repository = registry.repository.as_str();
                let built = builder.with_cluster(cluster).with_bucket(bucket).with_registry(repository).build();
                let known = [
                    ("no project", "--cloud-project, or set GOOGLE_CLOUD_PROJECT"),
                    ("no location", "--region, or set GOOGLE_CLOUD_LOCATION"),
                ];
                OpenedCloud::Gcp(built.map_err(|error| flags(error, &known))?)
            }
            CloudName::Azure => {
                let mut builder = chalk_deploy_azure::Cloud::builder().from_env().with_runtime(runtime);
                if let Some(tenant) = &self.tenant {
                    builder = builder.with_tenant(tenant);
                }
                let of = |flag: &Option<String>| flag.clone().unwrap_or_default();
                let built = builder
                    .with_subscription(of(&self.subscription))
                    .with_resource_group(of(&self.resource_group))
                    .with_storage_account(of(&self.storage_account))
                    .with_cluster(cluster)
                    .with_bucket(bucket)
                    .with_registry(host)
                    .build();
                OpenedCloud::Azure(
                    built.map_err(|error| flags(error, &[("tenant", "--tenant, or set AZURE_TENANT_ID")]))?,
                )
            }
        })
    }

    /// The bucket as a builder in the cluster is told of it.
    pub(super) fn bucket_url(&self, name: CloudName, bucket: &str) -> String {
        match (name, &self.region, &self.storage_account) {
            (CloudName::Aws, Some(region), _) => format!("s3://{bucket}?region={region}"),
            (CloudName::Aws, None, _) => format!("s3://{bucket}"),
            (CloudName::Gcp, ..) => format!("gs://{bucket}"),
            (CloudName::Azure, _, account) => format!("azure://{}/{bucket}", account.as_deref().unwrap_or_default()),
        }
    }
}

impl OpenedCloud {
    /// The way to the cluster, the registry and the bucket.
    ///
    /// # Errors
    /// None that the flags have not told before.
    pub(super) fn parts(&self) -> Result<(Connection, OciRegistry, Bucket)> {
        match self {
            Self::Aws(cloud) => Ok((cloud.connection()?, cloud.registry()?, cloud.bucket()?)),
            Self::Gcp(cloud) => Ok((cloud.connection()?, cloud.registry()?, cloud.bucket()?)),
            Self::Azure(cloud) => Ok((cloud.connection()?, cloud.registry()?, cloud.bucket()?)),
        }
    }

    /// What a person should know before a deployment.
    ///
    /// # Errors
    /// When there is no such cluster, or it may not be looked at.
    pub(super) async fn remarks(&self) -> Result<Vec<String>> {
        match self {
            Self::Aws(cloud) => cloud.remarks().await,
            Self::Gcp(cloud) => cloud.remarks().await,
            Self::Azure(cloud) => cloud.remarks().await,
        }
    }
}

fn role(arn: &str, external_id: Option<String>) -> Result<chalk_deploy_aws::TenantRole> {
    let external_id = external_id.filter(|id| !id.is_empty()).ok_or_else(|| {
        Error::new(ErrorCode::RequestInvalid, "the external id of the role is not known")
            .on("--role")
            .with_hint(format!("set {EXTERNAL_ID} to the one that the role's trust policy names"))
    })?;
    chalk_deploy_aws::TenantRole::new(arn, chalk_deploy_aws::ExternalId::stored(external_id)?)
}

/// The same error in the words of this command line: a builder names its methods.
fn flags(error: Error, known: &[(&str, &str)]) -> Error {
    match known.iter().find(|(words, _)| error.message().contains(words)) {
        Some((_, flag)) => error.with_hint(format!("give {flag}")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_of_another_cloud_is_refused_and_azure_names_what_it_wants() {
        let aws = CloudArguments { cloud: Some(CloudName::Aws), ..CloudArguments::default() };
        aws.check().expect("enough");
        let stray = CloudArguments { tenant: Some("t".to_owned()), ..aws };
        assert_eq!(stray.check().expect_err("Azure's").subject(), "--tenant");
        let azure = CloudArguments { cloud: Some(CloudName::Azure), ..CloudArguments::default() };
        assert_eq!(azure.check().expect_err("too little").subject(), "--subscription");
    }

    #[test]
    fn a_role_without_its_external_id_is_refused() {
        let error = role("arn:aws:iam::123456789012:role/chalk", None).expect_err("no id");
        assert!(error.hint().contains(EXTERNAL_ID), "{error:?}");
    }
}
