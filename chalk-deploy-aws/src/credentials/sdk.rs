//! What aws-config is given instead of sockets, clocks and timers of its own: our transport and our runtime.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::{Credentials, provider};
use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::display::DisplayErrorContext;
use chalk_deploy_core::credentials::Lent;
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::runtime::{Runtime, RuntimeExt as _};
use chalk_deploy_core::transport::{Repeatable, RequestBody, TransportError};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use futures::FutureExt as _;
use http::{Request, Response, Uri};

use super::{AccessKeys, Place, Variables, Ways, container, environment, instance};
use crate::api::read_bounded;
use crate::refusal::Refusal;

/// No answer with credentials is longer.
const ANSWER_MOST: usize = 256 << 10;
/// How long a call takes at most where aws-config does not say.
const PATIENCE: Duration = Duration::from_secs(30);

/// The way of one question to aws-config, which remembers how it was refused: the errors of aws-config do not say.
#[derive(Debug, Clone)]
pub(super) struct Bridge {
    ways: Ways,
    place: Place,
    failed: Arc<Mutex<Option<Failed>>>,
}

#[derive(Debug)]
enum Failed {
    /// By a server, when it was asked for this action.
    Refused(Refusal, String),
    Unreached(String),
    /// By a source of our own.
    Own(Error),
}

impl Bridge {
    pub(super) fn new(ways: &Ways, place: &Place) -> Self {
        Self { ways: ways.clone(), place: place.clone(), failed: Arc::default() }
    }

    /// What every source is configured with. Nothing is retried in there: the transport does.
    pub(super) fn config(&self) -> ProviderConfig {
        ProviderConfig::without_region()
            .with_region(Some(aws_config::Region::new(self.place.region.as_str().to_owned())))
            .with_behavior_version(Some(aws_config::BehaviorVersion::latest()))
            .with_http_client(self.clone())
            .with_time_source(Clock(self.ways.runtime.clone()))
            .with_sleep_impl(Clock(self.ways.runtime.clone()))
            .with_retry_config(RetryConfig::disabled())
    }

    /// What a source answered: keys, nothing because it is not configured, or an error with its code.
    pub(super) fn understood(&self, answer: provider::Result, source: &str) -> Result<Option<Lent<AccessKeys>>> {
        let subject = format!("credentials of AWS from {source}");
        match answer {
            Ok(credentials) => lent(&credentials).map(Some),
            // That there is no server of metadata is the usual case, and no failure.
            Err(error @ CredentialsError::CredentialsNotLoaded(_)) => {
                let why = text::line(&DisplayErrorContext(&error).to_string(), 300);
                tracing::debug!(source, why, "there are no credentials");
                Ok(None)
            }
            Err(error) => Err(self.failure(&error, &subject)),
        }
    }

    fn failure(&self, error: &CredentialsError, subject: &str) -> Error {
        let said = text::line(&DisplayErrorContext(error).to_string(), 300);
        match (self.failed().take(), error) {
            (Some(Failed::Refused(refusal, action)), _) => refusal.error(&action, subject),
            (Some(Failed::Own(error)), _) => error,
            (Some(Failed::Unreached(why)), _) => {
                Error::new(ErrorCode::CloudUnavailable, format!("the source was not reached: {why}")).on(subject)
            }
            (None, CredentialsError::InvalidConfiguration(_)) => Error::new(ErrorCode::PermissionDenied, said)
                .on(subject)
                .with_hint("correct the profile or the variables that name this source"),
            (None, _) => Error::new(ErrorCode::PermissionDenied, said)
                .on(subject)
                .with_hint("read what the source says, and correct it or take it out of the configuration"),
        }
    }

