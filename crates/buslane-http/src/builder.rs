//! The constructors and the settings of an HTTP sink.

use crate::client::{Client, Settings};
use crate::config::{HttpConfigError, Invalid};
use crate::proxy::Proxy;
use crate::sink::HttpSink;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{PemItem, RootCerts, parse_pem};

/// The default timeout of a request, the same as in docker/distribution.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest timeout that is passed to the HTTP client: a century. The client adds it to an
/// instant, and a longer one might overflow the clock.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Headers for message framing and the destination, which only the HTTP client sets.
const RESERVED: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING];

impl<E> HttpSink<E> {
    /// Creates a sink for this endpoint with the default settings.
    ///
    /// These are a timeout of one second, the media type `application/json`, and the [proxy from
    /// the environment](Self#proxies), if any. Use a [`builder`](Self::builder) for other settings.
    ///
    /// # Errors
    /// [`HttpConfigError`] when:
    /// - the URL is not an absolute `http` or `https` URL;
    /// - the URL contains a user or a password;
    /// - the environment names an unusable proxy. Use [`direct`](Self::direct) to ignore the
    ///   environment.
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

    /// Creates a sink like [`new`](Self::new), but without a proxy, whatever the environment.
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

    /// Returns a builder with the default settings.
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

/// The settings of an [`HttpSink`].
///
/// A setter replaces the value of an earlier call. Only [`build`](Self::build) checks the values.
///
/// # Examples
/// ```
/// use buslane_http::{HttpConfigErrorKind, HttpSink};
/// let builder = HttpSink::<String>::builder("https://example.com/events").header("Content-Length", "7");
/// assert_eq!(builder.build().unwrap_err().kind(), HttpConfigErrorKind::Header);
/// ```
///
/// A clone makes another sink with the same settings:
/// ```
/// use buslane_http::HttpSink;
/// let builder = HttpSink::builder("https://example.com/events").header("Authorization", "Bearer example");
/// let pushes: HttpSink<String> = builder.clone().build()?;
/// let others = builder.enveloped().build()?;
/// # drop((pushes, others));
/// # Ok::<(), buslane_http::HttpConfigError>(())
/// ```
// Not `Default`: a sink has no endpoint by default.
#[must_use = "a builder does nothing until `build` is called"]
pub struct HttpSinkBuilder<E> {
    url: String,
    /// At most one value for each case-insensitive name.
    headers: Vec<(String, String)>,
    timeout: Duration,
    /// The PEM text with the certificate authorities, or `None` for Mozilla's.
    roots: Option<Vec<u8>>,
    proxy: ProxySource,
    enveloped: bool,
    events: PhantomData<fn(E)>,
}

/// The source of the proxy setting.
#[derive(Clone)]
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

    /// Uses no proxy, whatever the environment.
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

    /// Sends every request through this proxy instead of one from the environment.
    ///
    /// `url` is the URL of an `http` or `https` [proxy](HttpSink#proxies).
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

    /// Sends this header with each request. A later value for the same name replaces an earlier
    /// one.
    ///
    /// A name or a value that HTTP does not allow is invalid. So are `Content-Length`,
    /// `Transfer-Encoding`, `Connection` and `Host`, which only the HTTP client sets.
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

    /// Sets the `Content-Type` of the payload; the default is `application/json`.
    ///
    /// The notifications of a container registry have
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

    /// Sets the timeout of a whole request; the default is one second.
    ///
    /// The timeout includes the host lookup and lasts until the last byte of the answer. A limit of
    /// more than a century counts as a century. Zero is invalid.
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

    /// Trusts the certificate authorities in this PEM text instead of Mozilla's.
    ///
    /// This is for endpoints with certificates of a private authority. A text without a certificate
    /// is invalid.
    ///
    /// # Examples
    /// ``` no_run
    /// use buslane_http::HttpSink;
    /// let own = std::fs::read("/etc/ssl/private-authority.pem")?;
    /// let sink = HttpSink::<String>::builder("https://events.internal/").root_certificates(&own).build()?;
    /// # drop(sink);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn root_certificates(mut self, pem: &[u8]) -> Self {
        self.roots = Some(pem.to_vec());
        self
    }

    /// Posts `{"events":[event]}` instead of the event alone.
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

    /// Checks the settings and creates the sink.
    ///
    /// This reads the environment, unless [`direct`](Self::direct) or [`proxy`](Self::proxy) was
    /// called.
    ///
    /// # Errors
    /// [`HttpConfigError`] for the first invalid setting, in the order URL, headers, timeout, root
    /// certificates, proxy.
    ///
    /// # Examples
    /// ```
    /// use buslane_http::HttpSink;
    /// assert!(HttpSink::<String>::builder("https://example.com/events").build().is_ok());
    /// assert!(HttpSink::<String>::builder("/events").build().is_err());
    /// ```
    pub fn build(self) -> Result<HttpSink<E>, HttpConfigError> {
        let client = Client::new(self.settings()?);
        Ok(HttpSink::of(Box::new(client), self.enveloped))
    }

    /// Checks the settings of the connection.
    pub(crate) fn settings(&self) -> Result<Settings, HttpConfigError> {
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
        Ok(Settings { uri, headers, timeout: self.timeout.min(LONGEST), roots, proxy: proxy.map(Arc::new) })
    }
}

fn endpoint(url: &str) -> Result<Uri, HttpConfigError> {
    let uri: Uri = url.parse().map_err(|_| Invalid::Url)?;
    let authority = uri.authority().ok_or(Invalid::Url)?;
    if authority.as_str().contains('@') {
        return Err(Invalid::CredentialsInUrl.into());
    }
    // The parser treats a port that is not a number as if there were none.
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
        // The HTTP client writes requests into its debug log.
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

impl<E> Clone for HttpSinkBuilder<E> {
    fn clone(&self) -> Self {
        let (url, headers, roots) = (self.url.clone(), self.headers.clone(), self.roots.clone());
        Self { url, headers, roots, proxy: self.proxy.clone(), ..*self }
    }
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
