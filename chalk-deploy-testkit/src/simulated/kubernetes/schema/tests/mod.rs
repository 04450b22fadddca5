mod documents;
mod generated;
mod rules;
mod tables;

use serde_json::Value;

use super::{Problem, ProblemKind, validate};
use crate::simulated::kubernetes::resource::Resource;

/// A deployment that uses most of what a pod can be told.
fn full_deployment() -> Value {
    serde_json::from_str(include_str!("deployment.json")).expect("it is JSON")
}

/// The problems as `field: message`, and those of decoding as their message.
fn told(resource: &Resource, object: &Value) -> Vec<String> {
    let told = |problem: &Problem| match problem.kind {
        ProblemKind::UnknownField | ProblemKind::DuplicateField | ProblemKind::WrongType => problem.message.clone(),
        _ => format!("{}: {}", problem.field, problem.message),
    };
    validate(resource, object).iter().map(told).collect()
}

/// The object with a value put under a pointer, which may lead where nothing is yet.
fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let mut place = &mut object;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/");
        place = match token.parse::<usize>() {
            Ok(position) if place.is_array() => &mut place[position],
            _ => &mut place[token.as_str()],
        };
    }
    *place = value;
    object
}
