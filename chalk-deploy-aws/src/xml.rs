//! As much of XML as the answers of S3 and STS need: elements by name, without attributes that matter and without
//! anything that expands. What a stranger nests or repeats costs one pass over a document that is bounded before.

/// The whole elements of this name, with their tags, outermost first and none twice.
pub(crate) fn blocks<'a>(document: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = document;
    while let Some(at) = rest.find(&open) {
        let from = &rest[at..];
        let after = &from[open.len()..];
        // `<Tag` is also how `<TagSet>` begins.
        if !after.starts_with(['>', ' ', '/', '\n', '\t', '\r']) {
            rest = after;
            continue;
        }
        let empty = after.find('>').filter(|end| after[..*end].ends_with('/'));
        let length = match empty {
            Some(end) => open.len() + end + 1,
            None => match from.find(&close) {
                Some(end) => end + close.len(),
                None => return found,
            },
        };
        found.push(&from[..length]);
        rest = &from[length..];
    }
    found
}

/// The text of the first element of this name, with its escapes resolved.
pub(crate) fn text(document: &str, name: &str) -> Option<String> {
    let block = *blocks(document, name).first()?;
    let from = block.find('>')? + 1;
    let inner = block.get(from..)?.strip_suffix(&format!("</{name}>")).unwrap_or_default();
    Some(unescaped(inner.trim()))
}

/// A text that may stand between tags.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescaped(text: &str) -> String {
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#34;", "\"");
    plain.replace("&apos;", "'").replace("&#39;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn elements_are_found_by_their_whole_name_and_kept_as_they_are() {
        let document = "<T a=\"b\"><TagSet><Tag><K>a&amp;lt;</K></Tag><Tag/>\n<Tag >x</Tag></TagSet></T>";
        assert_eq!(blocks(document, "Tag"), ["<Tag><K>a&amp;lt;</K></Tag>", "<Tag/>", "<Tag >x</Tag>"]);
        assert_eq!(text(document, "K").as_deref(), Some("a&lt;"));
        assert_eq!(text("<K/>", "K").as_deref(), Some(""));
        assert_eq!(text("<K>open", "K"), None);
        assert_eq!(text(document, "Other"), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_nothing_panics(document in "[<>/ a-cT&;]{0,60}") {
            let _ = (blocks(&document, "T"), text(&document, "T"), text(&document, "a"));
        }

        #[test]
        fn what_was_escaped_is_read_back(content in "[ -~]{0,40}") {
            let document = format!("<A><B>{}</B></A>", escaped(&content));
            let read = text(&document, "B");
            prop_assert_eq!(read.as_deref(), Some(content.trim()));
        }
    }
}
