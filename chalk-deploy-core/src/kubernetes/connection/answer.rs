//! Answers, read up to a limit, and what there is instead of one.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::kubernetes::asked::Asked;
use crate::kubernetes::refusal::Refusal;
use crate::{Error, ErrorCode, text};

/// So much of a refusal is read.
const REFUSAL_MOST: usize = 256 << 10;

/// Why a call did not succeed, before it is known what it was for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the API server refuses it")]
    Refused(Refusal),
    #[error("the API server at {server} cannot be reached")]
    NotReached { server: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the API server at {server} did not answer within {} s", limit.as_secs())]
    TimedOut { server: String, limit: Duration },
    #[error("the answer broke off: {0}")]
    BrokeOff(String),
    #[error("the answer is longer than {}", text::bytes(*.0 as u64))]
    TooLong(usize),
    #[error("the answer is not what an API server says: {0}")]
    Nonsense(String),
    #[error("the request cannot be sent: {0}")]
    Unsendable(String),
    /// Credentials that cannot be had: an error that is complete already.
    #[error("{0}")]
    Credentials(Error),
}

impl Failure {
    /// The error for whoever asked.
    pub(crate) fn error(self, asked: &Asked) -> Error {
        let message = self.to_string();
        match self {
            Self::Refused(refusal) => refusal.error(asked),
            Self::Credentials(error) => error,
            Self::NotReached { source, .. } => match reason(&*source) {
                // The transport knows that trying again is no use: a certificate that is not trusted, for one.
                Some(reason) => Error::new(reason.code(), format!("{message}: {}", reason.message()))
                    .on(&asked.subject)
                    .with_hint(reason.hint())
                    .with_retry(reason.retry())
                    .caused_by(source),
                None => Error::new(ErrorCode::CloudUnavailable, message)
                    .on(&asked.subject)
                    .with_hint("check the address, the network and the firewall, then resume")
                    .caused_by(source),
            },
            Self::TimedOut { .. } | Self::BrokeOff(_) => {
                Error::new(ErrorCode::CloudUnavailable, message).on(&asked.subject)
            }
            Self::TooLong(_) | Self::Nonsense(_) => {
                Error::new(ErrorCode::CloudAnswerInvalid, message).on(&asked.subject)
            }
            Self::Unsendable(_) => Error::new(ErrorCode::ObjectRefused, message).on(&asked.subject),
        }
    }

    pub(crate) const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.refusal().is_some_and(Refusal::is_not_found)
    }

    pub(crate) fn is_conflict(&self) -> bool {
        self.refusal().is_some_and(Refusal::is_conflict)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.refusal().is_some_and(Refusal::is_gone)
    }

    /// The request makes no sense to the server as things stand.
    pub(crate) fn is_bad_request(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.status == StatusCode::BAD_REQUEST)
    }

    /// Reading this is not permitted.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.status == StatusCode::FORBIDDEN)
    }
}

/// The error of this library behind a request that got no answer.
fn reason<'error>(error: &'error (dyn std::error::Error + 'static)) -> Option<&'error Error> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

/// Reads the whole answer; a refusal becomes one.
pub(super) async fn read(response: Response<Body>, most: usize) -> Result<Bytes, Failure> {
    let response = accepted(response).await?;
    collect(response.into_body(), most).await
}

/// The answer's bytes as they come, in pieces of at most `most` bytes.
pub(super) async fn stream(
    response: Response<Body>,
    most: usize,
) -> Result<BoxStream<'static, Result<Bytes, Failure>>, Failure> {
    let pieces = accepted(response).await?.into_body().into_data_stream();
    let checked = pieces.map(move |piece| match piece {
        Ok(piece) if piece.len() > most => Err(Failure::TooLong(most)),
        Ok(piece) => Ok(piece),
        Err(error) => Err(Failure::BrokeOff(text::line(&error.to_string(), 200))),
    });
    Ok(checked.boxed())
}

async fn accepted(response: Response<Body>) -> Result<Response<Body>, Failure> {
    if response.status().is_success() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    // A refusal whose words are lost or endless is a refusal still.
    let body = collect(body, REFUSAL_MOST).await.unwrap_or_default();
    Err(Failure::Refused(Refusal::read(parts.status, &parts.headers, &body)))
}

async fn collect(body: Body, most: usize) -> Result<Bytes, Failure> {
    let mut pieces = body.into_data_stream();
    let mut collected = Vec::new();
    while let Some(piece) =
        pieces.try_next().await.map_err(|error| Failure::BrokeOff(text::line(&error.to_string(), 200)))?
    {
        if collected.len() + piece.len() > most {
            return Err(Failure::TooLong(most));
        }
        collected.extend_from_slice(&piece);
    }
    Ok(collected.into())
}

/// Reads JSON. What is wrong with it is told without its content.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Eof => "it is cut short",
            serde_json::error::Category::Data => "it is JSON of another kind",
            _ => "it is no JSON",
        };
        Failure::Nonsense(format!("{what} (line {}, column {})", error.line(), error.column()))
    })
}

/// A list as an API server answers it. A list of nothing may have no items at all.
#[derive(Debug, Deserialize)]
pub(crate) struct List<T> {
    pub(crate) metadata: ListMetadata,
    #[serde(default = "Option::default")]
    pub(crate) items: Option<Vec<T>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListMetadata {
    #[serde(default)]
    pub(crate) resource_version: String,
    #[serde(default, rename = "continue")]
    pub(crate) next: Option<String>,
}
