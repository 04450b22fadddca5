//! Paths made regular before they are matched, as Envoy Gateway has Envoy do by default: dot segments resolved, double
//! slashes merged, and escaped slashes answered with a redirect to the path without them.

/// A path as it is matched.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Normalized {
    Path(String),
    /// It held escaped slashes: the client is to ask for this one.
    Elsewhere(String),
}

/// Makes a path regular. `None` for one that leads out of the root or is none.
pub(super) fn normalize(path: &str) -> Option<Normalized> {
    if !path.starts_with('/') {
        return None;
    }
    let unescaped = replace_escaped(path, &[("2f", "/"), ("5c", "\\")]);
    let escaped_slashes = unescaped != path;
    let dotted = replace_escaped(&unescaped, &[("2e", ".")]).replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    let parts: Vec<&str> = dotted.split('/').skip(1).collect();
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        match *part {
            ".." => {
                segments.pop()?;
                if last {
                    segments.push("");
                }
            }
            "." | "" if !last => {}
            "." | "" => segments.push(""),
            segment => segments.push(segment),
        }
    }
    let normal = format!("/{}", segments.join("/"));
    Some(if escaped_slashes { Normalized::Elsewhere(normal) } else { Normalized::Path(normal) })
}

fn replace_escaped(path: &str, escapes: &[(&str, &str)]) -> String {
    let mut rest = path;
    let mut replaced = String::with_capacity(path.len());
    while let Some(at) = rest.find('%') {
        replaced.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 3).map(str::to_ascii_lowercase);
        if let Some((_, meaning)) = code.and_then(|code| escapes.iter().find(|(escape, _)| *escape == code)) {
            replaced.push_str(meaning);
            rest = &rest[at + 3..];
        } else {
            replaced.push('%');
            rest = &rest[at + 1..];
        }
    }
    replaced.push_str(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_step_around_a_match() {
        let normal = |path: &str| normalize(path);
        let path = |path: &str| Some(Normalized::Path(path.to_owned()));
        assert_eq!(normal("/a/../admin"), path("/admin"));
        assert_eq!(normal("/a/%2E%2e/admin/./x"), path("/admin/x"));
        assert_eq!(normal("//a///b/"), path("/a/b/"));
        assert_eq!(normal("/"), path("/"));
        assert_eq!(normal("/a/.."), path("/"));
        assert_eq!(normal("/%e2%82%ac%"), path("/%e2%82%ac%"));
        assert_eq!(normal("/.."), None);
        assert_eq!(normal("*"), None);
        assert_eq!(normal("/a%2Fb%5c..%2f"), Some(Normalized::Elsewhere("/a/".to_owned())));
    }
}
