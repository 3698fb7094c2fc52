//! The subscriber that comes last, for all since a time; it loses its connection, and goes on where it was.

use crate::event::Event;
use crate::options::Options;
use crate::story::Story;
use crate::visit::Visit;
use buslane::Subscriber;
use buslane::journal::{Feed, Sequence, Start};
use demo_support::Failure;
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

    /// Reads, is away for some looks, comes back, and reads to the end.
    pub(crate) fn read(
        &self,
        subscriber: Subscriber<Event>,
        mut visit: Visit,
        looks: &Receiver<()>,
    ) -> Result<Visit, Failure> {
        let Some(next) = self.read_until_it_breaks(subscriber, &mut visit) else { return Ok(visit) };
        // Those that came while it was connected do not count.
        looks.try_iter().for_each(drop);
        // Once there are no more looks, it is time to come back, too.
        looks.iter().take(self.away_for.get() as usize).for_each(drop);

        // All that it takes: the place. What was overwritten meanwhile is told, exactly.
        let subscription = self.feed.subscription().name(visit.name).start(Start::At(next));
        let mut subscriber = subscription.subscribe().map_err(|error| visit.cannot_begin(error))?;
        let ahead = subscriber.behind();
        self.story
            .tell(visit.name, format_args!("comes back, for event {next} and all after it: {ahead} by now"));
        while let Ok(entry) = subscriber.recv() {
            let missed = visit.note(&entry, &subscriber);
            self.tell_missed(&visit, missed);
        }
        visit.disconnect(subscriber);
        Ok(visit)
    }

    /// Reads until the connection breaks; where to go on then. `None` when nothing follows.
    fn read_until_it_breaks(&self, mut subscriber: Subscriber<Event>, visit: &mut Visit) -> Option<Sequence> {
        while visit.witness.seen_count() < u64::from(self.after.get()) {
            let Ok(entry) = subscriber.recv() else {
                visit.disconnect(subscriber);
                return None;
            };
            let missed = visit.note(&entry, &subscriber);
            self.tell_missed(visit, missed);
        }
        // It has read an event, so what was too early for it lies behind: the time need not be asked for again.
        let next = subscriber.next_sequence();
        visit.disconnect(subscriber);
        self.story.tell(visit.name, format_args!("loses its connection, before event {next}"));
        Some(next)
    }

    fn tell_missed(&self, visit: &Visit, missed: u64) {
        if missed > 0 {
            self.story.tell(visit.name, format_args!("missed {missed}"));
        }
    }
}
