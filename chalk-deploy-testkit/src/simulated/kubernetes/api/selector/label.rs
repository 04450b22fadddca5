//! `labelSelector`: `a=b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, joined by commas.

use serde_json::Value;

use crate::simulated::kubernetes::status::Status;

/// All requirements must hold. None: everything matches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in super::super) struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
}

impl LabelSelector {
    /// # Errors
    /// 400.
    pub(in super::super) fn parse(text: &str) -> Result<Self, Status> {
        let mut requirements = Vec::new();
        for part in split_outside_parentheses(text) {
            let part = part.trim();
            if part.is_empty() {
                if text.trim().is_empty() {
                    continue;
                }
                return Err(unreadable(text));
            }
            requirements.push(requirement(part).ok_or_else(|| unreadable(text))?);
        }
        Ok(Self(requirements))
    }

    pub(in super::super) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.0.iter().all(|Requirement { key, operator }| {
            let value = labels.get(key).and_then(Value::as_str);
            match operator {
                Operator::In(values) => value.is_some_and(|value| values.iter().any(|wanted| wanted == value)),
                // A label that is not there is not among the values either.
                Operator::NotIn(values) => value.is_none_or(|value| values.iter().all(|wanted| wanted != value)),
                Operator::Exists => value.is_some(),
                Operator::Missing => value.is_none(),
            }
        })
    }

    pub(in super::super) const fn is_everything(&self) -> bool {
        self.0.is_empty()
    }
}

fn unreadable(text: &str) -> Status {
    Status::bad_request(format!("unable to parse requirement: {text:?} is not a label selector"))
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (position, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(part: &str) -> Option<Requirement> {
    if let Some(missing) = part.strip_prefix('!') {
        return Some(Requirement { key: key(missing)?, operator: Operator::Missing });
    }
    if let Some((left, set)) = part.split_once('(') {
        let values = set.strip_suffix(')')?.split(',').map(|one| value(one.trim())).collect::<Option<Vec<_>>>()?;
        let (name, operator) = left.trim().rsplit_once(char::is_whitespace)?;
        let operator = match operator {
            "in" => Operator::In(values),
            "notin" => Operator::NotIn(values),
            _ => return None,
        };
        return Some(Requirement { key: key(name)?, operator });
    }
    if let Some((left, right)) = part.split_once("!=") {
        return Some(Requirement { key: key(left)?, operator: Operator::NotIn(vec![value(right.trim())?]) });
    }
    if let Some((left, right)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Requirement { key: key(left)?, operator: Operator::In(vec![value(right.trim())?]) });
    }
    Some(Requirement { key: key(part)?, operator: Operator::Exists })
}

fn key(text: &str) -> Option<String> {
    let text = text.trim();
    let name = text.rsplit_once('/').map_or(text, |(_, name)| name);
    let fits = !name.is_empty()
        && name.len() <= 63
        && text.len() <= 317
        && text.chars().all(|one| is_plain(one) || one == '/');
    fits.then(|| text.to_owned())
}

fn value(text: &str) -> Option<String> {
    (text.len() <= 63 && text.chars().all(is_plain)).then(|| text.to_owned())
}

const fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(selector: &str) -> bool {
        let object = json!({"metadata": {"labels": {"app": "engine", "example.com/tier": "", "version": "v1.2"}}});
        LabelSelector::parse(selector).expect("a selector").matches(&object)
    }

    #[test]
    fn every_operator_selects_as_kubernetes_does() {
        for selector in [
            "",
            "app=engine",
            "app==engine",
            "app!=other",
            "missing!=x",
            "app in (engine, other)",
            "app notin (other),version",
            "missing notin (x)",
            "!missing",
            "example.com/tier=",
            "app,version=v1.2",
        ] {
            assert!(matches(selector), "{selector}");
        }
        for selector in ["app=other", "app!=engine", "missing in (x)", "app notin (engine)", "!app", "app,missing"] {
            assert!(!matches(selector), "{selector}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in ["=x", "a=b,", "a in b", "a in (b", "a b", "a=(b)", "a foo (b)", "a=b c", "é", "!"] {
            assert_eq!(LabelSelector::parse(text).expect_err(text).code.as_u16(), 400);
        }
    }
}
