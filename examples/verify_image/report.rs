//! What is told.

use std::io::Write as _;

use chalk_deploy_core::evidence::{Verified, VerifiedStatement};
use chalk_deploy_core::{Error, text};
use serde_json::{Value, json};

/// What is told of an image that is verified.
pub(crate) fn verified(verified: &Verified, as_json: bool) {
    if as_json {
        let rejected = verified.rejected.iter().map(|one| json!({"manifest": one.manifest, "reason": one.reason}));
        return print(
            &json!({
                "verified": true,
                "image": verified.image.to_string(),
                "provenance": verified.provenance.iter().map(provenance).collect::<Vec<_>>(),
                "bills": verified.bills.iter().map(bill).collect::<Vec<_>>(),
                "rejected": rejected.collect::<Vec<_>>(),
            })
            .to_string(),
        );
    }
    let mut lines = vec![format!("{} is verified", verified.image)];
    for statement in &verified.provenance {
        let told = provenance(statement);
        lines.push(format!(
            "provenance {}: {} by {}, for deployment {}, of archive {}",
            statement.manifest,
            shown(&told["project"]),
            shown(&told["builder"]),
            shown(&told["deployment"]),
            shown(&told["archive"])
        ));
    }
    for statement in &verified.bills {
        let told = bill(statement);
        let known = shown(&told["components"]);
        lines.push(format!(
            "bill of materials {}: components {known}, completeness {}",
            statement.manifest,
            shown(&told["complete"])
        ));
    }
    for one in &verified.rejected {
        lines.push(format!("not counted {}: {}", one.manifest, one.reason));
    }
    print(&lines.join("\n"));
}

/// What is told of one that is not.
#[expect(clippy::print_stderr, reason = "a script tells a person why it ends")]
pub(crate) fn refused(error: &Error, as_json: bool) {
    if as_json {
        print(
            &json!({
                "verified": false,
                "code": error.code(),
                "message": text::line(&error.to_string(), 2000),
                "next_step": error.hint(),
            })
            .to_string(),
        );
    }
    eprintln!("error: {} [{}]", text::line(&error.sentence(), 3000), error.code());
}

fn provenance(statement: &VerifiedStatement) -> Value {
    let at = |pointer: &str| statement.predicate.pointer(pointer).cloned().unwrap_or_default();
    json!({
        "manifest": statement.manifest,
        "build_type": at("/buildDefinition/buildType"),
        "builder": at("/runDetails/builder/id"),
        "deployment": at("/runDetails/metadata/invocationId"),
        "project": at("/buildDefinition/externalParameters/project"),
        "archive": at("/buildDefinition/externalParameters/archive"),
        "git_commit": at("/buildDefinition/externalParameters/gitCommit"),
    })
}

fn bill(statement: &VerifiedStatement) -> Value {
    let at = |pointer: &str| statement.predicate.pointer(pointer).cloned().unwrap_or_default();
    json!({
        "manifest": statement.manifest,
        "serial_number": at("/serialNumber"),
        "components": at("/components").as_array().map(Vec::len),
        "complete": at("/compositions/0/aggregate"),
    })
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| text::line(text, 200))
}

fn print(text: &str) {
    // Who closed the pipe knows it.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
