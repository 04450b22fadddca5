//! Repositories that are made when a write finds none.
//!
//! ECR and Artifact Registry answer a push into a repository that nobody has made with 404 and the code `NAME_UNKNOWN`.
//! Whoever gives the adapter a [`RepositoryCreator`] has it made then, once for all who find it missing, and the refused
//! call is sent once more. A read makes nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use http::StatusCode;

use super::client::{Answer, Call, Client, LONGEST_WORDS};
use super::endpoint::Endpoint;
use super::refusal::Refusal;
use super::token::Access;
use crate::Result;
use crate::error::RecordedError;
use crate::provision::RepositoryCreator;

/// So long after a repository was made it is not made again: a registry that still does not know it is let catch up.
const SETTLES_IN: Duration = Duration::from_mins(1);

/// The origin of a registry, and a path in it.
type Key = (String, String);

/// The repositories that were made, or could not be.
#[derive(Debug, Default)]
pub(super) struct Creations(Mutex<BTreeMap<Key, Arc<tokio::sync::Mutex<Creation>>>>);

#[derive(Debug, Default)]
struct Creation {
    made: Option<Duration>,
    failed: Option<(RecordedError, Duration)>,
}

impl Creations {
    fn of(&self, endpoint: &Endpoint) -> Arc<tokio::sync::Mutex<Creation>> {
        let key = (endpoint.registry(), endpoint.path().to_owned());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
    }
}

impl Client {
    /// Whether a call was refused because its repository is not there, and may be made. The answer keeps its words.
    pub(super) async fn lacks_repository(&self, call: &Call<'_>, mut answer: Answer) -> (Answer, bool) {
        let writes = call.scopes.iter().any(|scope| scope.access == Access::Push && scope.path == call.endpoint.path());
        let may_be_made = writes && call.to_registry && self.settings().repository_creator.is_some();
        if !may_be_made || answer.status != StatusCode::NOT_FOUND {
            return (answer, false);
        }
        let words = answer.bytes(self, LONGEST_WORDS).await.unwrap_or_default();
        let refusal = Refusal::read(answer.status, &words, &[], String::new());
        answer.body = futures::stream::iter([Ok(words)]).boxed();
        (answer, refusal.code == "NAME_UNKNOWN")
    }

    /// Has the repository made, unless somebody else had it made since `began`, when the refused call was sent. Returns
    /// whether the call may be sent once more.
    pub(super) async fn make_repository(&self, endpoint: &Endpoint, began: Duration) -> Result<bool> {
        let Some(creator) = self.settings().repository_creator.clone() else { return Ok(false) };
        let creation = self.creations().of(endpoint);
        // Held while it is made: who comes second waits, and has what the first one has.
        let mut creation = creation.lock().await;
        if creation.made.is_some_and(|made| made >= began) {
            return Ok(true);
        }
        if let Some((error, _)) = creation.failed.as_ref().filter(|(_, failed)| *failed >= began) {
            return Err(error.clone().into());
        }
        let now = self.runtime().monotonic();
        if creation.made.is_some_and(|made| now.saturating_sub(made) < SETTLES_IN) {
            return Ok(true);
        }
        match make(&*creator, endpoint).await {
            Ok(()) => {
                *creation = Creation { made: Some(self.runtime().monotonic()), failed: None };
                Ok(true)
            }
            Err(error) => {
                creation.failed = Some((error.record(), self.runtime().monotonic()));
                Err(error)
            }
        }
    }
}

async fn make(creator: &dyn RepositoryCreator, endpoint: &Endpoint) -> Result<()> {
    tracing::debug!(repository = endpoint.path(), "the registry does not have the repository; it is made");
    creator.create(endpoint.written(), endpoint.path()).await
}
