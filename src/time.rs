//! Time: deadlines, pauses, and clocks that a test can move by hand.
//!
//! | item | what it is |
//! |---|---|
//! | [`Deadline`] | the time at which a wait ends |
//! | [`Clock`], [`SystemClock`] | the source of time for retries, breakers and rate limits |
//! | [`Pause`] | a wait that another thread can interrupt |
//! | [`coarse_unix_time`], [`ticks`] | cheap readings of the time, for stamps on a hot path |
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

use crate::sync::readings;
use std::time::Duration;

pub use crate::deadline::Deadline;
pub use clock::{Clock, Pause, SystemClock};

/// Returns the time since the Unix epoch at the system's last tick: 1 to 10 ms ago, depending on the
/// system.
///
/// Takes about 5 ns on Linux (`CLOCK_REALTIME_COARSE`). Elsewhere it reads the system's time, as
/// [`SystemTime::now`](std::time::SystemTime::now) does.
///
/// # Examples
/// ```
/// use std::time::UNIX_EPOCH;
/// let stamp = buslane::time::coarse_unix_time();
/// let time = UNIX_EPOCH + stamp; // a `SystemTime`
/// # assert!(time.elapsed().unwrap_or_default() < std::time::Duration::from_secs(60));
/// ```
#[inline]
#[must_use]
pub fn coarse_unix_time() -> Duration {
    readings::coarse_unix_time()
}

/// Returns a number that grows with time on all threads alike, to put the events of several threads
/// in order.
///
/// The number has no unit, and means nothing in another process. On x86-64 and 64-bit Arm under
/// Linux, it is the processor's counter, which takes about 10 ns to read. On x86-64, the kernel has to
/// offer that counter as a source of its clock. Elsewhere it is the nanoseconds since the first call.
///
/// The processor may read its counter ahead of earlier loads: two readings of different threads
/// within some dozen nanoseconds may be in either order. Those of one thread may be, too, where it
/// moves between processors meanwhile.
///
/// # Examples
/// ```
/// let first = buslane::time::ticks();
/// let second = std::thread::spawn(buslane::time::ticks).join().unwrap();
/// assert!(first <= second);
/// ```
#[inline]
#[must_use]
pub fn ticks() -> u64 {
    readings::ticks()
}
