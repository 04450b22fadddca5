//! `--cloud`: a data plane that is found in a cloud by names, with the credentials that the cloud's own tools would find.

use std::sync::Arc;

use chalk_deploy_aws::QueueKeeper;
use chalk_deploy_core::provision::Provider;
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::{Error, ErrorCode, Result};
use clap::{Args, ValueEnum};

use super::target::RegistryUrl;

/// The variable with the external id of a role. It is no flag: whoever lists processes would read it.
const EXTERNAL_ID: &str = "CHALK_DEPLOY_EXTERNAL_ID";

/// The variable that names the storage account, as the builder of Azure reads it.
const STORAGE_ACCOUNT: &str = "AZURE_STORAGE_ACCOUNT";

/// The flags of a data plane in a cloud.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "A data plane in a cloud (with --registry HOST[/PATH], --bucket NAME and --base-image)")]
pub struct CloudArguments {
    /// Find the cluster, the registry and the bucket here, with the credentials that the cloud's own tools find
    #[arg(long, value_enum, value_name = "CLOUD", group = "place",
          requires_all = ["cluster", "registry", "bucket", "base_images"])]
    pub cloud: Option<CloudName>,

    /// The cluster's name in the cloud
    #[arg(long, value_name = "NAME", requires = "cloud")]
    pub cluster: Option<String>,

    /// Whose cloud.
    #[command(flatten)]
    pub account: AccountArguments,
}

/// The flags that say whose cloud it is, beside a flag `--cloud`.
#[derive(Debug, Clone, Default, Args)]
pub struct AccountArguments {
    /// The region of AWS, or the location of Google [default: what the cloud's own variables say]
    #[arg(long, value_name = "REGION", requires = "cloud")]
    pub region: Option<String>,

    /// AWS: the role to act as; its external id is read from `CHALK_DEPLOY_EXTERNAL_ID`
    #[arg(long, value_name = "ARN", requires = "cloud")]
    pub role: Option<String>,

    /// Google: the project [default: `GOOGLE_CLOUD_PROJECT`]
    #[arg(long, value_name = "ID", requires = "cloud")]
    pub cloud_project: Option<String>,

    /// Google: the service account to act as
    #[arg(long, value_name = "EMAIL", requires = "cloud")]
    pub impersonate: Option<String>,

    /// Google: by which of its addresses the cluster is reached [default: public-address]
    #[arg(long, value_enum, value_name = "ADDRESS", requires = "cloud")]
    pub control_plane: Option<ControlPlaneName>,

    /// Azure: the subscription [default: `AZURE_SUBSCRIPTION_ID`]
    #[arg(long, value_name = "ID", requires = "cloud")]
    pub subscription: Option<String>,

    /// Azure: the resource group [default: `AZURE_RESOURCE_GROUP`]
    #[arg(long, value_name = "NAME", requires = "cloud")]
    pub resource_group: Option<String>,

    /// Azure: the storage account, whose containers the buckets are [default: `AZURE_STORAGE_ACCOUNT`]
    #[arg(long, value_name = "NAME", requires = "cloud")]
    pub storage_account: Option<String>,

    /// Azure: the tenant [default: `AZURE_TENANT_ID`]
    #[arg(long, value_name = "ID", requires = "cloud")]
    pub tenant: Option<String>,
}

/// What of a cloud a script wants, by the names that the flags give.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'given> {
    /// The cluster.
    pub cluster: Option<&'given str>,
    /// The bucket of the source.
    pub bucket: Option<&'given str>,
    /// The registry.
    pub registry: Option<&'given RegistryUrl>,
}

/// The clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CloudName {
    /// Amazon Web Services: EKS, ECR, S3
    Aws,
    /// Google Cloud: GKE, Artifact Registry, Cloud Storage
    Gcp,
    /// Microsoft Azure: AKS, ACR, Blob Storage
    Azure,
}

/// The addresses of a cluster of Google.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ControlPlaneName {
    /// From the internet
    PublicAddress,
    /// From inside of the network
    PrivateAddress,
    /// By its DNS name, under which IAM says who may
    Name,
}

