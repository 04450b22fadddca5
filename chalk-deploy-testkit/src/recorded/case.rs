//! One case: a request and its answer.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

/// A request and its answer, made from a page of the provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The name of its file, without `.json`.
    #[serde(skip)]
    pub name: String,
    /// The page of the provider's reference that it was made from.
    pub source: String,
    /// What a foreign model of the provider calls it, if one has it.
    #[serde(default)]
    pub model: Option<String>,
    /// What is asked.
    pub request: CaseRequest,
    /// What is answered.
    pub response: CaseResponse,
}

/// What is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CaseRequest {
    /// The method.
    pub method: String,
    /// The host, with its port if one is named.
    pub host: String,
    /// The path as it is sent, escapes included.
    pub path: String,
    /// The query, decoded.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Headers that it has at least; `*` is any value.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body, as JSON.
    #[serde(default)]
    pub json: Option<Value>,
    /// The body, as a form.
    #[serde(default)]
    pub form: Option<BTreeMap<String, String>>,
    /// The body, as it is.
    #[serde(default)]
    pub text: Option<String>,
}

/// What is answered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CaseResponse {
    /// The status.
    pub status: u16,
    /// Its headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body, as JSON.
    #[serde(default)]
    pub json: Option<Value>,
    /// The body, as it is.
    #[serde(default)]
    pub text: Option<String>,
}

impl Case {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut case: Self = serde_json::from_str(text).map_err(|error| format!("case `{name}`: {error}"))?;
        name.clone_into(&mut case.name);
        if !case.source.starts_with("https://") {
            return Err(format!("case `{name}` names no page that it was made from"));
        }
        StatusCode::from_u16(case.response.status).map_err(|error| format!("case `{name}`: {error}"))?;
        Ok(case)
    }

    /// Reads the file of one.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(file: &Path) -> Result<Self, String> {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Self::parse(&name, &text)
    }

    /// Reads all of a folder, by name.
    ///
    /// # Errors
    /// What is wrong with one of them, in words.
    pub fn all(folder: &Path) -> Result<Vec<Self>, String> {
        let told = |error: std::io::Error| format!("{}: {error}", folder.display());
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(told)? {
            let path = entry.map_err(told)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
        files.sort();
        files.iter().map(|file| Self::read(file)).collect()
    }
}

impl CaseRequest {
    /// What is not as recorded; the first thing of it.
    pub(super) fn difference(&self, parts: &Parts, body: &Bytes) -> Option<String> {
        if parts.method.as_str() != self.method {
            return Some(format!("method {}", self.method));
        }
        if parts.uri.authority().map(http::uri::Authority::as_str) != Some(&self.host) {
            return Some(format!("host {}", self.host));
        }
        if parts.uri.path() != self.path {
            return Some(format!("path {}", self.path));
        }
        let query = pairs(parts.uri.query().unwrap_or_default().as_bytes());
        if query != self.query {
            return Some(format!("query {:?}", self.query));
        }
        for (name, value) in &self.headers {
            let sent = parts.headers.get(name).map(|sent| sent.to_str().unwrap_or_default());
            if sent.is_none_or(|sent| value != "*" && sent != value) {
                return Some(format!("header {name}: {value}"));
            }
        }
        if let Some(json) = &self.json
            && serde_json::from_slice::<Value>(body).ok().as_ref() != Some(json)
        {
            return Some(format!("JSON {json}"));
        }
        if let Some(form) = &self.form
            && pairs(body) != *form
        {
            return Some(format!("form {form:?}"));
        }
        if let Some(text) = &self.text
            && body != text.as_bytes()
        {
            return Some(format!("text {text}"));
        }
        let expects_body = self.json.is_some() || self.form.is_some() || self.text.is_some();
        (!expects_body && !body.is_empty()).then(|| "no body".to_owned())
    }
}

impl CaseResponse {
    pub(super) fn build(&self) -> Result<Response<Bytes>, String> {
        let body = match (&self.json, &self.text) {
            (Some(json), _) => Bytes::from(json.to_string()),
            (None, Some(text)) => Bytes::from(text.clone()),
            (None, None) => Bytes::new(),
        };
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        response.body(body).map_err(|error| error.to_string())
    }
}

fn pairs(text: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text).into_owned().collect()
}
