//! The second link: a profile of the shared files, `~/.aws/config` and `~/.aws/credentials`, with all that a profile can
//! say: keys, a role to assume with the keys of another profile or of another source, a web identity. aws-config reads them.
//!
//! The sources that a profile can name as its `credential_source` are ours, because aws-config would read the variables of
//! the process, whichever the builder was given.

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use chalk_deploy_core::credentials::Lent;
use chalk_deploy_core::{Error, ErrorCode, Result, text};

use super::sdk::{Bridge, Named};
use super::{AccessKeys, Place, Variables, Ways};

pub(super) async fn lend(
    variables: &Variables,
    named: Option<&str>,
    place: &Place,
    ways: &Ways,
) -> Result<Option<Lent<AccessKeys>>> {
    let files = [
        (EnvConfigFileKind::Config, variables.shared_file("AWS_CONFIG_FILE", "config")),
        (EnvConfigFileKind::Credentials, variables.shared_file("AWS_SHARED_CREDENTIALS_FILE", "credentials")),
    ];
    let wanted = named.or_else(|| variables.get("AWS_PROFILE"));
    let there: Vec<_> =
        files.into_iter().filter_map(|(kind, path)| Some((kind, path.filter(|path| path.is_file())?))).collect();
    if there.is_empty() {
        return match wanted {
            None => Ok(None),
            Some(profile) => Err(missing(profile, "there is no file with profiles")),
        };
    }
    let files =
        there.into_iter().fold(EnvConfigFiles::builder(), |files, (kind, path)| files.with_file(kind, path)).build();
    let bridge = Bridge::new(ways, place);
    let profile = wanted.unwrap_or("default");
    let provider = ProfileFileCredentialsProvider::builder()
        .configure(&bridge.config())
        .profile_files(files)
        .profile_name(profile)
        .with_custom_provider("Environment", Named::environment(&bridge, variables))
        .with_custom_provider("EcsContainer", Named::container(&bridge, variables))
        .with_custom_provider("Ec2InstanceMetadata", Named::instance(&bridge, variables))
        .build();
    let lent =
        bridge.understood(provider.provide_credentials().await, &format!("profile `{}`", text::line(profile, 60)))?;
    match (lent, wanted) {
        // Who was named must be there: another identity would be a surprise.
        (None, Some(profile)) => Err(missing(profile, "the shared files name no credentials for it")),
        (lent, _) => Ok(lent),
    }
}

fn missing(profile: &str, why: &str) -> Error {
    Error::new(ErrorCode::PermissionDenied, why)
        .on(format!("profile `{}`", text::line(profile, 60)))
        .with_hint("correct the name of the profile, or make it with `aws configure --profile`")
}
