//! `cargo run --release --example inspect_archive -- FILE [--extract DIR] [--json]`: what is in a source archive, and
//! whether it may be deployed. Nothing of a hostile archive is unpacked.
//!
//! The archive is read once, by the reader that uploads, builds and branches use. What it holds is shown only when it has
//! turned out to be whole; the directory of `--extract` appears only then, too.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::{Digest, SourceFingerprint};
use chalk_deploy_core::runtime::{Runtime as _, SystemRuntime};
use chalk_deploy_core::source::{
    ArchiveEntry, ArchiveFinding, ArchiveLimits, ArchivePolicy, ArchiveReader, EntryKind, Extraction, Reaction,
};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use chalk_deploy_examples::terminal::{self, say};
use clap::Parser;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

const EXAMPLES: &str = "\
Examples:
  inspect_archive source.tar.gz                 the entries, the totals and the digests
  inspect_archive source.tar.gz --extract out   unpacks it, too; out must not exist, or be empty
  inspect_archive - --json < source.tar.gz      one JSON object a line for each entry

With --json, what is wrong with an archive is one object on stdout, {\"code\": ..., \"message\": ...}, and no entry is told.

Exit codes: 0 it may be deployed    1 it could not be read or unpacked    2 it is refused, or bad input    130 interrupted";

/// Shows what is in a source archive, and refuses a hostile one.
#[derive(Debug, Parser)]
#[command(name = "inspect_archive", version, after_help = EXAMPLES, max_term_width = 120)]
struct Arguments {
    /// The archive: .tar.gz, .tar.zst or a plain .tar, told by its first bytes; `-` for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Unpack it into this directory, which is made
    #[arg(long, value_name = "DIR")]
    extract: Option<PathBuf>,

    /// One JSON object a line for each entry, and nothing else on stdout
    #[arg(long)]
    json: bool,

    /// Do without a chalk.yaml at the root
    #[arg(long)]
    any_tree: bool,

    /// Refuse what else is only warned of: secrets, and names that differ in case or Unicode form alone
    #[arg(long)]
    strict: bool,

    /// At most so many entries
    #[arg(long, value_name = "COUNT", default_value_t = ArchiveLimits::default().entries)]
    entries: u64,

    /// At most so many bytes packed
    #[arg(long, value_name = "BYTES", default_value_t = ArchiveLimits::default().packed)]
    packed: u64,

    /// At most so many bytes unpacked
    #[arg(long, value_name = "BYTES", default_value_t = ArchiveLimits::default().unpacked)]
    unpacked: u64,

    /// At most so many bytes out of each packed one, after the first 16 MiB
    #[arg(long, value_name = "COUNT", default_value_t = ArchiveLimits::default().ratio)]
    ratio: u64,
}

impl Arguments {
    fn limits(&self) -> ArchiveLimits {
        let limits = ArchiveLimits::default();
        let grace = limits.ratio_grace;
        limits
            .with_entries(self.entries)
            .with_packed(self.packed)
            .with_unpacked(self.unpacked)
            .with_ratio(self.ratio, grace)
    }

    fn policy(&self) -> ArchivePolicy {
        let reaction = if self.strict { Reaction::Refuse } else { Reaction::Warn };
        ArchivePolicy::default().with_config_required(!self.any_tree).with_secrets(reaction).with_twins(reaction)
    }
}

/// What the archive turned out to be.
struct Contents {
    entries: Vec<(ArchiveEntry, Option<Digest>)>,
    fingerprint: SourceFingerprint,
    findings: Vec<ArchiveFinding>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    let executor = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(executor) => executor,
        Err(error) => {
            return refuse(&Error::new(ErrorCode::Internal, "no threads can be started").caused_by(error), json);
        }
    };
    let ended = executor.block_on(run(Arc::new(arguments)));
    // A read from a pipe that gives nothing cannot be waited for.
    executor.shutdown_background();
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(130),
        Err(error) => refuse(&error, json),
    }
}

/// Reads and shows; false when a signal came first.
async fn run(arguments: Arc<Arguments>) -> Result<bool> {
    let broken = |error| Error::new(ErrorCode::Internal, "signals cannot be received").caused_by(error);
    let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
    let stopped = Arc::new(AtomicBool::new(false));
    let (given, flag) = (Arc::clone(&arguments), Arc::clone(&stopped));
    let mut reading = tokio::task::spawn_blocking(move || read(&given, &flag));
    let ended = tokio::select! {
        ended = &mut reading => ended,
        _ = terminate.recv() => return stop(&stopped, reading).await,
        _ = interrupt.recv() => return stop(&stopped, reading).await,
    };
    let contents =
        ended.map_err(|error| Error::new(ErrorCode::Internal, "reading the archive panicked").caused_by(error))??;
    let mut stdout = BufWriter::new(io::stdout().lock());
    // Who closed the pipe knows it.
    let _ = show(&contents, &arguments, &mut stdout).and_then(|()| stdout.flush());
    Ok(true)
}

