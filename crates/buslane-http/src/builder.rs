//! The constructors and the settings of an HTTP sink.

use crate::client::Client;
use crate::config::{HttpConfigError, Invalid};
use crate::proxy::Proxy;
use crate::sink::HttpSink;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;
use ureq::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{PemItem, RootCerts, parse_pem};

/// How long a request may take, as in docker/distribution.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest timeout that is passed to the client: a century. The client adds it to a moment, and a clock may be unable to hold the
/// sum.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Headers for message framing and the destination, which only the client knows.
const RESERVED: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING];

impl<E> HttpSink<E> {
    /// A sink for this endpoint with the default settings: a timeout of one second, the media type `application/json`, and the proxy that
    /// the environment [names](Self#proxies), if any. [`builder`](Self::builder) sets others.
    ///
    /// # Errors
    /// [`HttpConfigError`] when the URL is not an absolute `http` or `https` URL, or contains a user or a password, or when the environment
    /// names a proxy that cannot be used. Take [`direct`](Self::direct) to leave the environment aside.
    ///
    /// # Examples
    /// ```
    /// use buslane_http::{HttpConfigErrorKind, HttpSink};
    /// let kind = |url| HttpSink::<String>::new(url).err().map(|error| error.kind());
    /// assert_eq!(kind("https://example.com/events"), None);
    /// assert_eq!(kind("/events"), Some(HttpConfigErrorKind::Url));
    /// assert_eq!(kind("https://me:secret@example.com/"), Some(HttpConfigErrorKind::Credentials));
    /// ```
    pub fn new(url: &str) -> Result<Self, HttpConfigError> {
        Self::builder(url).build()
    }

    /// A sink like that of [`new`](Self::new) that uses no proxy, whatever the environment says.
    ///
    /// # Errors
    /// [`HttpConfigError`] when the URL is invalid, as for [`new`](Self::new).
    ///
    /// # Examples
    /// ```
    /// use buslane_http::HttpSink;
    /// assert!(HttpSink::<String>::direct("https://events.internal/").is_ok());
    /// ```
    pub fn direct(url: &str) -> Result<Self, HttpConfigError> {
        Self::builder(url).direct().build()
    }

    /// A builder, for other settings.
    ///
    /// # Examples
    /// ```
    /// use buslane_http::HttpSink;
    /// use std::time::Duration;
    /// let sink = HttpSink::<String>::builder("https://example.com/events")
    ///     .header("Authorization", "Bearer example")
    ///     .timeout(Duration::from_millis(500))
    ///     .build()?;
    /// # drop(sink);
    /// # Ok::<(), buslane_http::HttpConfigError>(())
    /// ```
    pub fn builder(url: &str) -> HttpSinkBuilder<E> {
        HttpSinkBuilder::new(url)
    }
}

/// The settings of an [`HttpSink`]. A setter replaces the value that an earlier call stored, and [`build`](Self::build) checks what is
/// stored by then.
///
/// # Examples
/// ```
/// use buslane_http::{HttpConfigErrorKind, HttpSink};
/// let builder = HttpSink::<String>::builder("https://example.com/events").header("Content-Length", "7");
/// assert_eq!(builder.build().unwrap_err().kind(), HttpConfigErrorKind::Header);
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct HttpSinkBuilder<E> {
    url: String,
    /// At most one value for each name, whatever its case.
    headers: Vec<(String, String)>,
    timeout: Duration,
    /// The PEM text with the certificate authorities, if not Mozilla's.
    roots: Option<Vec<u8>>,
    proxy: ProxySource,
    enveloped: bool,
    events: PhantomData<fn(E)>,
}

/// Where the proxy comes from.
enum ProxySource {
    Environment,
    No,
    Url(String),
}

impl<E> HttpSinkBuilder<E> {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            headers: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            roots: None,
            proxy: ProxySource::Environment,
            enveloped: false,
            events: PhantomData,
        }
    }

    /// Uses no proxy, whatever the environment says.
    ///
    /// # Examples
    /// ```
    /// use buslane_http::HttpSink;
    /// assert!(HttpSink::<String>::builder("https://events.internal/").direct().build().is_ok());
    /// ```
    pub fn direct(mut self) -> Self {
        self.proxy = ProxySource::No;
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
        self.proxy = ProxySource::Url(url.to_owned());
        self
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
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(earlier, _)| !earlier.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
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
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
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
    pub fn root_certificates(mut self, pem: &[u8]) -> Self {
        self.roots = Some(pem.to_vec());
        self
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

    /// Checks the settings and makes the sink. This reads the environment, unless [`direct`](Self::direct) or [`proxy`](Self::proxy) was
    /// called.
    ///
    /// # Errors
    /// [`HttpConfigError`] when a setting is invalid: the first of the URL, the headers, the timeout, the root certificates and the proxy.
    ///
    /// # Examples
    /// ```
    /// use buslane_http::HttpSink;
    /// assert!(HttpSink::<String>::builder("https://example.com/events").build().is_ok());
    /// assert!(HttpSink::<String>::builder("/events").build().is_err());
    /// ```
    pub fn build(self) -> Result<HttpSink<E>, HttpConfigError> {
        let uri = endpoint(&self.url)?;
        let headers = checked_headers(&self.headers)?;
        if self.timeout.is_zero() {
            return Err(Invalid::ZeroTimeout.into());
        }
        let roots = self.roots.as_deref().map_or(Ok(RootCerts::WebPki), root_certificates)?;
        let proxy = match &self.proxy {
            ProxySource::Environment => Proxy::from_environment(&uri)?,
            ProxySource::No => None,
            ProxySource::Url(url) => Some(Proxy::new(url, "proxy")?),
        };
        let client = Client::new(uri, headers, self.timeout.min(LONGEST), roots, proxy);
        Ok(HttpSink::of(Box::new(client), self.enveloped))
    }
}

fn endpoint(url: &str) -> Result<Uri, HttpConfigError> {
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
    Ok(uri)
}

fn checked_headers(set: &[(String, String)]) -> Result<HeaderMap, HttpConfigError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in set {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Invalid::Header)?;
        let mut value = HeaderValue::from_str(value).map_err(|_| Invalid::Header)?;
        if RESERVED.contains(&name) {
            return Err(Invalid::Header.into());
        }
        // The client writes requests into the debug log.
        value.set_sensitive(name != CONTENT_TYPE);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn root_certificates(pem: &[u8]) -> Result<RootCerts, HttpConfigError> {
    let items = parse_pem(pem).collect::<Result<Vec<_>, _>>().map_err(|_| Invalid::Certificate)?;
    let certificates = items.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    if certificates.is_empty() {
        return Err(Invalid::Certificate.into());
    }
    Ok(RootCerts::from(certificates))
}

impl<E> fmt::Debug for HttpSinkBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = endpoint(&self.url);
        let host = uri.as_ref().map(|uri| uri.host().unwrap_or_default());
        f.debug_struct("HttpSinkBuilder").field("host", &host).finish_non_exhaustive()
    }
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
