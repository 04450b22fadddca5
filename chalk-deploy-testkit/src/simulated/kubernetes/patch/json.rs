//! JSON Patch, RFC 6902, within the bounds of the API server.

use serde_json::{Map, Value};

use super::Refusal;

/// As many operations as the API server takes.
const MOST_OPERATIONS: usize = 10_000;
/// As many bytes as all that is copied may have, which is as many as a request may have.
const MOST_COPIED: usize = 3 << 20;
/// As deep as a document may become. What reads it again would refuse more than 128.
const DEEPEST: usize = 120;

/// The document after all operations; none is done if one fails.
pub fn json_patch(document: &Value, operations: &Value) -> Result<Value, Refusal> {
    let operations =
        operations.as_array().ok_or_else(|| Refusal::Malformed("a JSON patch is a list of operations".to_owned()))?;
    if operations.len() > MOST_OPERATIONS {
        return Err(Refusal::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {}",
            operations.len()
        )));
    }
    let mut patched = document.clone();
    let mut copied = 0;
    for (position, operation) in operations.iter().enumerate() {
        let operation = Operation::read(operation)
            .map_err(|why| Refusal::Malformed(format!("operation {position} of the JSON patch: {why}")))?;
        operation.perform(&mut patched, &mut copied)?;
    }
    Ok(patched)
}

struct Operation<'p> {
    name: &'p str,
    path: Pointer<'p>,
    from: Option<Pointer<'p>>,
    value: Option<&'p Value>,
}

impl<'p> Operation<'p> {
    fn read(operation: &'p Value) -> Result<Self, String> {
        let text = |name: &str| operation.get(name).and_then(Value::as_str);
        let name = text("op").ok_or("it has no `op`")?;
        let path = Pointer::read(text("path").ok_or("it has no `path`")?)?;
        let from = text("from").map(Pointer::read).transpose()?;
        let value = operation.get("value");
        match name {
            "add" | "replace" | "test" if value.is_none() && name != "test" => Err(format!("`{name}` has no `value`")),
            "move" | "copy" if from.is_none() => Err(format!("`{name}` has no `from`")),
            "add" | "replace" | "test" | "move" | "copy" | "remove" => Ok(Self { name, path, from, value }),
            _ => Err(format!("unexpected kind {name:?}")),
        }
    }

    fn perform(&self, document: &mut Value, copied: &mut usize) -> Result<(), Refusal> {
        let value = self.value.unwrap_or(&Value::Null);
        match (self.name, &self.from) {
            ("add", _) => self.add(document, value.clone()),
            ("remove", _) => self.remove(document, &self.path).map(|_| ()),
            ("replace", _) => {
                let within = self.within(&self.path, value)?;
                // Its library replaces a key that is not there, in an object that is.
                if let Some((parent, last)) = self.path.split()
                    && let Some(Value::Object(map)) = parent.find_mut(document)
                {
                    map.insert(last.to_owned(), within.clone());
                    return Ok(());
                }
                let place = self.path.find_mut(document).ok_or_else(|| self.missing(&self.path))?;
                place.clone_from(within);
                Ok(())
            }
            ("move", Some(from)) => {
                if self.path.is_below(from) {
                    return Err(self.refuse(&format!("{from} cannot be moved into itself")));
                }
                let value = self.remove(document, from)?;
                self.add(document, value)
            }
            ("copy", Some(from)) => {
                let value = from.find(document).ok_or_else(|| self.missing(from))?.clone();
                *copied += value.to_string().len();
                if *copied > MOST_COPIED {
                    return Err(Refusal::TooLarge(format!(
                        "a JSON patch may copy {MOST_COPIED} bytes, and this one copies more"
                    )));
                }
                self.add(document, value)
            }
            _ => match self.path.find(document).unwrap_or(&Value::Null) {
                found if found == value => Ok(()),
                _ => Err(Refusal::DoesNotFit(format!("testing value {} failed: test failed", self.path))),
            },
        }
    }

