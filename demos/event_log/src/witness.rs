//! What one subscriber read, in a form that can be proven.

use crate::event::{Checksum, Event};
use crate::record::Record;
use buslane::journal::Sequence;
use std::ops::Range;
use std::time::SystemTime;

/// What one subscriber read.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    /// In the order in which it was read.
    pub(crate) spans: Vec<Span>,
}

/// Places side by side, and what became of the events there.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) places: Range<u64>,
    /// The checksum over the events; `None` when they were missed.
    pub(crate) seen: Option<Checksum>,
}

impl Witness {
    /// Records an event.
    pub(crate) fn saw(&mut self, sequence: Sequence, event: &Event) {
        let (place, next) = (sequence.get(), sequence.next().get());
        match self.spans.last_mut() {
            Some(Span { places, seen: Some(checksum) }) if places.end == place => {
                checksum.add(event.digest());
                places.end = next;
            }
            _ => {
                let mut checksum = Checksum::default();
                checksum.add(event.digest());
                self.spans.push(Span { places: place..next, seen: Some(checksum) });
            }
        }
    }

    /// Records that `count` events before `next` were missed.
    pub(crate) fn missed(&mut self, count: u64, next: Sequence) {
        self.spans.push(Span { places: next.get().saturating_sub(count)..next.get(), seen: None });
    }

    /// Proves that every event on record from `begin` on was seen once, in order and as it was
    /// published, or was missed, or came before `since`, and that no such event was seen. How many
    /// of those there are; an error with what is wrong.
    pub(crate) fn prove(
        &self,
        record: &Record,
        begin: u64,
        since: Option<SystemTime>,
    ) -> Result<u64, String> {
        let is_early = |time| since.is_some_and(|since| time < since);
        let (mut place, mut early) = (begin, 0);
        let mut pass_early = |places: Range<u64>| {
            early += places.end - places.start;
            if record.times(&places).all(is_early) {
                return Ok(());
            }
            Err(format!("events {places:?} were neither seen nor missed"))
        };
        for Span { places, seen } in &self.spans {
            if places.start < place {
                return Err(format!("events {places:?} were seen twice, or out of order"));
            }
            pass_early(place..places.start)?;
            let published = record.checksum(places);
            if published.is_none() || seen.is_some() && *seen != published {
                return Err(format!("events {places:?} are not what was published"));
            }
            if seen.is_some() && record.times(places).any(is_early) {
                return Err(format!("some of the events {places:?} are earlier than the requested time"));
            }
            place = places.end;
        }
        pass_early(place..record.len())?;
        Ok(early)
    }

    /// How many events were seen.
    pub(crate) fn seen_count(&self) -> u64 {
        self.count(Span::is_seen)
    }

    /// How many events were missed.
    pub(crate) fn missed_count(&self) -> u64 {
        self.count(|span| !span.is_seen())
    }

    fn count(&self, which: impl Fn(&Span) -> bool) -> u64 {
        let spans = self.spans.iter().filter(|span| which(span));
        spans.map(|span| span.places.end - span.places.start).sum()
    }
}

impl Span {
    pub(crate) fn is_seen(&self) -> bool {
        self.seen.is_some()
    }
}
