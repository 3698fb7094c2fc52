//! Time: deadlines, pauses, and clocks that a test can move by hand.
//!
//! | item | what it is |
//! |---|---|
//! | [`Deadline`] | the time at which a wait ends |
//! | [`Clock`], [`SystemClock`] | the source of time for retries, breakers and rate limits |
//! | [`Pause`] | a wait that another thread can interrupt |
//!
//! # Examples
//! ```
//! use buslane::time::Deadline;
//! use buslane::{Sink, noop};
//! use std::time::Duration;
//! let sink = noop::<u32>();
//! assert!(sink.close_by(Deadline::after(Duration::from_secs(5))).is_done());
//! ```

mod clock;

pub use crate::deadline::Deadline;
pub use clock::{Clock, Pause, SystemClock};
