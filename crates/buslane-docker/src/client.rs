//! The requests to the engine.

use crate::address::Address;
use crate::body::EventBody;
use crate::date::{http_date, rfc_3339};
use crate::error::DockerError;
use crate::pace::Pace;
use crate::version::ApiVersion;
#[cfg(unix)]
use crate::{body::SocketBody, socket::Takeover};
use serde_json::Value;
use std::fmt::Write;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderValue, SERVER, TRANSFER_ENCODING};
use ureq::http::{Request, Response};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, TcpConnector};
use ureq::{Agent, Body, BodyReader};

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
/// The size of one read of a socket.
const READ_SIZE: usize = 64 * 1024;
/// The longest answer but a stream.
const LONGEST_ANSWER: u64 = 4 << 20;
/// The longest message of an engine that is kept, in characters.
const LONGEST_MESSAGE: usize = 200;

/// A client of one engine, for one connection of a source, so that a stop shuts down no other one.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    address: Arc<Address>,
    timeout: Duration,
    /// Whether the client's reads may wait.
    pub(crate) pace: Pace,
    #[cfg(unix)]
    takeover: Arc<Takeover>,
}

/// What an engine answers to a ping.
pub(crate) struct Ping {
    /// The version of the API to ask for. `None` asks for that of the engine.
    pub(crate) version: Option<ApiVersion>,
    pub(crate) is_podman: bool,
    /// The time of the answer, in whole seconds.
    date: Option<i64>,
}

/// What an engine says of itself.
pub(crate) struct Info {
    /// The identity, if it lasts.
    pub(crate) id: Option<Arc<str>>,
    /// The time, in nanoseconds since 1970.
    pub(crate) time: Option<i64>,
    /// Whether the time is that of the ping, in whole seconds.
    pub(crate) is_coarse: bool,
}

impl Client {
    pub(crate) fn new(address: &Address, timeout: Duration) -> Self {
        let (limit, address) = (Some(timeout), Arc::new(address.fixed()));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(USER_AGENT)
            .proxy(None)
            .input_buffer_size(READ_SIZE)
            .timeout_resolve(limit)
            .timeout_connect(limit)
            .timeout_send_request(limit)
            .timeout_recv_response(limit)
            .timeout_recv_body(limit)
            .build();
        let pace = Pace::default();
        #[cfg(unix)]
        let takeover = Arc::new(Takeover::default());
        #[cfg(unix)]
        let agent = {
            use crate::socket::{HostResolver, SocketConnector};
            let connector = SocketConnector { address: address.clone(), takeover: takeover.clone() };
            let connector = connector.chain(TcpConnector::default());
            let resolver =
                HostResolver { has_host: address.path().is_none(), hosts: DefaultResolver::default() };
            Agent::with_parts(config, connector.chain(pace.clone()), resolver)
        };
        #[cfg(not(unix))]
        let agent = Agent::with_parts(
            config,
            ().chain(TcpConnector::default()).chain(pace.clone()),
            DefaultResolver::default(),
        );
        Self {
            agent,
            address,
            timeout,
            pace,
            #[cfg(unix)]
            takeover,
        }
    }

    /// Returns a client with a connection of its own.
    pub(crate) fn another(&self) -> Self {
        Self::new(&self.address, self.timeout)
    }

    /// Ends every request, also one that waits.
    pub(crate) fn shut_down(&self) {
        self.agent.clone().shutdown();
    }

    /// Returns the limit of one request.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Converts an error of a read.
    pub(crate) fn read_error(&self, error: &std::io::Error) -> DockerError {
        DockerError::of_io(error, &self.address.to_string())
    }

    /// Asks whether the engine is there, and which version it has.
    pub(crate) fn ping(&self) -> Result<Ping, DockerError> {
        let mut response = self.get("/_ping", Some(self.timeout), Some(self.timeout))?;
        let body = self.text(&mut response)?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let version = header("api-version");
        match response.status().as_u16() {
            200 if version.is_some() || body.trim() == "OK" => {}
            200 | 404 => return Err(DockerError::NotAnEngine),
            status => return Err(refusal(status, &body, None)),
        }
        let version: Option<ApiVersion> = version.and_then(|version| version.parse().ok());
        if let Some(version) = version.filter(|version| *version < ApiVersion::OLDEST) {
            return Err(DockerError::TooOld { version });
        }
        let is_podman = header("libpod-api-version").is_some()
            || header(SERVER.as_str()).is_some_and(|server| server.starts_with("Libpod"));
        let date = header(DATE.as_str()).and_then(http_date);
        Ok(Ping { version: version.map(ApiVersion::negotiated), is_podman, date })
    }

