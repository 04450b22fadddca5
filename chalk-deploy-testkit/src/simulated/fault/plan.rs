//! Which faults happen, and what was asked.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode, Uri};

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolFault {
    /// The connection ends before the server sees it.
    SeverBefore,
    /// It is done, and the connection ends before the answer.
    SeverAfter,
    /// Its body breaks off after so many bytes, and the connection ends.
    CutRequest {
        /// Bytes that arrive.
        after: usize,
    },
    /// It is answered like this, and nothing is done.
    Answer {
        /// The status.
        status: u16,
        /// Headers.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// It is done, and answered like this.
    AnswerAfter {
        /// The status.
        status: u16,
        /// Headers.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// It is done, and these headers of the answer are others.
    Headers(Vec<(&'static str, String)>),
    /// The answer's body breaks off after so many bytes.
    CutAnswer {
        /// Bytes that arrive.
        after: usize,
    },
    /// Each piece of the answer's body comes after a pause.
    SlowAnswer {
        /// The pause.
        pause: Duration,
    },
    /// It is late.
    Delay(Duration),
    /// It is never answered.
    Stall,
}

impl ProtocolFault {
    /// Answers with a status, nothing done.
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: String::new() }
    }

    /// Answers with a status that asks for patience, nothing done.
    pub fn busy(status: u16, seconds: u32) -> Self {
        Self::Answer { status, headers: vec![("retry-after", seconds.to_string())], body: String::new() }
    }
}

/// Which requests are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requests {
    server: Option<&'static str>,
    method: Option<&'static str>,
    contains: Vec<String>,
}

impl Requests {
    /// Those to a server of this name.
    pub fn to(server: &'static str) -> Self {
        Self { server: Some(server), ..Self::default() }
    }

    /// All of them, to any server.
    pub fn any() -> Self {
        Self::default()
    }

    /// Only those with this method.
    #[must_use]
    pub const fn method(mut self, method: &'static str) -> Self {
        self.method = Some(method);
        self
    }

    /// Only those whose path and query hold this text.
    #[must_use]
    pub fn containing(mut self, text: impl Into<String>) -> Self {
        self.contains.push(text.into());
        self
    }

    fn fit(&self, server: &str, method: &str, target: &str) -> bool {
        self.server.is_none_or(|wanted| wanted == server)
            && self.method.is_none_or(|wanted| wanted == method)
            && self.contains.iter().all(|text| target.contains(text.as_str()))
    }
}

/// A request as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// The server.
    pub server: &'static str,
    /// The method.
    pub method: String,
    /// The path and the query.
    pub target: String,
    /// The answer's status; `None` while there is none, and for ever if the connection ended without one.
    pub status: Option<u16>,
}

/// Which faults happen, and what was asked. Shared by all servers that it is laid around.
#[derive(Debug, Default)]
pub struct ProtocolFaults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    log: Vec<LoggedRequest>,
}

#[derive(Debug)]
struct Rule {
    requests: Requests,
    from: u64,
    to: u64,
    seen: u64,
    fault: ProtocolFault,
}

impl ProtocolFaults {
    /// A plan without faults, which only logs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a fault at the n-th of these requests, counted from 1.
    #[must_use]
    pub fn at(self, requests: Requests, nth: u64, fault: ProtocolFault) -> Self {
        self.add(requests, nth, nth, fault);
        self
    }

    /// Puts a fault at the n-th of these requests and all that follow.
    #[must_use]
    pub fn from(self, requests: Requests, nth: u64, fault: ProtocolFault) -> Self {
        self.add(requests, nth, u64::MAX, fault);
        self
    }

    /// Puts a fault at the next of these requests, while the servers run.
    pub fn next(&self, requests: Requests, fault: ProtocolFault) {
        self.nth(requests, 1, fault);
    }

    /// Puts a fault at the n-th of these requests from now on, while the servers run.
    pub fn nth(&self, requests: Requests, nth: u64, fault: ProtocolFault) {
        self.add(requests, nth, nth, fault);
    }

    /// No more faults; the log goes on.
    pub fn clear(&self) {
        self.state().rules.clear();
    }

    /// Every request so far, in the order of arrival.
    pub fn log(&self) -> Vec<LoggedRequest> {
        self.state().log.clone()
    }

    /// How many of these requests there were.
    pub fn count(&self, requests: &Requests) -> usize {
        let fits = |logged: &&LoggedRequest| requests.fit(logged.server, &logged.method, &logged.target);
        self.state().log.iter().filter(fits).count()
    }

    /// The faults that no request has run into, so that a test can say that all of its faults happened.
    pub fn unmet(&self) -> Vec<(Requests, ProtocolFault)> {
        let state = self.state();
        let unmet = state.rules.iter().filter(|rule| rule.seen < rule.from);
        unmet.map(|rule| (rule.requests.clone(), rule.fault.clone())).collect()
    }

    pub(super) fn arrive(&self, server: &'static str, method: &Method, uri: &Uri) -> (usize, Option<ProtocolFault>) {
        let target = uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string);
        let mut state = self.state();
        let mut fault = None;
        for rule in &mut state.rules {
            if rule.requests.fit(server, method.as_str(), &target) {
                rule.seen += 1;
                if (rule.from..=rule.to).contains(&rule.seen) && fault.is_none() {
                    fault = Some(rule.fault.clone());
                }
            }
        }
        state.log.push(LoggedRequest { server, method: method.to_string(), target, status: None });
        (state.log.len() - 1, fault)
    }

    pub(super) fn answered(&self, place: usize, status: Option<StatusCode>) {
        if let Some(logged) = self.state().log.get_mut(place) {
            logged.status = status.map(|status| status.as_u16());
        }
    }

    fn add(&self, requests: Requests, from: u64, to: u64, fault: ProtocolFault) {
        self.state().rules.push(Rule { requests, from, to, seen: 0, fault });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
