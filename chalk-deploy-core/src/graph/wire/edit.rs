//! Changing a few fields of a message while every other byte stays what it was.

use super::{DEEPEST, Fields, Role, Shape, Value, WireError, put_bytes};

/// What is done to the fields of a message, and of the messages in it.
pub(in crate::graph) trait Editor {
    /// The new content of a field, or nothing when it stays as it is. Messages of the contract are not shown, only
    /// the fields in them.
    fn edit(&mut self, role: Role, number: u32, content: &[u8]) -> Option<Vec<u8>>;

    /// Whether the field is left out.
    fn drops(&mut self, _role: Role, _number: u32, _value: Value<'_>) -> bool {
        false
    }

    /// Whether bytes that are not known to be a message, and could be one, are looked into.
    fn looks_into_opaque_bytes(&self) -> bool {
        true
    }
}

/// Edits a message. Nothing is returned when nothing changed. Messages that the contract knows must hold; opaque bytes
/// need not.
pub(in crate::graph) fn edit(
    message: &[u8],
    shape: Option<Shape>,
    editor: &mut impl Editor,
) -> Result<Option<Vec<u8>>, WireError> {
    edit_at(message, shape, editor, 0)
}

fn edit_at(
    message: &[u8],
    shape: Option<Shape>,
    editor: &mut impl Editor,
    depth: u32,
) -> Result<Option<Vec<u8>>, WireError> {
    if depth > DEEPEST {
        return Err(WireError::Depth);
    }
    // Made at the first change; until then, `unchanged` bytes are the same in the result.
    let mut edited: Option<Vec<u8>> = None;
    let mut unchanged = 0;
    for field in Fields::of(message) {
        let field = field?;
        let role = shape.map_or(Role::Opaque, |shape| shape.role(field.number));
        let change = if editor.drops(role, field.number, field.value) {
            Some(None)
        } else {
            match field.value {
                Value::Number => None,
                Value::Bytes(content) => match role {
                    Role::Message(inner) | Role::Place(inner) => edit_at(content, Some(inner), editor, depth + 1)?,
                    role => match editor.edit(role, field.number, content) {
                        None if role == Role::Opaque && editor.looks_into_opaque_bytes() && Fields::hold(content) => {
                            edit_at(content, None, editor, depth + 1)?
                        }
                        content => content,
                    },
                }
                .map(Some),
            }
        };
        match change {
            None => match &mut edited {
                None => unchanged += field.raw.len(),
                Some(edited) => edited.extend_from_slice(field.raw),
            },
            Some(content) => {
                let edited =
                    edited.get_or_insert_with(|| message.get(..unchanged).map(<[u8]>::to_vec).unwrap_or_default());
                if let Some(content) = content {
                    put_bytes(edited, field.number, &content);
                }
            }
        }
    }
    Ok(edited)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Renamer;

    impl Editor for Renamer {
        fn edit(&mut self, _: Role, _: u32, content: &[u8]) -> Option<Vec<u8>> {
            (content == b"old").then(|| b"newer".to_vec())
        }
    }

    #[test]
    fn lengths_follow_a_change_and_everything_else_keeps_its_bytes() {
        let mut inner = Vec::new();
        put_bytes(&mut inner, 9, b"old");
        let mut message = vec![0x08, 0x96, 0x01];
        put_bytes(&mut message, 300, b"kept");
        put_bytes(&mut message, 7, &inner);
        message.extend_from_slice(&[0x25, 1, 2, 3, 4]);
        let edited = edit(&message, None, &mut Renamer).expect("a message").expect("a change");

        let mut inner = Vec::new();
        put_bytes(&mut inner, 9, b"newer");
        let mut expected = vec![0x08, 0x96, 0x01];
        put_bytes(&mut expected, 300, b"kept");
        put_bytes(&mut expected, 7, &inner);
        expected.extend_from_slice(&[0x25, 1, 2, 3, 4]);
        assert_eq!(edited, expected);
        assert_eq!(edit(&edited, None, &mut Renamer), Ok(None));
    }

    #[test]
    fn ten_thousand_levels_are_refused_and_not_followed() {
        let mut message = Vec::new();
        for _ in 0..10_000 {
            let mut outer = Vec::with_capacity(message.len() + 5);
            put_bytes(&mut outer, 1, &message);
            message = outer;
        }
        assert_eq!(edit(&message, None, &mut Renamer), Err(WireError::Depth));
    }
}
