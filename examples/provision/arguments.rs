//! The command line.

use std::time::Duration;

use chalk_deploy_core::provision::Origin;
use chalk_deploy_examples::data_plane::cloud::{AccountArguments, CloudName};
use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  provision acme --cloud aws --region us-east-1 --plan                 what would be made; asks the cloud nothing
  provision acme --cloud gcp --cloud-project acme-prod                 chalk-acme-data, -source, -dataset, -model, -stages
  provision acme --cloud aws --origin https://chalk.acme.example       for a Metadata Plane of one's own

Exit codes:
  0 all are as planned    1 one could not be made or set up; the same command goes on    2 bad input
  130 interrupted; the same command goes on";

/// Makes the five buckets of a data plane, and sets up those that are there.
///
/// The buckets are `chalk-PREFIX-data`, `-source`, `-dataset`, `-model` and `-stages`: closed to the public, encrypted, read
/// by browsers from the origins alone, and `-source` versioned. With `--queues`, the queues `chalk-PREFIX-argo-builds` and
/// six more, encrypted and closed to requests without TLS. Nothing is removed, and what others have set stays.
#[derive(Debug, Parser)]
#[command(name = "provision", version, after_help = EXAMPLES, max_term_width = 120)]
pub(super) struct Arguments {
    /// What stands between `chalk-` and what a bucket is for, such as the name of the team
    #[arg(value_name = "PREFIX")]
    pub(super) prefix: String,

    /// Where, with the credentials that the cloud's own tools find
    #[arg(long, value_enum, value_name = "CLOUD")]
    pub(super) cloud: CloudName,

    #[command(flatten)]
    pub(super) account: AccountArguments,

    /// A web origin that may read; may be given more than once [default: those of the hosted Metadata Plane]
    #[arg(long = "origin", value_name = "URL", value_parser = origin)]
    pub(super) origins: Vec<Origin>,

    /// A key of the customer's own, by the name that the cloud gives it [default: the provider's]
    #[arg(long, value_name = "NAME")]
    pub(super) encryption_key: Option<String>,

    /// How long no source can be removed, such as 30
    #[arg(long = "source-retention", value_name = "DAYS", value_parser = days)]
    pub(super) retention: Option<Duration>,

    /// AWS: make the seven queues of the Metadata Plane too, in the account of the credentials
    #[arg(long)]
    pub(super) queues: bool,

    /// Show what would be made, and ask the cloud nothing
    #[arg(long)]
    pub(super) plan: bool,

    /// Print one JSON object a bucket or queue on stdout, and words on stderr
    #[arg(long)]
    pub(super) json: bool,
}

fn origin(given: &str) -> Result<Origin, String> {
    given.parse().map_err(|error: chalk_deploy_core::Error| format!("{}; {}", error.message(), error.hint()))
}

fn days(given: &str) -> Result<Duration, String> {
    // As long as S3 takes ("PutObjectLockConfiguration" of its API reference).
    match given.parse::<u64>() {
        Ok(days @ 1..=36_500) => Ok(Duration::from_secs(days * 86_400)),
        _ => Err("a number of days, from 1 to 36500".to_owned()),
    }
}