/// A cloud with what a deployment needs of it.
#[derive(Debug, Clone)]
pub enum OpenedCloud {
    /// AWS.
    Aws(chalk_deploy_aws::Cloud),
    /// Google.
    Gcp(chalk_deploy_gcp::Cloud),
    /// Azure.
    Azure(chalk_deploy_azure::Cloud),
}

impl AccountArguments {
    /// What clap cannot say: which flags belong to which cloud.
    ///
    /// # Errors
    /// `REQUEST_INVALID` with the flag.
    pub fn check(&self, name: CloudName) -> Result<()> {
        let flags = [
            ("--role", self.role.is_some(), CloudName::Aws),
            ("--cloud-project", self.cloud_project.is_some(), CloudName::Gcp),
            ("--impersonate", self.impersonate.is_some(), CloudName::Gcp),
            ("--control-plane", self.control_plane.is_some(), CloudName::Gcp),
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
            for (flag, given, variable) in [
                ("--subscription", &self.subscription, "AZURE_SUBSCRIPTION_ID"),
                ("--resource-group", &self.resource_group, "AZURE_RESOURCE_GROUP"),
                ("--storage-account", &self.storage_account, STORAGE_ACCOUNT),
            ] {
                if given.is_none() && variable_of(variable).is_none() {
                    return Err(Error::new(ErrorCode::RequestInvalid, "Azure finds nothing without it")
                        .on(flag)
                        .with_hint(format!(
                            "give it, as `az account show` and `az resource list` name it, or set {variable}"
                        )));
                }
            }
        }
        Ok(())
    }

    /// The cloud. Asks it nothing.
    ///
    /// # Errors
    /// What is wrong with a flag or a variable.
    pub fn open(&self, name: CloudName, wanted: Wanted<'_>, runtime: &Arc<dyn Runtime>) -> Result<OpenedCloud> {
        let runtime = runtime.clone();
        match name {
            CloudName::Aws => self.open_aws(wanted, runtime).map(OpenedCloud::Aws),
            CloudName::Gcp => self.open_google(wanted, runtime).map(OpenedCloud::Gcp),
            CloudName::Azure => self.open_azure(wanted, runtime).map(OpenedCloud::Azure),
        }
    }

    fn open_aws(&self, wanted: Wanted<'_>, runtime: Arc<dyn Runtime>) -> Result<chalk_deploy_aws::Cloud> {
        use chalk_deploy_aws::{Cloud, CloudBuilder, StoredRoles};
        let mut builder = Cloud::builder().from_env().with_runtime(runtime);
        builder = with(builder, self.region.as_deref(), CloudBuilder::with_region);
        builder = with(builder, wanted.cluster, CloudBuilder::with_cluster);
        builder = with(builder, wanted.bucket, CloudBuilder::with_bucket);
        builder = with(builder, wanted.registry.map(|it| it.host.as_str()), CloudBuilder::with_registry);
        if let Some(arn) = &self.role {
            let role = role(arn, std::env::var(EXTERNAL_ID).ok())?;
            builder = builder.with_tenant(Arc::new(StoredRoles::new().with("terminal", role)), "terminal");
        }
        builder.build().map_err(|error| flags(error, &[("no region", "--region, or set AWS_REGION")]))
    }

