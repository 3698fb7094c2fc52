//! The HTTP client of a sink.

use crate::USER_AGENT;
use crate::answer::ReadAnswers;
use crate::error::HttpError;
use crate::proxy::{Proxy, Via};
use crate::resolver::Remembering;
use crate::tcp::Tcp;
use buslane::time::Deadline;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use ureq::http::header::RETRY_AFTER;
use ureq::http::{HeaderMap, Request, Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::{Connector, RustlsConnector};
use ureq::{Agent, Body};

/// The number of bytes that are read of an answer so that its connection can be reused. A
/// connection with a longer answer is dropped.
const MOST_OF_AN_ANSWER: u64 = 64 * 1024;

/// The settings of a connection, which the builder has checked.
pub(crate) struct Settings {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) timeout: Duration,
    pub(crate) roots: RootCerts,
    pub(crate) proxy: Option<Arc<Proxy>>,
}

pub(crate) struct Client {
    agent: Agent,
    resolver: Remembering,
    uri: Uri,
    headers: HeaderMap,
    timeout: Duration,
    closed: AtomicBool,
    /// The identity of this client, independent of its address.
    identity: Arc<()>,
}

/// The reason why a post failed.
pub(crate) enum PostError {
    Closed,
    /// The limit of all waits of this thread leaves no time.
    NoTime,
    Http(HttpError),
}

/// Creates a client library agent that leaves the handling of answers and the choice of a proxy to
/// this crate.
fn agent(resolver: &Remembering, roots: RootCerts, proxy: Option<Arc<Proxy>>) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(USER_AGENT)
        .proxy(None)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .build();
    let connector = Via::new(proxy).chain(Tcp).chain(RustlsConnector::default()).chain(ReadAnswers);
    Agent::with_parts(config, connector, resolver.clone())
}

impl Client {
    /// Creates a client with these settings.
    pub(crate) fn new(settings: Settings) -> Self {
        let Settings { uri, headers, timeout, roots, proxy } = settings;
        let resolver = Remembering::new(proxy.as_ref().map(|proxy| proxy.uri.clone()));
        let agent = agent(&resolver, roots, proxy);
        Self {
            agent,
            resolver,
            uri,
            headers,
            timeout,
            closed: AtomicBool::new(false),
            identity: Arc::new(()),
        }
    }

    pub(crate) fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Relaxed: a write that happens after the close sees it, and no other write needs to.
        self.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn identity(&self) -> &Arc<()> {
        &self.identity
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Closes the client and cancels the requests in flight.
    pub(crate) fn abort(&self) {
        self.close();
        self.agent.clone().shutdown();
    }

    /// Posts the body and waits for the end of the answer.
    pub(crate) fn post(&self, body: &[u8]) -> Result<(), PostError> {
        if self.is_closed() {
            return Err(PostError::Closed);
        }
        let allowed = Deadline::current().remaining();
        let limit = allowed.map_or(self.timeout, |allowed| allowed.min(self.timeout));
        if limit.is_zero() {
            return Err(PostError::NoTime);
        }
        let posted = self.exchange(body, limit);
        if let Err(HttpError::Connection(_) | HttpError::Timeout | HttpError::Tls(_)) = &posted {
            self.resolver.forget();
        }
        posted.map_err(PostError::Http)
    }

    fn exchange(&self, body: &[u8], limit: Duration) -> Result<(), HttpError> {
        let mut request = Request::new(body);
        *request.method_mut() = ureq::http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let request = self.agent.configure_request(request).timeout_global(Some(limit)).build();
        let mut response = self.agent.run(request).map_err(HttpError::of)?;
        let drained = drain(response.body_mut());
        if !response.status().is_success() {
            return Err(refusal(&response));
        }
        match drained {
            // The endpoint has accepted the event, and would send the same malformed body after a
            // retry.
            Err(HttpError::Protocol) => Ok(()),
            other => other,
        }
    }
}

/// Returns the error of an answer with a status other than success.
pub(crate) fn refusal(response: &Response<Body>) -> HttpError {
    let value = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = value.and_then(|value| parse_retry_after(value, SystemTime::now()));
    HttpError::Status { status: response.status().as_u16(), retry_after }
}

/// Parses `Retry-After`: a number of seconds, or a date that is compared with the wall clock.
/// Returns `None` for anything else.
fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is clamped to the largest one.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// Reads and discards the answer, up to [`MOST_OF_AN_ANSWER`] bytes.
fn drain(body: &mut Body) -> Result<(), HttpError> {
    let mut reader = body.as_reader().take(MOST_OF_AN_ANSWER);
    std::io::copy(&mut reader, &mut std::io::sink())
        .map(drop)
        .map_err(|error| HttpError::of(ureq::Error::from(error)))
}

#[cfg(test)]
mod tests {
    use super::parse_retry_after;
    use std::time::{Duration, SystemTime};

    #[test]
    fn retry_after_parses_seconds_and_dates() {
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(12 * 3600);
        let after = |value: &str| parse_retry_after(value, noon).map(|wait| wait.as_secs());
        assert_eq!(after("120"), Some(120));
        assert_eq!(after(" 0 "), Some(0));
        assert_eq!(after("Thu, 01 Jan 1970 12:00:05 GMT"), Some(5));
        assert_eq!(after("Thursday, 01-Jan-70 12:00:05 GMT"), Some(5));
        assert_eq!(after("Thu Jan  1 11:00:00 1970"), Some(0), "a date in the past");
        assert_eq!(after("99999999999999999999"), Some(u64::MAX), "clamped to the largest number");
        for nonsense in ["", "-1", "1.5", "soon", "Thu, 41 Jan 1970 12:00:05 GMT"] {
            assert_eq!(after(nonsense), None, "{nonsense}");
        }
    }
}
