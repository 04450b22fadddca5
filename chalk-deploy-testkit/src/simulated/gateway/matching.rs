//! Which requests a rule is for, and which of several rules is asked first.

use std::cmp::{Ordering, Reverse};

use http::{HeaderMap, Method};
use regex::{Regex, RegexBuilder};

use super::document;

/// The longest pattern that is compiled, in characters. The API allows 1024 for a path and 4096 for a header.
const LONGEST_PATTERN: usize = 4096;
/// The most memory that one compiled pattern may take.
const LARGEST_PATTERN: usize = 1 << 20;

/// A regular expression that must match the whole text, as Envoy's does.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: String,
    compiled: Regex,
}

impl Pattern {
    fn new(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST_PATTERN {
            return Err(format!("a regular expression is longer than {LONGEST_PATTERN} characters"));
        }
        RegexBuilder::new(&format!("^(?:{text})$"))
            .size_limit(LARGEST_PATTERN)
            .build()
            .map(|compiled| Self { text: text.to_owned(), compiled })
            .map_err(|_| "a regular expression cannot be compiled".to_owned())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A rule for a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PathMatch {
    Exact(String),
    /// Whole segments; without a slash at its end, and empty for `/`.
    Prefix(String),
    Pattern(Pattern),
}

impl PathMatch {
    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(wanted) => path == wanted,
            Self::Prefix(prefix) => {
                path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Pattern(pattern) => pattern.compiled.is_match(path),
        }
    }

    /// Exact, then regular expression, then prefix; the longer ones first.
    fn precedence(&self) -> (u8, usize) {
        match self {
            Self::Exact(path) => (2, path.len()),
            Self::Pattern(pattern) => (1, pattern.text.len()),
            Self::Prefix(prefix) => (0, prefix.len()),
        }
    }
}

/// A rule for a value.
#[derive(Debug, Clone, PartialEq)]
enum ValueMatch {
    Exact(String),
    Pattern(Pattern),
}

impl ValueMatch {
    fn new(named: &document::NamedMatch) -> Result<Self, String> {
        match named.form.as_deref().unwrap_or("Exact") {
            "Exact" => Ok(Self::Exact(named.value.clone())),
            "RegularExpression" => Pattern::new(&named.value).map(Self::Pattern),
            other => Err(format!("a match of the type {other} is not known")),
        }
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(wanted) => value == wanted,
            Self::Pattern(pattern) => pattern.compiled.is_match(value),
        }
    }

    const fn is_exact(&self) -> bool {
        matches!(self, Self::Exact(_))
    }
}

/// All that a request must have for one entry of a rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Matcher {
    path: PathMatch,
    headers: Vec<(String, ValueMatch)>,
    queries: Vec<(String, ValueMatch)>,
    method: Option<Method>,
}

impl Matcher {
    pub(super) fn new(wanted: &document::Match) -> Result<Self, String> {
        let named = |list: &[document::NamedMatch]| {
            list.iter()
                .map(|named| Ok((named.name.clone(), ValueMatch::new(named)?)))
                .collect::<Result<Vec<_>, String>>()
        };
        let method = wanted
            .method
            .as_deref()
            .map(|method| Method::from_bytes(method.as_bytes()).map_err(|_| "a method is no token of HTTP".to_owned()));
        Ok(Self {
            path: path_match(wanted.path.as_ref())?,
            headers: named(&wanted.headers)?,
            queries: named(&wanted.query_params)?,
            method: method.transpose()?,
        })
    }

    pub(super) fn matches(&self, request: &Asked<'_>) -> bool {
        self.path.matches(request.path)
            && self.method.as_ref().is_none_or(|method| method == request.method)
            && self
                .headers
                .iter()
                .all(|(name, value)| header(request.headers, name).is_some_and(|present| value.matches(&present)))
            && self.queries.iter().all(|(name, value)| {
                let mut pairs = url::form_urlencoded::parse(request.query.as_bytes());
                // Of parameters with one name, the first counts.
                pairs.find(|(present, _)| present == name).is_some_and(|(_, present)| value.matches(&present))
            })
    }

    /// The prefix that the path was matched by, for filters that replace it.
    pub(super) fn prefix(&self) -> Option<&str> {
        match &self.path {
            PathMatch::Prefix(prefix) => Some(prefix),
            _ => None,
        }
    }

    /// Which of two is asked first. The kind of path and its length, then the number of headers, then of query
    /// parameters, exact ones before patterns. The method counts as one more header: Envoy Gateway writes it as such
    /// (`internal/gatewayapi/sort.go`), where the specification asks for it before any header.
    pub(super) fn before(&self, other: &Self) -> Ordering {
        let rank = |matcher: &Self| {
            let method = usize::from(matcher.method.is_some());
            let exact = |list: &[(String, ValueMatch)]| list.iter().filter(|(_, value)| value.is_exact()).count();
            Reverse((
                matcher.path.precedence(),
                matcher.headers.len() + method,
                exact(&matcher.headers) + method,
                matcher.queries.len(),
                exact(&matcher.queries),
            ))
        };
        rank(self).cmp(&rank(other))
    }
}

