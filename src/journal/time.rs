//! When events came: by a function of the user's, or sampled when a block begins.

use crate::ring::blocks::{Look, Reader};
use crate::sync::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells an event's time.
pub(super) type TimeOf<E> = Arc<dyn Fn(&E) -> SystemTime + Send + Sync>;

/// How a journal knows when events came.
pub(super) enum TimeSource<E> {
    /// It does not.
    None,
    /// Once for each block, by the system's clock, and never going back: a time before which no
    /// event of the block came.
    Sampled(AtomicU64),
    /// The events say it.
    ByEvent(TimeOf<E>),
}

impl<E> TimeSource<E> {
    pub(super) fn sampled() -> Self {
        Self::Sampled(AtomicU64::new(0))
    }

    /// What to leave in a block that begins now. Called by one publisher at a time.
    #[inline]
    pub(super) fn stamp(&self) -> u64 {
        match self {
            Self::Sampled(last) => {
                // The system's clock may be set back; then the stamps stand still until it has
                // caught up.
                let stamp = nanos(SystemTime::now()).max(last.load(Ordering::Relaxed));
                last.store(stamp, Ordering::Relaxed);
                stamp
            }
            Self::None | Self::ByEvent(_) => 0,
        }
    }
}

/// Nanoseconds since 1970; zero for earlier times.
pub(super) fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The first position of the last block of which no later event was published before `time`: no
/// event of that time or later lies before it. `oldest` is the oldest position that is kept, `tail`
/// the next one.
pub(super) fn position_since<E>(
    reader: &mut Reader<E>,
    time: SystemTime,
    (oldest, tail): (u64, u64),
    block_len: u64,
) -> u64 {
    let time = nanos(time);
    // Blocks `from..to` have stamps of that time or later from some place on, or none has.
    let (mut from, mut to) = (oldest / block_len, tail.div_ceil(block_len));
    while from < to {
        let middle = from + (to - from) / 2;
        if stamp_of(reader, middle * block_len).is_some_and(|stamp| stamp >= time) {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    // The last events of the block before may have come later than the first ones of this block
    // were stamped.
    (from.saturating_sub(1) * block_len).max(oldest)
}

/// The stamp of the block that begins at a position; `None` when it is not kept any more.
fn stamp_of<E>(reader: &mut Reader<E>, position: u64) -> Option<u64> {
    reader.seek(position);
    if reader.look() == Look::Values { reader.stamp() } else { None }
}
