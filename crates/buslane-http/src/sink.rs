//! The sinks, their settings and their contract.

use crate::body;
use crate::client::{Client, PostError};
use crate::error::HttpError;
use buslane::sink::SinkKey;
use buslane::stats::CloseReport;
use buslane::time::Deadline;
use buslane::{Sink, WriteError};
use serde::Serialize;
use std::fmt;
use std::marker::PhantomData;

/// Posts each event as JSON to an HTTP endpoint.
///
/// The payload is the event itself, or, after [`enveloped`](crate::HttpSinkBuilder::enveloped), `{"events":[event]}`; [`batches`](Self::batches)
/// makes a sink of it that posts many events at once.
///
/// | the endpoint | the write |
/// |---|---|
/// | answers with 2xx, and its answer, or 64 KiB of it, can be read | `Ok` |
/// | answers with 2xx, and what follows the head is malformed | `Ok`: the endpoint has taken the event |
/// | answers with 408, 429 or 5xx | `Failed` with an [`HttpError`] that [is worth a retry](HttpError::is_retryable) |
/// | answers with another status, 101 included; redirects are not followed | `Failed`, not worth a retry |
/// | cannot be reached, hangs up before the end of its answer, sends something that is not HTTP/1, or does not answer in [time](crate::HttpSinkBuilder::timeout) | `Failed`, worth a retry |
/// | is not asked, since the event cannot be written as JSON | `Failed`, not worth a retry |
/// | is reached through a proxy that refuses the tunnel | `Failed`, worth a retry by the proxy's status, as above |
///
/// **The status line decides.** An endpoint that has sent one has said what became of the event, and would say it again, so a malformed rest
/// of its answer is no reason to send the event once more:
///
/// - A folded header line continues the line before it (RFC 9112, 5.2). Header lines that are malformed, too many or longer than 64 KiB together are
///   left out. Line ends without a carriage return and a status line without a reason are fine.
/// - Informational answers (1xx except 101) are skipped, with or without headers.
/// - A `Content-Length` that is no number or not the only one, or a `Transfer-Encoding` other than `chunked`, leaves the body unread and closes the connection; so do bytes after a 204.
///
/// **An early answer counts.** An endpoint may answer before it has the whole body, and close the connection or read no further. The
/// sink looks for such an answer before it reports that the send failed or took too long. A status of 300 or more ends the send at once;
/// over TLS, only a failure or the end of the time does.
///
/// A write waits for the answer: put a [`Queue`](buslane::Queue) upstream of it. It does not try again by itself; that is the work of a
/// [`retry`](buslane::SinkExt::retry) with a policy in an [`HttpRetry`](crate::HttpRetry). Each attempt serializes the event again: the
/// event itself is what comes back from a write that failed, bytes kept beside it would cost memory for every event that succeeds, and writing JSON is nothing beside a request.
///
/// # Guarantees
/// - **Delivery**: `Ok` means that the endpoint said so. `Failed` does not mean that it has not got the event: the answer may
///   have been lost. Endpoints tell events apart by an id in the payload.
/// - **Connections**: kept and used again, three at most, for 15 seconds of idleness at most. One that the endpoint has
///   closed meanwhile is found out by a request that fails and is worth a retry.
/// - **Time**: no write takes longer than the [`timeout`](crate::HttpSinkBuilder::timeout), the lookup of the host included. Inside a limit to all
///   waits of a write, it takes no longer than that.
/// - **Threads**: none of its own. Looking up a name that is not an address takes a short-lived one, at most every 30 seconds
///   while the endpoint can be reached.
/// - **Secrecy**: errors and `Debug` contain nothing of events, headers, paths and queries. The client's own log does at level
///   `trace`: leave the target `ureq_proto` below that.
/// - **End**: a close lets requests in flight end, and takes no more. [`Sink::abort_now`] closes too, and breaks off what is in flight.
///
/// TLS is [rustls](https://docs.rs/rustls) with Mozilla's certificate authorities, or [others](crate::HttpSinkBuilder::root_certificates).
///
/// # Proxies
/// [`new`](Self::new) chooses a proxy from the environment as curl does; [`proxy`](crate::HttpSinkBuilder::proxy) names one; [`direct`](Self::direct)
/// uses none. The environment is read once, when the sink is made. A variable that is empty counts as unset.
///
/// | for the URL's scheme | the first of these that is set |
/// |---|---|
/// | `http` | `http_proxy`, `all_proxy`, `ALL_PROXY`; never `HTTP_PROXY`, which a client of a CGI program can set with a header |
/// | `https` | `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY` |
///
/// `no_proxy`, or else `NO_PROXY`, lists hosts that are reached directly, separated by commas or spaces: a domain means itself and
/// all its subdomains, with or without a leading `.` or `*.`; an address for itself, and `10.0.0.0/8` or `fd00::/8` for a network; a port after a
/// host limits the entry to that port; `*` means every host. Other entries match nothing.
///
/// A proxy is the URL of an `http` or `https` proxy, with a user and a password where it asks for them; the default scheme is `http`, the default port 1080, or 443 for
/// `https`. Requests to an `http` endpoint are forwarded by the proxy, which is told the whole URL; requests to an `https` endpoint go through a
/// tunnel (`CONNECT`). SOCKS proxies are not supported. A value that is no such URL is an error when the sink is made.
///
/// # Examples
/// ```
/// use buslane::{Bus, SinkExt};
/// use buslane_http::HttpSink;
/// use std::time::Duration;
///
/// #[derive(Clone, serde::Serialize)]
/// struct Push {
///     repository: String,
/// }
///
/// let bus = Bus::new();
/// let sink = HttpSink::builder("http://127.0.0.1:9/events")
///     .header("Authorization", "Bearer example")
///     .timeout(Duration::from_millis(500))
///     .build()?;
/// bus.add(sink.queue(1024)?)?;
/// bus.publish(Push { repository: "library/hello".into() })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "an HTTP sink does nothing until it is written to or added to a bus"]
pub struct HttpSink<E> {
    client: Box<Client>,
    enveloped: bool,
    events: PhantomData<fn(E)>,
}

