//! A subscriber, compared with the events that it must read.

use super::{Event, Request, Scene, Setup};
use buslane::Subscriber;
use buslane::error::TryRecvError;
use buslane::journal::Entry;
use buslane::stats::SubscriberState;
use std::cell::Cell;
use std::time::SystemTime;

/// A subscriber, and the events that it must read.
pub(super) struct Reader {
    pub(super) subscriber: Subscriber<Event>,
    pub(super) request: Request,
    /// Its start, and the position of the next event.
    pub(super) start: u64,
    pub(super) cursor: u64,
    /// The end of the journal when the subscriber started.
    pub(super) live_from: u64,
    pub(super) since: Option<SystemTime>,
    pub(super) last: Option<u64>,
    pub(super) until: Option<SystemTime>,
    pub(super) ended: bool,
    /// The position after the last event that a snapshot has counted as offered.
    pub(super) counted: Cell<u64>,
    pub(super) delivered: u64,
    pub(super) lagged: u64,
}

/// The decision of a bound or a filter about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wanted,
    Unwanted,
    End,
}

impl Reader {
    pub(super) fn judge(&self, position: u64, event: &Event) -> Verdict {
        if self.last.is_some_and(|last| position > last) {
            return Verdict::End;
        }
        let was_there = position < self.live_from;
        if was_there && self.since.is_some_and(|since| event.time < since) {
            return Verdict::Unwanted;
        }
        if self.until.is_some_and(|until| event.time > until) {
            return if was_there { Verdict::Unwanted } else { Verdict::End };
        }
        if event.number.is_multiple_of(self.request.one_in) { Verdict::Wanted } else { Verdict::Unwanted }
    }

    /// Returns the first event between the cursor and `end` that is not skipped.
    pub(super) fn next(&self, events: &[Event], end: u64) -> Option<(u64, Verdict)> {
        (self.cursor..end)
            .map(|position| (position, self.judge(position, &events[position as usize])))
            .find(|(_, verdict)| *verdict != Verdict::Unwanted)
    }

    /// Reads one entry, and returns whether there was one.
    pub(super) fn read(&mut self, setup: Setup, events: &[Event], scene: &Scene) -> bool {
        let Scene { there, ref kept, closed } = *scene;
        match self.subscriber.try_recv() {
            Ok(Entry::Event(place, event)) => {
                assert!(!self.ended, "an event after the end");
                assert!(self.cursor >= there && place.get() >= there, "an event that was overwritten");
                assert_eq!(self.next(events, kept.end), Some((place.get(), Verdict::Wanted)));
                assert_eq!(event, events[place.get() as usize]);
                self.delivered += 1;
                self.goes_on(place.get() + 1);
                true
            }
            Ok(Entry::Lagged(missed)) => {
                self.lag(missed, scene);
                true
            }
            Err(TryRecvError::Empty) => {
                assert!(
                    !self.is_over(setup, events, kept.end, closed),
                    "the reader has reached its end, but reports empty"
                );
                assert_eq!(self.next(events, kept.end), None, "empty, although an event is available");
                self.cursor = self.cursor.max(kept.end);
                false
            }
            Err(_) => {
                self.close(setup, events, kept.end, closed);
                false
            }
            Ok(other) => panic!("{other:?}"),
        }
    }

