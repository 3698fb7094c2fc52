//! The times of events: from a user function, or sampled when a block begins.

use crate::ring::blocks::{Look, Reader};
use crate::sync::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the time of an event.
pub(super) type TimeOf<E> = Arc<dyn Fn(&E) -> SystemTime + Send + Sync>;

/// The source of a journal's times.
pub(super) enum TimeSource<E> {
    /// The journal has no times.
    None,
    /// The last sample of the system clock, taken once per block. Samples never decrease. No event
    /// of a block was published before the block's sample.
    Sampled(AtomicU64),
    /// The user's function that returns the time of an event.
    ByEvent(TimeOf<E>),
}

impl<E> TimeSource<E> {
    pub(super) fn sampled() -> Self {
        Self::Sampled(AtomicU64::new(0))
    }

    /// Returns the stamp for a block that begins now. Called by one publisher at a time.
    #[inline]
    pub(super) fn stamp(&self) -> u64 {
        match self {
            Self::Sampled(last) => {
                // If the system clock is set back, stamps stay the same until the clock has caught
                // up.
                let stamp = nanos(SystemTime::now()).max(last.load(Ordering::Relaxed));
                last.store(stamp, Ordering::Relaxed);
                stamp
            }
            Self::None | Self::ByEvent(_) => 0,
        }
    }
}

/// Returns the nanoseconds since 1970, or zero for earlier times.
pub(super) fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Returns a position before which every kept event was published before `time`. `oldest` is the
/// oldest kept position, `tail` the next one to be written.
pub(super) fn position_since<E>(
    reader: &mut Reader<E>,
    time: SystemTime,
    (oldest, tail): (u64, u64),
    block_len: u64,
) -> u64 {
    let time = nanos(time);
    // Stamps never decrease: in blocks `from..to` all blocks from some index on have stamps of
    // `time` or later, or none has.
    let (mut from, mut to) = (oldest / block_len, tail.div_ceil(block_len));
    while from < to {
        let middle = from + (to - from) / 2;
        if stamp_of(reader, middle * block_len).is_some_and(|stamp| stamp >= time) {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    // The last events of the previous block may have been published at `time` or later.
    (from.saturating_sub(1) * block_len).max(oldest)
}

/// Returns the stamp of the block that begins at a position, or `None` if the block is no longer
/// kept.
fn stamp_of<E>(reader: &mut Reader<E>, position: u64) -> Option<u64> {
    reader.seek(position);
    if reader.look() == Look::Values { reader.stamp() } else { None }
}
