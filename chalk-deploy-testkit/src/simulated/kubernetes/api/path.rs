//! What a path means.

use crate::simulated::kubernetes::resource::Resource;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Path {
    /// `/version`, `/healthz` and the like, discovery and schemas.
    Other,
    /// Objects.
    Objects(Place),
    /// `authorization.k8s.io` and `authentication.k8s.io`: questions, which are answered and not stored.
    Review {
        /// The namespace of a local one.
        namespace: Option<String>,
        /// Such as `selfsubjectaccessreviews`.
        plural: String,
    },
}

/// Objects of a kind, or one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) resource: &'static Resource,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
}

pub(super) const REVIEWS: &[(&str, &str, &str, bool)] = &[
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", false),
    ("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview", false),
    ("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", false),
    ("authorization.k8s.io", "localsubjectaccessreviews", "LocalSubjectAccessReview", true),
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", false),
];

/// Reads a path. `None` for one that cannot be decoded.
pub(super) fn read(path: &str) -> Option<Path> {
    let mut segments = Vec::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        segments.push(decode(segment)?);
    }
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (group, version, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return Some(Path::Other),
    };
    let (namespace, rest) = match rest {
        // A namespace is a place and an object: what follows its name tells which is meant.
        ["namespaces", name, more @ ..] if !more.is_empty() && Resource::of_path(group, version, more[0]).is_some() => {
            (Some((*name).to_owned()), more)
        }
        ["namespaces", name, more @ ..] if !more.is_empty() && !group.is_empty() => (Some((*name).to_owned()), more),
        all => (None, all),
    };
    if let [plural] = rest
        && version == "v1"
        && REVIEWS.iter().any(|(of, known, _, local)| (*of, *known, *local) == (group, *plural, namespace.is_some()))
    {
        return Some(Path::Review { namespace, plural: (*plural).to_owned() });
    }
    let Some(resource) = Resource::of_path(group, version, rest[0]) else { return Some(Path::Other) };
    if namespace.is_some() && !resource.namespaced {
        return Some(Path::Other);
    }
    let (name, subresource) = match rest {
        [_] => (None, None),
        [_, name] => (Some((*name).to_owned()), None),
        [_, name, subresource] if resource.has(subresource) => {
            (Some((*name).to_owned()), Some((*subresource).to_owned()))
        }
        _ => return Some(Path::Other),
    };
    // An object in a namespace is not found without it.
    if name.is_some() && resource.namespaced && namespace.is_none() {
        return Some(Path::Other);
    }
    Some(Path::Objects(Place { resource, namespace, name, subresource }))
}

fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plural, namespace, name and subresource.
    type Read = (&'static str, Option<String>, Option<String>, Option<String>);

    fn place(path: &str) -> Option<Read> {
        match read(path)? {
            Path::Objects(place) => Some((place.resource.plural, place.namespace, place.name, place.subresource)),
            _ => None,
        }
    }

    #[test]
    fn paths_name_kinds_objects_and_subresources() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(place("/api/v1/pods"), Some(("pods", None, None, None)));
        assert_eq!(place("/api/v1/namespaces/a"), Some(("namespaces", None, text("a"), None)));
        assert_eq!(place("/api/v1/namespaces/a/finalize"), Some(("namespaces", None, text("a"), text("finalize"))));
        assert_eq!(place("/api/v1/namespaces/a/pods/b/log"), Some(("pods", text("a"), text("b"), text("log"))));
        assert_eq!(
            place("/apis/apps/v1/namespaces/a/deployments/b%2Dc/scale"),
            Some(("deployments", text("a"), text("b-c"), text("scale")))
        );
    }

    #[test]
    fn what_is_not_served_is_no_place() {
        for path in [
            "/api/v1/deployments",
            "/apis/apps/v1/namespaces/a/deployments/b/log",
            "/api/v1/pods/b",
            "/api/v1/namespaces/a/nodes",
            "/apis/apps/v2/deployments",
            "/api/v1/namespaces/a/pods/b/log/c",
        ] {
            assert_eq!(read(path), Some(Path::Other), "{path}");
        }
        assert_eq!(read("/api/v1/pods/%zz"), None);
        assert_eq!(read("/api/v1/namespaces/a/pods/%ff"), None);
    }
}
