//! Where requests go: an address that was given, or that of a cluster that is known by name.
//!
//! A named cluster is looked up at the first request. When no request reaches it, it is looked up again, because its
//! address or its certificate authority may be another one by now.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;

use super::credentials::CredentialSource;
use super::{ClusterAccess, Trust};
use crate::Result;
use crate::credentials::{Lender, Lent, Renewing};
use crate::runtime::Runtime;
use crate::transport::Transport;

/// An address that does not answer is doubted once in this time: an outage is not a question to the provider for each
/// request.
const PAUSE: Duration = Duration::from_secs(10);

/// Finds a cluster that is known by name.
#[async_trait]
pub trait ClusterLocator: fmt::Debug + Send + Sync + 'static {
    /// The cluster, for people: ``EKS cluster `chalk` in us-east-1``.
    fn name(&self) -> String;

    /// Where it is now, whom to trust there and who we are.
    ///
    /// **Errors.** `OBJECT_MISSING` when there is no such cluster, `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn locate(&self) -> Result<ClusterAccess>;
}

/// Opens the way to an API server.
pub trait OpenTransport: fmt::Debug + Send + Sync + 'static {
    /// A transport that trusts and shows what the access says.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`](crate::ErrorCode::ValueInvalid) for certificates that are none,
    /// [`ErrorCode::PermissionDenied`](crate::ErrorCode::PermissionDenied) for access that trusts anyone.
    fn open(&self, access: &ClusterAccess) -> Result<Transport>;
}

/// The same way to every address: that of a simulation.
impl OpenTransport for Transport {
    fn open(&self, _: &ClusterAccess) -> Result<Self> {
        Ok(self.clone())
    }
}

/// An address with the way there and who we are there.
pub(super) struct Place {
    pub(super) transport: Transport,
    pub(super) base: Uri,
    pub(super) server: String,
    pub(super) credentials: CredentialSource,
    trust: Trust,
}

impl Place {
    pub(super) fn new(transport: Transport, access: ClusterAccess, runtime: Arc<dyn Runtime>) -> Arc<Self> {
        let server = access.server();
        let credentials = CredentialSource::new(access.credentials, server.clone(), runtime);
        Arc::new(Self { transport, base: access.server, server, credentials, trust: access.trust })
    }

    fn is(&self, access: &ClusterAccess) -> bool {
        self.base == access.server && self.trust == access.trust
    }
}

impl PartialEq for Place {
    /// The same value, and not an equal one.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// What requests are told where to go by.
pub(super) enum Whereabouts {
    /// An address that was given.
    Given(Arc<Place>),
    /// That of a named cluster.
    Named(Named),
}

pub(super) struct Named {
    finder: Arc<Finder>,
    place: Renewing<Arc<Place>>,
    doubted: Mutex<Option<Duration>>,
}

struct Finder {
    locator: Arc<dyn ClusterLocator>,
    transports: Arc<dyn OpenTransport>,
    runtime: Arc<dyn Runtime>,
    /// The last one; it is kept if it is still right, with its open connections.
    last: Mutex<Option<Arc<Place>>>,
}

impl Whereabouts {
    pub(super) fn named(
        locator: Arc<dyn ClusterLocator>,
        transports: Arc<dyn OpenTransport>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let finder = Arc::new(Finder { locator, transports, runtime: runtime.clone(), last: Mutex::default() });
        let place = Renewing::new(finder.clone(), runtime);
        Self::Named(Named { finder, place, doubted: Mutex::default() })
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Given(place) => place.server.clone(),
            Self::Named(named) => named.name(),
        }
    }

    pub(super) async fn place(&self) -> Result<Arc<Place>> {
        match self {
            Self::Given(place) => Ok(place.clone()),
            Self::Named(named) => named.place.get().await,
        }
    }

    /// Another place than this one, to which no request leads. `None` where there is none, or where that was asked for a
    /// moment ago.
    pub(super) async fn instead_of(&self, unreached: &Arc<Place>) -> Result<Option<Arc<Place>>> {
        let Self::Named(named) = self else { return Ok(None) };
        // Somebody else may have found it by now.
        let place = named.place.get().await?;
        if !Arc::ptr_eq(&place, unreached) {
            return Ok(Some(place));
        }
        if !named.may_doubt() {
            return Ok(None);
        }
        named.place.refused(unreached).await;
        let place = named.place.get().await?;
        Ok((!Arc::ptr_eq(&place, unreached)).then_some(place))
    }
}

impl Named {
    fn name(&self) -> String {
        let name = self.finder.locator.name();
        match &*lock(&self.finder.last) {
            Some(place) => format!("{name} ({})", place.server),
            None => name,
        }
    }

    fn may_doubt(&self) -> bool {
        let now = self.finder.runtime.monotonic();
        let mut doubted = lock(&self.doubted);
        let may = doubted.is_none_or(|last| now.saturating_sub(last) >= PAUSE);
        if may {
            *doubted = Some(now);
        }
        may
    }
}

