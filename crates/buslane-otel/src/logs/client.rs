//! An HTTP client that lets a log sink see the endpoint's answers.

use super::answer::{self, Answer};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// An HTTP client for an OTLP exporter that lets a [`LogSink`](crate::LogSink) see the endpoint's
/// answers.
///
/// An exporter reports only that an export failed, and nothing at all if the endpoint rejected a
/// part of the records. With this client around the exporter's own one, the sink knows:
///
/// - the status, so that a final refusal (`400`) is not retried;
/// - `Retry-After` in seconds (a date is ignored), which [`ExportRetry`](crate::ExportRetry)
///   respects;
/// - the number of rejected records, which count as dropped. This is read from answers in protobuf,
///   which is what the endpoint sends to an exporter that speaks protobuf.
///
/// Give it to exactly one exporter, or to several: an answer belongs to the thread that exports.
///
/// # Examples
/// ``` no_run
/// use buslane_otel::ObservedClient;
/// use opentelemetry_otlp::{LogExporter, RetryPolicy, WithExportConfig, WithHttpConfig};
/// use std::time::Duration;
/// let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(5)).build()?;
/// let exporter = LogExporter::builder()
///     .with_http()
///     .with_endpoint("http://127.0.0.1:4318/v1/logs")
///     .with_http_client(ObservedClient::new(client))
///     .with_retry_policy(RetryPolicy::disabled())
///     .build()?;
/// # let _ = exporter;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ObservedClient<C>(C);

impl<C: HttpClient> ObservedClient<C> {
    /// Wraps a client. The client's own timeout bounds a request.
    #[must_use]
    pub fn new(client: C) -> Self {
        Self(client)
    }
}

/// What `HttpClient` returns: the trait is written with `async_trait`.
type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl<C: HttpClient> HttpClient for ObservedClient<C> {
    fn send_bytes<'life, 'sending>(&'life self, request: Request<Bytes>) -> Sending<'sending>
    where
        'life: 'sending,
        Self: 'sending,
    {
        Box::pin(async move {
            // An exporter may try again by itself: only its last attempt counts.
            answer::keep(None);
            let response = self.0.send_bytes(request).await?;
            answer::keep(Some(read(&response)));
            Ok(response)
        })
    }
}

fn read(response: &Response<Bytes>) -> Answer {
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let (rejected, message) = if answer::is_success(status) {
        answer::partial_success(response.body())
    } else {
        Default::default()
    };
    Answer { status, retry_after, rejected, message }
}
