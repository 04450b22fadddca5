//! What a rule changes in requests and answers.

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::document;

/// Headers removed, set and added, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HeaderEdit {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderEdit {
    /// Takes over what a filter asks for.
    pub(super) fn extend(&mut self, wanted: &document::HeaderModifier) -> Result<(), String> {
        for name in &wanted.remove {
            self.remove.push(header_name(name)?);
        }
        for (list, headers) in [(&mut self.set, &wanted.set), (&mut self.add, &wanted.add)] {
            for header in headers {
                let value = HeaderValue::from_str(&header.value)
                    .ok()
                    .filter(|value| !value.is_empty())
                    .ok_or_else(|| format!("the value for the header {} is none", header.name))?;
                list.push((header_name(&header.name)?, value));
            }
        }
        Ok(())
    }

    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
    }
}

/// A name that a filter may change: Envoy Gateway keeps `host` and pseudo headers from it.
fn header_name(name: &str) -> Result<HeaderName, String> {
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(parsed) if parsed != HOST => Ok(parsed),
        // In the words of Envoy Gateway, where it is the only header.
        _ => {
            Err("RequestHeaderModifier Filter did not provide valid configuration to add/set/remove any headers"
                .to_owned())
        }
    }
}

/// Another path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathRewrite {
    Full(String),
    Prefix(String),
}

impl PathRewrite {
    pub(super) fn new(wanted: &document::PathModifier) -> Result<Self, String> {
        match (wanted.form.as_str(), &wanted.replace_full_path, &wanted.replace_prefix_match) {
            ("ReplaceFullPath", Some(path), None) => Ok(Self::Full(path.clone())),
            ("ReplacePrefixMatch", None, Some(prefix)) => Ok(Self::Prefix(prefix.clone())),
            ("ReplaceFullPath" | "ReplacePrefixMatch", ..) => {
                Err(format!("a path modifier of the type {} has not exactly its own field", wanted.form))
            }
            (other, ..) => Err(format!("a path modifier of the type {other} is not known")),
        }
    }

    /// The path after it. `matched` is the prefix that the request was matched by.
    pub(super) fn apply(&self, path: &str, matched: Option<&str>) -> String {
        let replaced = match self {
            Self::Full(replacement) => replacement.clone(),
            Self::Prefix(replacement) => {
                let rest = matched.and_then(|prefix| path.strip_prefix(prefix)).unwrap_or_default();
                format!("{}{rest}", replacement.strip_suffix('/').unwrap_or(replacement))
            }
        };
        if replaced.starts_with('/') { replaced } else { format!("/{replaced}") }
    }
}

/// Another host or path towards the backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rewrite {
    pub(super) hostname: Option<String>,
    pub(super) path: Option<PathRewrite>,
}

/// An answer that sends the client elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirect {
    scheme: Option<String>,
    hostname: Option<String>,
    path: Option<PathRewrite>,
    port: Option<u16>,
    pub(super) status: StatusCode,
}

impl Redirect {
    pub(super) fn new(wanted: &document::Redirect) -> Result<Self, String> {
        let scheme = match wanted.scheme.as_deref() {
            None => None,
            Some(scheme @ ("http" | "https")) => Some(scheme.to_owned()),
            Some(_) => return Err("a redirect goes to a scheme other than http and https".to_owned()),
        };
        let status = match wanted.status_code {
            None | Some(302) => StatusCode::FOUND,
            Some(301) => StatusCode::MOVED_PERMANENTLY,
            Some(other) => return Err(format!("a redirect with the status {other} is not supported")),
        };
        let path = wanted.path.as_ref().map(PathRewrite::new).transpose()?;
        Ok(Self { scheme, hostname: wanted.hostname.clone(), path, port: wanted.port, status })
    }

    /// Where to. The client's own host and port stay where the redirect names neither. Another host comes with the port
    /// of the scheme, or of the listener. The well-known one of a scheme is not named.
    pub(super) fn location(&self, host: &str, listener_port: u16, target: &str, matched: Option<&str>) -> String {
        let scheme = self.scheme.as_deref().unwrap_or("http");
        let well_known = if scheme == "https" { 443 } else { 80 };
        let (bare, asked_port) = split_port(host);
        let host = self.hostname.as_deref().unwrap_or(bare);
        let asked_port = asked_port.filter(|_| self.hostname.is_none());
        let of_place = if self.scheme.is_some() { well_known } else { listener_port };
        let port = self.port.or(asked_port).unwrap_or(of_place);
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let path = self.path.as_ref().map_or_else(|| path.to_owned(), |rewrite| rewrite.apply(path, matched));
        let port = if port == well_known { String::new() } else { format!(":{port}") };
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{scheme}://{host}{port}{path}{query}")
    }
}

/// A host and the port behind it, if there is one.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_prefix_keeps_the_rest_of_the_path() {
        let replace = |replacement: &str| PathRewrite::Prefix(replacement.to_owned());
        assert_eq!(replace("/new").apply("/old/x", Some("/old")), "/new/x");
        assert_eq!(replace("/new/").apply("/old/x", Some("/old")), "/new/x");
        assert_eq!(replace("/").apply("/old/x", Some("/old")), "/x");
        assert_eq!(replace("/").apply("/old", Some("/old")), "/");
        assert_eq!(replace("/new").apply("/x", Some("")), "/new/x");
    }

    #[test]
    fn a_redirect_names_a_port_only_where_its_scheme_has_another() {
        let redirect = |document: serde_json::Value| {
            Redirect::new(&serde_json::from_value(document).expect("a redirect")).expect("a valid one")
        };
        let to_https = redirect(serde_json::json!({"scheme": "https", "statusCode": 301}));
        assert_eq!(to_https.location("a.example", 8080, "/x?y=z", None), "https://a.example/x?y=z");
        let moved = redirect(serde_json::json!({"hostname": "b.example"}));
        assert_eq!(moved.location("a.example", 8080, "/x", None), "http://b.example:8080/x");
        assert!(Redirect::new(&document::Redirect { status_code: Some(307), ..Default::default() }).is_err());
    }

    #[test]
    fn headers_are_removed_before_they_are_set() {
        let mut edit = HeaderEdit::default();
        let wanted = serde_json::json!({
            "remove": ["x-old", "x-set"],
            "set": [{"name": "x-set", "value": "new"}],
            "add": [{"name": "x-add", "value": "more"}],
        });
        edit.extend(&serde_json::from_value(wanted).expect("a modifier")).expect("a valid one");
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-old", "1"), ("x-set", "old"), ("x-add", "some")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        edit.apply(&mut headers);
        assert!(!headers.contains_key("x-old"));
        assert_eq!(headers.get_all("x-set").iter().collect::<Vec<_>>(), ["new"]);
        assert_eq!(headers.get_all("x-add").iter().collect::<Vec<_>>(), ["some", "more"]);
        let host = serde_json::json!({"set": [{"name": "Host", "value": "x"}]});
        assert!(HeaderEdit::default().extend(&serde_json::from_value(host).expect("a modifier")).is_err());
    }
}