/// Lets the reading end by itself, which removes what was unpacked so far.
async fn stop(stopped: &AtomicBool, reading: tokio::task::JoinHandle<Result<Contents>>) -> Result<bool> {
    stopped.store(true, Ordering::Relaxed);
    say("stopping");
    let runtime = SystemRuntime::new();
    tokio::select! {
        ended = reading => match ended {
            // It was over already.
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(error)) if error.code() == ErrorCode::Cancelled => {}
            Ok(Err(error)) => return Err(error),
        },
        () = runtime.sleep(Duration::from_secs(2)) => {}
    }
    Ok(false)
}

fn read(arguments: &Arguments, stopped: &AtomicBool) -> Result<Contents> {
    let input: Box<dyn Read> = if arguments.file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(&arguments.file).map_err(|error| {
            Error::new(ErrorCode::SourceUnreadable, "it cannot be read")
                .on(text::line(&arguments.file.to_string_lossy(), 200))
                .with_hint("name a .tar.gz, a .tar.zst or a .tar")
                .caused_by(error)
        })?)
    };
    let mut extraction = arguments.extract.as_ref().map(Extraction::begin).transpose()?;
    let input = Stoppable { input, stopped };
    let mut reader = ArchiveReader::new(input, arguments.limits())?.with_policy(arguments.policy());
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        if let Some(extraction) = &mut extraction {
            extraction.entry(&entry, &mut reader)?;
        }
        entries.push((entry, None));
    }
    for (entry, sha256) in &mut entries {
        if entry.kind == EntryKind::File {
            *sha256 = reader.content_digest(&entry.path);
        }
    }
    let (fingerprint, findings) = reader.finish_with_findings()?;
    if let Some(extraction) = extraction {
        extraction.finish()?;
    }
    Ok(Contents { entries, fingerprint, findings })
}

/// Input that ends in an error when a signal came.
struct Stoppable<'a, R> {
    input: R,
    stopped: &'a AtomicBool,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer);
        // Looked at afterwards: the read may have waited for long.
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other(Error::new(ErrorCode::Cancelled, "it was interrupted")));
        }
        read
    }
}

fn show(contents: &Contents, arguments: &Arguments, out: &mut impl Write) -> io::Result<()> {
    for (entry, sha256) in &contents.entries {
        if arguments.json {
            writeln!(out, "{}", object(entry, sha256.as_ref()))?;
        } else {
            writeln!(out, "{}", line(entry))?;
        }
    }
    let summary = summary(contents);
    if arguments.json {
        out.flush()?;
        for line in &summary {
            say(line);
        }
    } else {
        writeln!(out)?;
        summary.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        out.flush()?;
    }
    for finding in &contents.findings {
        say(&format!("warning: {finding}"));
    }
    if let Some(directory) = &arguments.extract {
        say(&format!("unpacked into {}", text::line(&directory.to_string_lossy(), 200)));
    }
    Ok(())
}

fn object(entry: &ArchiveEntry, sha256: Option<&Digest>) -> serde_json::Value {
    let (kind, target) = match &entry.kind {
        EntryKind::File => ("file", None),
        EntryKind::Directory => ("directory", None),
        EntryKind::Link { target } => ("link", Some(target)),
        EntryKind::HardLink { target } => ("hard_link", Some(target)),
        _ => ("other", None),
    };
    let mode = format!("{:04o}", entry.mode);
    let mut object = json!({"path": entry.path, "kind": kind, "size": entry.size, "mode": mode});
    if let Some(target) = target {
        object["target"] = json!(target);
    }
    if let Some(sha256) = sha256 {
        object["sha256"] = json!(sha256.hex());
    }
    object
}

fn line(entry: &ArchiveEntry) -> String {
    let path = text::printable(&entry.path);
    let size = || text::bytes(entry.size);
    match &entry.kind {
        EntryKind::Directory => format!("d {:>10}  {path}/", ""),
        EntryKind::Link { target } => format!("l {:>10}  {path} -> {}", "", text::printable(target)),
        EntryKind::HardLink { target } => format!("h {:>10}  {path} = {}", "", text::printable(target)),
        _ if entry.mode & 0o100 == 0 => format!("f {:>10}  {path}", size()),
        _ => format!("x {:>10}  {path}", size()),
    }
}

fn summary(contents: &Contents) -> [String; 3] {
    let count =
        |matches: fn(&EntryKind) -> bool| contents.entries.iter().filter(|(entry, _)| matches(&entry.kind)).count();
    let counts = [
        (count(|kind| matches!(kind, EntryKind::File)), "file", "files"),
        (count(|kind| matches!(kind, EntryKind::Directory)), "directory", "directories"),
        (count(|kind| matches!(kind, EntryKind::Link { .. } | EntryKind::HardLink { .. })), "link", "links"),
    ];
    let counted: Vec<_> = counts
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }))
        .collect();
    let found = &contents.fingerprint;
    [
        format!("{}; {}, packed {}", counted.join(", "), text::bytes(found.unpacked_size), text::bytes(found.size)),
        format!("archive           {}", found.sha256),
        format!("source code hash  {}", found.source_code_hash),
    ]
}

/// Tells why an archive is refused. What is wrong with the archive or the arguments is bad input, everything else a failure.
fn refuse(error: &Error, as_json: bool) -> ExitCode {
    let is_input = match error.code() {
        ErrorCode::StoreUnavailable | ErrorCode::Internal => false,
        _ => error.retry() == Retry::Permanent,
    };
    terminal::refuse(error, as_json, is_input)
}