    /// Asks for the identity and the time of the engine. A proxy may refuse that, and a busy engine
    /// may take too long, since it asks its storage and plugins; the date of the ping serves then.
    pub(crate) fn info(&self, ping: &Ping) -> Result<Info, DockerError> {
        let (status, body) = self.info_text(ping).unwrap_or_default();
        if status == 400 {
            return Err(refusal(status, &body, ping.version));
        }
        let answer: Value = serde_json::from_str(&body).ok().filter(|_| status == 200).unwrap_or_default();
        let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let time = text("SystemTime").and_then(rfc_3339);
        Ok(Info {
            // Podman makes another one for each answer.
            id: text("ID").filter(|_| !ping.is_podman).map(Arc::from),
            time: time.or(ping.date),
            is_coarse: time.is_none() && ping.date.is_some(),
        })
    }

    fn info_text(&self, ping: &Ping) -> Result<(u16, String), DockerError> {
        let limit = Some(self.timeout);
        let mut response = self.get(&path(ping.version, "info"), limit, limit)?;
        let body = self.text(&mut response)?;
        Ok((response.status().as_u16(), body))
    }

    /// Asks for events, and returns the stream of them.
    pub(crate) fn events(&self, ping: &Ping, query: &Query) -> Result<EventBody, DockerError> {
        // Podman may send nothing, not even a status, before the first event.
        let head_limit = (!ping.is_podman).then_some(self.timeout);
        let url = format!("{}{}", path(ping.version, "events"), query);
        let mut response = self.get(&url, head_limit, None)?;
        let status = response.status().as_u16();
        if status != 200 {
            let body = self.text(&mut response)?;
            return Err(refusal(status, &body, ping.version));
        }
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        match media_type {
            Some(media_type) if !media_type.contains("json") && !media_type.starts_with("text/plain") => {
                Err(DockerError::NotAnEngine)
            }
            _ => {
                let header = |name| response.headers().get(name).map(HeaderValue::as_bytes);
                let is_chunked = header(TRANSFER_ENCODING)
                    .is_some_and(|it| it.eq_ignore_ascii_case(b"chunked"))
                    && header(CONTENT_ENCODING).is_none();
                self.body(response.into_body().into_reader(), is_chunked)
            }
        }
    }

    /// Takes a chunked body over from the client, if its socket is one of this crate.
    #[cfg(unix)]
    fn body(&self, mut body: BodyReader<'static>, is_chunked: bool) -> Result<EventBody, DockerError> {
        if !is_chunked || self.address.path().is_none() {
            return Ok(EventBody::Client(body));
        }
        let taken = self.takeover.take(&mut body).map_err(|error| self.read_error(&error))?;
        Ok(EventBody::Socket(Box::new(SocketBody::new(taken, body))))
    }

    #[cfg(not(unix))]
    fn body(&self, body: BodyReader<'static>, _is_chunked: bool) -> Result<EventBody, DockerError> {
        Ok(EventBody::Client(body))
    }

    fn get(
        &self,
        path: &str,
        head_limit: Option<Duration>,
        body_limit: Option<Duration>,
    ) -> Result<Response<Body>, DockerError> {
        let request = Request::get(format!("http://{}{path}", self.address.authority())).body(());
        // The authority and the path were checked or encoded.
        let request = request.map_err(|_| DockerError::Protocol)?;
        let request = self.agent.configure_request(request);
        let request = request.timeout_recv_response(head_limit).timeout_recv_body(body_limit).build();
        self.agent.run(request).map_err(|error| DockerError::of(&error, &self.address.to_string()))
    }

    /// Reads an answer. What is not UTF-8 is replaced.
    fn text(&self, response: &mut Response<Body>) -> Result<String, DockerError> {
        let mut bytes = Vec::new();
        let mut body = response.body_mut().as_reader().take(LONGEST_ANSWER);
        body.read_to_end(&mut bytes).map_err(|error| self.read_error(&error))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Returns the path of a request.
fn path(version: Option<ApiVersion>, name: &str) -> String {
    version.map_or_else(|| format!("/{name}"), |version| format!("/v{version}/{name}"))
}

/// Returns the error of a refused request.
fn refusal(status: u16, body: &str, asked: Option<ApiVersion>) -> DockerError {
    let parsed: Option<Value> = serde_json::from_str(body).ok();
    let message = parsed.as_ref().and_then(|answer| answer.get("message")?.as_str()).unwrap_or(body);
    let message: String = message.trim().chars().take(LONGEST_MESSAGE).collect();
    // "client version 1.52 is too old", "client version 1.52 is too new"
    if status == 400 && message.contains("version") {
        return DockerError::Version { asked, message };
    }
    DockerError::Refused { status, message }
}

/// The parameters of a request for events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(String);

impl Query {
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                self.0.push(byte.into());
            } else {
                // Writing to a string does not fail.
                let _written = write!(self.0, "%{byte:02X}");
            }
        }
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
