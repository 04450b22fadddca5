//! `cargo run --release --example validate_graph -- EXPORT`: what is wrong with a feature graph, and what it changes.
//!
//! - [`report`]: what is shown, for people and as JSON.
//!
//! The codes are listed in docs/graph-checks.md.

mod report;

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, IsTerminal as _, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chalk_deploy_core::graph::{FeatureGraph, Validation, review};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use clap::Parser;

/// There is an error in the graph.
const HAS_ERRORS: u8 = 1;
/// A file is no export, or cannot be read; the same as clap's for a wrong command line.
const NO_EXPORT: u8 = 2;

/// Validates the export of a feature graph, and compares it with the deployed one.
#[derive(Debug, Parser)]
#[command(
    name = "validate_graph",
    version,
    max_term_width = 120,
    after_help = "Exit codes:\n  0 no error    1 the graph has an error    2 a file is no export, or cannot be read"
)]
struct Arguments {
    /// The export, made by `chalkpy export EXPORT --proto`
    #[arg(value_name = "EXPORT")]
    export: PathBuf,

    /// The export of the deployed graph; what differs from it is shown too
    #[arg(long, value_name = "EXPORT")]
    deployed: Option<PathBuf>,

    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

fn run(arguments: impl Iterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // What is left to do when this fails is to end.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(NO_EXPORT);
        }
    };
    match check(&arguments) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{}", text::printable(&error.sentence()));
            NO_EXPORT
        }
    }
}

fn check(arguments: &Arguments) -> Result<u8> {
    let graph = read(&arguments.export)?;
    let deployed = arguments.deployed.as_deref().map(read).transpose()?;
    let reviewed = review(&graph, deployed.as_ref(), Validation::default());
    let mut out = BufWriter::new(std::io::stdout().lock());
    let written = if arguments.json {
        report::json(&mut out, &reviewed)
    } else {
        report::text(&mut out, &graph, &reviewed, deployed.is_some(), std::io::stdout().is_terminal())
    };
    match written.and_then(|()| out.flush()) {
        Ok(()) => {}
        // A reader that has seen enough, such as `head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => {
            return Err(Error::new(ErrorCode::Internal, "the findings cannot be written").caused_by(error));
        }
    }
    Ok(if reviewed.has_errors() { HAS_ERRORS } else { 0 })
}

/// Reads an export, and never more than an export may have.
fn read(file: &Path) -> Result<FeatureGraph> {
    let named = || text::printable(&file.to_string_lossy()).into_owned();
    let mut bytes = Vec::new();
    // One byte more than is allowed, so that the decode sees that it is too much.
    let most = FeatureGraph::MOST_BYTES as u64 + 1;
    File::open(file).and_then(|opened| opened.take(most).read_to_end(&mut bytes)).map_err(|error| {
        Error::new(ErrorCode::GraphUndecodable, "the export cannot be read")
            .on(named())
            .with_hint("name a file that this user can read")
            .caused_by(error)
    })?;
    FeatureGraph::decode(bytes.into(), None).map_err(|error| error.on(named()))
}
