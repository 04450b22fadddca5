//! Short expressions (`chalk.expression.v1.LogicalExprNode`) as text: `_.a + 1`, `user.id == card.user_id`.

use super::super::super::wire::Fields;
use super::super::definition::{contents, text_at};

/// Deeper expressions are shown as digests.
const DEEPEST: usize = 16;
/// Longer ones too, and those of more nodes.
const LONGEST: usize = 400;

/// The text of a node; nothing when it holds something that has no short form.
pub(super) fn text(node: &[u8]) -> Option<String> {
    text_at_depth(node, 0).filter(|text| text.len() <= LONGEST)
}

fn text_at_depth(node: &[u8], depth: usize) -> Option<String> {
    if depth > DEEPEST {
        return None;
    }
    let inner = |node: &[u8]| text_at_depth(node, depth + 1).filter(|text| text.len() <= LONGEST);
    // Field 40 is the id of the node; the ids of definitions are left out before.
    let (number, content) = contents(node).find(|(number, _)| *number != 40)?;
    match number {
        // A column, of a relation.
        1 => {
            let relation = contents(content).find(|(number, _)| *number == 2).map(|(_, relation)| text_at(relation, 1));
            let name = text_at(content, 1);
            Some(
                relation
                    .filter(|relation| !relation.is_empty())
                    .map_or_else(|| name.to_owned(), |relation| format!("{relation}.{name}")),
            )
        }
        3 => scalar(content),
        // Operands, and what stands between them.
        4 => {
            let operands = contents(content).filter(|(number, _)| *number == 1).take(LONGEST);
            let operands: Option<Vec<String>> = operands.map(|(_, operand)| inner(operand)).collect();
            let text = operands?.join(&format!(" {} ", operator(text_at(content, 3))));
            Some(if depth == 0 { text } else { format!("({text})") })
        }
        35 | 41 => Some(text_at(content, 1).to_owned()),
        36 => {
            let parent = child(content, 1)?;
            Some(format!("{}.{}", inner(parent)?, text_at(child(content, 2)?, 1)))
        }
        37 | 38 => {
            let arguments = contents(content).filter(|(number, _)| *number == 2).take(LONGEST);
            let arguments: Option<Vec<String>> = arguments.map(|(_, argument)| inner(argument)).collect();
            // Arguments by name have no short form.
            if contents(content).any(|(number, _)| number > 2) {
                return None;
            }
            let (open, close) = if number == 37 { ('[', ']') } else { ('(', ')') };
            Some(format!("{}{open}{}{close}", inner(child(content, 1)?)?, arguments?.join(", ")))
        }
        39 => scalar(child(content, 1)?),
        _ => None,
    }
}

/// A `chalk.arrow.v1.ScalarValue`: a text, a whole number, a fraction or a flag.
pub(super) fn scalar(value: &[u8]) -> Option<String> {
    let field = Fields::of(value).flatten().last()?;
    match field.number {
        1 => Some("none".to_owned()),
        2 => Some((field.varint()? != 0).to_string()),
        3 => {
            let bytes = field.raw.get(field.raw.len().checked_sub(8)?..)?;
            Some(f64::from_le_bytes(bytes.try_into().ok()?).to_string())
        }
        // Negative numbers are written as their complement.
        4 | 21..=23 => Some(field.varint()?.cast_signed().to_string()),
        24..=27 => Some(field.varint()?.to_string()),
        5 | 20 => Some(format!("\"{}\"", text_at(value, field.number))),
        _ => None,
    }
}

fn child(message: &[u8], number: u32) -> Option<&[u8]> {
    contents(message).filter(|(found, _)| *found == number).map(|(_, content)| content).last()
}

fn operator(name: &str) -> &str {
    match name {
        "Eq" | "eq" => "==",
        other => other,
    }
}
