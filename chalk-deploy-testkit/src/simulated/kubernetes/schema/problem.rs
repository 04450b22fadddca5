//! What is wrong with an object, and how the API server says it.

use http::StatusCode;
use serde_json::Value;

use crate::simulated::kubernetes::resource::Resource;
use crate::simulated::kubernetes::status::Status;

/// Something wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem.
    pub kind: ProblemKind,
    /// Where: `spec.template.spec.containers[0].image`.
    pub field: String,
    /// What, without the place: `Required value`; for problems of decoding the whole of it: `unknown field "spec.foo"`.
    pub message: String,
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// A field that the kind does not have. What is done about it is for `fieldValidation` to say.
    UnknownField,
    /// A field that is there twice; likewise.
    DuplicateField,
    /// A value of another type: the object cannot be read at all.
    WrongType,
    /// Something that must be there is not.
    Required,
    /// A value that may not be.
    Invalid,
    /// A value that is none of those that may be.
    NotSupported,
    /// A value that may be there once.
    Duplicate,
    /// A reference to something that is not in the object.
    NotFound,
    /// Something that may not be there.
    Forbidden,
}

impl Problem {
    /// Whether `fieldValidation` says what is done about it.
    pub fn is_strict(&self) -> bool {
        matches!(self.kind, ProblemKind::UnknownField | ProblemKind::DuplicateField)
    }

    /// As an entry of `details.causes`.
    pub fn cause(&self) -> (String, String, String) {
        let reason = match self.kind {
            ProblemKind::UnknownField | ProblemKind::DuplicateField | ProblemKind::Invalid => "FieldValueInvalid",
            ProblemKind::WrongType => "FieldValueTypeInvalid",
            ProblemKind::Required => "FieldValueRequired",
            ProblemKind::NotSupported => "FieldValueNotSupported",
            ProblemKind::Duplicate => "FieldValueDuplicate",
            ProblemKind::NotFound => "FieldValueNotFound",
            ProblemKind::Forbidden => "FieldValueForbidden",
        };
        (reason.to_owned(), self.message.clone(), self.field.clone())
    }

    pub(super) fn unknown(field: &str) -> Self {
        Self { kind: ProblemKind::UnknownField, field: field.to_owned(), message: format!("unknown field {field:?}") }
    }

    pub(super) fn twice(field: &str) -> Self {
        Self {
            kind: ProblemKind::DuplicateField,
            field: field.to_owned(),
            message: format!("duplicate field {field:?}"),
        }
    }

    pub(super) fn wrong_type(field: &str, message: String) -> Self {
        Self { kind: ProblemKind::WrongType, field: field.to_owned(), message }
    }

    pub(super) fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        Self { kind: ProblemKind::Required, field: field.into(), message }
    }

    pub(super) fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        Self {
            kind: ProblemKind::Invalid,
            field: field.into(),
            message: format!("Invalid value: {}: {why}", shown(value)),
        }
    }

    pub(super) fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let supported = supported.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ");
        let message = format!("Unsupported value: {}: supported values: {supported}", shown(value));
        Self { kind: ProblemKind::NotSupported, field: field.into(), message }
    }

    pub(super) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self {
            kind: ProblemKind::Duplicate,
            field: field.into(),
            message: format!("Duplicate value: {}", shown(value)),
        }
    }

    pub(super) fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self { kind: ProblemKind::NotFound, field: field.into(), message: format!("Not found: {}", shown(value)) }
    }

    pub(super) fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self { kind: ProblemKind::Forbidden, field: field.into(), message: format!("Forbidden: {why}") }
    }
}

/// A value in a message: whole, unless it is long.
pub(in super::super) fn shown(value: &Value) -> String {
    const MOST: usize = 512;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// The answer to an object that cannot be read, or not strictly: 400. Give it the problems that count.
pub fn unreadable(resource: &Resource, problems: &[Problem]) -> Status {
    let (strict, broken): (Vec<_>, Vec<_>) = problems.iter().partition(|problem| problem.is_strict());
    let (what, problems) = if broken.is_empty() { ("strict decoding error: ", strict) } else { ("", broken) };
    let problems = problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join(", ");
    Status::new(
        StatusCode::BAD_REQUEST,
        "BadRequest",
        format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: {what}{problems}",
            kind = resource.kind,
            version = resource.version,
        ),
    )
}

/// The answer to an object whose values may not be: 422.
pub fn invalid(resource: &Resource, name: &str, problems: &[Problem]) -> Status {
    let kind = if resource.group.is_empty() {
        resource.kind.to_owned()
    } else {
        format!("{}.{}", resource.kind, resource.group)
    };
    let told: Vec<_> = problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect();
    let told = if let [one] = &told[..] { one.clone() } else { format!("[{}]", told.join(", ")) };
    let message = format!("{kind} {name:?} is invalid: {told}");
    let mut status = Status::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
    status.causes = problems.iter().map(Problem::cause).collect();
    status
}
