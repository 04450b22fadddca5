//! The bodies of writes.

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use crate::simulated::kubernetes::api::call::Call;
use crate::simulated::kubernetes::schema::{Problem, duplicate_fields};
use crate::simulated::kubernetes::status::Status;

/// The longest YAML that is read: it takes more to read than JSON of the same length.
const LONGEST_YAML: usize = 1024 * 1024;

/// A body that was read.
#[derive(Debug)]
pub(in super::super) struct Body {
    value: Value,
    /// Fields that stand twice in it, which a strict server does not take.
    pub(super) duplicates: Vec<Problem>,
}

impl Body {
    /// # Errors
    /// 400 for a body that is not what it says, 415 for another media type.
    pub(in super::super) fn read(call: &Call, bytes: &Bytes) -> Result<Self, Status> {
        match call.media_type().as_str() {
            "" | "application/json" => Self::json(bytes),
            "application/yaml" => Self::yaml(bytes),
            "application/vnd.kubernetes.protobuf" if let Some(value) = super::protobuf::read(bytes) => {
                Ok(Self { value, duplicates: Vec::new() })
            }
            other => Err(unsupported(other, "application/json, application/yaml")),
        }
    }

    /// As [`read`](Self::read), where there may be none.
    ///
    /// # Errors
    /// 400, 415.
    pub(in super::super) fn read_optional(call: &Call, bytes: &Bytes) -> Result<Option<Self>, Status> {
        if bytes.is_empty() { Ok(None) } else { Self::read(call, bytes).map(Some) }
    }

    pub(super) fn json(bytes: &[u8]) -> Result<Self, Status> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| Status::bad_request(format!("the body of the request is not valid JSON: {error}")))?;
        Ok(Self { value, duplicates: duplicate_fields(bytes) })
    }

    /// YAML; JSON is YAML too.
    pub(super) fn yaml(bytes: &[u8]) -> Result<Self, Status> {
        if let Ok(body) = Self::json(bytes) {
            return Ok(body);
        }
        if bytes.len() > LONGEST_YAML {
            return Err(Status::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLarge",
                format!("Request entity too large: limit of YAML is {LONGEST_YAML}"),
            ));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Status::bad_request("error decoding YAML: not UTF-8"))?;
        let value = serde_saphyr::from_str(text).map_err(|error| {
            let words: String = error.to_string().lines().next().unwrap_or_default().chars().take(200).collect();
            Status::bad_request(format!("error decoding YAML: {words}"))
        })?;
        Ok(Self { value, duplicates: Vec::new() })
    }

    /// The body, which must be an object.
    ///
    /// # Errors
    /// 400.
    pub(in super::super) fn into_object(self) -> Result<Value, Status> {
        if self.value.is_object() {
            Ok(self.value)
        } else {
            Err(Status::bad_request("the body of the request is not an object"))
        }
    }

    pub(super) fn into_value(self) -> Value {
        self.value
    }
}

pub(super) fn unsupported(media: &str, accepted: &str) -> Status {
    Status::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "UnsupportedMediaType",
        format!(
            "the body of the request was in an unknown format {media:?} - accepted media types include: {accepted}"
        ),
    )
}