/// A request, as far as rules look at it.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
}

fn path_match(wanted: Option<&document::PathMatch>) -> Result<PathMatch, String> {
    let value = wanted.and_then(|path| path.value.as_deref()).unwrap_or("/");
    let form = wanted.and_then(|path| path.form.as_deref()).unwrap_or("PathPrefix");
    if form != "RegularExpression" && !value.starts_with('/') {
        return Err("a path does not begin with a slash".to_owned());
    }
    match form {
        "Exact" => Ok(PathMatch::Exact(value.to_owned())),
        "PathPrefix" => Ok(PathMatch::Prefix(value.strip_suffix('/').unwrap_or(value).to_owned())),
        "RegularExpression" => Pattern::new(value).map(PathMatch::Pattern),
        other => Err(format!("a path match of the type {other} is not known")),
    }
}

/// A header's values, joined as Envoy joins them before it compares.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matcher(document: serde_json::Value) -> Matcher {
        let wanted = serde_json::from_value(document).expect("a match");
        Matcher::new(&wanted).expect("a match that compiles")
    }

    fn hits(matcher: &Matcher, target: &str, headers: &[(&'static str, &str)]) -> bool {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a value")))
            .collect();
        matcher.matches(&Asked { path, query, method: &Method::GET, headers: &headers })
    }

    #[test]
    fn a_prefix_matches_whole_segments_and_an_exact_path_nothing_more() {
        let prefix = matcher(json!({"path": {"type": "PathPrefix", "value": "/v1/"}}));
        assert!(hits(&prefix, "/v1", &[]) && hits(&prefix, "/v1/query", &[]));
        assert!(!hits(&prefix, "/v1beta", &[]));
        assert!(hits(&matcher(json!({})), "/anything", &[]));
        let exact = matcher(json!({"path": {"type": "Exact", "value": "/v1"}}));
        assert!(hits(&exact, "/v1", &[]) && !hits(&exact, "/v1/", &[]));
    }

    #[test]
    fn a_regular_expression_must_match_the_whole_value() {
        let path = matcher(json!({"path": {"type": "RegularExpression", "value": "/v[0-9]+|/w"}}));
        assert!(hits(&path, "/v12", &[]) && !hits(&path, "/v12/query", &[]) && !hits(&path, "/x/w", &[]));
        let header = matcher(json!({"headers": [{"type": "RegularExpression", "name": "X-Tag", "value": "gr.*n"}]}));
        assert!(hits(&header, "/", &[("x-tag", "green")]));
        assert!(!hits(&header, "/", &[("x-tag", "evergreen")]) && !hits(&header, "/", &[]));
    }

    #[test]
    fn every_header_and_query_parameter_that_is_named_must_match() {
        let both = matcher(json!({
            "headers": [{"name": "x-tag", "value": "green"}],
            "queryParams": [{"name": "who", "value": "a b"}],
        }));
        assert!(hits(&both, "/?who=a%20b&who=c", &[("x-tag", "green")]));
        assert!(!hits(&both, "/?who=c&who=a%20b", &[("x-tag", "green")]));
        assert!(!hits(&both, "/?who=a%20b", &[("x-tag", "green"), ("x-tag", "blue")]));
        assert!(!hits(&both, "/", &[("x-tag", "green")]));
    }

    #[test]
    fn an_expression_that_would_take_all_memory_is_refused() {
        let wanted = json!({"path": {"type": "RegularExpression", "value": "(((a{100}){100}){100}){100}"}});
        assert!(Matcher::new(&serde_json::from_value(wanted).expect("a match")).is_err());
    }

    #[test]
    fn the_more_specific_is_asked_first() {
        let order = [
            json!({"path": {"type": "Exact", "value": "/a"}}),
            json!({"path": {"type": "RegularExpression", "value": "/a.*"}}),
            json!({"path": {"value": "/a/longer"}}),
            json!({"path": {"value": "/a"}, "method": "GET", "headers": [{"name": "x", "value": "y"}]}),
            json!({"path": {"value": "/a"}, "headers": [{"name": "x", "value": "y"}]}),
            json!({"path": {"value": "/a"}, "headers": [{"type": "RegularExpression", "name": "x", "value": "y"}]}),
            json!({"path": {"value": "/a"}, "queryParams": [{"name": "x", "value": "y"}]}),
            json!({"path": {"value": "/a"}}),
            json!({}),
        ];
        let matchers = order.map(matcher);
        for pair in matchers.windows(2) {
            assert_eq!(pair[0].before(&pair[1]), Ordering::Less, "{pair:?}");
        }
    }
}
