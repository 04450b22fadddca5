//! Which projects can be built without installing anything.

use std::collections::BTreeSet;

use super::Workshop;
use super::base::Base;
use crate::cloud::BuildRequest;
use crate::{Error, ErrorCode, Result, text};

/// The label in which a base image lists the Python distributions that it brings, by name and between commas.
pub const PROVIDES: &str = "ai.chalk.provides";

/// Refuses a project whose requirements name more than every base image declares to bring. Only names are compared: a
/// base image is pinned by digest, and with it the versions that it brings.
pub(super) async fn check(workshop: &Workshop, request: &BuildRequest) -> Result<()> {
    let mut asked = BTreeSet::new();
    for file in &request.requirements {
        asked.extend(names(&file.contents).map_err(|line| {
            refusal(&format!("`{}` asks for more than distributions by name", text::line(line, 100)), &file.filename)
        })?);
    }
    if asked.is_empty() {
        return Ok(());
    }
    for image in &request.base_images {
        let base = Base::read(&*workshop.documents, &image.repository, image.digest, &request.platform).await?;
        let provided: BTreeSet<_> = base.label(PROVIDES).unwrap_or_default().split(',').map(normal).collect();
        let missing: Vec<_> = asked.difference(&provided).take(10).map(|name| format!("`{name}`")).collect();
        if !missing.is_empty() {
            let files: Vec<_> = request.requirements.iter().map(|file| file.filename.as_str()).collect();
            let message = format!("the base image of {} does not bring {}", image.component, missing.join(", "));
            return Err(refusal(&message, &files.join(", ")));
        }
    }
    Ok(())
}

fn refusal(message: &str, file: &str) -> Error {
    Error::new(ErrorCode::RequestInvalid, format!("{message}, and the in-process builder installs nothing"))
        .on(text::line(file, 200))
        .with_hint("use a base image that brings it, or a builder that installs requirements")
}

/// The names of the distributions that a requirements file asks for (pip's format; names compared as PEP 503 says), or
/// the line that asks for something else: an option, a file, an address.
fn names(contents: &str) -> Result<BTreeSet<String>, &str> {
    let mut names = BTreeSet::new();
    let mut continued = false;
    for line in contents.lines() {
        // What follows a backslash belongs to the requirement before, such as its hashes.
        let is_rest = continued;
        continued = line.trim_end().ends_with('\\');
        let bare = line.split(" #").next().unwrap_or_default().trim();
        if is_rest || bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        let name = bare.split(|symbol: char| " \t<>=!~;[(@\\".contains(symbol)).next().unwrap_or_default();
        let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        let holds = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        // An archive or a folder could have a name like this too; `@` leads to an address.
        let is_name = edge(name.bytes().next()) && edge(name.bytes().last()) && holds && !bare.contains('@');
        if !is_name || bare.contains("://") {
            return Err(line);
        }
        names.insert(normal(name));
    }
    Ok(names)
}

fn normal(name: &str) -> String {
    let mut normal = String::new();
    for symbol in name.trim().chars() {
        match symbol {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            symbol => normal.extend(symbol.to_lowercase()),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(contents: &str) -> Vec<String> {
        names(contents).expect("names only").into_iter().collect()
    }

    #[test]
    fn comments_versions_extras_markers_and_hashes_are_not_names() {
        assert_eq!(names_of("# nothing\n\n   # more\n"), Vec::<String>::new());
        assert_eq!(
            names_of(
                "chalkpy[runtime] >= 2.0, <3 ; python_version > '3.10'  # why\nNum_Py==1.2 \\\n    --hash=sha256:ab\nzope.interface\n"
            ),
            ["chalkpy", "num-py", "zope-interface"]
        );
    }

    #[test]
    fn what_asks_for_more_than_names_is_told() {
        for line in [
            "-r other.txt",
            "--index-url https://x.example",
            "-e .",
            "./wheel.whl",
            "a @ https://x.example/a.whl",
            "https://x.example/a.whl",
        ] {
            assert_eq!(names(&format!("chalkpy\n{line}\n")), Err(line), "{line}");
        }
    }
}
