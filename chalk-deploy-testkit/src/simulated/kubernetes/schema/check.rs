//! Whether an object is of its kind, by the tables alone.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{Field, Format, List, ListKind, Object, Problem, Schema, quantity, shown};

/// Fields that the descriptions call required because Go always writes them, and that may be left out all the same.
const NOT_INSISTED_ON: &[(&str, &str)] = &[
    ("io.k8s.api.core.v1.HTTPHeader", "value"),
    ("io.k8s.api.core.v1.Event", "metadata"),
    ("io.k8s.api.discovery.v1.EndpointSlice", "endpoints"),
    ("io.k8s.api.core.v1.ContainerResizePolicy", "restartPolicy"),
    ("io.k8s.api.core.v1.Sysctl", "value"),
    // Its containers are, and what it has to be labelled with.
    ("io.k8s.api.apps.v1.DeploymentSpec", "template"),
];

/// Checks a whole object.
pub(super) fn check(schema: &'static Schema, object: &Value, custom: bool) -> Vec<Problem> {
    let mut check = Check { custom, problems: Vec::new() };
    check.value(schema, object, "", "");
    check.problems
}

struct Check {
    /// Custom resources are checked by the rules of their CRD, which say more by themselves than the built-in ones.
    custom: bool,
    problems: Vec<Problem>,
}

impl Check {
    fn value(&mut self, schema: &'static Schema, value: &Value, at: &str, of: &str) {
        match (schema, value) {
            // For most readers a null is nothing.
            (Schema::Any, _)
            | (_, Value::Null)
            | (Schema::IntOrString, Value::String(_))
            | (Schema::Number, Value::Number(_))
            | (Schema::Boolean, Value::Bool(_)) => {}
            (Schema::Object(object), Value::Object(map)) => self.object(object, map, at),
            (Schema::Map { values, .. }, Value::Object(map)) => {
                map.iter().for_each(|(name, value)| self.value(values, value, &join(at, name), of));
            }
            (Schema::List(list), Value::Array(items)) => self.items(list, items, at, of),
            (Schema::Text(format), Value::String(text)) => self.text(*format, text, value, at),
            (Schema::Integer { wide, least, most }, Value::Number(number)) => match number.as_i64() {
                Some(number) => self.integer(*wide, *least..=*most, number, at, of),
                None if number.as_f64().is_some_and(|number| number.fract() == 0.0) && self.custom => {}
                None => self.wrong_type(schema, value, at, of),
            },
            (Schema::Quantity, Value::String(_) | Value::Number(_)) => {
                if quantity::parse(value).is_none() {
                    let why =
                        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
                    self.problems.push(Problem::wrong_type(at, why.to_owned()));
                }
            }
            (Schema::IntOrString, Value::Number(number)) if number.as_i64().is_some() => {}
            _ => self.wrong_type(schema, value, at, of),
        }
    }

    fn object(&mut self, object: &'static Object, map: &Map<String, Value>, at: &str) {
        let of = object.name.rsplit('.').next().unwrap_or_default();
        for (name, value) in map {
            let at = join(at, name);
            match object.field(name) {
                Some(field) => self.value(&field.schema, value, &at, of),
                None => self.problems.push(Problem::unknown(&at)),
            }
        }
        // The status is written by controllers, in Go, where what is missing is merely zero.
        let insists = self.custom || !(at == "status" || at.starts_with("status."));
        for name in object.required.iter().filter(|_| insists) {
            let missing = match map.get(*name) {
                None | Some(Value::Null) => !NOT_INSISTED_ON.contains(&(object.name, name)),
                Some(value) => !self.custom && *name == "name" && value == "",
            };
            // A default fills what is missing before anybody asks.
            let filled = object.field(name).is_some_and(|Field { default, .. }| default.is_some());
            if missing && !filled {
                self.problems.push(Problem::required(join(at, name), ""));
            }
        }
    }

    fn items(&mut self, list: &'static List, items: &[Value], at: &str, of: &str) {
        let mut seen = BTreeSet::new();
        for (position, item) in items.iter().enumerate() {
            let at = format!("{at}[{position}]");
            self.value(list.items, item, &at, of);
            let identity = match list.kind {
                ListKind::Map(keys) if self.custom => {
                    let fields = keys.iter().filter_map(|key| Some(((*key).to_owned(), item.get(*key)?.clone())));
                    Value::Object(fields.collect())
                }
                ListKind::Set if self.custom => item.clone(),
                _ => continue,
            };
            if !seen.insert(identity.to_string()) {
                self.problems.push(Problem::duplicate(at, &identity));
            }
        }
    }

