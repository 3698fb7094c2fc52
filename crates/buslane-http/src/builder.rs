//! The settings of an HTTP sink.

use crate::client::Client;
use crate::config::HttpConfigError;
use crate::sink::HttpSink;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// The settings of an [`HttpSink`]. A setter stores its value, and [`build`](Self::build) reports the first one that is invalid.
///
/// # Examples
/// ```
/// use buslane_http::{HttpConfigErrorKind, HttpSink};
/// let builder = HttpSink::<String>::builder("https://example.com/events").header("Content-Length", "7");
/// assert_eq!(builder.build().unwrap_err().kind(), HttpConfigErrorKind::Header);
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct HttpSinkBuilder<E> {
    /// The client, or the first setting that is invalid.
    client: Result<Box<Client>, HttpConfigError>,
    proxy: Proxied,
    enveloped: bool,
    events: PhantomData<fn(E)>,
}

/// Where the proxy comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proxied {
    Environment,
    No,
    Set,
}

impl<E> HttpSinkBuilder<E> {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            client: Client::new(url).map(Box::new),
            proxy: Proxied::Environment,
            enveloped: false,
            events: PhantomData,
        }
    }

    fn set(mut self, set: impl FnOnce(&mut Client) -> Result<(), HttpConfigError>) -> Self {
        if let Ok(client) = &mut self.client
            && let Err(error) = set(client)
        {
            self.client = Err(error);
        }
        self
    }

    /// Uses no proxy, whatever the environment says.
    ///
    /// # Examples
    /// ```
    /// use buslane_http::HttpSink;
    /// assert!(HttpSink::<String>::builder("https://events.internal/").direct().build().is_ok());
    /// ```
    pub fn direct(mut self) -> Self {
        self.proxy = Proxied::No;
        self
    }

    /// Sends every request through this proxy, instead of one that the environment names: the URL of an `http` or `https`
    /// [proxy](HttpSink#proxies).
    ///
    /// # Examples
    /// ```
    /// use buslane_http::{HttpConfigErrorKind, HttpSink};
    /// let with = |proxy| HttpSink::<String>::builder("https://example.com/events").proxy(proxy).build();
    /// assert!(with("http://user:password@proxy.internal:3128").is_ok());
    /// assert_eq!(with("socks5://proxy.internal").unwrap_err().kind(), HttpConfigErrorKind::Proxy);
    /// ```
    pub fn proxy(mut self, url: &str) -> Self {
        self.proxy = Proxied::Set;
        self.set(|client| client.set_proxy(url))
    }

    /// Sends this header with each request; of several values for one name, the last counts.
    ///
    /// A name or a value that HTTP does not allow is invalid. So is a header that says how the message is framed (`Content-Length`,
    /// `Transfer-Encoding`, `Connection`, `Host`), which only the client knows.
    ///
    /// # Examples
    /// ```
    /// use buslane_http::HttpSink;
    /// let builder = HttpSink::<String>::builder("https://example.com/events");
    /// assert!(builder.header("Authorization", "Bearer example").build().is_ok());
    /// ```
    pub fn header(self, name: &str, value: &str) -> Self {
        self.set(|client| client.set_header(name, value))
    }

    /// What the payload is called in `Content-Type`; by default `application/json`. A registry's notifications are
    /// `application/vnd.docker.distribution.events.v2+json`.
    ///
    /// # Examples
    /// ```
    /// let builder = buslane_http::HttpSink::<String>::builder("https://example.com/events");
    /// assert!(builder.media_type("application/cloudevents+json").build().is_ok());
    /// ```
    pub fn media_type(self, media_type: &str) -> Self {
        self.header("Content-Type", media_type)
    }

    /// How long a request may take in all, from the lookup of the host to the last byte of the answer; by default one
    /// second. A limit of more than a century counts as a century, and zero is invalid.
    ///
    /// # Examples
    /// ```
    /// use buslane_http::HttpSink;
    /// use std::time::Duration;
    /// let builder = HttpSink::<String>::builder("https://example.com/events");
    /// assert!(builder.timeout(Duration::from_millis(500)).build().is_ok());
    /// ```
    pub fn timeout(self, limit: Duration) -> Self {
        self.set(|client| client.set_timeout(limit))
    }

    /// Trusts the certificate authorities in this PEM text instead of Mozilla's: for endpoints with certificates of one's own. A text
    /// without a certificate is invalid.
    ///
    /// # Examples
    /// ``` no_run
    /// use buslane_http::HttpSink;
    /// let own = std::fs::read("/etc/ssl/own-authority.pem")?;
    /// let sink = HttpSink::<String>::builder("https://events.internal/").root_certificates(&own).build()?;
    /// # drop(sink);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn root_certificates(self, pem: &[u8]) -> Self {
        self.set(|client| client.set_root_certificates(pem))
    }

    /// Posts `{"events":[event]}` instead of the event by itself.
    ///
    /// # Examples
    /// ``` no_run
    /// use buslane::Sink;
    /// use buslane_http::HttpSink;
    /// let sink = HttpSink::builder("https://example.com/events").enveloped().build()?;
    /// sink.write("push")?; // posts {"events":["push"]}
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn enveloped(mut self) -> Self {
        self.enveloped = true;
        self
    }

    /// Makes the sink. This reads the environment, unless [`direct`](Self::direct) or [`proxy`](Self::proxy) was called.
    ///
    /// # Errors
    /// [`HttpConfigError`] of the first invalid setting.
    ///
    /// # Examples
    /// ```
    /// use buslane_http::HttpSink;
    /// assert!(HttpSink::<String>::builder("https://example.com/events").build().is_ok());
    /// assert!(HttpSink::<String>::builder("/events").build().is_err());
    /// ```
    pub fn build(self) -> Result<HttpSink<E>, HttpConfigError> {
        let mut client = self.client?;
        match self.proxy {
            Proxied::Environment => client.set_proxy_of_environment()?,
            Proxied::No => client.set_no_proxy(),
            Proxied::Set => {}
        }
        Ok(HttpSink::of(client, self.enveloped))
    }
}

impl<E> fmt::Debug for HttpSinkBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.client.as_ref().map(|client| client.host());
        f.debug_struct("HttpSinkBuilder").field("host", &host).finish_non_exhaustive()
    }
}
