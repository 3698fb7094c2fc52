//! The HTTP sinks and their contract.

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

/// A sink that posts each event as JSON to an HTTP endpoint.
///
/// The payload is the event itself, or `{"events":[event]}` with
/// [`enveloped`](crate::HttpSinkBuilder::enveloped). [`batches`](Self::batches) turns the sink into
/// one that posts many events per request.
///
/// | the endpoint | the write |
/// |---|---|
/// | answers with 2xx, and its answer, or the first 64 KiB of it, can be read | `Ok` |
/// | answers with 2xx, and the bytes after the head are malformed | `Ok`: the endpoint has accepted the event |
/// | answers with 408, 429 or 5xx | `Failed` with an [`HttpError`] that [is retryable](HttpError::is_retryable) |
/// | answers with another status, including 101; redirects are not followed | `Failed`, not retryable |
/// | cannot be reached, hangs up before the end of its answer, sends something that is not HTTP/1, or does not answer in [time](crate::HttpSinkBuilder::timeout) | `Failed`, retryable |
/// | gets no request, since the event cannot be written as JSON | `Failed`, not retryable |
/// | gets no request, since the proxy refuses the tunnel | `Failed`, retryable by the proxy's status, as above |
///
/// **The status line decides.** With its status the endpoint has reported the outcome, and it would
/// report the same after a retry. A malformed rest of its answer is therefore no reason to send the
/// event again:
///
/// - A folded header line continues the line before it (RFC 9112, 5.2). Header lines that are
///   malformed, too many or longer than 64 KiB together are ignored. Line ends without a carriage
///   return and a status line without a reason are accepted.
/// - Informational answers (1xx except 101) are skipped, with or without headers.
/// - An invalid body length leaves the body unread and closes the connection: a `Content-Length`
///   that is not a number, two different lengths, or a `Transfer-Encoding` other than `chunked`.
///   Bytes after a 204 also close it.
///
/// **An early answer counts.** An endpoint may answer before it has the whole body, and then close
/// the connection or stop reading. The sink checks for such an answer before it reports that the
/// send failed or timed out. A status of 300 or more ends the send at once. Over TLS, only a
/// failure or the timeout ends it.
///
/// A write waits for the answer: put a [`Queue`](buslane::Queue) upstream. The sink itself does not
/// retry: wrap it in a [`retry`](buslane::SinkExt::retry) with a policy in an
/// [`HttpRetry`](crate::HttpRetry). Each attempt serializes the event again. A failed write returns
/// the event itself, keeping its bytes would cost memory for every event that succeeds, and writing
/// JSON is cheap compared with a request.
///
/// # Guarantees
/// - **Delivery**: `Ok` means that the endpoint answered with success. `Failed` does not mean that
///   the endpoint did not receive the event: the answer may have been lost. With retries an
///   endpoint may therefore receive an event more than once (at-least-once): put an id into the
///   payload so that it can deduplicate.
/// - **Connections**: at most three idle connections are kept for reuse, for at most 15 seconds. If
///   the endpoint closes a kept connection, the next request on it may fail with a retryable error.
/// - **Time**: no write takes longer than the [`timeout`](crate::HttpSinkBuilder::timeout),
///   including the host lookup. A shorter limit on all waits of a write also applies.
/// - **Threads**: the sink has no threads of its own. Looking up a host name starts a short-lived
///   thread, at most every 30 seconds while the endpoint can be reached.
/// - **Secrecy**: errors and `Debug` output contain nothing of events, headers, paths and queries.
///   The HTTP client's log does at level `trace`: keep the target `ureq_proto` below that level.
/// - **End**: a close lets requests in flight finish and accepts no further events.
///   [`Sink::abort_now`] closes the sink and cancels the requests in flight.
///
/// TLS is [rustls](https://docs.rs/rustls) with Mozilla's certificate authorities, or
/// [others](crate::HttpSinkBuilder::root_certificates).
///
/// # Proxies
/// [`new`](Self::new) chooses a proxy from the environment as curl does,
/// [`proxy`](crate::HttpSinkBuilder::proxy) sets one, and [`direct`](Self::direct) uses none. The
/// environment is read once, when the sink is created. An empty variable counts as unset.
///
/// | scheme of the URL | proxy: the first variable that is set |
/// |---|---|
/// | `http` | `http_proxy`, `all_proxy`, `ALL_PROXY`; never `HTTP_PROXY`, which a client of a CGI program can set with a header |
/// | `https` | `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY` |
///
/// `no_proxy`, or else `NO_PROXY`, lists hosts that are reached directly, separated by commas or
/// spaces:
/// - A domain, with or without a leading `.` or `*.`, matches itself and all its subdomains.
/// - An address matches itself. `10.0.0.0/8` or `fd00::/8` matches a network.
/// - A port after a host limits the entry to that port.
/// - `*` matches every host.
/// - Other entries match nothing.
///
/// A proxy is given as an `http` or `https` URL, with a user and a password if the proxy requires
/// them. The default scheme is `http`. The default port is 1080, or 443 for `https`. The proxy
/// forwards requests to an `http` endpoint, and gets the whole URL for that. Requests to an `https`
/// endpoint go through a tunnel (`CONNECT`). SOCKS proxies are not supported. An invalid proxy URL
/// is an error when the sink is created.
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

    /// Turns this sink into a sink for batches of events, with the same settings.
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

/// Returns the write error of a failed post, with the event or batch.
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

/// The methods that both sinks implement in the same way.
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

/// A sink that posts each batch of events as `{"events":[…]}`, created by [`HttpSink::batches`].
///
/// The contract of [`HttpSink`] applies, with one addition. If some events of a batch cannot be
/// written as JSON, the sink posts the others. After that the write fails with an error that is not
/// retryable, and *returns only the events that were not posted*. An empty batch returns `Ok`
/// without a request.
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
