//! Cases of an HTTP API that has no emulator: what is asked and what is answered, as files of JSON that name the page of
//! the provider that they were made from.
//!
//! ```json
//! {
//!   "source": "https://docs.aws.amazon.com/…/API_DescribeCluster.html",
//!   "model": "eks DescribeCluster",
//!   "request": {"method": "GET", "host": "eks.us-east-1.amazonaws.com", "path": "/clusters/chalk",
//!               "query": {"a": "b"}, "headers": {"content-type": "application/json"}, "json": {"x": 1}},
//!   "response": {"status": 200, "headers": {"content-type": "application/json"}, "json": {"cluster": {}}}
//! }
//! ```
//!
//! A request has to have the method, the host, the path, exactly the query, and at least the headers of its case; its
//! body must be equal to `json`, to `text`, or, as a form, to `form`. A response has `json` or `text`, or neither. A header value
//! `"*"` stands for any.
//!
//! [`Player`] answers from cases and says what was left; [`Case::all`] reads a folder of them, for a test that checks
//! them against a foreign model of the provider.

mod case;

use std::collections::VecDeque;
use std::fmt;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::transport::{Delivery, RequestBody, Transport, TransportError};
use futures::StreamExt as _;
use http::{Request, Response};

pub use case::{Case, CaseRequest, CaseResponse};

/// Answers requests from cases, each once, in any order. Clones share what is left.
#[derive(Clone, Default)]
pub struct Player(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    left: VecDeque<Case>,
    strays: Vec<String>,
    served: Vec<String>,
}

impl Player {
    /// Answers from these.
    pub fn new(cases: impl IntoIterator<Item = Case>) -> Self {
        Self(Arc::new(Mutex::new(State { left: cases.into_iter().collect(), ..State::default() })))
    }

    /// The way to it.
    pub fn transport(&self) -> Transport {
        let player = self.clone();
        Transport::from_fn(move |request| ready(player.answer(request)))
    }

    /// The names of the cases that were asked for, in that order.
    pub fn served(&self) -> Vec<String> {
        self.state().served.clone()
    }

    /// What was asked for and is no case, and which cases nobody asked for. Empty when all went as recorded.
    pub fn complaints(&self) -> Vec<String> {
        let state = self.state();
        let unused = state.left.iter().map(|case| format!("nobody asked for the case `{}`", case.name));
        state.strays.iter().cloned().chain(unused).collect()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Player {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        formatter.debug_struct("Player").field("left", &state.left.len()).field("strays", &state.strays).finish()
    }
}

impl Player {
    fn answer(&self, request: Request<RequestBody>) -> Result<Response<ByteStream>, TransportError> {
        let (parts, body) = request.into_parts();
        let body = match body {
            RequestBody::Empty => Bytes::new(),
            RequestBody::Bytes(bytes) => bytes,
            RequestBody::Payload(_) => return Err(stray("a case has no streamed body")),
        };
        let mut state = self.state();
        let mut differences = Vec::new();
        let found = state.left.iter().position(|case| match case.request.difference(&parts, &body) {
            None => true,
            Some(difference) => {
                differences.push(format!("`{}`: {difference}", case.name));
                false
            }
        });
        let Some(case) = found.and_then(|place| state.left.remove(place)) else {
            let what = format!("{} {} is no case ({})", parts.method, parts.uri, differences.join("; "));
            state.strays.push(what.clone());
            return Err(stray(&what));
        };
        state.served.push(case.name.clone());
        let response = case.response.build().map_err(|why| stray(&why))?;
        Ok(response.map(|body| futures::stream::once(async move { Ok(body) }).boxed()))
    }
}

fn stray(what: &str) -> TransportError {
    // As something that was received: nobody shall try it again.
    TransportError::new(Delivery::MaybeSent, what)
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;
    use serde_json::json;

    use super::*;

    fn case(name: &str, request: &serde_json::Value) -> Case {
        let text = json!({
            "source": "https://provider.example/reference", "request": request,
            "response": {"status": 201, "headers": {"x-id": "7"}, "json": {"ok": name}},
        });
        Case::parse(name, &text.to_string()).expect("a case")
    }

    async fn send(player: &Player, request: Request<RequestBody>) -> Result<(u16, String), String> {
        let response = player.transport().send(request).await.map_err(|error| error.message)?;
        let status = response.status().as_u16();
        let pieces: Vec<Bytes> = response.into_body().try_collect().await.expect("a body");
        Ok((status, String::from_utf8(pieces.concat()).expect("text")))
    }

    fn request(uri: &str, body: &str) -> Request<RequestBody> {
        let body = RequestBody::Bytes(Bytes::copy_from_slice(body.as_bytes()));
        Request::post(uri).header("x-a", "b").body(body).expect("a request")
    }

    #[tokio::test]
    async fn a_request_is_answered_by_its_case_once() {
        let asked = json!({"method": "POST", "host": "h", "path": "/p", "query": {"q": "1"},
                           "headers": {"x-a": "*"}, "json": {"b": [1], "a": 2}});
        let player = Player::new([case("one", &asked)]);
        let answer = send(&player, request("https://h/p?q=1", r#"{"a":2,"b":[1]}"#)).await;
        assert_eq!(answer, Ok((201, r#"{"ok":"one"}"#.to_owned())));
        assert!(player.complaints().is_empty());
        assert_eq!(player.served(), ["one"]);
        send(&player, request("https://h/p?q=1", r#"{"a":2,"b":[1]}"#)).await.expect_err("used up");
        assert_eq!(player.complaints().len(), 1);
    }

    #[tokio::test]
    async fn whatever_is_not_as_recorded_is_named() {
        let asked = json!({"method": "POST", "host": "h", "path": "/p", "query": {"q": "1"},
                           "headers": {"x-a": "b"}, "form": {"grant": "x y"}});
        for (uri, body, word) in [
            ("https://other/p?q=1", "grant=x+y", "host"),
            ("https://h/other?q=1", "grant=x+y", "path"),
            ("https://h/p?q=2", "grant=x+y", "query"),
            ("https://h/p?q=1&r=2", "grant=x+y", "query"),
            ("https://h/p?q=1", "grant=z", "form"),
        ] {
            let player = Player::new([case("one", &asked)]);
            let error = send(&player, request(uri, body)).await.expect_err("differs");
            assert!(error.contains(word), "{error}");
            assert_eq!(player.complaints().len(), 2, "a stray, and a case that nobody asked for");
        }
        let player = Player::new([case("one", &asked)]);
        send(&player, request("https://h/p?q=1", "grant=x%20y")).await.expect("as recorded");
    }

    #[test]
    fn a_case_without_a_source_or_with_an_unknown_field_is_none() {
        for text in [
            r#"{"request":{"method":"GET","host":"h","path":"/"},"response":{"status":200}}"#,
            r#"{"source":"s","request":{"method":"GET","host":"h","path":"/","jsn":1},"response":{"status":200}}"#,
            r#"{"source":"s","request":{"method":"GET","host":"h","path":"/"},"response":{"status":9}}"#,
        ] {
            Case::parse("x", text).expect_err(text);
        }
    }
}
