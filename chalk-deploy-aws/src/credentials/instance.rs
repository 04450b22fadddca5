//! The fifth link: the role of the instance, from its metadata service (`IMDSv2`).

use aws_config::imds;
use aws_credential_types::provider::ProvideCredentials as _;
use chalk_deploy_core::credentials::Lent;
use chalk_deploy_core::{Error, ErrorCode, Result};
use http::Uri;

use super::container::is_this_machine;
use super::sdk::Bridge;
use super::{AccessKeys, Place, Variables, Ways};

/// Where the metadata service is.
const METADATA: &str = "http://169.254.169.254";
/// Its hosts, which may be asked over plain HTTP.
const HOSTS: [&str; 2] = ["169.254.169.254", "fd00:ec2::254"];

pub(super) async fn lend(variables: &Variables, place: &Place, ways: &Ways) -> Result<Option<Lent<AccessKeys>>> {
    if variables.is_true("AWS_EC2_METADATA_DISABLED") {
        return Ok(None);
    }
    if let Some(endpoint) = variables.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
        check(endpoint)?;
    }
    let bridge = Bridge::new(ways, place);
    let config = bridge.config();
    let endpoint = variables.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(METADATA);
    let client = imds::Client::builder()
        .configure(&config)
        .max_attempts(1)
        .endpoint(endpoint)
        .map_err(|error| invalid("AWS_EC2_METADATA_SERVICE_ENDPOINT is no address").caused_by(error))?;
    let provider =
        imds::credentials::ImdsCredentialsProvider::builder().configure(&config).imds_client(client.build()).build();
    bridge.understood(provider.provide_credentials().await, "the instance")
}

/// Whoever can set a variable could else have the credentials sent by a host of their own, and read on the way.
fn check(endpoint: &str) -> Result<()> {
    let uri: Uri = endpoint.parse().map_err(|_| invalid("AWS_EC2_METADATA_SERVICE_ENDPOINT is no address"))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    match uri.scheme_str() {
        Some("https") if !host.is_empty() => Ok(()),
        Some("http") if HOSTS.contains(&host) || is_this_machine(host) => Ok(()),
        _ => Err(invalid("AWS_EC2_METADATA_SERVICE_ENDPOINT leads to another machine over plain HTTP, or nowhere")),
    }
}

fn invalid(why: &str) -> Error {
    Error::new(ErrorCode::ValueInvalid, why)
        .on("credentials of AWS")
        .with_hint("leave it unset, or name `http://[fd00:ec2::254]` or a server on this machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instance_is_asked_near_by_or_over_tls_alone() {
        for endpoint in
            ["http://169.254.169.254", "http://[fd00:ec2::254]", "http://localhost:1338", "https://imds.example"]
        {
            check(endpoint).expect(endpoint);
        }
        for endpoint in ["", "nowhere", "http://evil.example", "http://169.254.169.254.evil.example", "ftp://127.0.0.1"]
        {
            assert_eq!(check(endpoint).expect_err(endpoint).code(), ErrorCode::ValueInvalid);
        }
    }
}