impl<E> HttpSink<E> {
    pub(crate) fn of(client: Box<Client>, enveloped: bool) -> Self {
        Self { client, enveloped, events: PhantomData }
    }

    /// A sink for batches of events, with the same settings.
    ///
    /// # Examples
    /// ``` no_run
    /// use buslane::Sink;
    /// use buslane_http::HttpSink;
    /// let sink = HttpSink::new("https://example.com/events")?.batches();
    /// sink.write(vec!["push", "pull"])?; // posts {"events":["push","pull"]}
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn batches(self) -> HttpBatchSink<E> {
        HttpBatchSink { client: self.client, events: PhantomData }
    }
}

/// The error of a request that came to nothing, with what was to be posted.
fn unposted<T>(event: T, error: PostError) -> WriteError<T> {
    match error {
        PostError::Closed => WriteError::Closed(event),
        PostError::NoTime => WriteError::Timeout(event),
        PostError::Http(error) => failed(event, error),
    }
}

fn failed<T>(event: T, error: HttpError) -> WriteError<T> {
    WriteError::Failed { event, source: Box::new(error) }
}

/// What both sinks do alike.
macro_rules! delegate_to_client {
    () => {
        fn close_by(&self, _deadline: Deadline) -> CloseReport {
            self.client.close();
            CloseReport::done()
        }

        fn abort_now(&self) {
            self.client.abort();
        }

        fn reports_closed(&self) -> bool {
            self.client.is_closed()
        }

        fn key(&self) -> Option<SinkKey> {
            Some(SinkKey::of(self.client.identity()))
        }
    };
}

impl<E: Serialize> Sink<E> for HttpSink<E> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        if self.client.is_closed() {
            return Err(WriteError::Closed(event));
        }
        match body::of_one(&event, self.enveloped) {
            Ok(body) => self.client.post(&body).map_err(|error| unposted(event, error)),
            Err(error) => Err(failed(event, error)),
        }
    }

    delegate_to_client!();
}

impl<E> fmt::Debug for HttpSink<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSink").field("host", &self.client.host()).finish_non_exhaustive()
    }
}

/// Posts batches of events as `{"events":[…]}`. Made by [`HttpSink::batches`].
///
/// Everything said at [`HttpSink`] holds for it, with one addition: an event that cannot be written as JSON does not keep the
/// others of its batch from being posted. When they have been, the write fails with an error that is not worth a retry, and
/// *only the events that were not posted come back*. An empty batch is `Ok`, and nothing is posted.
///
/// # Examples
/// ```
/// use buslane::{Bus, SinkExt};
/// use buslane_http::HttpSink;
/// use std::time::Duration;
/// let sink = HttpSink::builder("http://127.0.0.1:9/events")
///     .media_type("application/vnd.docker.distribution.events.v2+json")
///     .build()?
///     .batches();
/// let bus = Bus::new();
/// bus.add(sink.batch(100).age(Duration::from_secs(1)).queue(1024)?)?;
/// bus.publish(String::from("push"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "an HTTP sink does nothing until it is written to or added to a bus"]
pub struct HttpBatchSink<E> {
    client: Box<Client>,
    events: PhantomData<fn(E)>,
}

impl<E: Serialize> Sink<Vec<E>> for HttpBatchSink<E> {
    fn write(&self, batch: Vec<E>) -> Result<(), WriteError<Vec<E>>> {
        if self.client.is_closed() {
            return Err(WriteError::Closed(batch));
        }
        let body = body::of_batch(&batch);
        if body.count > 0
            && let Err(error) = self.client.post(&body.bytes)
        {
            return Err(unposted(batch, error));
        }
        if body.left_out.is_empty() {
            return Ok(());
        }
        let left_out = batch.into_iter().enumerate();
        let left_out = left_out.filter(|(index, _)| body.left_out.binary_search(index).is_ok());
        Err(failed(left_out.map(|(_, event)| event).collect(), HttpError::Unserializable))
    }

    delegate_to_client!();
}

impl<E> fmt::Debug for HttpBatchSink<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpBatchSink").field("host", &self.client.host()).finish_non_exhaustive()
    }
}
