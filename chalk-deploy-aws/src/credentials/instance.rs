//! The fifth link: the role of the instance, from its metadata service (`IMDSv2`).

use aws_config::imds;
use aws_credential_types::provider::ProvideCredentials as _;
use chalk_deploy_core::credentials::Lent;
use chalk_deploy_core::{Error, ErrorCode, Result};

use super::sdk::Bridge;
use super::{AccessKeys, Place, Variables, Ways};

/// Where the metadata service is.
pub(crate) const METADATA: &str = "http://169.254.169.254";

pub(super) async fn lend(variables: &Variables, place: &Place, ways: &Ways) -> Result<Option<Lent<AccessKeys>>> {
    if variables.is_true("AWS_EC2_METADATA_DISABLED") {
        return Ok(None);
    }
    let bridge = Bridge::new(ways, place);
    let config = bridge.config();
    let endpoint = variables.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(METADATA);
    let client = imds::Client::builder().configure(&config).max_attempts(1).endpoint(endpoint).map_err(|error| {
        Error::new(ErrorCode::ValueInvalid, "AWS_EC2_METADATA_SERVICE_ENDPOINT is no address")
            .on("credentials of AWS")
            .with_hint("leave it unset, or write `http://host[:port]`")
            .caused_by(error)
    })?;
    let provider =
        imds::credentials::ImdsCredentialsProvider::builder().configure(&config).imds_client(client.build()).build();
    bridge.understood(provider.provide_credentials().await, "the instance")
}
