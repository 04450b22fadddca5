//! The ids of expression nodes: `chalk.expression.v1.LogicalExprNode.expr_id`, field 40.
//!
//! chalkpy draws a random UUID for every node of every `_` expression at every import, so that two exports of one
//! project never have the same bytes. Nodes that share an id are one node, and nothing else refers to it; so the ids
//! are numbered in the order in which they first appear.

use std::collections::HashMap;

/// The field of `LogicalExprNode` that holds the id.
const EXPRESSION_ID: u32 = 40;

/// Numbers for ids.
#[derive(Debug, Default)]
pub(super) struct ExpressionIds(HashMap<Vec<u8>, usize>);

impl ExpressionIds {
    /// The id in place of this one, if it is the id of a node.
    pub(super) fn stable(&mut self, number: u32, content: &[u8]) -> Option<Vec<u8>> {
        if !is_expression_id(number, content) {
            return None;
        }
        let next = self.0.len();
        let place = *self.0.entry(content.to_vec()).or_insert(next);
        // Still a UUID of version 4 in form, for readers that parse it.
        let stable = format!("00000000-0000-4000-8000-{place:012x}").into_bytes();
        (stable != content).then_some(stable)
    }
}

/// Whether a field is the id of an expression node: field 40 with a UUID of version 4 as text.
pub(in crate::graph) fn is_expression_id(number: u32, content: &[u8]) -> bool {
    number == EXPRESSION_ID
        && content.len() == 36
        && content.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            14 => *byte == b'4',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_node_keeps_one_id_and_another_node_gets_another() {
        let mut ids = ExpressionIds::default();
        let first = ids.stable(40, b"e1e9cf7f-bbc6-415a-90e5-1f6f1b3a0758").expect("an id");
        let second = ids.stable(40, b"95be4ed2-8e2f-4a8a-9909-c90fa5fc91f2").expect("an id");
        assert_ne!(first, second);
        assert_eq!(ids.stable(40, b"e1e9cf7f-bbc6-415a-90e5-1f6f1b3a0758"), Some(first.clone()));
        assert_eq!(ExpressionIds::default().stable(40, &first), None, "a second time changes nothing");
    }

    #[test]
    fn a_uuid_that_is_no_expression_id_is_left_alone() {
        let mut ids = ExpressionIds::default();
        assert_eq!(ids.stable(5, b"e1e9cf7f-bbc6-415a-90e5-1f6f1b3a0758"), None);
        assert_eq!(ids.stable(40, b"e1e9cf7f-bbc6-115a-90e5-1f6f1b3a0758"), None);
    }
}
