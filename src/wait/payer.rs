//! The side that pays for the fence of a park: the consumer, while it parks rarely, or its
//! publishers.
//!
//! With the asymmetric pair, a park costs the consumer a `membarrier`, which interrupts every
//! running thread of the process. That is cheap next to a full fence in every publish, as long as
//! many events, or much time, lie between two parks. A consumer that parks often lets its
//! publishers pay instead: [`WaitCell`](super::WaitCell) has the protocol, and this module decides.
//!
//! The decision needs no access to shared memory. It uses what the consumer counts in any case, and
//! reads the clock only at a park, which costs far more.

use std::time::{Duration, Instant};

/// The side of the handshake of a parking consumer that pays for the fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payer {
    /// The consumer executes the heavy fence, publishers the light one.
    Consumer,
    /// Both sides execute a full fence.
    Publishers,
}

/// A park after fewer events and after less time is one too many: a `membarrier` takes about as
/// long as this number of full fences, and a thousand of them in a second less than one percent of
/// a processor.
const FEW_EVENTS: u64 = 512;
const SHORT_TIME: Duration = Duration::from_millis(1);
/// The number of such parks in a row from which the publishers pay.
const OFTEN: u32 = 4;
/// After this number of events without a park, or a park after this time, the consumer pays again.
/// Four times the limits above, so that a steady flow does not alternate.
const MANY_EVENTS: u64 = 4 * FEW_EVENTS;
const LONG_TIME: Duration = Duration::from_millis(4);

/// The recent parks of one consumer, which determine the side that pays for the next one.
#[derive(Debug)]
pub(crate) struct ParkRate {
    payer: Payer,
    /// The number of frequent parks in a row, while the consumer pays.
    frequent: u32,
    /// The time of the last park, and the number of events that the consumer had found by then.
    parked: Option<Instant>,
    events: u64,
}

impl ParkRate {
    pub(crate) fn new() -> Self {
        Self { payer: Payer::Consumer, frequent: 0, parked: None, events: 0 }
    }

    /// Returns the side that pays for a park now. `events` is the number of all events that the
    /// consumer has found.
    pub(crate) fn parks(&mut self, events: u64, now: Instant) -> Payer {
        let found = events.wrapping_sub(std::mem::replace(&mut self.events, events));
        let since = self.parked.replace(now).map(|parked| now.saturating_duration_since(parked));
        match self.payer {
            Payer::Consumer => {
                let is_frequent = found < FEW_EVENTS && since.is_some_and(|since| since < SHORT_TIME);
                self.frequent = if is_frequent { self.frequent + 1 } else { 0 };
                if self.frequent >= OFTEN {
                    self.payer = Payer::Publishers;
                }
            }
            Payer::Publishers => {
                if found >= MANY_EVENTS || since.is_none_or(|since| since >= LONG_TIME) {
                    self.consumer_pays();
                }
            }
        }
        self.payer
    }

    /// Returns whether the publishers pay, although the consumer has found many events since it
    /// parked. It should then let them off: it may not park again for a long time.
    #[inline]
    pub(crate) fn has_calmed(&self, events: u64) -> bool {
        self.payer == Payer::Publishers && events.wrapping_sub(self.events) >= MANY_EVENTS
    }

    /// Records that the consumer pays again.
    pub(crate) fn consumer_pays(&mut self) {
        self.payer = Payer::Consumer;
        self.frequent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{FEW_EVENTS, LONG_TIME, MANY_EVENTS, OFTEN, ParkRate, Payer, SHORT_TIME};
    use std::time::{Duration, Instant};

    /// A consumer whose parks are at known times.
    struct Consumer {
        rate: ParkRate,
        events: u64,
        now: Instant,
    }

    impl Consumer {
        fn new() -> Self {
            Self { rate: ParkRate::new(), events: 0, now: Instant::now() }
        }

        /// Parks `events` events and `time` after the last park.
        fn parks_after(&mut self, events: u64, time: Duration) -> Payer {
            self.events += events;
            self.now += time;
            self.rate.parks(self.events, self.now)
        }

        fn parks_often(&mut self) -> Payer {
            (0..=OFTEN).map(|_| self.parks_after(1, SHORT_TIME / 2)).last().unwrap()
        }
    }

    #[test]
    fn publishers_pay_when_parks_are_frequent() {
        let mut consumer = Consumer::new();
        for _ in 0..OFTEN {
            assert_eq!(consumer.parks_after(1, SHORT_TIME / 2), Payer::Consumer);
        }
        assert_eq!(consumer.parks_after(1, SHORT_TIME / 2), Payer::Publishers);
    }

    #[test]
    fn consumer_pays_when_parks_are_rare() {
        // Many events between two parks, or much time.
        for (events, time) in [(FEW_EVENTS, SHORT_TIME / 2), (0, SHORT_TIME)] {
            let mut consumer = Consumer::new();
            assert!((0..100).all(|_| consumer.parks_after(events, time) == Payer::Consumer));
        }
    }

    #[test]
    fn single_rare_park_restarts_the_count() {
        let mut consumer = Consumer::new();
        for round in 0..100 {
            let events = if round % OFTEN == 0 { FEW_EVENTS } else { 1 };
            assert_eq!(consumer.parks_after(events, SHORT_TIME / 2), Payer::Consumer);
        }
    }

    #[test]
    fn payer_changes_back_later_than_it_changed() {
        // A flow between the limits keeps the payer.
        let (between, a_while) = (MANY_EVENTS - 1, LONG_TIME - Duration::from_nanos(1));
        let mut consumer = Consumer::new();
        assert!((0..100).all(|_| consumer.parks_after(between, a_while) == Payer::Consumer));
        assert_eq!(consumer.parks_often(), Payer::Publishers);
        assert!((0..100).all(|_| consumer.parks_after(between, a_while) == Payer::Publishers));
        assert_eq!(consumer.parks_after(0, LONG_TIME), Payer::Consumer);
        assert_eq!(consumer.parks_often(), Payer::Publishers);
        assert_eq!(consumer.parks_after(MANY_EVENTS, Duration::ZERO), Payer::Consumer);
    }

    #[test]
    fn many_events_without_a_park_let_publishers_off() {
        let mut consumer = Consumer::new();
        assert!(!consumer.rate.has_calmed(u64::MAX));
        assert_eq!(consumer.parks_often(), Payer::Publishers);
        assert!(!consumer.rate.has_calmed(consumer.events + MANY_EVENTS - 1));
        assert!(consumer.rate.has_calmed(consumer.events + MANY_EVENTS));
        consumer.rate.consumer_pays();
        assert!(!consumer.rate.has_calmed(u64::MAX));
        assert_eq!(consumer.parks_after(1, Duration::ZERO), Payer::Consumer);
    }
}
