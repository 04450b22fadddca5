//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use chalk_deploy_core::model::DeploymentId;
use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  sources list                                          what was deployed with the simulated servers of ./.chalk-deploy
  sources list --bucket s3://archives?region=eu-west-1  what lies in a bucket
  sources inspect cm9n46thy000bwe6y784y4j0l             the entries of one source
  sources extract cm9n46thy000bwe6y784y4j0l out         unpacks it; out must not exist, or be empty
  sources url cm9n46thy000bwe6y784y4j0l --expires 3600  a URL that reads it for an hour

A bucket's credentials are read from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
With --json, what goes wrong is one object on stdout, {\"code\": ..., \"message\": ...}.

Exit codes: 0 done    1 the bucket or the disk did not do its part    2 bad input, or nothing there    130 interrupted";

/// Lists, inspects, unpacks and hands out the sources of past deployments. They lie in the source bucket, and nothing
/// else is read.
#[derive(Debug, Parser)]
#[command(name = "sources", version, after_help = EXAMPLES, max_term_width = 120)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,

    /// The bucket: <s3://NAME?endpoint=URL&region=R>, http(s)://HOST/NAME, or <file://DIR>
    #[arg(long, global = true, value_name = "URL")]
    pub(super) bucket: Option<String>,

    /// Without --bucket: the state folder whose simulated bucket is read
    #[arg(long, global = true, value_name = "DIR", default_value = "./.chalk-deploy")]
    pub(super) state: PathBuf,

    /// One JSON object a line, and nothing else on stdout
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// What is done.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The deployments whose sources are there, by id
    List {
        /// Begin after this one
        #[arg(long, value_name = "DEPLOYMENT", value_parser = deployment)]
        after: Option<DeploymentId>,

        /// At most so many
        #[arg(long, value_name = "COUNT", default_value_t = 1000)]
        limit: usize,
    },
    /// The entries of one source, read to its end and compared with what was deployed
    Inspect {
        /// The deployment
        #[arg(value_parser = deployment)]
        deployment: DeploymentId,
    },
    /// Unpack one source
    Extract {
        /// The deployment
        #[arg(value_parser = deployment)]
        deployment: DeploymentId,

        /// The directory, which is made
        directory: PathBuf,
    },
    /// A URL that reads one source until it expires. Whoever has it can read the source
    Url {
        /// The deployment
        #[arg(value_parser = deployment)]
        deployment: DeploymentId,

        /// After so many seconds
        #[arg(long, value_name = "SECONDS", default_value = "900", value_parser = seconds)]
        expires: Duration,
    },
}

fn deployment(given: &str) -> Result<DeploymentId, String> {
    DeploymentId::new(given).map_err(|error| error.message().to_owned())
}

fn seconds(given: &str) -> Result<Duration, String> {
    match given.parse() {
        Ok(seconds @ 1..) => Ok(Duration::from_secs(seconds)),
        _ => Err("a whole number of seconds, from 1 on".to_owned()),
    }
}