    fn add(&self, document: &mut Value, value: Value) -> Result<(), Refusal> {
        self.within(&self.path, &value)?;
        let Some((parent, last)) = self.path.split() else {
            *document = value;
            return Ok(());
        };
        match parent.find_mut(document) {
            Some(Value::Object(map)) => {
                map.insert(last.to_owned(), value);
                Ok(())
            }
            Some(Value::Array(items)) => {
                let position = if last == "-" { Some(items.len()) } else { index(last) };
                match position.filter(|position| *position <= items.len()) {
                    Some(position) => items.insert(position, value),
                    None => {
                        return Err(
                            self.refuse(&format!("unable to access invalid index: {last}: invalid index referenced"))
                        );
                    }
                }
                Ok(())
            }
            _ => Err(self.missing(&self.path)),
        }
    }

    fn remove(&self, document: &mut Value, path: &Pointer<'_>) -> Result<Value, Refusal> {
        let Some((parent, last)) = path.split() else { return Ok(std::mem::take(document)) };
        let removed = match parent.find_mut(document) {
            Some(Value::Object(map)) => map.remove(last),
            Some(Value::Array(items)) => {
                index(last).filter(|position| *position < items.len()).map(|position| items.remove(position))
            }
            _ => None,
        };
        removed.ok_or_else(|| self.missing(path))
    }

    fn within<'v>(&self, path: &Pointer<'_>, value: &'v Value) -> Result<&'v Value, Refusal> {
        if path.0.len() + depth(value) > DEEPEST {
            return Err(Refusal::TooLarge(format!(
                "{} operation makes the object deeper than {DEEPEST} levels",
                self.name
            )));
        }
        Ok(value)
    }

    fn missing(&self, path: &Pointer<'_>) -> Refusal {
        self.refuse(&format!("doc is missing path: {path}: missing value"))
    }

    fn refuse(&self, why: &str) -> Refusal {
        Refusal::DoesNotFit(format!("{} operation does not apply: {why}", self.name))
    }
}

/// RFC 6901.
struct Pointer<'p>(Vec<std::borrow::Cow<'p, str>>);

impl<'p> Pointer<'p> {
    fn read(text: &'p str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let rest = text.strip_prefix('/').ok_or_else(|| format!("path {text:?} does not begin with a slash"))?;
        let unescape = |token: &'p str| {
            if token.contains('~') { token.replace("~1", "/").replace("~0", "~").into() } else { token.into() }
        };
        Ok(Self(rest.split('/').map(unescape).collect()))
    }

    fn split(&self) -> Option<(Pointer<'_>, &str)> {
        let (last, parent) = self.0.split_last()?;
        Some((Pointer(parent.iter().map(|token| token.as_ref().into()).collect()), last))
    }

    fn is_below(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }

    fn find<'d>(&self, document: &'d Value) -> Option<&'d Value> {
        self.0.iter().try_fold(document, |value, token| match value {
            Value::Object(map) => map.get(token.as_ref()),
            Value::Array(items) => items.get(index(token)?),
            _ => None,
        })
    }

    fn find_mut<'d>(&self, document: &'d mut Value) -> Option<&'d mut Value> {
        self.0.iter().try_fold(document, |value, token| match value {
            Value::Object(map) => map.get_mut(token.as_ref()),
            Value::Array(items) => items.get_mut(index(token)?),
            _ => None,
        })
    }
}

impl std::fmt::Display for Pointer<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|token| write!(formatter, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

/// A position: digits without a leading zero.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    token.parse().ok().filter(|_| plain)
}

fn depth(value: &Value) -> usize {
    let below = |values: &mut dyn Iterator<Item = &Value>| values.map(depth).max().map_or(0, |below| below + 1);
    match value {
        Value::Object(map) => below(&mut Map::values(map)),
        Value::Array(items) => below(&mut items.iter()),
        _ => 0,
    }
}
