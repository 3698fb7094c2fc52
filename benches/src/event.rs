//! The event of every contender, and the other payloads of a journal.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

/// Thirty-two bytes, `Copy`: the size of a typical telemetry record.
///
/// The four words depend on each other, so that the [`sum`](Self::sum) detects a torn or stale one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// Counts up from zero over the life of a contender.
    pub seq: u64,
    /// `seq + 1`.
    pub next: u64,
    /// `!seq`.
    pub inverse: u64,
    /// One in the last event of a transfer, otherwise zero.
    pub last: u64,
}

impl Event {
    /// Returns an event that is not the last one of a transfer.
    #[inline(always)]
    #[must_use]
    pub const fn new(seq: u64) -> Self {
        Self { seq, next: seq.wrapping_add(1), inverse: !seq, last: 0 }
    }

    /// Returns the event, as the last one of a transfer.
    #[inline(always)]
    #[must_use]
    pub const fn ending(self) -> Self {
        Self { last: 1, ..self }
    }

    /// Returns the sum of all four words: `seq`, plus one in the last event of a transfer.
    #[inline(always)]
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.seq.wrapping_add(self.next).wrapping_add(self.inverse).wrapping_add(self.last)
    }

    /// Returns the sum of the sums of a transfer of `count` events that starts with `first`,
    /// including its last event.
    #[must_use]
    pub fn sum_of(first: u64, count: u64) -> u64 {
        Self::sum_without_end(first, count).wrapping_add(1)
    }

    /// Returns the sum of the sums of `count` events that start with `first`, none of which is the
    /// last one of a transfer.
    #[must_use]
    pub const fn sum_without_end(first: u64, count: u64) -> u64 {
        // `first + … + (first + count - 1)`; one of the factors of the last product is even.
        let (a, b) = if count.is_multiple_of(2) {
            (count / 2, count.wrapping_sub(1))
        } else {
            (count, (count - 1) / 2)
        };
        first.wrapping_mul(count).wrapping_add(a.wrapping_mul(b))
    }
}

impl Event {
    /// Returns the event as its 32 bytes.
    #[inline(always)]
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let words: [u64; 4] = self.into();
        bytes
            .chunks_exact_mut(8)
            .zip(words)
            .for_each(|(bytes, word)| bytes.copy_from_slice(&word.to_le_bytes()));
        bytes
    }

    /// Returns the event of these bytes. For any other number of bytes than 32, returns an event
    /// that is never published.
    #[inline(always)]
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut words = bytes.chunks_exact(8).map(|word| word.try_into().map(u64::from_le_bytes));
        let words: [u64; 4] = std::array::from_fn(|_| words.next().and_then(Result::ok).unwrap_or(u64::MAX));
        words.into()
    }
}

/// The source of an event. It travels in two registers, so that each contender creates the event
/// where it sends it.
///
/// An event that is passed on in memory, written word by word, and then read by a wider load stalls
/// that load until all stores before it are done: whether a contender suffers that would depend on
/// the compiler's inlining.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    seq: u64,
    last: u64,
}

impl Seed {
    /// Returns the seed of the event with this number; `last` marks the last one of a transfer.
    #[inline(always)]
    #[must_use]
    pub const fn new(seq: u64, last: bool) -> Self {
        Self { seq, last: last as u64 }
    }

    /// Creates the event.
    #[inline(always)]
    #[must_use]
    pub const fn event(self) -> Event {
        Event { last: self.last, ..Event::new(self.seq) }
    }
}

/// The form for photon-ring, which requires an unsafe marker on any type except arrays.
impl From<Event> for [u64; 4] {
    #[inline(always)]
    fn from(event: Event) -> Self {
        [event.seq, event.next, event.inverse, event.last]
    }
}

impl From<[u64; 4]> for Event {
    #[inline(always)]
    fn from([seq, next, inverse, last]: [u64; 4]) -> Self {
        Self { seq, next, inverse, last }
    }
}

/// A payload with a number, which a read verifies completely.
pub trait Payload: Clone + Send + Sync + 'static {
    /// Returns the payload with this number.
    fn of(seq: u64) -> Self;

    /// Reads the whole payload. Returns the event with the same number, unless a part has changed.
    fn event(&self) -> Event;
}

impl Payload for Event {
    fn of(seq: u64) -> Self {
        Self::new(seq)
    }

    fn event(&self) -> Event {
        *self
    }
}

/// The event with a destructor that reads it, and frees nothing.
#[derive(Clone)]
pub struct Dropping(Event);

impl Drop for Dropping {
    #[inline(always)]
    fn drop(&mut self) {
        // The compiler can omit none of many drops, and they do not wait for each other.
        black_box(&self.0);
    }
}

impl fmt::Debug for Dropping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Payload for Dropping {
    fn of(seq: u64) -> Self {
        Self(Event::new(seq))
    }

    fn event(&self) -> Event {
        self.0
    }
}

/// The event as its bytes.
impl Payload for Arc<[u8]> {
    fn of(seq: u64) -> Self {
        Self::from(Event::new(seq).to_bytes())
    }

    fn event(&self) -> Event {
        Event::from_bytes(self)
    }
}

/// Eight bytes per word; only the number of words matters.
impl<const N: usize> Payload for [u64; N] {
    fn of(seq: u64) -> Self {
        std::array::from_fn(|index| seq.wrapping_add(index as u64))
    }

    fn event(&self) -> Event {
        let whole = self.iter().zip(self[0]..).all(|(word, expected)| *word == expected);
        if whole { Event::new(self[0]) } else { Event { last: u64::MAX, ..Event::default() } }
    }
}

/// The number, in 24 digits.
impl Payload for String {
    fn of(seq: u64) -> Self {
        format!("{seq:024}")
    }

    fn event(&self) -> Event {
        self.parse().map_or(Event { last: u64::MAX, ..Event::default() }, Event::new)
    }
}

#[cfg(test)]
mod tests {
    use super::{Dropping, Event, Payload};
    use std::sync::Arc;

    #[test]
    fn sum_accounts_for_every_carried_event() {
        assert_eq!(Event::new(7).sum(), 7);
        let carried = Event::new(3).sum() + Event::new(4).sum() + Event::new(5).ending().sum();
        assert_eq!(carried, Event::sum_of(3, 3));
        assert_eq!(Event::from(<[u64; 4]>::from(Event::new(9))), Event::new(9));
        for (first, count) in [(0, 0), (7, 1), (7, 2), (3, 5), (u64::MAX - 1, 6)] {
            let sum = (0..count).fold(0_u64, |sum, n| sum.wrapping_add(first.wrapping_add(n)));
            assert_eq!(Event::sum_without_end(first, count), sum);
        }
    }

    #[test]
    fn payload_round_trips_its_event() {
        assert_eq!(size_of::<Dropping>(), 32);
        let event = Event::new(12_345);
        assert_eq!([Event::of(12_345).event(), Dropping::of(12_345).event()], [event; 2]);
        assert_eq!([Arc::<[u8]>::of(12_345).event(), String::of(12_345).event()], [event; 2]);
        assert_eq!(String::of(u64::MAX).len(), 24);
        assert_eq!(<[u64; 32]>::of(12_345).event(), event);
        assert_ne!([12_345_u64, 12_345].event(), event);
        assert_eq!(Event::from_bytes(&event.to_bytes()), event);
        assert_eq!(Event::from_bytes(&[0; 31]).last, u64::MAX);
    }
}
