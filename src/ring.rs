//! Ring buffers and an unbounded queue: the storage of every lane and journal.
//!
//! | ring | producers | consumers | push | used for |
//! |---|---|---|---|---|
//! | [`spsc`] | one (SPSC) | one | two plain stores | a publisher's private lane |
//! | [`mpmc`] | many (MPMC) | many | one compare-and-swap | shared lanes, lanes that evict the oldest |
//! | [`blocks`] | one or many (broadcast) | each value goes to all | one plain store, or one compare-and-swap | journals |
//! | `segments` | many | one at a time | one compare-and-swap | unbounded lanes; in models, the simpler `unbounded` replaces it |
//!
//! The first two hold exactly the capacity that was set, and can be *sealed*: a seal fixes the last
//! accepted position and waits for no producer. All of them drop exactly the values that are left
//! in them, also where a destructor panics ([the
//! rule](crate::docs::protocols#destructors-that-panic)). They are public so that models and
//! property tests reach them directly, and because a ring is useful on its own.
//! [`docs::protocols`](crate::docs::protocols) names the sources of the algorithms.

pub mod blocks;
pub mod mpmc;
// Models use `unbounded` instead, except the queue's own models.
#[cfg(any(test, not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))))]
pub(crate) mod segments;
pub mod spsc;
pub(crate) mod unbounded;

use crate::error::{ConfigError, Invalid};

/// The largest capacity of a ring: 2²⁸.
///
/// # Examples
/// ```
/// use buslane::ring::{MAX_CAPACITY, spsc};
/// let error = spsc::ring::<u8>(MAX_CAPACITY + 1).unwrap_err();
/// assert_eq!(error.to_string(), "capacity 268435457 is invalid: it must be at most 268435456 events");
/// ```
pub const MAX_CAPACITY: usize = 1 << 28;

/// Rounds a capacity up to a number of slots, at least `min`.
fn slots_for(capacity: usize, min: usize) -> Result<usize, ConfigError> {
    match capacity {
        0 => Err(Invalid::ZeroCapacity.into()),
        1..=MAX_CAPACITY => Ok(capacity.next_power_of_two().max(min)),
        _ => Err(Invalid::CapacityTooLarge { asked: capacity, most: MAX_CAPACITY }.into()),
    }
}
