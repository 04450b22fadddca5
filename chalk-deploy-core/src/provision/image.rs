//! Which images of a repository may go. The rule stands here, once: what a live or a rollback deployment needs stays, with
//! all that it consists of and all that vouches for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::Result;
use crate::model::{Digest, ImageTag, Repository, Timestamp};

/// An image of a repository, as a provider lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRecord {
    /// Its manifest's digest.
    pub digest: Digest,
    /// Its tags.
    pub tags: BTreeSet<ImageTag>,
    /// When it was pushed.
    pub pushed: Timestamp,
    /// The manifests that it consists of, if it is an index.
    pub children: Vec<Digest>,
    /// The image that it is about, if it is a signature or another referrer.
    pub subject: Option<Digest>,
}

/// What is kept beside what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageRetention {
    /// So many of the newest images.
    pub newest: usize,
    /// All that is younger than this, so that nothing goes that a build on its way is about to need.
    pub young: Duration,
}

impl Default for ImageRetention {
    /// The 20 newest, and what is younger than 14 days.
    fn default() -> Self {
        Self { newest: 20, young: Duration::from_hours(14 * 24) }
    }
}

impl ImageRetention {
    /// Keeps so many, and so long.
    pub const fn new(newest: usize, young: Duration) -> Self {
        Self { newest, young }
    }

    /// The images that may go, oldest first and whoever consists of others before those.
    ///
    /// Kept are the images in `needed`, the newest, and the young; with each, what it consists of and, of what is about
    /// it, all. What a kept image does not lead to goes, unless it is young.
    pub fn removable(&self, images: &[ImageRecord], needed: &BTreeSet<Digest>, now: Timestamp) -> Vec<Digest> {
        let by_digest: BTreeMap<&Digest, &ImageRecord> = images.iter().map(|image| (&image.digest, image)).collect();
        let parts: BTreeSet<&Digest> = images.iter().flat_map(|image| &image.children).collect();
        // Images that stand for themselves: no part of an index, and about nothing.
        let mut own: Vec<&ImageRecord> =
            images.iter().filter(|image| image.subject.is_none() && !parts.contains(&image.digest)).collect();
        own.sort_by_key(|image| (std::cmp::Reverse(image.pushed), image.digest));
        let young = images.iter().filter(|image| now.since(image.pushed) < self.young).map(|image| image.digest);
        let mut kept: BTreeSet<Digest> = BTreeSet::new();
        let mut waiting: Vec<Digest> = needed.iter().copied().collect();
        waiting.extend(young);
        waiting.extend(own.iter().take(self.newest).map(|image| image.digest));
        let mut about: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
        for image in images {
            if let Some(subject) = image.subject {
                about.entry(subject).or_default().push(image.digest);
            }
        }
        while let Some(digest) = waiting.pop() {
            if !kept.insert(digest) {
                continue;
            }
            waiting.extend(about.remove(&digest).unwrap_or_default());
            if let Some(image) = by_digest.get(&digest) {
                waiting.extend(&image.children);
                // A referrer without what it is about would be about nothing.
                waiting.extend(image.subject);
            }
        }
        let mut removable: Vec<&ImageRecord> = images.iter().filter(|image| !kept.contains(&image.digest)).collect();
        removable.sort_by_key(|image| (parts.contains(&image.digest), image.pushed, image.digest));
        removable.into_iter().map(|image| image.digest).collect()
    }
}

/// The images of repositories, listed and removed by a provider's own means.
#[async_trait]
pub trait ImageCatalog: fmt::Debug + Send + Sync + 'static {
    /// All images of a repository.
    ///
    /// **Errors.** `OBJECT_MISSING` when there is no such repository, `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn images(&self, repository: &Repository) -> Result<Vec<ImageRecord>>;

    /// Removes images by digest, with all of their tags.
    ///
    /// **Idempotency.** One that is not there is no error.
    ///
    /// **After a crash.** Some are gone and some are not.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn remove(&self, repository: &Repository, images: &[Digest]) -> Result<()>;
}

/// What a sweep did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// What went.
    pub removed: Vec<Digest>,
    /// How many stayed.
    pub kept: usize,
}