    /// aws-config knows no other endpoint than the one that the variables of the process name.
    fn led_to_our_sts(&self, uri: Uri) -> Result<Uri, http::Error> {
        let Place { region, sts } = &self.place;
        let theirs = format!("sts.{}.{}", region.as_str(), region.domain());
        match sts {
            Some(ours) if uri.host() == Some(&theirs) => {
                let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
                Ok(format!("{ours}{path}").parse()?)
            }
            _ => Ok(uri),
        }
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<Failed>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(&self, request: HttpRequest, limit: Duration) -> Result<HttpResponse, ConnectorError> {
        // Until there is an answer: aws-config may lose its patience first, and calls that a failure of the source.
        *self.failed() = Some(Failed::Unreached("it did not answer in time".to_owned()));
        let unreached = |error: &TransportError| {
            *self.failed() = Some(Failed::Unreached(text::line(&error.message, 200)));
        };
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let (parts, body) = request.into_parts();
        let body = body.bytes().map(bytes::Bytes::copy_from_slice).unwrap_or_default();
        let action = action_of(&body);
        let body = if body.is_empty() { RequestBody::Empty } else { RequestBody::Bytes(body) };
        let uri = self.led_to_our_sts(parts.uri).map_err(|error| ConnectorError::user(error.into()))?;
        let mut request = Request::builder().method(parts.method).uri(uri).body(body);
        if let Ok(request) = &mut request {
            *request.headers_mut() = parts.headers;
            // Each of these only lends.
            request.extensions_mut().insert(Repeatable);
        }
        let request = request.map_err(|error| ConnectorError::user(error.into()))?;
        let runtime = &*self.ways.runtime;
        let answered = async {
            let sent = self.ways.transport.send_with_retry(request, self.ways.retry, runtime).await;
            let (parts, body) = sent
                .map_err(|error| {
                    unreached(&error);
                    ConnectorError::io(error.message.into())
                })?
                .into_parts();
            let body = read_bounded(body, ANSWER_MOST, &self.ways).await;
            let body = body.map_err(|error| ConnectorError::io(error.message().into()))?;
            Ok::<_, ConnectorError>((parts, body))
        };
        let answered = runtime.within(limit, answered).await;
        let (parts, body) =
            answered.unwrap_or_else(|| Err(ConnectorError::timeout("the source did not answer in time".into())))?;
        *self.failed() = if parts.status.is_success() {
            None
        } else {
            Some(Failed::Refused(Refusal::read(parts.status, &parts.headers, &body, runtime.now()), action))
        };
        let mut response = Response::new(SdkBody::from(body));
        *response.status_mut() = parts.status;
        *response.headers_mut() = parts.headers;
        HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
    }
}

/// What a source asks for, as policies name it.
fn action_of(form: &[u8]) -> String {
    let mut fields = url::form_urlencoded::parse(form);
    let action = fields.find_map(|(name, value)| (name == "Action").then(|| format!("sts:{}", text::line(&value, 60))));
    action.unwrap_or_else(|| "lend credentials".to_owned())
}

/// The bridge with the time that a call may take.
#[derive(Debug)]
struct Timed(Bridge, Duration);

impl HttpConnector for Timed {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (bridge, limit) = (self.0.clone(), self.1);
        HttpConnectorFuture::new(async move { bridge.exchange(request, limit).await })
    }
}

impl HttpClient for Bridge {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let limit = match (settings.connect_timeout(), settings.read_timeout()) {
            (Some(connect), Some(read)) => connect + read,
            _ => PATIENCE,
        };
        SharedHttpConnector::new(Timed(self.clone(), limit))
    }
}

/// A source of ours, which a profile can name to assume a role with its keys.
#[derive(Debug)]
pub(super) struct Named {
    bridge: Bridge,
    variables: Variables,
    source: Source,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Environment,
    Container,
    Instance,
}

impl Named {
    pub(super) fn environment(bridge: &Bridge, variables: &Variables) -> Self {
        Self { bridge: bridge.clone(), variables: variables.clone(), source: Source::Environment }
    }

    pub(super) fn container(bridge: &Bridge, variables: &Variables) -> Self {
        Self { source: Source::Container, ..Self::environment(bridge, variables) }
    }

    pub(super) fn instance(bridge: &Bridge, variables: &Variables) -> Self {
        Self { source: Source::Instance, ..Self::environment(bridge, variables) }
    }

    async fn credentials(&self) -> provider::Result {
        let Bridge { ways, place, .. } = &self.bridge;
        let lent = match self.source {
            Source::Environment => environment::lend(&self.variables),
            Source::Container => container::lend(&self.variables, ways).await,
            Source::Instance => instance::lend(&self.variables, place, ways).await,
        };
        let keys = match lent {
            Ok(lent) => lent.map(|lent| lent.value).ok_or_else(|| {
                Error::new(ErrorCode::PermissionDenied, "the source that the profile names has no keys")
                    .on("credentials of AWS")
                    .with_hint("correct the profile's `credential_source`, or configure that source")
            }),
            Err(error) => Err(error),
        };
        let keys = keys.map_err(|error| {
            let said = error.message().to_owned();
            *self.bridge.failed() = Some(Failed::Own(error));
            CredentialsError::provider_error(said)
        })?;
        let end = keys.expires().map(|end| SystemTime::UNIX_EPOCH + Duration::from_millis(end.as_millis()));
        let token = keys.session_token().map(str::to_owned);
        Ok(Credentials::new(keys.id(), keys.secret(), token, end, "chalk-deploy"))
    }
}

impl ProvideCredentials for Named {
    fn provide_credentials<'a>(&'a self) -> provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        provider::future::ProvideCredentials::new(self.credentials())
    }
}

/// The runtime, as aws-config asks for the time.
#[derive(Clone)]
struct Clock(Arc<dyn Runtime>);

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.now().as_millis())
    }
}

impl AsyncSleep for Clock {
    fn sleep(&self, duration: Duration) -> Sleep {
        let runtime = self.0.clone();
        // Shared, because it must be `Sync`.
        Sleep::new(async move { runtime.sleep(duration).await }.boxed().shared())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clock")
    }
}

fn lent(credentials: &Credentials) -> Result<Lent<AccessKeys>> {
    let mut keys = AccessKeys::new(credentials.access_key_id(), credentials.secret_access_key());
    if let Some(token) = credentials.session_token() {
        keys = keys.with_session_token(token);
    }
    let since = credentials.expiry().map(|end| end.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let expires = since.map(|since| Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)));
    if let Some(expires) = expires {
        keys = keys.with_expiry(expires);
    }
    Ok(Lent { value: keys.checked()?, expires })
}
