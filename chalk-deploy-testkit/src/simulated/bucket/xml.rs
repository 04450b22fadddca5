//! Answers in XML, and the few elements that requests hold.

use std::fmt::Write as _;

use chalk_deploy_core::cloud::ByteStream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use super::error::S3Error;
use crate::simulated::http::full;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// An element that holds text.
pub(super) fn text(name: &str, value: impl AsRef<str>) -> String {
    format!("<{name}>{}</{name}>", escaped(value.as_ref()))
}

/// An element that holds elements.
pub(super) fn wrap(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

/// A successful answer.
pub(super) fn document(name: &str, content: &str) -> Response<ByteStream> {
    answer(StatusCode::OK, &format!("<{name} xmlns=\"{NAMESPACE}\">{content}</{name}>"))
}

pub(super) fn empty(name: &str) -> Response<ByteStream> {
    document(name, "")
}

/// The first region has no name here.
pub(super) fn location(region: &str) -> Response<ByteStream> {
    document("LocationConstraint", if region == "us-east-1" { "" } else { region })
}

pub(super) fn error(error: &S3Error, resource: &str) -> Response<ByteStream> {
    let content = text("Code", error.code) + &text("Message", &error.message) + &text("Resource", resource);
    answer(error.status, &wrap("Error", &content))
}

fn answer(status: StatusCode, content: &str) -> Response<ByteStream> {
    let content = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{content}");
    let length = content.len();
    let mut response = Response::new(full(content));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// The contents of every element of a name, in order.
pub(super) fn elements<'xml>(xml: &'xml str, name: &str) -> Vec<&'xml str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some((_, after)) = rest.split_once(&open) {
        let Some((content, after)) = after.split_once(&close) else { break };
        found.push(content);
        rest = after;
    }
    found
}

/// The text of the first element of a name.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).first().map(|content| unescaped(content))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            symbol if symbol.is_control() => {
                let _ = write!(escaped, "&#x{:X};", u32::from(symbol));
            }
            symbol => escaped.push(symbol),
        }
    }
    escaped
}

pub(super) fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let Some((name, after)) = after.split_once(';') else {
            plain.push('&');
            rest = after;
            continue;
        };
        let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        let symbol = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            name => match name.strip_prefix("#x") {
                Some(digits) => number(digits, 16),
                None => name.strip_prefix('#').and_then(|digits| number(digits, 10)),
            },
        };
        plain.extend(symbol);
        rest = after;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_from_its_element() {
        for value in ["a&b<c>\"d\"", "x\u{1}y", "&amp;", "&", "ä;"] {
            assert_eq!(element(&wrap("Delete", &text("Key", value)), "Key").as_deref(), Some(value));
        }
        assert_eq!(element("<Key>&#34;x&#x22;</Key>", "Key").as_deref(), Some("\"x\""));
        assert_eq!(elements("<P>1</P><P>2</P><P>3", "P"), ["1", "2"]);
    }
}
