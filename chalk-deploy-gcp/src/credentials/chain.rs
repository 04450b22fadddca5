//! The chain: the first link that has credentials is the one, from then on.

use std::fmt;
use std::sync::OnceLock;

use async_trait::async_trait;
use chalk_deploy_core::credentials::{BearerToken, Lender, Lent};
use chalk_deploy_core::{Error, ErrorCode, Result};

/// A place where credentials may be.
#[async_trait]
pub(crate) trait Link: fmt::Debug + Send + Sync + 'static {
    /// The place, for people.
    fn name(&self) -> String;

    /// A new token, or `None` where this place has no credentials. Credentials that are there and do not work are an
    /// error: another identity is never taken in their stead.
    async fn lend(&self) -> Result<Option<Lent<BearerToken>>>;
}

/// Places in their order.
pub(crate) struct Chain {
    links: Vec<Box<dyn Link>>,
    /// The one that had credentials. A metadata server that is away for a moment shall not make us somebody else.
    chosen: OnceLock<usize>,
}

impl Chain {
    pub(crate) const fn new(links: Vec<Box<dyn Link>>) -> Self {
        Self { links, chosen: OnceLock::new() }
    }
}

#[async_trait]
impl Lender<BearerToken> for Chain {
    async fn lend(&self) -> Result<Lent<BearerToken>> {
        if let Some(link) = self.chosen.get().and_then(|chosen| self.links.get(*chosen)) {
            return link.lend().await?.ok_or_else(|| {
                Error::new(ErrorCode::CloudUnavailable, "the credentials that were there are not to be had now")
                    .on(link.name())
            });
        }
        for (place, link) in self.links.iter().enumerate() {
            if let Some(lent) = link.lend().await? {
                let _ = self.chosen.set(place);
                return Ok(lent);
            }
        }
        let names: Vec<_> = self.links.iter().map(|link| link.name()).collect();
        Err(Error::new(ErrorCode::PermissionDenied, "there are no credentials for Google")
            .on(if names.is_empty() { "no place to look at".to_owned() } else { names.join(", ") })
            .with_hint(
                "name the file of credentials in GOOGLE_APPLICATION_CREDENTIALS, or log in with `gcloud auth \
                 application-default login`",
            ))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.chosen.get().and_then(|chosen| self.links.get(*chosen)) {
            Some(link) => formatter.write_str(&link.name()),
            None => formatter.write_str("credentials for Google"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Debug)]
    struct Place(&'static str, Arc<Mutex<VecDeque<Result<Option<&'static str>>>>>);

    #[async_trait]
    impl Link for Place {
        fn name(&self) -> String {
            self.0.to_owned()
        }

        async fn lend(&self) -> Result<Option<Lent<BearerToken>>> {
            let answer = self.1.lock().expect("not poisoned").pop_front().expect("asked as often as expected")?;
            Ok(answer.map(|token| Lent { value: BearerToken::new(token), expires: None }))
        }
    }

    fn place(name: &'static str, answers: impl IntoIterator<Item = Result<Option<&'static str>>>) -> Box<dyn Link> {
        Box::new(Place(name, Arc::new(Mutex::new(answers.into_iter().collect()))))
    }

    #[tokio::test]
    async fn the_first_place_with_credentials_is_taken_and_stays_the_one() {
        let chain = Chain::new(vec![
            place("a", [Ok(None)]),
            place("b", [Ok(Some("1")), Ok(Some("2")), Ok(None)]),
            place("c", []),
        ]);
        assert_eq!(chain.lend().await.expect("found").value.expose(), "1");
        assert_eq!(chain.lend().await.expect("asked again").value.expose(), "2");
        let error = chain.lend().await.expect_err("it is away, and nobody else is asked");
        assert_eq!((error.code(), error.subject()), (ErrorCode::CloudUnavailable, "b"));
        assert_eq!(format!("{chain:?}"), "b");
    }

    #[tokio::test]
    async fn credentials_that_do_not_work_end_the_search() {
        let broken = Error::new(ErrorCode::PermissionDenied, "revoked");
        let chain = Chain::new(vec![place("a", [Err(broken)]), place("b", [])]);
        assert_eq!(chain.lend().await.expect_err("revoked").message(), "revoked");
    }

    #[tokio::test]
    async fn where_none_are_the_error_names_each_place_that_was_looked_at() {
        let error = Chain::new(vec![place("a", [Ok(None)]), place("b", [Ok(None)])]).lend().await.expect_err("none");
        assert_eq!((error.code(), error.subject()), (ErrorCode::PermissionDenied, "a, b"));
        assert!(error.hint().contains("GOOGLE_APPLICATION_CREDENTIALS"));
    }
}
