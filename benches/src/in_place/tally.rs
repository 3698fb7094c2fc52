//! The record of one listener: what it received, in which order, and what it knows to be lost.

use crate::event::Event;
use std::sync::mpsc::Sender;

/// The position of the publisher's index above its number of an event.
pub(super) const INDEX_SHIFT: u32 = 48;

/// What a listener received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The smallest number that may come next, for each publisher.
    next: Vec<u64>,
    /// The number of received events.
    pub received: u64,
    /// Events that the contender reported to this listener as lost.
    pub lagged: u64,
    sum: u64,
    /// Events that were changed, repeated, or out of their publisher's order.
    broken: u64,
}

impl Tally {
    /// Returns the record of a listener to this many publishers.
    #[must_use]
    pub fn new(publishers: usize) -> Self {
        Self { next: vec![0; publishers], ..Self::default() }
    }

    /// Counts an event.
    #[inline]
    pub fn see(&mut self, event: &Event) {
        let number = event.seq & ((1 << INDEX_SHIFT) - 1);
        let intact = *event == Event::new(event.seq);
        match self.next.get_mut((event.seq >> INDEX_SHIFT) as usize) {
            Some(next) if intact && number >= *next => *next = number + 1,
            _ => self.broken += 1,
        }
        self.received += 1;
        self.sum = self.sum.wrapping_add(event.sum());
    }

    /// Returns the number of events that did not arrive, of these numbers of published events.
    ///
    /// # Errors
    /// If an event was changed, repeated or out of order, or, where all arrived, if the sum of what
    /// they contained is another one.
    pub fn lost(&self, published: &[u64]) -> Result<u64, String> {
        let all: u64 = published.iter().sum();
        let sums = published
            .iter()
            .enumerate()
            .map(|(index, count)| Event::sum_without_end((index as u64) << INDEX_SHIFT, *count));
        let sum = sums.fold(0, u64::wrapping_add);
        if self.broken > 0 || self.received > all || (self.received == all && self.sum != sum) {
            return Err(format!("published {published:?}, expected sum {sum}, but {self:?}"));
        }
        Ok(all - self.received)
    }
}

/// A listener: hands in its record when it is dropped.
#[derive(Debug)]
pub struct Listener {
    tally: Tally,
    reports: Sender<Tally>,
}

impl Listener {
    pub(super) fn new(publishers: usize, reports: Sender<Tally>) -> Self {
        Self { tally: Tally::new(publishers), reports }
    }

    /// Counts an event.
    #[inline]
    pub fn see(&mut self, event: &Event) {
        self.tally.see(event);
    }

    /// Counts events that the contender reported as lost.
    pub fn lag(&mut self, events: u64) {
        self.tally.lagged += events;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A bench that panicked does not wait for its listeners.
        let _ = self.reports.send(std::mem::take(&mut self.tally));
    }
}

#[cfg(test)]
mod tests {
    use super::{INDEX_SHIFT, Tally};
    use crate::event::Event;

    fn heard(numbers: &[u64]) -> Tally {
        let mut tally = Tally::new(2);
        numbers.iter().for_each(|seq| tally.see(&Event::new(*seq)));
        tally
    }

    const SECOND: u64 = 1 << INDEX_SHIFT;

    #[test]
    fn tally_accepts_any_order_between_publishers() {
        assert_eq!(heard(&[SECOND, 0, 1, SECOND + 1, 2]).lost(&[3, 2]), Ok(0));
        assert_eq!(heard(&[]).lost(&[0, 0]), Ok(0));
    }

    #[test]
    fn tally_counts_missing_events() {
        assert_eq!(heard(&[0, 2, SECOND + 4]).lost(&[3, 5]), Ok(5));
    }

    #[test]
    fn tally_refuses_repeats_disorder_and_strangers() {
        for numbers in [&[0, 0][..], &[1, 0], &[0, SECOND, 0], &[2 * SECOND]] {
            assert!(heard(numbers).lost(&[9, 9]).is_err(), "{numbers:?}");
        }
        // More than were published, and others than were published.
        assert!(heard(&[0, 1, 2]).lost(&[2, 0]).is_err());
        assert!(heard(&[0, 2]).lost(&[2, 0]).is_err());
    }

    #[test]
    fn tally_refuses_a_changed_event() {
        let mut tally = Tally::new(1);
        tally.see(&Event { next: 7, ..Event::new(0) });
        assert!(tally.lost(&[1]).is_err());
    }
}
