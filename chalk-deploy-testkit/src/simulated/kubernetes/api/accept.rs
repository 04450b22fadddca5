//! What form of an answer a client accepts.

use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};

use crate::simulated::kubernetes::status::Status;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The objects themselves.
    Whole,
    /// Rows for people.
    Table,
    /// Only the metadata.
    Metadata,
    /// The aggregated form of discovery.
    Discovery(&'static str),
}

/// Chooses the first form that the client names and the server has. A client that names only others is refused.
///
/// # Errors
/// 406.
pub(super) fn form(headers: &HeaderMap) -> Result<Form, Status> {
    let mut named = false;
    for value in headers.get_all(ACCEPT) {
        let Ok(value) = value.to_str() else { continue };
        for range in value.split(',').map(str::trim).filter(|range| !range.is_empty()) {
            named = true;
            if let Some(form) = of_range(range) {
                return Ok(form);
            }
        }
    }
    if named {
        return Err(Status::new(
            StatusCode::NOT_ACCEPTABLE,
            "NotAcceptable",
            "only the following media types are accepted: application/json",
        ));
    }
    Ok(Form::Whole)
}

fn of_range(range: &str) -> Option<Form> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?;
    if !["application/json", "application/*", "*/*"].contains(&media) {
        return None;
    }
    let (mut kind, mut group, mut version) = (None, None, None);
    for part in parts {
        match part.split_once('=') {
            Some(("as", value)) => kind = Some(value),
            Some(("g", value)) => group = Some(value),
            Some(("v", value)) => version = Some(value),
            _ => {}
        }
    }
    match (kind, group, version) {
        (None, _, _) => Some(Form::Whole),
        (Some("Table"), Some("meta.k8s.io"), Some("v1")) => Some(Form::Table),
        (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("meta.k8s.io"), Some("v1")) => {
            Some(Form::Metadata)
        }
        (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => Some(Form::Discovery("v2")),
        (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1")) => {
            Some(Form::Discovery("v2beta1"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(accept: &'static str) -> Result<Form, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        form(&headers).map_err(|status| status.code.as_u16())
    }

    #[test]
    fn the_first_form_that_the_server_has_is_chosen() {
        assert_eq!(of("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), Ok(Form::Table));
        assert_eq!(of("application/json;as=Table;v=v9;g=meta.k8s.io, application/json"), Ok(Form::Whole));
        assert_eq!(of("application/vnd.kubernetes.protobuf, application/json"), Ok(Form::Whole));
        assert_eq!(of("application/vnd.kubernetes.protobuf"), Err(406));
        assert_eq!(of("*/*"), Ok(Form::Whole));
        assert_eq!(form(&HeaderMap::new()), Ok(Form::Whole));
    }
}
