//! Images on nodes: names, policies, pulls and their back-off.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chalk_deploy_core::model::{Digest, Timestamp};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};

use crate::simulated::seam::{ImageSource, PulledImage};

/// The longest answer of an image source that is told.
const LONGEST_REASON: usize = 500;

/// Which container of which pod.
pub(super) type ContainerKey = (String, String);

/// The images of all nodes, and the pulls that are under way.
pub(super) struct Images {
    source: Arc<dyn ImageSource>,
    on_node: BTreeMap<(String, String), PulledImage>,
    pulling: FuturesUnordered<BoxFuture<'static, (ContainerKey, Outcome)>>,
    pulls: BTreeMap<ContainerKey, Pull>,
}

/// What came of a pull.
pub(super) type Outcome = Result<PulledImage, String>;

/// A pull for one container.
#[derive(Debug)]
pub(super) struct Pull {
    pub(super) begun: Timestamp,
    pub(super) outcome: Option<Outcome>,
}

impl Images {
    pub(super) fn new(source: Arc<dyn ImageSource>) -> Self {
        Self { source, on_node: BTreeMap::new(), pulling: FuturesUnordered::new(), pulls: BTreeMap::new() }
    }

    /// The image that a node has.
    pub(super) fn on_node(&self, node: &str, reference: &str) -> Option<&PulledImage> {
        self.on_node.get(&(node.to_owned(), reference.to_owned()))
    }

    /// A node has an image now.
    pub(super) fn keep(&mut self, node: &str, reference: &str, image: PulledImage) {
        self.on_node.insert((node.to_owned(), reference.to_owned()), image);
    }

    /// The pull for a container, which begins now if there is none.
    pub(super) fn pull(&mut self, container: &ContainerKey, reference: &str, now: Timestamp) -> (&Pull, bool) {
        let begins = !self.pulls.contains_key(container);
        if begins {
            let (source, reference, of) = (self.source.clone(), reference.to_owned(), container.clone());
            self.pulling.push(Box::pin(async move {
                let outcome = source.pull(&reference).await;
                (of, outcome.map_err(|why| why.chars().take(LONGEST_REASON).collect()))
            }));
        }
        let pull = self.pulls.entry(container.clone()).or_insert(Pull { begun: now, outcome: None });
        (pull, begins)
    }

    /// Forgets the pull for a container: it is done with.
    pub(super) fn done(&mut self, container: &ContainerKey) {
        self.pulls.remove(container);
    }

    /// Waits until a pull has come to its end; for ever if none is under way.
    pub(super) async fn advance(&mut self) {
        match self.pulling.next().await {
            // The pod may be gone, and then so is its pull.
            Some((container, outcome)) => self.finish(&container, outcome),
            None => futures::future::pending().await,
        }
        // Those that have ended as well need no pass of their own.
        while let Some(Some((container, outcome))) = self.pulling.next().now_or_never() {
            self.finish(&container, outcome);
        }
    }

    fn finish(&mut self, container: &ContainerKey, outcome: Outcome) {
        if let Some(pull) = self.pulls.get_mut(container) {
            pull.outcome = Some(outcome);
        }
    }

    /// Forgets the pulls of pods that are no more.
    pub(super) fn keep_pulls(&mut self, exists: impl Fn(&str) -> bool) {
        self.pulls.retain(|(uid, _), _| exists(uid));
    }
}

impl fmt::Debug for Images {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Images").field("source", &self.source).finish_non_exhaustive()
    }
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Always,
    IfNotPresent,
    Never,
}

impl Policy {
    /// The policy of a container: its own, or what the API server puts there.
    pub(super) fn of(said: &str, reference: &str) -> Self {
        match said {
            "Always" => Self::Always,
            "Never" => Self::Never,
            "IfNotPresent" => Self::IfNotPresent,
            _ if parts(reference).is_some_and(Parts::floats) => Self::Always,
            _ => Self::IfNotPresent,
        }
    }
}

/// A reference, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts<'reference> {
    pub(super) repository: &'reference str,
    tag: Option<&'reference str>,
    pub(super) digest: Option<&'reference str>,
}

impl Parts<'_> {
    /// Whether it may name another image tomorrow, as far as one can see.
    fn floats(self) -> bool {
        self.digest.is_none() && self.tag.is_none_or(|tag| tag == "latest")
    }
}

/// Takes a reference apart; `None` for one that is none, by the grammar of the distribution project.
pub(super) fn parts(reference: &str) -> Option<Parts<'_>> {
    let (rest, digest) = match reference.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (reference, None),
    };
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (repository, tag) = match rest[last..].split_once(':') {
        Some((name, tag)) => (&rest[..last + name.len()], Some(tag)),
        None => (rest, None),
    };
    let path = match repository.split_once('/') {
        // The first part is a host if it looks like one.
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => repository,
    };
    let in_name =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '.' | '_' | '-');
    let word = |part: &str| {
        !part.is_empty()
            && part.chars().all(in_name)
            && !part.starts_with(['.', '_', '-'])
            && !part.ends_with(['.', '_', '-'])
    };
    let valid_tag = |tag: &str| {
        let letters = tag.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-'));
        letters && (1..=128).contains(&tag.len()) && !tag.starts_with(['.', '-'])
    };
    let valid = reference.len() <= 512
        && path.split('/').all(word)
        && tag.is_none_or(valid_tag)
        && digest.is_none_or(|digest| digest.parse::<Digest>().is_ok());
    valid.then_some(Parts { repository, tag, digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_taken_apart_or_refused() {
        let digest = Digest::of("image").to_string();
        let full = format!("registry.embedded:5000/chalk/engine:v1@{digest}");
        assert_eq!(
            parts(&full),
            Some(Parts { repository: "registry.embedded:5000/chalk/engine", tag: Some("v1"), digest: Some(&digest) })
        );
        assert_eq!(parts("engine"), Some(Parts { repository: "engine", tag: None, digest: None }));
        for bad in ["", "Engine", "host.example/", "engine:", "engine@sha256:1", "a//b", "engine:a b", "-engine"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_floats_is_pulled_each_time() {
        let cases = [
            ("", "engine", Policy::Always),
            ("", "engine:latest", Policy::Always),
            ("", "engine:v1", Policy::IfNotPresent),
            ("Never", "engine", Policy::Never),
        ];
        for (said, reference, policy) in cases {
            assert_eq!(Policy::of(said, reference), policy, "{said} {reference}");
        }
    }
}
