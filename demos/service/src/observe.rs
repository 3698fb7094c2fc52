//! What every request goes through: admission, a span, a log line, and the counters.

use crate::admission::Admission;
use crate::requests::Visit;
use crate::service::Service;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Instant;
use tracing::{Instrument, info, info_span};

/// Serves a request, if there is room for it, and logs its answer.
pub(crate) async fn observe(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let (number, visit) = Visit::begin(&service.requests);
    let span = info_span!("request", number, method = %request.method(), path = %request.uri().path());
    let answer = async {
        let response = admit(&service.admission, request, next).await;
        let (status, microseconds) = (response.status(), begun.elapsed().as_micros());
        let microseconds = u64::try_from(microseconds).unwrap_or(u64::MAX);
        info!(status = status.as_u16(), microseconds, "answered");
        response
    };
    let response = answer.instrument(span).await;
    visit.answer(response.status());
    response
}

/// Serves a request that is admitted, and refuses any other.
async fn admit(admission: &Admission, request: Request, next: Next) -> Response {
    match admission.enter() {
        Some(_inside) => next.run(request).await,
        None => {
            let mut response =
                (StatusCode::SERVICE_UNAVAILABLE, "too many requests, or shutting down\n").into_response();
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
    }
}