    pub(super) fn read_batch(&mut self, setup: Setup, events: &[Event], scene: &Scene) {
        let Scene { there, ref kept, closed } = *scene;
        let batch = match self.subscriber.try_recv_slice() {
            Ok(Entry::Event(place, batch)) => Ok(Some((place.get(), batch.to_vec()))),
            Ok(Entry::Lagged(missed)) => {
                self.lag(missed, scene);
                return;
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(_) => Err(()),
            Ok(other) => panic!("{other:?}"),
        };
        match batch {
            Ok(Some((first, batch))) => {
                assert!(!self.ended && !batch.is_empty() && batch.len() <= 64, "a batch");
                assert!(self.cursor >= there && first >= there, "events that were overwritten");
                assert_eq!(self.next(events, kept.end), Some((first, Verdict::Wanted)));
                let end = first + batch.len() as u64;
                assert_eq!(batch, events[first as usize..end as usize]);
                for position in first..end {
                    assert_eq!(self.judge(position, &events[position as usize]), Verdict::Wanted);
                }
                self.delivered += batch.len() as u64;
                self.goes_on(end);
            }
            Ok(None) => {
                assert!(
                    !self.is_over(setup, events, kept.end, closed),
                    "the reader has reached its end, but reports empty"
                );
                assert_eq!(self.next(events, kept.end), None, "empty, although an event is available");
                self.cursor = self.cursor.max(kept.end);
            }
            Err(()) => self.close(setup, events, kept.end, closed),
        }
    }

    pub(super) fn goes_on(&mut self, position: u64) {
        self.cursor = position;
        self.ended |= self.last.is_some_and(|last| position > last);
    }

    /// Checks a reported lag: the missed events were overwritten, and start at the cursor.
    pub(super) fn lag(&mut self, missed: u64, scene: &Scene) {
        let Scene { there, ref kept, .. } = *scene;
        assert!(!self.ended, "an entry after the end");
        let goes_on = self.subscriber.next_sequence().get();
        let from = goes_on - missed;
        assert!(missed > 0 && from == self.cursor && from < there, "a retained event must not be missed");
        assert_eq!(goes_on, if self.request.newest { kept.end } else { kept.start });
        self.lagged += missed;
        self.cursor = goes_on;
        self.ended |= self.request.ends_on_lag;
    }

    /// Returns whether the reader must stop: it is past its own end, or the journal's.
    pub(super) fn is_over(&self, setup: Setup, events: &[Event], tail: u64, closed: bool) -> bool {
        let next = self.next(events, tail);
        let over = self.until.is_some() && !setup.future;
        self.ended
            || self.last.is_some_and(|last| self.cursor > last)
            || matches!(next, Some((_, Verdict::End)))
            || (next.is_none() && (closed || over))
            || (next.is_none() && self.last.is_some_and(|last| tail > last))
    }

    pub(super) fn close(&mut self, setup: Setup, events: &[Event], tail: u64, closed: bool) {
        assert!(self.is_over(setup, events, tail, closed), "closed before the reader's end");
        self.ended = true;
        // The reader has passed the events that it skipped before its end.
        let place = self.subscriber.next_sequence().get();
        assert!(place >= self.cursor, "the position moved back");
        assert!(
            (self.cursor..place.min(tail))
                .all(|position| self.judge(position, &events[position as usize]) == Verdict::Unwanted)
        );
        self.cursor = place;
    }

    pub(super) fn check(&self, tail: u64) {
        let SubscriberState { next, behind, gating, ended, ledger, .. } = self.subscriber.state();
        ledger.check().expect("a subscriber's ledger balances");
        assert_eq!((next, gating, ended), (self.cursor, self.request.gating, self.ended));
        // Events after the last one do not count, nor do those that came after the end.
        let tail = if self.ended { 0 } else { tail.min(self.last.map_or(u64::MAX, |last| last + 1)) };
        self.counted.set(self.counted.get().max(tail).max(self.cursor));
        let left = self.counted.get() - self.cursor;
        let (pending, held_back) = if self.ended { (0, left) } else { (left, 0) };
        assert_eq!((behind, ledger.pending), (pending, pending));
        assert_eq!((ledger.offered, ledger.accepted), (self.counted.get() - self.start, ledger.offered));
        assert_eq!((ledger.delivered, ledger.dropped.evicted), (self.delivered, self.lagged));
        assert_eq!(ledger.filtered, self.cursor - self.start - self.delivered - self.lagged + held_back);
    }
}
