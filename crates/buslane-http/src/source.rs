//! A source of server-sent events.

use crate::USER_AGENT;
use crate::builder::{HttpSinkBuilder, LONGEST};
use crate::client::{Settings, refusal};
use crate::config::{HttpConfigError, Invalid};
use crate::error::HttpError;
use crate::proxy::Via;
use crate::resolver::Remembering;
use crate::stream::{Decoded, Decoder, ServerEvent};
use crate::tcp::Tcp;
use buslane::source::{Connection, Fault, Item, Session, Source, StopHook};
use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use ureq::http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use ureq::http::{Request, Response};
use ureq::tls::TlsConfig;
use ureq::unversioned::transport::{Connector, RustlsConnector};
use ureq::{Agent, Body, BodyReader};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const EVENT_STREAM: &str = "text/event-stream";
/// The longest wait that a server may ask for.
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// A source of server-sent events (`text/event-stream`), for a [`Monitor`](buslane::source::Monitor).
///
/// The token is the last id that the server sent, also without data, which the source sends as `Last-Event-ID` when it connects
/// again. HTTP does not tell whether the server continues there. So the monitor reports a gap,
/// unless [`assume_resumed`](HttpSourceBuilder::assume_resumed) is set.
///
/// | what the server does | what the source reports |
/// |---|---|
/// | status 200 with an event stream | a connection |
/// | status 204 | that no attempt can succeed; the monitor stops |
/// | another status, another media type, no answer in time | a transient fault, after which the monitor connects again |
/// | nothing, not even a comment, for [`silence`](buslane::source::MonitorBuilder::silence) | a transient fault |
/// | `retry` | the source waits at least that long before the next connection, and at most five minutes |
/// | an event that is too long | an undecodable item; the connection continues |
///
/// A stop interrupts a read. It cannot interrupt the host lookup and the TCP handshake, which end at
/// the [`timeout`](HttpSourceBuilder::timeout).
///
/// # Examples
/// ```
/// use buslane::source::Monitor;
/// use buslane::Bus;
/// use buslane_http::HttpSource;
/// let source = HttpSource::builder("http://127.0.0.1:9/events").direct().build()?;
/// let bus = Bus::new();
/// let monitor = Monitor::builder(source).spawn(bus.clone())?;
/// println!("{}", monitor.state());
/// assert!(monitor.stop().is_done());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a source does nothing until a monitor connects to it"]
pub struct HttpSource {
    settings: Settings,
    resolver: Remembering,
    longest: usize,
    assumes_resumed: bool,
    /// The wait that the server asked for, in milliseconds.
    retry: Arc<AtomicU64>,
}

impl HttpSource {
    /// Returns a builder with the default settings.
    ///
    /// # Examples
    /// ```
    /// use buslane_http::{HttpConfigErrorKind, HttpSource};
    /// let source = HttpSource::builder("https://example.com/events").header("Authorization", "Bearer example").build()?;
    /// # drop(source);
    /// assert_eq!(HttpSource::builder("/events").build().unwrap_err().kind(), HttpConfigErrorKind::Url);
    /// # Ok::<(), buslane_http::HttpConfigError>(())
    /// ```
    pub fn builder(url: &str) -> HttpSourceBuilder {
        HttpSourceBuilder { inner: HttpSinkBuilder::new(url), longest: 1 << 20, assumes_resumed: false }
    }

    /// Makes a client library agent for one connection, so that a stop shuts down no other one.
    fn agent(&self) -> Agent {
        let Settings { timeout, roots, proxy, .. } = &self.settings;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(USER_AGENT)
            .proxy(None)
            .tls_config(TlsConfig::builder().root_certs(roots.clone()).build())
            .timeout_resolve(Some(*timeout))
            .timeout_connect(Some(*timeout))
            .timeout_send_request(Some(*timeout))
            .timeout_recv_response(Some(*timeout))
            .build();
        let connector = Via::new(proxy.clone()).chain(Tcp).chain(RustlsConnector::default());
        Agent::with_parts(config, connector, self.resolver.clone())
    }

    /// Makes a request, and returns whether it has the id.
    fn request(&self, from: Option<&String>) -> (Request<()>, bool) {
        let mut request = Request::new(());
        *request.uri_mut() = self.settings.uri.clone();
        let headers = request.headers_mut();
        *headers = self.settings.headers.clone();
        headers.remove(CONTENT_TYPE);
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static(EVENT_STREAM));
        // An id that no header can hold was not sent by a server that means it as one.
        let id = from.filter(|id| !id.is_empty()).and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok());
        let has_id = id.is_some();
        if let Some(id) = id {
            headers.insert(LAST_EVENT_ID, id);
        }
        (request, has_id)
    }
}

/// Checks that an answer is an event stream.
fn accepted(response: &Response<Body>) -> Result<(), Fault> {
    match response.status().as_u16() {
        200 => {}
        204 => return Err(Fault::fatal("the endpoint has ended the stream for good: status 204")),
        _ => return Err(Fault::transient(refusal(response))),
    }
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = media_type.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(EVENT_STREAM) {
        Ok(())
    } else {
        Err(Fault::transient("the answer is no event stream: its media type is not text/event-stream"))
    }
}

impl Source for HttpSource {
    type Event = ServerEvent;
    type Token = String;
    type Connection = HttpStream;

