//! What a field says, for people.
//!
//! Numbers and flags, texts, durations, types, the names of features and short expressions are written out. Everything
//! else (functions, options, what this library does not know) is shown as its size and a digest, which tells whether
//! two are the same.

mod expression;

use std::fmt::Write as _;

use prost::Message as _;

use super::super::proto::{Duration, ResolverKind, Schedule, schedule};
use super::super::wire::{Fields, Shape};
use super::definition::{contents, text_at};
use crate::model::Digest;
use crate::text;

/// Values are cut at so many characters.
const LONGEST: usize = 200;

/// What the bytes of all occurrences of a field say, with their tags.
pub(super) fn value(field: &str, bytes: &[u8]) -> String {
    let shown = match field {
        "tags"
        | "owner"
        | "doc"
        | "description"
        | "environments"
        | "input"
        | "output"
        | "foreign_namespace"
        | "additional_logged_features"
        | "machine_type"
        | "resource_group"
        | "online_store_config"
        | "source_type"
        | "attribute_name"
        | "unversioned_attribute_name"
        | "features"
        | "resolvers"
        | "venv"
        | "query_tags"
        | "required_resolver_tags"
        | "keys"
        | "feature_namespaces"
        | "name"
        | "alias" => texts(bytes),
        "schedule" => schedule(bytes),
        "timeout" | "max_staleness" | "offline_ttl" | "windows" | "debounce" | "max_delay" => durations(bytes),
        "type" => all(bytes, arrow_type),
        "inputs" => all(bytes, input),
        "outputs" => all(bytes, output),
        "expression" | "offline_expression" | "join" | "when" => all(bytes, expression::text),
        "default_value" => all(bytes, expression::scalar),
        "kind" => number(bytes).and_then(|number| i32::try_from(number).ok()).and_then(|number| {
            Some(match ResolverKind::try_from(number).ok()? {
                ResolverKind::Online => "online".to_owned(),
                ResolverKind::Offline => "offline".to_owned(),
                ResolverKind::Unspecified => "unspecified".to_owned(),
            })
        }),
        _ => None,
    };
    let shown = shown.or_else(|| {
        let number = number(bytes)?;
        let is_flag = ["is_", "no_", "etl_", "store_", "skip_", "upsert", "recompute", "incremental", "valid_plan"];
        match number {
            0 | 1 if is_flag.iter().any(|start| field.starts_with(start)) => Some((number == 1).to_string()),
            number => Some(number.to_string()),
        }
    });
    text::line(&shown.unwrap_or_else(|| digest(bytes)), LONGEST)
}

/// What a kind of feature is called.
pub(super) fn kind(shape: Shape) -> Option<&'static str> {
    Some(match shape {
        Shape::Scalar => "scalar",
        Shape::HasOne => "has-one",
        Shape::HasMany => "has-many",
        Shape::FeatureTime => "feature time",
        Shape::Windowed => "windowed",
        Shape::GroupBy => "group-by",
        _ => return None,
    })
}

/// Whether a value was too complicated to be shown.
pub(super) fn is_digest(value: &str) -> bool {
    value.starts_with("<sha256:")
}

fn digest(bytes: &[u8]) -> String {
    let hex = Digest::of(bytes).hex();
    format!("<sha256:{}, {} bytes>", hex.get(..12).unwrap_or_default(), bytes.len())
}

fn number(bytes: &[u8]) -> Option<u64> {
    Fields::of(bytes).flatten().last()?.varint()
}

fn texts(bytes: &[u8]) -> Option<String> {
    all(bytes, |text| std::str::from_utf8(text).ok().map(str::to_owned))
}

/// Every occurrence, by commas; nothing when one of them cannot be shown.
fn all(bytes: &[u8], one: impl Fn(&[u8]) -> Option<String>) -> Option<String> {
    let mut shown = String::new();
    for (place, (_, content)) in contents(bytes).enumerate() {
        // What is cut off need not be made.
        if shown.len() > 4 * LONGEST {
            break;
        }
        let _ = write!(shown, "{}{}", if place == 0 { "" } else { ", " }, one(content)?);
    }
    contents(bytes).next().is_some().then_some(shown)
}

fn durations(bytes: &[u8]) -> Option<String> {
    all(bytes, |content| Duration::decode(content).ok().map(|duration| in_words(&duration)))
}