#[async_trait]
impl Lender<Arc<Place>> for Arc<Finder> {
    async fn lend(&self) -> Result<Lent<Arc<Place>>> {
        let access = self.locator.locate().await?;
        let known = lock(&self.last).clone().filter(|last| last.is(&access));
        let place = match known {
            Some(place) => place,
            None => Place::new(self.transports.open(&access)?, access, self.runtime.clone()),
        };
        *lock(&self.last) = Some(place.clone());
        Ok(Lent { value: place, expires: None })
    }
}

impl fmt::Debug for Finder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.locator.name())
    }
}

/// Nothing that holds these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::{Connection, Credentials};
    use crate::runtime::SystemRuntime;
    use crate::transport::{Delivery, TransportError};
    use crate::{Error, ErrorCode};
    use futures::StreamExt as _;
    use http::{Request, Response};

    /// A provider that says where a cluster is, and a network on which one address answers.
    #[derive(Debug, Default)]
    struct Provider {
        says: Mutex<String>,
        asked: Mutex<u32>,
        lives_at: Mutex<String>,
        /// How many requests were sent to an address.
        sent: Mutex<u32>,
    }

    impl Provider {
        fn set(&self, says: &str, lives_at: &str) {
            says.clone_into(&mut lock(&self.says));
            lives_at.clone_into(&mut lock(&self.lives_at));
        }
    }

    #[async_trait]
    impl ClusterLocator for Arc<Provider> {
        fn name(&self) -> String {
            "cluster `chalk`".to_owned()
        }

        async fn locate(&self) -> Result<ClusterAccess> {
            *lock(&self.asked) += 1;
            tokio::task::yield_now().await;
            let says = lock(&self.says).clone();
            if says.is_empty() {
                return Err(Error::new(ErrorCode::ObjectMissing, "there is no such cluster"));
            }
            Ok(ClusterAccess::anonymous(&says)?.with_credentials(Credentials::None))
        }
    }

    impl OpenTransport for Arc<Provider> {
        fn open(&self, _: &ClusterAccess) -> Result<Transport> {
            let provider = self.clone();
            Ok(Transport::from_fn(move |request| {
                *lock(&provider.sent) += 1;
                let reached = request.uri().host() == Some(lock(&provider.lives_at).as_str());
                std::future::ready(if reached {
                    let body = futures::stream::once(async { Ok(bytes::Bytes::from_static(b"{}")) }).boxed();
                    Ok(Response::new(body))
                } else {
                    Err(TransportError::new(Delivery::NotSent, "connection refused"))
                })
            }))
        }
    }

    fn connected(says: &str, lives_at: &str) -> (Arc<Provider>, Connection) {
        let provider = Arc::new(Provider::default());
        provider.set(says, lives_at);
        let connection = Connection::named(provider.clone(), provider.clone(), SystemRuntime::new());
        (provider, connection)
    }

    async fn ask(connection: &Connection) -> Result<(), String> {
        let request = Request::get("/version").body(Vec::new()).expect("a request");
        connection.ask(Ok(request)).await.map(|_| ()).map_err(|failure| failure.to_string())
    }

    #[tokio::test]
    async fn a_named_cluster_is_looked_up_once_for_many_and_not_before_the_first_request() {
        let (provider, connection) = connected("https://a.example", "a.example");
        assert_eq!((*lock(&provider.asked), connection.server().as_str()), (0, "cluster `chalk`"));
        let all = futures::future::join_all((0..20).map(|_| ask(&connection))).await;
        assert!(all.into_iter().all(|answer| answer.is_ok()));
        assert_eq!(*lock(&provider.asked), 1);
        assert_eq!(connection.server(), "cluster `chalk` (https://a.example)");
    }

    #[tokio::test]
    async fn a_cluster_that_has_moved_is_found_again_by_the_request_that_missed_it() {
        let (provider, connection) = connected("https://a.example", "a.example");
        ask(&connection).await.expect("reached");
        provider.set("https://b.example", "b.example");
        let all = futures::future::join_all((0..20).map(|_| ask(&connection))).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        assert_eq!(*lock(&provider.asked), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_not_a_question_to_the_provider_for_each_request() {
        let (provider, connection) = connected("https://a.example", "nowhere");
        for _ in 0..5 {
            let error = ask(&connection).await.expect_err("away");
            assert!(error.contains("https://a.example"), "{error}");
        }
        assert_eq!(*lock(&provider.asked), 2);
        // What was not reached is not tried again at the same address: three times each, as ever.
        assert_eq!(*lock(&provider.sent), 5 * 3);
    }

    #[tokio::test]
    async fn a_cluster_that_is_not_there_is_the_providers_error() {
        let (_, connection) = connected("", "a.example");
        assert!(ask(&connection).await.expect_err("not there").contains("no such cluster"));
    }
}
