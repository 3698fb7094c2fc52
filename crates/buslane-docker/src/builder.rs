//! The settings of a source.

use crate::address::Address;
use crate::config::{DockerConfigError, Invalid};
use crate::event::LONGEST_TEXT;
use crate::filter::Filter;
use crate::settings::Settings;
use crate::source::DockerSource;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// The settings of a [`DockerSource`].
///
/// | setting | default |
/// |---|---|
/// | [`host`](Self::host) | `DOCKER_HOST`, or the first that is there of `/var/run/docker.sock`, `$XDG_RUNTIME_DIR/docker.sock` and `$HOME/.docker/run/docker.sock` |
/// | [`filter`](Self::filter) | every event |
/// | [`since`](Self::since), [`until`](Self::until) | from now on, without an end |
/// | [`timeout`](Self::timeout) | 5 s for each request |
/// | [`margin`](Self::margin), [`proof_wait`](Self::proof_wait) | 2 s, 1 s |
/// | [`buffer`](Self::buffer) | 65 536 events, and at most 64 MiB |
/// | [`max_event`](Self::max_event) | 1 MiB |
///
/// # Examples
/// ```
/// use buslane_docker::{DockerSource, Filter, Kind};
/// use std::time::Duration;
/// let source = DockerSource::builder()
///     .host("unix:///run/user/1000/docker.sock")
///     .filter(Filter::new().kind(Kind::Container).kind(Kind::Image))
///     .timeout(Duration::from_secs(2))
///     .build()?;
/// # drop(source);
/// # Ok::<(), buslane_docker::DockerConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct DockerSourceBuilder {
    place: Place,
    filter: Filter,
    filters_here: bool,
    since: Option<SystemTime>,
    until: Option<SystemTime>,
    timeout: Duration,
    margin: Duration,
    proof_wait: Duration,
    buffer: usize,
    longest: usize,
}

/// Where the engine is.
#[derive(Clone, Debug)]
enum Place {
    Environment,
    Podman,
    Host(String),
    Socket(PathBuf),
}

impl DockerSource {
    /// Returns a builder with the default settings: every event of the local Docker Engine.
    ///
    /// # Examples
    /// ```
    /// use buslane_docker::DockerSource;
    /// let source = DockerSource::builder().host("tcp://127.0.0.1:2375").build()?;
    /// # drop(source);
    /// # Ok::<(), buslane_docker::DockerConfigError>(())
    /// ```
    pub fn builder() -> DockerSourceBuilder {
        DockerSourceBuilder::new()
    }
}

impl DockerSourceBuilder {
    fn new() -> Self {
        Self {
            place: Place::Environment,
            filter: Filter::new(),
            filters_here: false,
            since: None,
            until: None,
            timeout: Duration::from_secs(5),
            margin: Duration::from_secs(2),
            proof_wait: Duration::from_secs(1),
            buffer: 1 << 16,
            longest: 1 << 20,
        }
    }