    fn text(&mut self, format: Format, text: &str, value: &Value, at: &str) {
        match format {
            Format::Plain => {}
            Format::OneOf(texts) => {
                if !texts.contains(&text) {
                    self.problems.push(Problem::not_supported(at, value, texts));
                }
            }
            Format::Time | Format::MicroTime => {
                if !is_time(text) {
                    let shown = shown(value);
                    let message =
                        format!("parsing time {shown} as \"2006-01-02T15:04:05Z07:00\": cannot parse {shown}");
                    self.problems.push(Problem::wrong_type(at, message));
                }
            }
            Format::Bytes => {
                if STANDARD.decode(text).is_err() {
                    self.problems.push(Problem::wrong_type(at, format!("illegal base64 data in {at}")));
                }
            }
        }
    }

    fn integer(&mut self, wide: bool, allowed: std::ops::RangeInclusive<i64>, number: i64, at: &str, of: &str) {
        if allowed.contains(&number) {
            return;
        }
        let (least, most) = (*allowed.start(), *allowed.end());
        if self.custom && (wide || i32::try_from(number).is_ok()) {
            let why = if number < least {
                format!("{at} in body should be greater than or equal to {least}")
            } else {
                format!("{at} in body should be less than or equal to {most}")
            };
            self.problems.push(Problem::invalid(at, &number.into(), &why));
        } else {
            self.problems.push(Problem::wrong_type(at, unmarshal(&format!("number {number}"), at, of, "int32")));
        }
    }

    fn wrong_type(&mut self, schema: &Schema, value: &Value, at: &str, of: &str) {
        let problem = if self.custom {
            let wanted = custom_name(schema);
            let given = json_name(value);
            let message = format!("Invalid value: {given:?}: {at} in body must be of type {wanted}: {given:?}");
            Problem { kind: super::ProblemKind::Invalid, field: at.to_owned(), message }
        } else {
            Problem::wrong_type(at, unmarshal(json_name(value), at, of, go_name(schema)))
        };
        self.problems.push(problem);
    }
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// In the words of Go's decoder, which names the type rather than the object.
fn unmarshal(given: &str, at: &str, of: &str, wanted: &str) -> String {
    // Positions and keys are no fields of Go.
    let path: String = at.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect();
    format!("json: cannot unmarshal {given} into Go struct field {of}.{path} of type {wanted}")
}

fn json_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn custom_name(schema: &Schema) -> &'static str {
    match schema {
        Schema::Text(_) => "string",
        Schema::Integer { .. } => "integer",
        Schema::Number => "number",
        Schema::Boolean => "boolean",
        Schema::IntOrString | Schema::Quantity => "integer,string",
        Schema::Object(_) | Schema::Map { .. } | Schema::Any => "object",
        Schema::List(_) => "array",
    }
}

fn go_name(schema: &Schema) -> &'static str {
    match schema {
        Schema::Text(Format::Bytes) => "[]uint8",
        Schema::Text(Format::Time) => "v1.Time",
        Schema::Text(Format::MicroTime) => "v1.MicroTime",
        Schema::Text(_) => "string",
        Schema::Integer { wide: false, .. } => "int32",
        Schema::Integer { wide: true, .. } => "int64",
        Schema::Number => "float64",
        Schema::Boolean => "bool",
        Schema::IntOrString => "intstr.IntOrString",
        Schema::Quantity => "resource.Quantity",
        Schema::Object(object) => object.name.rsplit_once('.').map_or("object", |(_, name)| name),
        Schema::Map { .. } | Schema::Any => "map[string]interface {}",
        Schema::List(_) => "[]interface {}",
    }
}

/// Whether a text is a time of RFC 3339: its shape, and that each part is one that a calendar and a clock have.
fn is_time(text: &str) -> bool {
    let number =
        |part: Option<&str>| part.filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?.parse::<u8>().ok();
    let within =
        |part: Option<&str>, least: u8, most: u8| number(part).is_some_and(|part| (least..=most).contains(&part));
    let marks = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    let shaped = marks.iter().all(|(at, mark)| text.get(*at..at + 1) == Some(mark));
    let year = text.get(..4).is_some_and(|year| year.bytes().all(|byte| byte.is_ascii_digit()));
    let day = within(text.get(5..7), 1, 12) && within(text.get(8..10), 1, 31);
    let time = within(text.get(11..13), 0, 23) && within(text.get(14..16), 0, 59) && within(text.get(17..19), 0, 59);
    let zone = text.get(19..).is_some_and(|rest| {
        let rest = rest
            .strip_prefix('.')
            .map_or(rest, |fraction| fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()));
        let offset = |rest: &str| {
            rest.len() == 6
                && rest.starts_with(['+', '-'])
                && within(rest.get(1..3), 0, 23)
                && rest.get(3..4) == Some(":")
                && within(rest.get(4..6), 0, 59)
        };
        rest == "Z" || offset(rest)
    });
    shaped && year && day && time && zone
}
