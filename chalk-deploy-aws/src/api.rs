//! One signed call to a service of AWS, through the one transport.
//!
//! The services are spoken to directly, without an SDK for each: of ECR seven operations are needed, of EKS one, of S3 the
//! settings of buckets, of STS two, of SQS six. aws-sigv4 signs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::runtime::RuntimeExt as _;
use chalk_deploy_core::transport::{Repeatable, RequestBody};
use chalk_deploy_core::{Error, ErrorCode, Result};
use futures::StreamExt as _;
use http::header::{HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request};
use serde_json::Value;

use crate::credentials::{AccessKeys, AwsCredentials, Ways};
use crate::refusal::Refusal;
use crate::settings::{Endpoints, Region, Service};

/// The version of the API of STS.
const STS_VERSION: &str = "2011-06-15";
/// How long a call may take, its repetitions included.
const PATIENCE: Duration = Duration::from_mins(1);
/// The longest answer: a page of ECR, with a hundred manifests in it.
const ANSWER_MOST: usize = 32 << 20;

/// Signs calls and sends them. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Api(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ways: Ways,
    credentials: AwsCredentials,
    region: Region,
    endpoints: Endpoints,
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    service: Service,
    method: Method,
    /// Path and query, as they are sent.
    path: String,
    /// The host's first label, where a bucket stands there.
    bucket: Option<String>,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
    /// A POST that has the same effect twice.
    reads: bool,
    action: &'static str,
    subject: String,
}

impl Ask {
    pub(crate) fn new(service: Service, method: Method, path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            service,
            method,
            path: path.into(),
            bucket: None,
            headers: Vec::new(),
            body: body.into(),
            reads: false,
            action: "",
            subject: String::new(),
        }
    }

    pub(crate) fn post(service: Service, path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self::new(service, Method::POST, path, body)
    }

    /// An operation of ECR (AWS JSON 1.1).
    pub(crate) fn ecr(operation: &str, body: &Value) -> Self {
        Self::post(Service::Ecr, "/", body.to_string())
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", &format!("AmazonEC2ContainerRegistry_V20150921.{operation}"))
    }

    /// An operation of SQS (AWS JSON 1.0). It is asked at our endpoint, whatever address a queue has.
    pub(crate) fn sqs(operation: &str, body: &Value) -> Self {
        Self::post(Service::Sqs, "/", body.to_string())
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", &format!("AmazonSQS.{operation}"))
    }

    /// An operation of STS (AWS Query), with its parameters.
    pub(crate) fn sts(operation: &str, parameters: &[(&str, &str)]) -> Self {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", operation)
            .append_pair("Version", STS_VERSION)
            .extend_pairs(parameters)
            .finish();
        Self::post(Service::Sts, "/", form)
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .reads()
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((HeaderName::from_static(name), value.to_owned()));
        self
    }

    /// Says that repeating it is harmless, though it is a POST.
    pub(crate) const fn reads(mut self) -> Self {
        self.reads = true;
        self
    }

    /// Names the bucket that it is about.
    pub(crate) fn in_bucket(mut self, name: &str) -> Self {
        self.bucket = Some(name.to_owned());
        self
    }

    /// Names the action, as a policy does, and what it is about.
    pub(crate) fn doing(mut self, action: &'static str, subject: &str) -> Self {
        self.action = action;
        subject.clone_into(&mut self.subject);
        self
    }
}

/// What came back, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    body: Bytes,
    refusal: Option<Refusal>,
    action: &'static str,
    subject: String,
}

impl Answer {
    /// The refusal, if it is one.
    pub(crate) const fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// The answer, unless it is a refusal.
    pub(crate) fn accepted(self) -> Result<Self> {
        match &self.refusal {
            Some(refusal) => Err(refusal.error(self.action, &self.subject)),
            None => Ok(self),
        }
    }

