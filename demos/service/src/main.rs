//! An axum service whose telemetry goes through buslane, and what that costs a request.
//!
//! ```text
//! cargo run --release -p service -- serve --address 127.0.0.1:8080 --database orders.db --log service.log
//! curl -d '{"item":"bolt","quantity":3}' -H 'content-type: application/json' 127.0.0.1:8080/orders
//! curl -N 127.0.0.1:8080/feed
//! cargo run --release -p service -- compare --rounds 3
//! ```
//!
//! `serve` takes orders over HTTP. What happens to an order leaves the request in three ways, and in
//! none of them does a thread of the runtime wait:
//!
//! ```text
//!                 ┌─ audit: lossless ──► Channel, refuses when full ──► task ──► SQLite, a transaction per batch
//! POST /orders ───┼─ feed:  with gaps ─► Journal ──► a subscriber for each client of GET /feed
//!                 └─ log:   lossy ─────► tracing ──► buslane-tracing ──► a line in a file
//! ```
//!
//! | path | what it answers |
//! |---|---|
//! | `POST /orders` | takes `{"item": "bolt", "quantity": 3}`; 201 with the order, 409 when the stock is too low, 503 when the audit has no room |
//! | `GET /orders/{id}` | the order |
//! | `GET /items` | the stock of each item |
//! | `GET /feed` | the orders as server-sent events; a client that lags gets `event: lagged` with the number that it missed, and continues; one that returns after a restart gets `event: restarted` first |
//! | `GET /metrics` | the ledgers of all buses and the counters of the service, as OpenMetrics text |
//! | `GET /health` | `ok` |
//!
//! On SIGINT or SIGTERM the service accepts no further requests, answers those that it has, ends the
//! feed after its last event, writes what the audit still holds, writes the last log lines, and
//! reports the ledger of each. Every order that was answered 201 is in the database then; with
//! `--durable` also after a crash. A second signal ends it at once.
//!
//! `compare` starts the service as child processes, one for each kind of telemetry, and offers them
//! the same load in turn: see `compare.rs` for the method.
//!
//! The exit code is 0 when every ledger balances, 1 when one does not or a later step failed, 2 when
//! the service could not start, and 130 after a second signal.

mod admission;
mod api;
mod audit;
mod compare;
mod database;
mod feed;
mod metrics;
mod observe;
mod options;
mod orders;
mod processor;
mod report;
mod requests;
mod serve;
mod service;
mod shutdown;
mod telemetry;

use options::{Command, Options};
use std::process::ExitCode;

fn main() -> ExitCode {
    demo_support::run(|options: &Options| match &options.command {
        Command::Serve(settings) => serve::run(settings, options.json),
        Command::Compare(settings) => compare::run(settings, options.json),
    })
}
