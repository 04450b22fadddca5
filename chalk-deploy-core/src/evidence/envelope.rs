//! The signed envelope (DSSE v1).

/// The payload type of statements.
pub const STATEMENT_PAYLOAD: &str = "application/vnd.in-toto+json";

/// What is signed instead of the payload itself, so that a payload of one type cannot be taken for one of another:
/// `DSSEv1 <length of the type> <type> <length of the payload> <payload>`.
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_own_example_is_encoded_as_it_says() {
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
