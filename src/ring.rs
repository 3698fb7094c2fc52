//! Bounded rings: the storage of every lane.
//!
//! | ring | producers | consumers | push | used for |
//! |---|---|---|---|---|
//! | [`spsc`] | one | one | two plain stores | a publisher's private lane |
//! | [`mpmc`] | many | many | one compare-and-swap | shared lanes, lanes that evict the oldest |
//! | [`blocks`] | one or many | each value goes to all | one plain store, or one compare-and-swap | journals |
//! | `segments` | many | one at a time | one swap | unbounded lanes; `unbounded` is a simpler one in its place in models |
//!
//! The first two hold exactly as many values as asked for, and can be *sealed*: after
//! that the last accepted position is known for good, although no producer was waited for. All of them drop exactly what is left in
//! them, also where a destructor panics ([the rule](crate::docs::protocols#destructors-that-panic)). They are public so that
//! models and property tests reach them as they are, and because a good ring is useful on its own.

pub mod blocks;
pub mod mpmc;
// A model sees `unbounded` in its place, apart from the queue's own models.
#[cfg(any(test, not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))))]
pub(crate) mod segments;
pub mod spsc;
pub(crate) mod unbounded;

use crate::error::{ConfigError, Invalid};

/// The most values that one ring may be asked to hold: 2²⁸.
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
