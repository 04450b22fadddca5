//! Hostnames of listeners and routes.

use std::cmp::Reverse;

/// A hostname, a wildcard such as `*.example.com`, or any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Hostname {
    Exact(String),
    /// What follows the `*`, with its dot. It stands for one label or more.
    Wildcard(String),
    Any,
}

impl Hostname {
    pub(super) fn new(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        match text.strip_prefix('*') {
            Some("") => Self::Any,
            Some(suffix) => Self::Wildcard(suffix.to_owned()),
            None if text.is_empty() => Self::Any,
            None => Self::Exact(text),
        }
    }

    pub(super) fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => host == name,
            Self::Wildcard(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            Self::Any => true,
        }
    }

    /// The hosts that both stand for: the narrower of the two, if they overlap.
    pub(super) fn intersection(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, narrower) | (narrower, Self::Any) => Some(narrower.clone()),
            (Self::Exact(name), any) | (any, Self::Exact(name)) => any.matches(name).then(|| Self::Exact(name.clone())),
            (Self::Wildcard(one), Self::Wildcard(two)) => {
                let (longer, shorter) = if one.len() >= two.len() { (one, two) } else { (two, one) };
                longer.ends_with(shorter).then(|| Self::Wildcard(longer.clone()))
            }
        }
    }

    /// Smaller is asked first: exact names, then wildcards from the longest, then any.
    pub(super) fn precedence(&self) -> (u8, Reverse<usize>) {
        match self {
            Self::Exact(_) => (0, Reverse(0)),
            Self::Wildcard(suffix) => (1, Reverse(suffix.len())),
            Self::Any => (2, Reverse(0)),
        }
    }
}

/// The host of a request, without its port, in lower case.
pub(super) fn without_port(authority: &str) -> String {
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    };
    host.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label_or_more_and_not_for_none() {
        let wildcard = Hostname::new("*.Example.com");
        assert!(wildcard.matches("a.example.com") && wildcard.matches("a.b.example.com"));
        assert!(!wildcard.matches("example.com") && !wildcard.matches("badexample.com"));
    }

    #[test]
    fn listener_and_route_share_the_narrower_of_their_names() {
        let both = |one: &str, two: &str| Hostname::new(one).intersection(&Hostname::new(two));
        assert_eq!(both("*.example.com", "a.example.com"), Some(Hostname::new("a.example.com")));
        assert_eq!(both("*.example.com", "*.b.example.com"), Some(Hostname::new("*.b.example.com")));
        assert_eq!(both("", "a.example.com"), Some(Hostname::new("a.example.com")));
        assert_eq!(both("a.example.com", "b.example.com"), None);
        assert_eq!(both("*.example.com", "example.com"), None);
    }

    #[test]
    fn a_port_is_no_part_of_a_host() {
        assert_eq!(without_port("A.example.com:8080"), "a.example.com");
        assert_eq!(without_port("[::1]:80"), "::1");
        assert_eq!(without_port("127.0.0.1"), "127.0.0.1");
    }
}
