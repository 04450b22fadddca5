//! The recordings: one sequence in each line, compressed.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exchange::Ask;

/// A request and its answer, without what is random.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) ask: Ask,
    pub(crate) status: u16,
    pub(crate) answer: Value,
}

/// Requests that follow each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sequence {
    pub(crate) seed: u64,
    pub(crate) steps: Vec<Step>,
}

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "recordings", name].iter().collect()
}

pub(crate) fn write(name: &str, sequences: &[impl Serialize]) {
    let file = File::create(path(name)).expect("the folder of the recordings can be written");
    let mut writer = GzEncoder::new(file, Compression::best());
    for sequence in sequences {
        serde_json::to_writer(&mut writer, sequence).expect("a line");
        writer.write_all(b"\n").expect("the end of a line");
    }
    writer.finish().expect("a whole file");
}

pub(crate) fn read<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let file = File::open(path(name)).expect("testbed/record has written it");
    BufReader::new(GzDecoder::new(file))
        .lines()
        .map(|line| serde_json::from_str(&line.expect("a line")).expect("a sequence"))
        .collect()
}

/// Where two answers differ: the path in the document, and both values. Objects are followed, and lists of one length.
pub(crate) fn differences(path: &str, real: &Value, simulated: &Value, found: &mut Vec<(String, Value, Value)>) {
    match (real, simulated) {
        (Value::Object(left), Value::Object(right)) => {
            let mut fields: Vec<_> = left.keys().chain(right.keys()).collect();
            fields.sort();
            fields.dedup();
            for field in fields {
                let (left, right) = (left.get(field), right.get(field));
                let (left, right) = (left.unwrap_or(&Value::Null), right.unwrap_or(&Value::Null));
                differences(&format!("{path}.{field}"), left, right, found);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                differences(&format!("{path}[{index}]"), left, right, found);
            }
        }
        _ if real == simulated => {}
        _ => found.push((path.to_owned(), real.clone(), simulated.clone())),
    }
}

/// How many differences a failure shows.
pub(crate) fn shown() -> usize {
    std::env::var("RECORDINGS_SHOWN").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}