    fn connect(&mut self, from: Option<&String>, session: &Session) -> Result<HttpStream, Fault> {
        // Relaxed: the connection that stores it is dropped on this thread.
        let retry = Duration::from_millis(self.retry.load(Ordering::Relaxed)).min(LONGEST_RETRY);
        if !retry.is_zero() && !session.wait(retry) {
            return Err(Fault::transient("the monitor was stopped"));
        }
        let agent = self.agent();
        let other = agent.clone();
        let interrupt = session.on_stop(move || other.shutdown());
        let (request, has_id) = self.request(from);
        let request = agent.configure_request(request);
        let request = request.timeout_per_read(Some(session.silence().min(LONGEST))).build();
        let response = agent.run(request).map_err(|error| {
            self.resolver.forget();
            Fault::transient(HttpError::of(error))
        })?;
        accepted(&response)?;
        Ok(HttpStream {
            reader: response.into_body().into_reader(),
            decoder: Decoder::new(from.cloned().unwrap_or_default(), self.longest),
            longest: self.longest,
            resumed: self.assumes_resumed && has_id,
            retry: self.retry.clone(),
            _interrupt: interrupt,
        })
    }
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSource").field("host", &self.settings.uri.host()).finish_non_exhaustive()
    }
}

/// An open stream of server-sent events; the connection of [`HttpSource`].
pub struct HttpStream {
    reader: BodyReader<'static>,
    decoder: Decoder,
    longest: usize,
    resumed: bool,
    retry: Arc<AtomicU64>,
    _interrupt: StopHook,
}

impl Connection for HttpStream {
    type Event = ServerEvent;
    type Token = String;

    fn resumed(&mut self) -> Option<bool> {
        Some(self.resumed)
    }

    fn next(&mut self) -> Result<Option<Item<ServerEvent, String>>, Fault> {
        let mut bytes = [0; 16 * 1024];
        loop {
            match self.decoder.next() {
                Some(Decoded::Event(event)) => {
                    let id = event.id.clone();
                    return Ok(Some(Item::Event(event, id)));
                }
                Some(Decoded::TooLong(id)) => {
                    let text = format!("an event is longer than {} bytes", self.longest);
                    return Ok(Some(Item::Undecodable(text.into(), Some(id))));
                }
                Some(Decoded::Id(id)) => return Ok(Some(Item::Alive(id))),
                Some(Decoded::Retry(wait)) => {
                    let millis = wait.as_millis().try_into().unwrap_or(u64::MAX);
                    self.retry.store(millis, Ordering::Relaxed);
                }
                None => match self.reader.read(&mut bytes) {
                    Ok(0) => return Ok(None),
                    Ok(count) => self.decoder.feed(&bytes[..count]),
                    Err(error) => return Err(Fault::transient(HttpError::of(error.into()))),
                },
            }
        }
    }
}

impl fmt::Debug for HttpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpStream")
    }
}

/// The settings of an [`HttpSource`].
///
/// | setting | default |
/// |---|---|
/// | [`timeout`](Self::timeout) | 1 s |
/// | [`max_event`](Self::max_event) | 1 MiB |
/// | [`proxy`](Self::proxy), [`root_certificates`](Self::root_certificates), [`header`](Self::header) | those of an [`HttpSink`](crate::HttpSink) |
///
/// # Examples
/// ```
/// use buslane_http::HttpSource;
/// use std::time::Duration;
/// let source = HttpSource::builder("https://example.com/events").timeout(Duration::from_secs(5)).build()?;
/// # drop(source);
/// # Ok::<(), buslane_http::HttpConfigError>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct HttpSourceBuilder {
    inner: HttpSinkBuilder<()>,
    longest: usize,
    assumes_resumed: bool,
}

impl HttpSourceBuilder {
    /// Uses no proxy, whatever the environment.
    pub fn direct(mut self) -> Self {
        self.inner = self.inner.direct();
        self
    }

    /// Connects through this [proxy](crate::HttpSink#proxies) instead of one from the environment.
    pub fn proxy(mut self, url: &str) -> Self {
        self.inner = self.inner.proxy(url);
        self
    }

    /// Sends this header when it connects, as [an HTTP sink](crate::HttpSinkBuilder::header) does.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.inner = self.inner.header(name, value);
        self
    }

    /// Sets the limit of the host lookup, of the connect, and of the wait for the answer's head.
    /// Zero is invalid.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.inner = self.inner.timeout(limit);
        self
    }

    /// Trusts the certificate authorities in this PEM text instead of Mozilla's.
    pub fn root_certificates(mut self, pem: &[u8]) -> Self {
        self.inner = self.inner.root_certificates(pem);
        self
    }

    /// Sets the longest line and the longest data of an event, in bytes. Zero is invalid.
    pub fn max_event(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// Trusts the server to continue after `Last-Event-ID`, so that a connection that sends an id
    /// leaves no gap. An id that no header can hold is not sent, and leaves one.
    pub fn assume_resumed(mut self) -> Self {
        self.assumes_resumed = true;
        self
    }

    /// Checks the settings and creates the source.
    ///
    /// # Errors
    /// [`HttpConfigError`] for the first invalid setting, as for
    /// [an HTTP sink](crate::HttpSinkBuilder::build).
    pub fn build(self) -> Result<HttpSource, HttpConfigError> {
        let settings = self.inner.settings()?;
        if self.longest == 0 {
            return Err(Invalid::ZeroMaxEvent.into());
        }
        let proxy = settings.proxy.as_ref().map(|proxy| proxy.uri.clone());
        Ok(HttpSource {
            resolver: Remembering::new(proxy),
            settings,
            longest: self.longest,
            assumes_resumed: self.assumes_resumed,
            retry: Arc::new(AtomicU64::new(0)),
        })
    }
}

impl fmt::Debug for HttpSourceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSourceBuilder").field("settings", &self.inner).finish_non_exhaustive()
    }
}
