//! A live view into a running [buslane] event bus: who is slow, who drops, now.
//!
//! [`serve`] starts one thread that answers at a Unix socket or at a port of the loopback interface.
//! Without it nothing is started, and no publish costs more: a frame reads counters that exist
//! anyway.
//!
//! ```
//! use buslane::{Bus, Queue};
//! use buslane_inspect::{At, Inspector};
//!
//! let bus = Bus::new();
//! bus.add_named("audit", Queue::builder().spawn(|n: u32| println!("{n}"))?)?;
//! let serving = Inspector::builder().register("orders", &bus).serve(At::Loopback(0))?;
//! println!("http://{}/", serving.at()); // the page
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | path | answer |
//! |---|---|
//! | `/` | a page that draws the frames |
//! | `/snapshot` | one [`Frame`] as JSON |
//! | `/snapshots?every=1000` | a frame each second, one a line, endless |
//! | `/metrics` | the counters of all buses as OpenMetrics text |
//! | `/tap?bus=orders&every=10&most=100&contains=text` | events, where [permitted](Inspector::tap) |
//!
//! Frames are complete and never differences: a reader that connects again misses nothing.
//!
//! # Security
//! - A Unix socket has the mode 0600, and its default directory the mode 0700.
//! - A port is bound to 127.0.0.1 only. Every user of the machine can connect to it.
//! - The header `Host` must name this machine, and a request of a page of another origin is refused.
//! - Nothing can be changed. A tap is the exception: it is a lossy sink of the bus for as long as a
//!   reader is connected, and only where the bus was registered with [`Inspector::tap`].
//! - At most 32 connections are served, a request has at most 8 KiB and 5 seconds, and a reader that
//!   lets more than 1 MiB wait is disconnected.
//!
//! It needs Unix: elsewhere the crate is empty.
//!
//! [buslane]: https://docs.rs/buslane

#![cfg(unix)]

mod at;
pub mod client;
pub mod error;
pub mod frame;
mod observe;
mod owner;
mod page;
mod registry;
mod release;
mod server;
mod tap;
pub mod warnings;

pub use at::{At, VARIABLE};
pub use frame::{BusFrame, Frame, SinkFrame, SubscriberFrame, Warning, WarningKind};
pub use registry::{Inspector, InspectorBuilder};
pub use server::Serving;

use buslane::Bus;
use error::ServeError;

/// Registers a bus with the [inspector of the process](Inspector::global).
///
/// # Examples
/// ```
/// let bus = buslane::Bus::<u32>::new();
/// buslane_inspect::register("orders", &bus);
/// ```
pub fn register<E: Send + 'static>(name: &str, bus: &Bus<E>) {
    Inspector::global().register(name, bus);
}

/// Starts a server of the [inspector of the process](Inspector::global).
///
/// # Errors
/// Those of [`Inspector::serve`].
///
/// # Examples
/// ```
/// use buslane_inspect::At;
/// let serving = buslane_inspect::serve(At::Loopback(0))?;
/// # drop(serving);
/// # Ok::<(), buslane_inspect::error::ServeError>(())
/// ```
pub fn serve(at: At) -> Result<Serving, ServeError> {
    Inspector::global().serve(at)
}

/// Starts a server of the [inspector of the process](Inspector::global) at the address in the
/// environment variable `BUSLANE_INSPECT`: `unix`, `unix:/path` or `127.0.0.1:port`. Starts nothing
/// if the variable is not set or empty. A path must be UTF-8.
///
/// # Errors
/// Those of [`Inspector::serve`], and [`ServeError::Address`] if the value is invalid.
///
/// # Examples
/// ```
/// let serving = buslane_inspect::serve_from_env()?;
/// assert!(serving.is_none(), "the variable is not set");
/// # Ok::<(), buslane_inspect::error::ServeError>(())
/// ```
pub fn serve_from_env() -> Result<Option<Serving>, ServeError> {
    match std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        None => Ok(None),
        Some(value) => serve(at::from_value(value)?).map(Some),
    }
}

/// Parses a request as the server does, for fuzzing. Returns whether the request is granted.
#[doc(hidden)]
#[must_use]
pub fn parses(bytes: &[u8], is_tcp: bool) -> bool {
    matches!(server::request::parse(bytes, is_tcp), Ok(Some(_)))
}