/// As chalkpy's durations are written: `1d 2h`.
fn in_words(duration: &Duration) -> String {
    let mut rest = duration.seconds.unsigned_abs();
    let mut parts = Vec::new();
    for (unit, seconds) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
        if rest >= seconds {
            parts.push(format!("{}{unit}", rest / seconds));
            rest %= seconds;
        }
    }
    if duration.nanos != 0 {
        parts.push(format!("{}ns", duration.nanos.unsigned_abs()));
    }
    let sign = if duration.seconds < 0 || duration.nanos < 0 { "-" } else { "" };
    if parts.is_empty() { "0s".to_owned() } else { format!("{sign}{}", parts.join(" ")) }
}

/// The schedule of a resolver (a message), or of a scheduled query (a text).
fn schedule(bytes: &[u8]) -> Option<String> {
    let (_, content) = contents(bytes).last()?;
    match Schedule::decode(content) {
        Ok(Schedule { when: Some(schedule::When::Crontab(line)), .. }) => Some(line),
        Ok(Schedule { when: Some(schedule::When::Duration(every)), .. }) => Some(format!("every {}", in_words(&every))),
        _ => std::str::from_utf8(content).ok().map(str::to_owned),
    }
}

/// A `ResolverInput`: the full name of a feature, or of the set of rows.
fn input(message: &[u8]) -> Option<String> {
    let (number, content) = contents(message).last()?;
    match number {
        1 => reference(contents(content).filter(|(number, _)| *number == 1).last()?.1),
        2 => Some(rows(content)),
        _ => None,
    }
}

/// A `ResolverOutput`, likewise.
fn output(message: &[u8]) -> Option<String> {
    let (number, content) = contents(message).last()?;
    match number {
        1 => reference(content),
        2 => Some(rows(content)),
        _ => None,
    }
}

/// A feature, with the joins that lead to it and the columns of its rows.
fn reference(message: &[u8]) -> Option<String> {
    let (name, namespace) = (text_at(message, 1), text_at(message, 2));
    let path: Vec<&str> =
        contents(message).filter(|(number, _)| *number == 3).map(|(_, join)| text_at(join, 1)).collect();
    let root = contents(message).find(|(number, _)| *number == 3).map_or(namespace, |(_, join)| text_at(join, 2));
    let mut shown = root.to_owned();
    for part in path.into_iter().chain([name]) {
        let _ = write!(shown, ".{part}");
    }
    if let Some((_, frame)) = contents(message).filter(|(number, _)| *number == 4).last() {
        let _ = write!(shown, " with {}", rows(frame));
    }
    (!name.is_empty()).then_some(shown)
}

/// The columns of a `DataFrameType`, and a digest of its filter and limit.
fn rows(frame: &[u8]) -> String {
    let columns = contents(frame).filter(|(number, _)| matches!(number, 2 | 3));
    let columns: Vec<&str> = columns.map(|(_, column)| text_at(column, 1)).take(LONGEST).collect();
    let mut shown = format!("rows of {}[{}]", text_at(frame, 1), columns.join(", "));
    let rest: Vec<u8> =
        Fields::of(frame).flatten().filter(|field| field.number > 3).flat_map(|field| field.raw.to_vec()).collect();
    if !rest.is_empty() {
        let hex = Digest::of(rest).hex();
        let _ = write!(shown, " filtered#{}", hex.get(..6).unwrap_or_default());
    }
    shown
}

/// A `chalk.arrow.v1.ArrowType` without parameters.
fn arrow_type(message: &[u8]) -> Option<String> {
    let name = match Fields::of(message).flatten().last()?.number {
        1 => "none",
        2 => "bool",
        3 => "float64",
        4 => "int64",
        5 => "large_utf8",
        7 => "date64",
        17 => "utf8",
        18 => "int8",
        19 => "int16",
        20 => "int32",
        21 => "uint8",
        22 => "uint16",
        23 => "uint32",
        24 => "uint64",
        25 => "float16",
        26 => "float32",
        27 => "date32",
        31 => "binary",
        32 => "large_binary",
        // Timestamps, lists, structures and the like differ in their parameters too.
        number => {
            let name = match number {
                6 => "timestamp",
                8 => "struct",
                9 => "large_list",
                10 => "time64",
                16 => "duration",
                28 => "time32",
                29 => "list",
                30 => "fixed_size_list",
                33 => "fixed_size_binary",
                34 => "decimal128",
                35 => "decimal256",
                36 => "map",
                37 => "extension",
                _ => return None,
            };
            let hex = Digest::of(message).hex();
            return Some(format!("{name}#{}", hex.get(..6).unwrap_or_default()));
        }
    };
    Some(name.to_owned())
}
