//! A client of the endpoints of this program.

use crate::wire::answer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Duration;
use ureq::{Agent, Body};

/// Sends requests. Its clones share their connections.
#[derive(Clone, Debug)]
pub(crate) struct Client(Agent);

/// Why a request failed.
#[derive(Debug)]
pub(crate) enum RequestError {
    /// The endpoint answered with another status than 200.
    Status(u16),
    /// There was no complete answer: whether the request was executed is unknown.
    Unanswered(String),
}

impl Client {
    pub(crate) fn new() -> Self {
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None).build();
        Self(config.new_agent())
    }

    /// Posts a body, and ignores that of the answer.
    pub(crate) fn post(&self, url: &str, body: &impl Serialize, limit: Duration) -> Result<(), RequestError> {
        self.send(url, body, limit).map(drop)
    }

    /// Posts a body, and reads that of the answer.
    pub(crate) fn ask<A: DeserializeOwned>(
        &self,
        url: &str,
        body: &impl Serialize,
        limit: Duration,
    ) -> Result<A, RequestError> {
        parse(&self.send(url, body, limit)?)
    }

    /// Reads what is at a URL.
    pub(crate) fn get<A: DeserializeOwned>(&self, url: &str, limit: Duration) -> Result<A, RequestError> {
        let request = self.0.get(url).config().timeout_global(Some(limit)).build();
        parse(&read(request.call())?)
    }

    fn send(&self, url: &str, body: &impl Serialize, limit: Duration) -> Result<Vec<u8>, RequestError> {
        let body = serde_json::to_vec(body).expect("a body is valid JSON");
        let request = self.0.post(url).config().timeout_global(Some(limit)).build();
        read(request.send(&body))
    }
}

fn read(answered: Result<ureq::http::Response<Body>, ureq::Error>) -> Result<Vec<u8>, RequestError> {
    let unanswered = |error: ureq::Error| RequestError::Unanswered(error.to_string());
    let mut response = answered.map_err(unanswered)?;
    // Read in any case: only then the connection can be used again.
    let body = response.body_mut().read_to_vec().map_err(unanswered)?;
    match response.status().as_u16() {
        answer::DONE => Ok(body),
        status => Err(RequestError::Status(status)),
    }
}

fn parse<A: DeserializeOwned>(body: &[u8]) -> Result<A, RequestError> {
    serde_json::from_slice(body).map_err(|error| RequestError::Unanswered(error.to_string()))
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Unanswered(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for RequestError {}