    /// Sets the address of the engine, in the form of `DOCKER_HOST`: `unix:///path`,
    /// `tcp://host:port` or `http://host:port`.
    ///
    /// `ssh://` and `https://` are not supported: forward the socket of the other machine to one of
    /// this one.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.place = Place::Host(host.into());
        self
    }

    /// Sets the path of the engine's Unix socket. It must be absolute.
    pub fn socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.place = Place::Socket(path.into());
        self
    }

    /// Connects to Podman: `$XDG_RUNTIME_DIR/podman/podman.sock`, or `/run/podman/podman.sock`.
    ///
    /// Podman's socket must be active. It has no identity that lasts, so a token is accepted from
    /// any Podman.
    pub fn podman(mut self) -> Self {
        self.place = Place::Podman;
        self
    }

    /// Sets which events are wanted. The engine applies the filter.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Asks the engine for every event, and applies the filter in this process.
    ///
    /// A proof that a connection continues needs an event that was received before and is still in
    /// the engine's history, which is that of all events together. With a filter of the engine, a
    /// busy engine soon forgets the rare events that the filter wants. With this setting, the other
    /// events prove it.
    pub fn filter_here(mut self) -> Self {
        self.filters_here = true;
        self
    }

    /// Begins at this time, by the clock of the engine, as far as its history reaches: at most 256
    /// events with Docker. A token goes before it.
    pub fn since(mut self, since: SystemTime) -> Self {
        self.since = Some(since);
        self
    }

    /// Ends at this time, by the clock of the engine. The monitor then stops, with
    /// [`StopReason::Fatal`](buslane::source::StopReason::Fatal).
    ///
    /// An engine compares this time with its clock and not with the times of events, so the last
    /// events before it may be missing or the first after it be there.
    pub fn until(mut self, until: SystemTime) -> Self {
        self.until = Some(until);
        self
    }

    /// Sets the limit of each request until it is answered. A connection makes three. Zero is
    /// invalid.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sets how much earlier than the last event a new connection asks for events.
    ///
    /// Engines keep events in the order in which they were written down, which is not always that of
    /// their times. With a margin of zero, such an event may be missed, and Podman cannot prove that
    /// a connection continues.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// Sets how long a new connection waits for the proof that it continues. Until then, other events
    /// are held.
    pub fn proof_wait(mut self, wait: Duration) -> Self {
        self.proof_wait = wait;
        self
    }

    /// Sets the number of events that are kept while the sink is busy. When there are more, or they
    /// occupy more than 64 MiB, the oldest are evicted, and a gap counts them. Zero is invalid.
    pub fn buffer(mut self, events: usize) -> Self {
        self.buffer = events;
        self
    }

    /// Sets the longest event, in bytes of JSON. Zero and more than 16 MiB are invalid.
    pub fn max_event(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// Checks the settings and creates the source. It neither connects nor waits.
    ///
    /// # Errors
    /// [`DockerConfigError`] for the first invalid setting.
    ///
    /// # Examples
    /// ```
    /// use buslane_docker::DockerSource;
    /// let error = DockerSource::builder().host("/var/run/docker.sock").build().unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the engine's address is invalid: give unix:///path, tcp://host:port or http://host:port"
    /// );
    /// ```
    pub fn build(self) -> Result<DockerSource, DockerConfigError> {
        let address = match &self.place {
            Place::Environment => Address::from_environment(),
            Place::Podman => Address::podman(),
            Place::Host(host) => Address::parse(host),
            Place::Socket(path) => Address::socket(path),
        }?;
        self.filter.check(self.filters_here)?;
        if self.timeout.is_zero() {
            return Err(Invalid::ZeroTimeout.into());
        }
        if self.buffer == 0 {
            return Err(Invalid::ZeroBuffer.into());
        }
        if !(1..=LONGEST_TEXT).contains(&self.longest) {
            return Err(Invalid::MaxEvent { limit: self.longest, most: LONGEST_TEXT }.into());
        }
        let (since, until) = (nanos(self.since)?, nanos(self.until)?);
        if since.zip(until).is_some_and(|(since, until)| until < since) {
            return Err(Invalid::UntilBeforeSince.into());
        }
        let settings = Settings {
            filter: self.filter,
            filters_here: self.filters_here,
            since,
            until,
            // Longer ones would overflow the client's times.
            timeout: self.timeout.min(Duration::from_secs(24 * 3600)),
            margin: self.margin.as_nanos().try_into().unwrap_or(i64::MAX),
            proof_wait: self.proof_wait,
            buffer: self.buffer,
            longest: self.longest,
        };
        Ok(DockerSource::with(settings, address))
    }
}

/// Converts a time into nanoseconds since 1970.
fn nanos(time: Option<SystemTime>) -> Result<Option<i64>, DockerConfigError> {
    let nanos =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos().try_into().ok();
    time.map(|time| nanos(time).ok_or(Invalid::TimeOutOfRange.into())).transpose()
}