    fn open_google(&self, wanted: Wanted<'_>, runtime: Arc<dyn Runtime>) -> Result<chalk_deploy_gcp::Cloud> {
        use chalk_deploy_gcp::{Cloud, CloudBuilder, ControlPlane};
        let mut builder = Cloud::builder().from_env().with_runtime(runtime);
        builder = match self.control_plane {
            None => builder,
            Some(ControlPlaneName::PublicAddress) => builder.with_control_plane(ControlPlane::PublicAddress),
            Some(ControlPlaneName::PrivateAddress) => builder.with_control_plane(ControlPlane::PrivateAddress),
            Some(ControlPlaneName::Name) => builder.with_control_plane(ControlPlane::Name),
        };
        builder = with(builder, self.cloud_project.as_deref(), CloudBuilder::with_project);
        builder = with(builder, self.region.as_deref(), CloudBuilder::with_location);
        builder = with(builder, self.impersonate.as_deref(), CloudBuilder::with_impersonation);
        builder = with(builder, wanted.cluster, CloudBuilder::with_cluster);
        builder = with(builder, wanted.bucket, CloudBuilder::with_bucket);
        builder = with(builder, wanted.registry.map(|it| it.repository.as_str()), CloudBuilder::with_registry);
        let known = [
            ("no project", "--cloud-project, or set GOOGLE_CLOUD_PROJECT"),
            ("no location", "--region, or set GOOGLE_CLOUD_LOCATION"),
        ];
        builder.build().map_err(|error| flags(error, &known))
    }

    fn open_azure(&self, wanted: Wanted<'_>, runtime: Arc<dyn Runtime>) -> Result<chalk_deploy_azure::Cloud> {
        use chalk_deploy_azure::{Cloud, CloudBuilder};
        let mut builder = Cloud::builder().from_env().with_runtime(runtime);
        builder = with(builder, self.tenant.as_deref(), CloudBuilder::with_tenant);
        builder = with(builder, self.subscription.as_deref(), CloudBuilder::with_subscription);
        builder = with(builder, self.resource_group.as_deref(), CloudBuilder::with_resource_group);
        builder = with(builder, self.storage_account.as_deref(), CloudBuilder::with_storage_account);
        builder = with(builder, wanted.cluster, CloudBuilder::with_cluster);
        builder = with(builder, wanted.bucket, CloudBuilder::with_bucket);
        builder = with(builder, wanted.registry.map(|it| it.host.as_str()), CloudBuilder::with_registry);
        builder.build().map_err(|error| flags(error, &[("tenant", "--tenant, or set AZURE_TENANT_ID")]))
    }

    /// A bucket as a builder in the cluster is told of it.
    pub fn bucket_url(&self, name: CloudName, bucket: &str) -> String {
        match (name, &self.region, &self.storage_account) {
            (CloudName::Aws, Some(region), _) => format!("s3://{bucket}?region={region}"),
            (CloudName::Aws, None, _) => format!("s3://{bucket}"),
            (CloudName::Gcp, ..) => format!("gs://{bucket}"),
            (CloudName::Azure, _, account) => {
                let account = account.clone().or_else(|| variable_of(STORAGE_ACCOUNT)).unwrap_or_default();
                format!("azure://{account}/{bucket}")
            }
        }
    }
}

fn variable_of(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// A builder that was told of what is given.
fn with<'given, B>(builder: B, given: Option<&'given str>, tell: impl FnOnce(B, &'given str) -> B) -> B {
    match given {
        Some(given) => tell(builder, given),
        None => builder,
    }
}

impl OpenedCloud {
    /// What is the same of each.
    pub fn provider(&self) -> &dyn Provider {
        match self {
            Self::Aws(cloud) => cloud,
            Self::Gcp(cloud) => cloud,
            Self::Azure(cloud) => cloud,
        }
    }

    /// What makes the queues of the Metadata Plane, which only AWS has.
    pub fn queues(&self) -> Option<&QueueKeeper> {
        match self {
            Self::Aws(cloud) => Some(cloud.queues()),
            Self::Gcp(_) | Self::Azure(_) => None,
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
        AccountArguments::default().check(CloudName::Aws).expect("enough");
        let stray = AccountArguments { tenant: Some("t".to_owned()), ..AccountArguments::default() };
        assert_eq!(stray.check(CloudName::Aws).expect_err("Azure's").subject(), "--tenant");
        let error = AccountArguments::default().check(CloudName::Azure).expect_err("too little");
        assert_eq!(error.subject(), "--subscription");
    }

    #[test]
    fn a_role_without_its_external_id_is_refused() {
        let error = role("arn:aws:iam::123456789012:role/chalk", None).expect_err("no id");
        assert!(error.hint().contains(EXTERNAL_ID), "{error:?}");
    }
}