/// Removes from a repository what nobody needs. `needed` holds the digests of every live deployment and of every one that
/// a rollback may go to, in all environments that use the repository.
///
/// **Idempotency.** A second sweep finds nothing.
///
/// **After a crash.** The next one goes on.
///
/// # Errors
/// The catalog's.
pub async fn sweep(
    catalog: &dyn ImageCatalog,
    repository: &Repository,
    needed: &BTreeSet<Digest>,
    retention: ImageRetention,
    now: Timestamp,
) -> Result<Sweep> {
    let images = catalog.images(repository).await?;
    let removed = retention.removable(&images, needed, now);
    if !removed.is_empty() {
        catalog.remove(repository, &removed).await?;
    }
    Ok(Sweep { kept: images.len() - removed.len(), removed })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 24 * 3600 * 1000;

    fn digest(number: u8) -> Digest {
        Digest::of([number])
    }

    fn image(number: u8, day: u64) -> ImageRecord {
        let pushed = Timestamp::from_millis(day * DAY);
        ImageRecord { digest: digest(number), tags: BTreeSet::new(), pushed, children: Vec::new(), subject: None }
    }

    fn removable(newest: usize, images: &[ImageRecord], needed: &[u8]) -> Vec<Digest> {
        let needed = needed.iter().map(|number| digest(*number)).collect();
        let retention = ImageRetention::new(newest, Duration::from_hours(14 * 24));
        retention.removable(images, &needed, Timestamp::from_millis(100 * DAY))
    }

    #[test]
    fn what_is_needed_new_or_young_stays_and_the_rest_goes_oldest_first() {
        let images = [image(1, 10), image(2, 5), image(3, 20), image(4, 50), image(5, 99)];
        assert_eq!(removable(2, &images, &[3]), [digest(2), digest(1)]);
        assert_eq!(removable(0, &images, &[]), [digest(2), digest(1), digest(3), digest(4)]);
    }

    #[test]
    fn a_needed_index_keeps_its_images_and_all_that_vouches_for_them() {
        let index = ImageRecord { children: vec![digest(2), digest(3)], ..image(1, 10) };
        let signature = ImageRecord { subject: Some(digest(1)), ..image(4, 10) };
        let bill = ImageRecord { subject: Some(digest(3)), ..image(5, 10) };
        let of_another = ImageRecord { subject: Some(digest(9)), ..image(6, 10) };
        let images = [index, image(2, 10), image(3, 10), signature, bill, of_another, image(9, 10)];
        let removed: BTreeSet<_> = removable(0, &images, &[1]).into_iter().collect();
        assert_eq!(removed, [digest(6), digest(9)].into());
    }

    #[test]
    fn what_a_young_signature_is_about_stays_with_it() {
        let signature = ImageRecord { subject: Some(digest(1)), ..image(2, 99) };
        assert_eq!(removable(0, &[image(1, 10), signature, image(3, 10)], &[]), [digest(3)]);
    }

    #[test]
    fn an_index_goes_before_what_it_consists_of() {
        let index = ImageRecord { children: vec![digest(2)], ..image(1, 30) };
        assert_eq!(removable(0, &[image(2, 10), index], &[]), [digest(1), digest(2)]);
    }

    proptest! {
        #[test]
        fn nothing_that_is_needed_or_that_it_leads_to_is_ever_removed(
            edges in proptest::collection::vec((0_u8..24, 0_u8..24, any::<bool>()), 0..40),
            days in proptest::collection::vec(0_u64..100, 24),
            needed in proptest::collection::vec(0_u8..24, 0..6),
            newest in 0_usize..5,
        ) {
            let mut images: Vec<ImageRecord> =
                days.iter().enumerate().map(|(number, day)| image(u8::try_from(number).expect("small"), *day)).collect();
            for (from, to, is_child) in edges {
                let to = digest(to);
                let image = &mut images[usize::from(from)];
                if is_child { image.children.push(to) } else { image.subject = Some(to) }
            }
            let removed: BTreeSet<_> = removable(newest, &images, &needed).into_iter().collect();
            let mut seen: BTreeSet<Digest> = needed.iter().map(|number| digest(*number)).collect();
            loop {
                let reached: BTreeSet<Digest> = images
                    .iter()
                    .filter(|image| seen.contains(&image.digest))
                    .flat_map(|image| image.children.iter().copied())
                    .chain(images.iter().filter(|i| i.subject.is_some_and(|s| seen.contains(&s))).map(|i| i.digest))
                    .filter(|digest| !seen.contains(digest))
                    .collect();
                if reached.is_empty() { break }
                seen.extend(reached);
            }
            prop_assert!(removed.is_disjoint(&seen));
        }
    }
}
