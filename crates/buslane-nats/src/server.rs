//! Where the server is, and how to connect to it.

use crate::config::Invalid;
use async_nats::{ConnectOptions, ServerAddr};
use buslane::retry::Backoff;
use std::fmt;
use std::time::Duration;
use tokio::runtime::Handle;

/// The address of a NATS server or cluster, and how to connect to it.
///
/// Every builder accepts a URL in its place.
///
/// | setting | default |
/// |---|---|
/// | [`options`](Self::options) | those of `async_nats`, with the client's name `buslane-nats` |
/// | [`reconnect`](Self::reconnect) | 50 ms to 5 s, full jitter |
/// | [`runtime`](Self::runtime) | a runtime of its own, with one thread |
///
/// Addresses are `nats://host:port` or `tls://host:port`; several of one cluster are separated by
/// commas. The default port is 4222. A user and a password may be in the address.
///
/// # Examples
/// ```
/// use buslane_nats::{JetStream, Server};
/// use buslane_nats::async_nats::ConnectOptions;
/// let options = ConnectOptions::with_user_and_password("me".into(), "secret".into()).require_tls(true);
/// let server = Server::new("nats://one:4222,nats://two:4222").options(options);
/// assert!(!format!("{server:?}").contains("secret"));
/// let sink = JetStream::<u32>::builder(server);
/// # drop(sink);
/// ```
#[derive(Clone)]
#[must_use = "a server does nothing until a sink or a source uses it"]
pub struct Server {
    urls: String,
    pub(crate) options: ConnectOptions,
    pub(crate) reconnect: Backoff,
    pub(crate) runtime: Option<Handle>,
}

/// How often the client asks whether the server is there. A path that died without a notice is found
/// after two or three of them, which is before a server forgets message ids: what the client still has
/// in its buffers is then recognized.
const PING: Duration = Duration::from_secs(15);

impl Server {
    /// Sets the address, or several that are separated by commas. The builder that gets it checks it.
    pub fn new(urls: impl Into<String>) -> Self {
        Self {
            urls: urls.into(),
            options: ConnectOptions::new().name("buslane-nats").ping_interval(PING),
            reconnect: Backoff::new(Duration::from_millis(50), Duration::from_secs(5)),
            runtime: None,
        }
    }

    /// Sets how the client connects: credentials, tokens, nkeys (with the feature `nkeys`), TLS, the
    /// interval of pings, and the limit of a connect.
    ///
    /// The crate connects again by itself, so it replaces the options for reconnects and for
    /// events. Leave `retry_on_initial_connect` unset.
    ///
    /// # Examples
    /// ```
    /// use buslane_nats::Server;
    /// use buslane_nats::async_nats::ConnectOptions;
    /// use std::time::Duration;
    /// let options = ConnectOptions::with_token("secret".into()).ping_interval(Duration::from_secs(10));
    /// let server = Server::new("tls://nats.example.com").options(options);
    /// # drop(server);
    /// ```
    pub fn options(mut self, options: ConnectOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets the waits between the attempts of a sink to connect. It never gives up, so the limits of
    /// the backoff do not count. A source connects when its monitor does.
    pub fn reconnect(mut self, backoff: Backoff) -> Self {
        self.reconnect = backoff;
        self
    }

    /// Sets the runtime that drives the connection, in place of one of its own.
    ///
    /// It must run by itself, as the multi-threaded runtime of tokio does, and have I/O and time
    /// enabled. If it is shut down, nothing is sent any more, and
    /// events wait as they do in an outage.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Parses the addresses and checks the settings.
    pub(crate) fn addresses(&self) -> Result<Vec<ServerAddr>, Invalid> {
        self.reconnect.validate()?;
        self.urls.split(',').map(str::trim).map(address).collect()
    }
}

fn address(url: &str) -> Result<ServerAddr, Invalid> {
    let scheme = url.split_once("://").map_or("nats", |(scheme, _)| scheme);
    if !matches!(scheme, "nats" | "tls") {
        let is_scheme = scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
        // Anything else may be a part of a password.
        return Err(if is_scheme && scheme.len() < 20 {
            Invalid::Scheme(scheme.to_owned())
        } else {
            Invalid::Url
        });
    }
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    if rest.strip_suffix('/').unwrap_or(rest).contains(['/', '?', '#']) {
        return Err(Invalid::Url);
    }
    let address: ServerAddr = url.parse().map_err(|_| Invalid::Url)?;
    let host = address.host();
    let is_bad = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '%';
    if host.is_empty() || host.contains(is_bad) || address.port() == 0 {
        Err(Invalid::Url)
    } else {
        Ok(address)
    }
}

impl From<&str> for Server {
    fn from(urls: &str) -> Self {
        Self::new(urls)
    }
}

impl From<String> for Server {
    fn from(urls: String) -> Self {
        Self::new(urls)
    }
}

/// Shows hosts and ports only.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.addresses().unwrap_or_default();
        let hosts: Vec<_> =
            hosts.iter().map(|address| format!("{}:{}", address.host(), address.port())).collect();
        f.debug_struct("Server").field("hosts", &hosts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Server;
    use crate::config::Invalid;

    #[test]
    fn address_needs_a_known_scheme_and_a_host() {
        for (urls, hosts) in [
            ("localhost", vec![("localhost", 4222)]),
            ("nats://10.0.0.1:9", vec![("10.0.0.1", 9)]),
            ("tls://me:secret@host", vec![("host", 4222)]),
            ("nats://[::1]:7", vec![("::1", 7)]),
            ("nats://a, nats://b:1", vec![("a", 4222), ("b", 1)]),
        ] {
            let found = Server::new(urls).addresses().unwrap();
            let found: Vec<_> = found.iter().map(|address| (address.host(), address.port())).collect();
            assert_eq!(found, hosts, "{urls}");
        }
        for urls in [
            "",
            ",",
            "nats://",
            "nats://a,",
            "not a url",
            "nats://a b",
            "nats://a:99999",
            "nats://:4222",
            "http//a",
            "nats://a/b",
            "nats://a?b",
        ] {
            assert_eq!(Server::new(urls).addresses(), Err(Invalid::Url), "{urls:?}");
        }
        for scheme in ["http", "ws", "wss", "amqp"] {
            let error = Server::new(format!("{scheme}://a")).addresses();
            assert_eq!(error, Err(Invalid::Scheme(scheme.to_owned())));
        }
        assert_eq!(Server::new("me:pass word://host").addresses(), Err(Invalid::Url));
    }

    #[test]
    fn debug_shows_no_password() {
        let text = format!("{:?}", Server::new("nats://me:secret@host:1"));
        assert!(text.contains("host:1") && !text.contains("secret"), "{text}");
    }
}
