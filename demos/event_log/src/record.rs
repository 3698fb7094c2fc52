//! The watcher's own notes of what it published, independent of the journal.

use crate::event::{Checksum, Event};
use std::ops::Range;
use std::time::SystemTime;

/// Notes of everything that was published, in its order.
#[derive(Debug, Default)]
pub(crate) struct Record(Vec<Note>);

#[derive(Debug)]
struct Note {
    digest: u64,
    time: SystemTime,
}

impl Record {
    /// Notes an event that is about to be published; the place that it must get.
    pub(crate) fn note(&mut self, event: &Event) -> u64 {
        self.0.push(Note { digest: event.digest(), time: event.time });
        self.len() - 1
    }

    /// How many events were published.
    pub(crate) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// Returns the checksum over the events at these places, or `None` if one of them is not on
    /// record.
    pub(crate) fn checksum(&self, places: &Range<u64>) -> Option<Checksum> {
        let mut checksum = Checksum::default();
        self.notes(places)?.iter().for_each(|note| checksum.add(note.digest));
        Some(checksum)
    }

    /// When the events at these places came.
    pub(crate) fn times(&self, places: &Range<u64>) -> impl Iterator<Item = SystemTime> {
        self.notes(places).unwrap_or_default().iter().map(|note| note.time)
    }

    fn notes(&self, places: &Range<u64>) -> Option<&[Note]> {
        self.0.get(places.start as usize..places.end as usize)
    }
}
