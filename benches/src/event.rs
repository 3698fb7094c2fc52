//! The event that every contender carries.

/// Thirty-two bytes, `Copy`: the size of a typical telemetry record.
///
/// The four words depend on each other, so that a torn or stale one shows in the [`sum`](Self::sum).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// Counts up from zero over the life of a contender.
    pub seq: u64,
    /// `seq + 1`.
    pub next: u64,
    /// `!seq`.
    pub inverse: u64,
    /// One in the last event of a transfer, else zero.
    pub last: u64,
}

impl Event {
    /// An event that is not the last one of a transfer.
    #[inline(always)]
    #[must_use]
    pub const fn new(seq: u64) -> Self {
        Self { seq, next: seq.wrapping_add(1), inverse: !seq, last: 0 }
    }

    /// The event, as the last one of a transfer.
    #[inline(always)]
    #[must_use]
    pub const fn ending(self) -> Self {
        Self { last: 1, ..self }
    }

    /// All four words added up: `seq`, one more in the last event of a transfer.
    #[inline(always)]
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.seq.wrapping_add(self.next).wrapping_add(self.inverse).wrapping_add(self.last)
    }

    /// The sum of the sums of a transfer of `count` events from `first` on, its ending included.
    #[must_use]
    pub fn sum_of(first: u64, count: u64) -> u64 {
        (first..first + count).fold(1, u64::wrapping_add)
    }
}

/// What an event is made of. It travels in two registers, so that each contender makes the event where it sends it.
///
/// An event that is handed on in memory, written word by word, and then read by a wider load keeps that load waiting until
/// all stores before it are done: whether a contender suffers that would depend on what the compiler inlines.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    seq: u64,
    last: u64,
}

impl Seed {
    /// Of the event with this number; `last` marks the ending one of a transfer.
    #[inline(always)]
    #[must_use]
    pub const fn new(seq: u64, last: bool) -> Self {
        Self { seq, last: last as u64 }
    }

    /// Makes the event.
    #[inline(always)]
    #[must_use]
    pub const fn event(self) -> Event {
        Event { last: self.last, ..Event::new(self.seq) }
    }
}

/// What photon-ring takes: it wants an unsafe marker on anything that is no array.
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

#[cfg(test)]
mod tests {
    use super::Event;

    #[test]
    fn a_sum_tells_what_was_carried() {
        assert_eq!(Event::new(7).sum(), 7);
        let carried = Event::new(3).sum() + Event::new(4).sum() + Event::new(5).ending().sum();
        assert_eq!(carried, Event::sum_of(3, 3));
        assert_eq!(Event::from(<[u64; 4]>::from(Event::new(9))), Event::new(9));
    }
}
