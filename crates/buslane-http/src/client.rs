//! The client, and what goes with each request.

use crate::answer::ReadAnswers;
use crate::config::{HttpConfigError, Invalid};
use crate::error::HttpError;
use crate::proxy::{Proxy, Via};
use crate::resolver::Remembering;
use crate::retry_after;
use crate::tcp::Tcp;
use buslane::time::Deadline;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use ureq::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING,
};
use ureq::http::{HeaderMap, Request, Response, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::{Connector, RustlsConnector};
use ureq::{Agent, Body};

/// How long a request may take, as in docker/distribution.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest timeout that is passed to the client: a century. The client adds it to a moment, and a clock may be unable to hold the
/// sum.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// What is read of an answer, in bytes, so that the connection can be used again. One that sends more is given up.
const MOST_OF_AN_ANSWER: u64 = 64 * 1024;
pub(crate) const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// Says how a message is framed or where it goes, which only the client knows.
const RESERVED: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING];

pub(crate) struct Client {
    agent: Agent,
    roots: RootCerts,
    proxy: Option<Arc<Proxy>>,
    resolver: Remembering,
    uri: Uri,
    headers: HeaderMap,
    timeout: Duration,
    closed: AtomicBool,
    /// What tells this client from others, wherever it lies.
    identity: Arc<()>,
}

/// Why nothing was posted.
pub(crate) enum PostError {
    Closed,
    /// The thread may not wait any longer.
    NoTime,
    Http(HttpError),
}

/// A client that leaves every decision about an answer, and the choice of a proxy, to us.
fn agent(resolver: &Remembering, roots: &RootCerts, proxy: Option<&Arc<Proxy>>) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(USER_AGENT)
        .proxy(None)
        .tls_config(TlsConfig::builder().root_certs(roots.clone()).build())
        .build();
    let connector = Via::new(proxy.cloned()).chain(Tcp).chain(RustlsConnector::default()).chain(ReadAnswers);
    Agent::with_parts(config, connector, resolver.clone())
}

impl Client {
    /// A client that sends through no proxy.
    pub(crate) fn new(url: &str) -> Result<Self, HttpConfigError> {
        let uri: Uri = url.parse().map_err(|_| Invalid::Url)?;
        let authority = uri.authority().ok_or(Invalid::Url)?;
        if authority.as_str().contains('@') {
            return Err(Invalid::CredentialsInUrl.into());
        }
        // A port that is no number would be taken for none.
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let has_bad_port = !port.is_empty() && authority.port_u16().is_none_or(|port| port == 0);
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_http || authority.host().is_empty() || has_bad_port {
            return Err(Invalid::Url.into());
        }
        let resolver = Remembering::default();
        let roots = RootCerts::WebPki;
        let agent = agent(&resolver, &roots, None);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (timeout, closed) = (DEFAULT_TIMEOUT, AtomicBool::new(false));
        Ok(Self {
            agent,
            roots,
            proxy: None,
            resolver,
            uri,
            headers,
            timeout,
            closed,
            identity: Arc::new(()),
        })
    }

    /// After a setting of the connections has changed.
    fn rebuild(&mut self) {
        let proxy = self.proxy.as_ref();
        self.resolver = Remembering::new(proxy.map(|proxy| proxy.uri.clone()));
        self.agent = agent(&self.resolver, &self.roots, proxy);
    }

    /// Sends through the proxy that the environment names, if any.
    pub(crate) fn set_proxy_of_environment(&mut self) -> Result<(), HttpConfigError> {
        if let Some(proxy) = Proxy::from_environment(&self.uri)? {
            self.proxy = Some(Arc::new(proxy));
            self.rebuild();
        }
        Ok(())
    }

    /// Sends through no proxy.
    pub(crate) fn set_no_proxy(&mut self) {
        if self.proxy.take().is_some() {
            self.rebuild();
        }
    }

    pub(crate) fn set_proxy(&mut self, url: &str) -> Result<(), HttpConfigError> {
        self.proxy = Some(Arc::new(Proxy::new(url, "proxy")?));
        self.rebuild();
        Ok(())
    }

    pub(crate) fn set_header(&mut self, name: &str, value: &str) -> Result<(), HttpConfigError> {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Invalid::Header)?;
        let mut value = HeaderValue::from_str(value).map_err(|_| Invalid::Header)?;
        if RESERVED.contains(&name) {
            return Err(Invalid::Header.into());
        }
        // The client writes requests into the debug log.
        value.set_sensitive(name != CONTENT_TYPE);
        self.headers.insert(name, value);
        Ok(())
    }

    pub(crate) fn set_root_certificates(&mut self, pem: &[u8]) -> Result<(), HttpConfigError> {
        let items = parse_pem(pem).collect::<Result<Vec<_>, _>>().map_err(|_| Invalid::Certificate)?;
        let certificates = items.into_iter().filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        });
        let certificates: Vec<_> = certificates.collect();
        if certificates.is_empty() {
            return Err(Invalid::Certificate.into());
        }
        self.roots = RootCerts::from(certificates);
        self.rebuild();
        Ok(())
    }

    pub(crate) fn set_timeout(&mut self, limit: Duration) -> Result<(), HttpConfigError> {
        if limit.is_zero() {
            return Err(Invalid::ZeroTimeout.into());
        }
        self.timeout = limit.min(LONGEST);
        Ok(())
    }

    pub(crate) fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Relaxed: a write that is ordered after the close sees it, and no other need.
        self.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn identity(&self) -> &Arc<()> {
        &self.identity
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Closes, and breaks off the requests in flight.
    pub(crate) fn abort(&self) {
        self.close();
        self.agent.clone().shutdown();
    }

    /// Posts the body, and waits for the end of the answer.
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
            // The endpoint has taken the event, and would send the same malformed body after the next attempt.
            Err(HttpError::Protocol) => Ok(()),
            other => other,
        }
    }
}

fn refusal(response: &Response<Body>) -> HttpError {
    let value = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = value.and_then(|value| retry_after::parse(value, SystemTime::now()));
    HttpError::Status { status: response.status().as_u16(), retry_after }
}

/// Reads the answer to its end, or the first [`MOST_OF_AN_ANSWER`] bytes, and discards it.
fn drain(body: &mut Body) -> Result<(), HttpError> {
    let mut reader = body.as_reader().take(MOST_OF_AN_ANSWER);
    std::io::copy(&mut reader, &mut std::io::sink())
        .map(drop)
        .map_err(|error| HttpError::of(ureq::Error::from(error)))
}

#[cfg(test)]
mod tests {
    use super::DEFAULT_TIMEOUT;

    #[test]
    fn table_of_defaults_has_the_timeout() {
        let page = include_str!("lib.rs");
        let row = page.lines().find(|line| line.contains("[`HttpSinkBuilder::timeout`] |")).expect("a row");
        assert!(row.ends_with(&format!("| {} s |", DEFAULT_TIMEOUT.as_secs())), "{row}");
    }
}