    /// The body as text.
    pub(crate) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).map_err(|_| self.nonsense("is no JSON"))
    }

    /// An empty answer.
    #[cfg(test)]
    pub(crate) fn about(action: &'static str, subject: &str) -> Self {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Self { headers, body, refusal: None, action, subject: subject.to_owned() }
    }

    /// The error of an answer that cannot be understood.
    pub(crate) fn nonsense(&self, what: &str) -> Error {
        Error::new(ErrorCode::CloudAnswerInvalid, format!("the answer to {} {what}", self.action)).on(&self.subject)
    }
}

impl Api {
    pub(crate) fn new(ways: Ways, credentials: AwsCredentials, region: Region, endpoints: Endpoints) -> Self {
        Self(Arc::new(Inner { ways, credentials, region, endpoints }))
    }

    pub(crate) fn region(&self) -> &Region {
        &self.0.region
    }

    /// Whether this service is AWS's own, as far as is known: no other endpoint was named for it.
    pub(crate) fn is_of_aws(&self, service: Service) -> bool {
        self.0.endpoints.given(service).is_none()
    }

    pub(crate) fn ways(&self) -> &Ways {
        &self.0.ways
    }

    /// Sends a call. One that is refused because its keys have ended is sent once more, if there are others.
    ///
    /// # Errors
    /// Those of the credentials; [`ErrorCode::CloudUnavailable`] when there is no answer. A refusal is an answer.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Answer> {
        let keys = self.0.credentials.keys().await?;
        let answer = self.send(&ask, &keys).await?;
        if !answer.refusal.as_ref().is_some_and(Refusal::is_expired) {
            return Ok(answer);
        }
        self.0.credentials.refused(&keys).await;
        let renewed = self.0.credentials.keys().await?;
        if renewed == keys { Ok(answer) } else { self.send(&ask, &renewed).await }
    }

    async fn send(&self, ask: &Ask, keys: &AccessKeys) -> Result<Answer> {
        let Inner { ways, .. } = &*self.0;
        let request = self.signed(ask, keys)?;
        let unavailable = |error: Error| if error.subject().is_empty() { error.on(&ask.subject) } else { error };
        let exchange = async {
            let sent = ways.transport.send_with_retry(request, ways.retry, &*ways.runtime).await;
            let (parts, body) = sent.map_err(|error| unavailable(Error::from(error)))?.into_parts();
            let body = read_bounded(body, ANSWER_MOST, ways).await.map_err(unavailable)?;
            Ok((parts, body))
        };
        let (parts, body) = ways.runtime.within(PATIENCE, exchange).await.unwrap_or_else(|| {
            let message = format!("{} was not answered within {} s", ask.action, PATIENCE.as_secs());
            Err(Error::new(ErrorCode::CloudUnavailable, message).on(&ask.subject))
        })?;
        let refusal = (!parts.status.is_success())
            .then(|| Refusal::read(parts.status, &parts.headers, &body, ways.runtime.now()));
        Ok(Answer { headers: parts.headers, body, refusal, action: ask.action, subject: ask.subject.clone() })
    }

    /// Scheme, host and, for the buckets of another server, the bucket in the path.
    fn address(&self, ask: &Ask) -> String {
        let Inner { endpoints, region, .. } = &*self.0;
        let base = endpoints.of(ask.service, region);
        match &ask.bucket {
            None => format!("{base}{}", ask.path),
            Some(bucket) if endpoints.given(ask.service).is_some() => {
                // A bucket has no dots (its name is checked), and `/` before the query.
                format!("{base}/{bucket}{}", ask.path.strip_prefix('/').unwrap_or(&ask.path))
            }
            Some(bucket) => format!("{}{}", base.replacen("://", &format!("://{bucket}."), 1), ask.path),
        }
    }

    fn signed(&self, ask: &Ask, keys: &AccessKeys) -> Result<Request<RequestBody>> {
        const AGENT: HeaderValue = HeaderValue::from_static(concat!("chalk-deploy/", env!("CARGO_PKG_VERSION")));
        let body = if ask.body.is_empty() { RequestBody::Empty } else { RequestBody::Bytes(ask.body.clone()) };
        let mut request =
            Request::builder().method(ask.method.clone()).uri(self.address(ask)).body(body).map_err(unsendable)?;
        for (name, value) in &ask.headers {
            request.headers_mut().insert(name.clone(), HeaderValue::from_str(value).map_err(unsendable)?);
        }
        let mut settings = SigningSettings::default();
        if ask.service == Service::S3 {
            // "Signature Calculations for the Authorization Header" of the S3 API reference: escaped once, and the digest
            // of the body in a header.
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let (headers, _) = self.signature(&request, &ask.body, ask.service, keys, settings)?;
        for (name, value, sensitive) in headers {
            let mut value = HeaderValue::from_str(&value).map_err(unsendable)?;
            value.set_sensitive(sensitive || name == "authorization");
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        request.headers_mut().insert(USER_AGENT, AGENT);
        if ask.reads {
            request.extensions_mut().insert(Repeatable);
        }
        Ok(request)
    }

    /// The address at which STS says who has signed it, for as long as `expires_in`, with one more signed header
    /// (the name of a cluster).
    pub(crate) fn presigned_identity(
        &self,
        keys: &AccessKeys,
        header: (&'static str, &str),
        expires_in: Duration,
    ) -> Result<String> {
        let address = format!(
            "{}/?Action=GetCallerIdentity&Version={STS_VERSION}",
            self.0.endpoints.of(Service::Sts, &self.0.region)
        );
        let request = Request::get(&address).header(header.0, header.1).body(RequestBody::Empty).map_err(unsendable)?;
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(expires_in);
        let (_, parameters) = self.signature(&request, b"", Service::Sts, keys, settings)?;
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &parameters {
            query.append_pair(name, value);
        }
        // A space in a query is `+` in a form and `%20` in a signature; none of the values has one, or a `~`.
        Ok(format!("{address}&{}", query.finish()))
    }

    /// The headers or the parameters that sign a request, at the runtime's time.
    fn signature(
        &self,
        request: &Request<RequestBody>,
        body: &[u8],
        service: Service,
        keys: &AccessKeys,
        settings: SigningSettings,
    ) -> Result<Signed> {
        let identity: Identity =
            Credentials::new(keys.id(), keys.secret(), keys.session_token().map(str::to_owned), None, "chalk-deploy")
                .into();
        let now = Duration::from_millis(self.0.ways.runtime.now().as_millis());
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.0.region.as_str())
            .name(service.signing_name())
            .time(SystemTime::UNIX_EPOCH + now)
            .settings(settings)
            .build()
            .map_err(unsendable)?
            .into();
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers,
            SignableBody::Bytes(body),
        );
        let (instructions, _) = sign(signable.map_err(unsendable)?, &parameters).map_err(unsendable)?.into_parts();
        let (headers, parameters) = instructions.into_parts();
        let headers =
            headers.iter().map(|header| (header.name(), header.value().to_owned(), header.sensitive())).collect();
        let parameters = parameters.into_iter().map(|(name, value)| (name, value.into_owned())).collect();
        Ok((headers, parameters))
    }
}

/// Headers with whether they are secret, and parameters.
type Signed = (Vec<(&'static str, String, bool)>, Vec<(&'static str, String)>);

fn unsendable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorCode::Internal, "a call to AWS could not be made").caused_by(error)
}

/// The whole body, if it is no longer than this.
pub(crate) async fn read_bounded(mut body: ByteStream, most: usize, ways: &Ways) -> Result<Bytes> {
    let broken = |message: &str| Error::new(ErrorCode::CloudUnavailable, message);
    let mut collected = Vec::new();
    let read = async {
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| broken("the answer broke off").caused_by(error))?;
            if collected.len() + piece.len() > most {
                let limit = chalk_deploy_core::text::bytes(most as u64);
                return Err(Error::new(ErrorCode::CloudAnswerInvalid, format!("the answer is longer than {limit}")));
            }
            collected.extend_from_slice(&piece);
        }
        Ok(())
    };
    ways.runtime.within(PATIENCE, read).await.unwrap_or_else(|| Err(broken("the answer stopped in the middle")))?;
    Ok(collected.into())
}
