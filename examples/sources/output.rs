//! What is shown.

use std::path::Path;
use std::process::ExitCode;

use chalk_deploy_core::cloud::PresignedUrl;
use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::DeploymentId;
use chalk_deploy_core::source::{ArchiveEntry, EntryKind, Inspection, SourceRecord};
use chalk_deploy_core::{Error, ErrorCode, text};
use chalk_deploy_examples::terminal::{self, print, say};
use serde_json::{Value, json};

#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    records: usize,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self { json, records: 0 }
    }

    pub(super) fn record(&mut self, record: &SourceRecord) {
        self.records += 1;
        if self.json {
            print(&json!(record).to_string());
            return;
        }
        let commit = record.git_commit.as_deref().map(|commit| format!("  {}", text::line(commit, 12)));
        print(&format!(
            "{}  {}  {}  {}  {:>10}  {}{}",
            record.deployment,
            record.created_at,
            record.environment,
            record.project,
            text::bytes(record.source.size),
            record.source.sha256,
            commit.unwrap_or_default()
        ));
    }

    pub(super) fn end_of_list(&self) {
        if self.records == 0 {
            say("there is no source of any deployment");
        }
    }

    pub(super) fn inspection(&self, record: &SourceRecord, inspection: &Inspection) {
        for entry in &inspection.entries {
            if self.json {
                print(&object(entry).to_string());
            } else {
                print(&line(entry));
            }
        }
        let found = &inspection.fingerprint;
        let summary = format!(
            "{} entries; {}, packed {}; {}",
            found.entries,
            text::bytes(found.unpacked_size),
            text::bytes(found.size),
            record.archive
        );
        if self.json {
            say(&summary);
        } else {
            print(&summary);
        }
        for finding in &inspection.findings {
            say(&format!("warning: {finding}"));
        }
    }

    pub(super) fn extracted(&self, record: &SourceRecord, directory: &Path) {
        let directory = text::line(&directory.to_string_lossy(), 500);
        if self.json {
            let source = &record.source;
            print(
                &json!({
                    "deployment": record.deployment, "directory": directory, "sha256": source.sha256,
                    "entries": source.entries, "unpacked_size": source.unpacked_size,
                })
                .to_string(),
            );
        } else {
            print(&format!("unpacked {} into {directory}", record.source.sha256));
        }
    }

    pub(super) fn url(&self, deployment: &DeploymentId, url: &PresignedUrl) {
        if self.json {
            let expires_at = url.expires_at().to_string();
            print(&json!({"deployment": deployment, "url": url.expose(), "expires_at": expires_at}).to_string());
        } else {
            print(url.expose());
            say(&format!("expires at {}", url.expires_at()));
        }
    }

    /// Tells why nothing came of it. What is wrong with what was asked for is 2, everything else 1.
    pub(super) fn refuse(&self, error: &Error) -> ExitCode {
        let is_input = match error.code() {
            ErrorCode::StoreUnavailable | ErrorCode::Internal | ErrorCode::PermissionDenied => false,
            _ => error.retry() == Retry::Permanent,
        };
        terminal::refuse(error, self.json, is_input)
    }
}

fn object(entry: &ArchiveEntry) -> Value {
    let (kind, target) = match &entry.kind {
        EntryKind::File => ("file", None),
        EntryKind::Directory => ("directory", None),
        EntryKind::Link { target } => ("link", Some(target)),
        EntryKind::HardLink { target } => ("hard_link", Some(target)),
        _ => ("other", None),
    };
    let mut object =
        json!({"path": entry.path, "kind": kind, "size": entry.size, "mode": format!("{:04o}", entry.mode)});
    if let Some(target) = target {
        object["target"] = json!(target);
    }
    object
}

fn line(entry: &ArchiveEntry) -> String {
    let path = text::printable(&entry.path);
    match &entry.kind {
        EntryKind::Directory => format!("d {:>10}  {path}/", ""),
        EntryKind::Link { target } => format!("l {:>10}  {path} -> {}", "", text::printable(target)),
        EntryKind::HardLink { target } => format!("h {:>10}  {path} = {}", "", text::printable(target)),
        _ => format!("f {:>10}  {path}", text::bytes(entry.size)),
    }
}
