//! Where each of the dialects has its code and its message.

use serde_json::Value;

use super::AadCode;

/// Code, message, and the number of Entra ID.
pub(super) type Parsed = (Option<String>, Option<String>, Option<AadCode>);

/// The dialects in JSON.
pub(super) fn in_json(json: &Value) -> Parsed {
    let word = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    // A registry's list.
    if let Some(first) = json.pointer("/errors/0") {
        return (word(first.get("code")), word(first.get("message")), None);
    }
    let error = json.get("error");
    // Resource Manager's object.
    if let Some(error) = error.filter(|error| error.is_object()) {
        return (word(error.get("code")), word(error.get("message")), None);
    }
    let number = json.pointer("/error_codes/0").and_then(Value::as_u64).and_then(|number| number.try_into().ok());
    let message = word(json.get("error_description")).or_else(|| word(json.get("message")));
    (word(error).or_else(|| word(json.get("code"))), message, number.map(AadCode))
}

/// Blob Storage says what was wrong with a signature or a token in an element of its own.
pub(super) fn in_xml(body: &str) -> Option<String> {
    let message = element(body, "Message")?;
    let detail = element(body, "AuthenticationErrorDetail");
    Some(detail.map_or_else(|| first_line(&message).to_owned(), |detail| format!("{} {detail}", first_line(&message))))
}

/// Behind it stand ids of the request and the time.
pub(super) fn first_line(text: &str) -> &str {
    let text = text.trim_start();
    let line = text.lines().next().unwrap_or_default();
    line.split(" Trace ID:").next().unwrap_or_default().trim_end()
}

/// The text of the first element of this name.
pub(crate) fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    Some(plain.replace("&amp;", "&"))
}
