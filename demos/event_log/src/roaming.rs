//! The subscriber that starts last, with all events since a time; it disconnects, and resumes at
//! its position.

use crate::event::Event;
use crate::options::Options;
use crate::visit::Visit;
use buslane::Subscriber;
use buslane::journal::{Feed, Sequence, Start};
use demo_support::{Failure, Mark, Story};
use std::num::NonZeroU32;
use std::sync::mpsc::Receiver;

/// How long it is connected, and how long it is away.
pub(crate) struct Roaming {
    after: NonZeroU32,
    away_for: NonZeroU32,
    feed: Feed<Event>,
    story: Story,
}

impl Roaming {
    pub(crate) fn new(options: &Options, feed: &Feed<Event>, story: &Story) -> Self {
        let (after, away_for) = (options.roams_after, options.away_for);
        Self { after, away_for, feed: feed.clone(), story: story.clone() }
    }

    /// Reads, disconnects for some scans, resumes, and reads to the end.
    pub(crate) fn read(
        &self,
        subscriber: Subscriber<Event>,
        mut visit: Visit,
        scans: &Receiver<()>,
    ) -> Result<Visit, Failure> {
        let Some(next) = self.read_until_it_breaks(subscriber, &mut visit) else { return Ok(visit) };
        // Scans from before it disconnected do not count.
        scans.try_iter().for_each(drop);
        // After the last scan it resumes at once.
        scans.iter().take(self.away_for.get() as usize).for_each(drop);

        // The sequence is all that it needs. What was overwritten meanwhile is reported exactly.
        let subscription = self.feed.subscription().name(visit.name).start(Start::At(next));
        let mut subscriber = subscription.subscribe().map_err(|error| visit.cannot_begin(error))?;
        let ahead = subscriber.behind();
        self.story.tell(visit.name, format_args!("resumes at event {next}, {ahead} events behind"));
        while let Ok(entry) = subscriber.recv() {
            let missed = visit.note(&entry, &subscriber);
            self.tell_missed(&visit, missed);
        }
        visit.disconnect(subscriber);
        Ok(visit)
    }

    /// Reads until it disconnects, and returns where to resume; `None` at the end of the journal.
    fn read_until_it_breaks(&self, mut subscriber: Subscriber<Event>, visit: &mut Visit) -> Option<Sequence> {
        while visit.witness.seen_count() < u64::from(self.after.get()) {
            let Ok(entry) = subscriber.recv() else {
                visit.disconnect(subscriber);
                return None;
            };
            let missed = visit.note(&entry, &subscriber);
            self.tell_missed(visit, missed);
        }
        // It has read an event, so everything too early for it is over, and the sequence is enough.
        let next = subscriber.next_sequence();
        visit.disconnect(subscriber);
        self.story.tell(visit.name, format_args!("disconnects before event {next}"));
        Some(next)
    }

    fn tell_missed(&self, visit: &Visit, missed: u64) {
        if missed > 0 {
            self.story.tell_as(Mark::Notice, visit.name, format_args!("missed {missed}"));
        }
    }
}
