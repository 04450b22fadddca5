//! The whole content of the outside world, comparable between two runs: byte for byte, but for ids and times.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use chalk_deploy_core::model::Digest;

/// Every file below a folder, by its relative path.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display())) {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(folder).expect("it lies inside").to_string_lossy().into_owned();
                found.insert(relative, fs::read(&path).expect("readable"));
            }
        }
    }
    found
}

/// The world in a state folder, with what must differ between two runs replaced:
/// - the deployment's id by `ID`, its creation by `TIME`, and the number of the lease (one more after each crash) by
///   `TOKEN`;
/// - the digest of each document that holds one of these, wherever it stands, by the digest of the document with the
///   replacement;
/// - the uids of objects and the digests of pod templates, both made from the id, by their number in the order in which
///   they appear.
///
/// Nothing else: what is left over, missing or done twice shows.
pub(crate) fn normalised(state: &Path, id: &str) -> BTreeMap<String, String> {
    let raw = files(&state.join("world"));
    let mut documents: BTreeMap<String, String> = BTreeMap::new();
    let mut digests: BTreeMap<String, String> = BTreeMap::new();
    for (path, content) in raw {
        let before = Digest::of(&content);
        let text = match String::from_utf8(content) {
            Ok(text) => plain(&text, id),
            // Packed or linked bytes: nothing in them may differ.
            Err(binary) => format!("binary {}", Digest::of(binary.as_bytes())),
        };
        let after = Digest::of(&text);
        if text.contains("TIME") || text.contains("TOKEN") || text.contains("ID") {
            digests.insert(before.hex(), after.hex());
        }
        documents.insert(path.replace(id, "ID"), text);
    }
    let replaced = documents.into_iter().map(|(path, text)| (swap(path, &digests), swap(text, &digests)));
    number_what_is_made_from_the_id(replaced.collect())
}

/// Shows how two worlds differ; empty when they do not.
pub(crate) fn difference(expected: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> String {
    let mut shown = String::new();
    for path in expected.keys().chain(found.keys().filter(|path| !expected.contains_key(*path))) {
        let (left, right) = (expected.get(path), found.get(path));
        if left != right {
            writeln!(shown, "{path}\n  expected: {left:?}\n  found:    {right:?}").expect("a String takes all");
        }
    }
    shown
}

fn plain(text: &str, id: &str) -> String {
    let text = text.replace(id, "ID");
    let text = replace_number_after(&text, "\"created_at\":", "TIME");
    replace_number_after(&text, "\"token\":", "TOKEN")
}

fn replace_number_after(text: &str, field: &str, by: &str) -> String {
    let mut parts = text.split(field);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.trim_start().trim_start_matches(|symbol: char| symbol.is_ascii_digit());
        replaced.push_str(field);
        replaced.push_str(by);
        replaced.push_str(digits);
    }
    replaced
}

fn swap(mut text: String, digests: &BTreeMap<String, String>) -> String {
    for (before, after) in digests {
        if text.contains(before.as_str()) {
            text = text.replace(before.as_str(), after);
        }
    }
    text
}

fn number_what_is_made_from_the_id(documents: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut numbers: BTreeMap<String, String> = BTreeMap::new();
    for text in documents.values() {
        for field in ["\"uid\": \"", "\"template\": \"sha256:"] {
            for value in text.split(field).skip(1).filter_map(|rest| rest.split('"').next()) {
                let number = format!("MADE-{}", numbers.len());
                numbers.entry(value.to_owned()).or_insert(number);
            }
        }
    }
    documents.into_iter().map(|(path, text)| (path, swap(text, &numbers))).collect()
}

#[test]
fn worlds_that_differ_in_ids_times_and_what_is_made_from_them_are_equal_and_others_are_not() {
    let build = |id: &str, time: u64, extra: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let world = folder.path().join("world");
        fs::create_dir_all(&world).expect("a new folder");
        let index = format!("{{\"deployment\":\"{id}\",\"created_at\":{time},\"n\":1}}");
        let digest = Digest::of(&index);
        fs::write(world.join(format!("index,{id},{}", digest.hex())), index).expect("writable");
        let uid = Digest::of(id).hex();
        let object = format!("{{\n  \"uid\": \"{uid}\",\n  \"token\": {time},\n  \"key\": \"{digest}\"{extra}\n}}");
        fs::write(world.join("object"), object).expect("writable");
        normalised(folder.path(), id)
    };
    let first = build("caaaaaaaaaaaaaaaaaaaaaaaa", 1, "");
    assert_eq!(difference(&first, &build("cbbbbbbbbbbbbbbbbbbbbbbbb", 22, "")), "");
    assert_ne!(difference(&first, &build("cbbbbbbbbbbbbbbbbbbbbbbbb", 22, ",\"n\": 2")), "");
}
