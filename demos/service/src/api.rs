//! The paths of the service and their handlers.

use crate::audit;
use crate::feed::NoFeed;
use crate::metrics;
use crate::observe::observe;
use crate::orders::{Item, MOST, Order};
use crate::service::Service;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde_json::{Map, json};
use std::sync::Arc;
use tracing::info;

/// The longest body of a request, in bytes.
const LONGEST_BODY: usize = 4096;

/// Returns the routes of a service.
pub(crate) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/orders", post(place))
        .route("/orders/{id}", get(find))
        .route("/items", get(items))
        .route("/feed", get(feed))
        .route("/metrics", get(page))
        .route("/health", get(health))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(middleware::from_fn_with_state(service.clone(), observe))
        .with_state(service)
}

/// An answer that is not the one that the client hoped for.
struct Refusal(StatusCode, String);

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self(status, text.into())
    }

    fn unavailable(text: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, text) = self;
        let mut response = (status, Json(json!({"error": text}))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl From<audit::Refused> for Refusal {
    fn from(refused: audit::Refused) -> Self {
        Self::unavailable(match refused {
            audit::Refused::Full => "the audit has no room: try again",
            audit::Refused::Closed => "shutting down",
        })
    }
}

impl From<NoFeed> for Refusal {
    fn from(no_feed: NoFeed) -> Self {
        match no_feed {
            NoFeed::TooManyClients => Self::unavailable("the feed has too many clients: try again"),
            NoFeed::Start(error) => Self::new(StatusCode::BAD_REQUEST, error.to_string()),
        }
    }
}

#[derive(Deserialize)]
struct NewOrder {
    item: Item,
    quantity: u32,
}

/// Takes an order. It counts from the moment in which the audit accepts it; before that, and if the
/// client hangs up meanwhile, nothing has happened.
async fn place(
    State(service): State<Arc<Service>>,
    order: Result<Json<NewOrder>, JsonRejection>,
) -> Result<(StatusCode, Json<Order>), Refusal> {
    let Json(NewOrder { item, quantity }) = order?;
    if !(1..=MOST).contains(&quantity) {
        let text = format!("quantity {quantity} is invalid: it must be from 1 to {MOST}");
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text));
    }
    let reserved = service.orders.reserve(item, quantity).map_err(|left| {
        Refusal::new(StatusCode::CONFLICT, format!("quantity {quantity} is too high: {left} in stock"))
    })?;
    let order = reserved.order();
    let commit = service.audit.record(order).await?;
    reserved.keep(order);
    service.feed.publish(order);
    info!(order = order.id, item = item.name(), quantity, "order taken");
    if let Some(commit) = commit {
        let unknown = "the order was taken, and may not be on disk";
        commit.await.map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, unknown))?;
    }
    Ok((StatusCode::CREATED, Json(order)))
}

async fn find(State(service): State<Arc<Service>>, Path(id): Path<u64>) -> Result<Json<Order>, Refusal> {
    let unknown = || Refusal::new(StatusCode::NOT_FOUND, format!("order {id} is unknown"));
    service.orders.find(id).map(Json).ok_or_else(unknown)
}

async fn items(State(service): State<Arc<Service>>) -> Response {
    let stock = service.orders.stock().map(|(item, left)| (item.to_owned(), left.into()));
    Json(stock.collect::<Map<_, _>>()).into_response()
}

#[derive(Deserialize)]
struct Beginning {
    /// How many of the latest orders a new client gets first.
    #[serde(default)]
    last: usize,
}

async fn feed(
    State(service): State<Arc<Service>>,
    Query(Beginning { last }): Query<Beginning>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let last_id = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let client = service.feed.open(last_id, last)?;
    // A comment every 15 seconds: so a client that has gone is noticed without an order, too.
    Ok(Sse::new(client).keep_alive(KeepAlive::default()).into_response())
}

async fn page(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = metrics::format(accept);
    ([(header::CONTENT_TYPE, format.content_type())], metrics::page(&service, format)).into_response()
}

/// Answers `ok`, unless the database fails.
async fn health(State(service): State<Arc<Service>>) -> Result<&'static str, Refusal> {
    match service.audit.progress().error() {
        None => Ok("ok\n"),
        Some(error) => Err(Refusal::unavailable(&format!("the database fails: {error}"))),
    }
}
