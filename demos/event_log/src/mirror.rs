//! The subscriber from the start: it knows the directory from events alone, and so must not miss
//! any.

use crate::event::{Event, Kind};
use crate::picture::Picture;
use crate::visit::Visit;
use buslane::Subscriber;
use buslane::journal::Entry;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A directory, as its events describe it.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    sizes: BTreeMap<Arc<str>, u64>,
    /// Events that contradict the ones before, such as a second creation.
    pub(crate) impossible: u64,
}

/// Reads to the end, in place: whole slices of events at a time, of which none is cloned.
pub(crate) fn read(mut subscriber: Subscriber<Event>, mut visit: Visit) -> (Visit, Mirror) {
    let mut mirror = Mirror::default();
    while let Ok(entry) = subscriber.recv_slice() {
        match entry {
            Entry::Event(first, events) => {
                let mut sequence = first;
                for event in events {
                    visit.witness.saw(sequence, event);
                    mirror.apply(event);
                    sequence = sequence.next();
                }
            }
            Entry::Lagged(count) => visit.witness.missed(count, subscriber.next_sequence()),
            // Not recorded, so the proof fails.
            _ => {}
        }
    }
    visit.disconnect(subscriber);
    (visit, mirror)
}

impl Mirror {
    fn apply(&mut self, event: &Event) {
        let was_there = match event.kind {
            Kind::Removed => self.sizes.remove(&event.path),
            Kind::Found | Kind::Created | Kind::Changed => self.sizes.insert(event.path.clone(), event.size),
        };
        let should_be_there = matches!(event.kind, Kind::Changed | Kind::Removed);
        self.impossible += u64::from(was_there.is_some() != should_be_there);
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Returns whether a picture shows the same.
    pub(crate) fn shows(&self, picture: &Picture) -> bool {
        self.sizes.iter().map(|(path, size)| (path, *size)).eq(picture.sizes())
    }
}
