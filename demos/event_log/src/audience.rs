//! The subscribers: each comes at its time, and reads on a thread of its own.

use crate::event::Event;
use crate::mirror::{self, Mirror};
use crate::options::Options;
use crate::roaming::Roaming;
use crate::slow;
use crate::story::Story;
use crate::visit::Visit;
use buslane::Subscriber;
use buslane::journal::{Feed, Start};
use demo_support::Failure;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::SystemTime;

/// How many of the last events the slow one wants.
const LAST: u64 = 64;

/// The subscribers that have come.
pub(crate) struct Audience<'a> {
    options: &'a Options,
    feed: Feed<Event>,
    story: Story,
    mirror: JoinHandle<(Visit, Mirror)>,
    others: Vec<JoinHandle<Result<Visit, Failure>>>,
    /// Where the others are told of each look.
    looks: Vec<Sender<()>>,
}

impl<'a> Audience<'a> {
    /// The mirror is there from the start.
    pub(crate) fn open(options: &'a Options, feed: &Feed<Event>, story: &Story) -> Result<Self, Failure> {
        let visit = Visit::new("mirror", 0);
        let subscription = feed.subscription().name(visit.name).start(Start::Oldest).gating();
        let subscriber = subscription.subscribe().map_err(|error| visit.cannot_begin(error))?;
        story.tell(visit.name, format_args!("comes, for all events; the watcher waits for it"));
        let mirror = visit.on_a_thread(move |visit| mirror::read(subscriber, visit))?;
        let (others, looks) = (Vec::new(), Vec::new());
        Ok(Self { options, feed: feed.clone(), story: story.clone(), mirror, others, looks })
    }

    /// The slow one comes when so many events are published.
    pub(crate) fn admit_slow(&mut self, published: u64) -> Result<(), Failure> {
        let begin = published - published.min(LAST).min(self.options.capacity as u64);
        let visit = Visit::new("slow", begin);
        self.story.tell(visit.name, format_args!("comes, for the last {LAST} events, from {begin} on"));
        let (every, story) = (self.options.slow_every, self.story.clone());
        self.admit(visit, Start::Last(LAST as usize), move |subscriber, visit, looks| {
            Ok(slow::read(subscriber, visit, every, &looks, &story))
        })
    }

    /// The roaming one comes when so many events are published. It wants those since a time.
    pub(crate) fn admit_roaming(&mut self, published: u64, since: SystemTime) -> Result<(), Failure> {
        let begin = published - published.min(self.options.capacity as u64);
        let visit = Visit { since: Some(since), ..Visit::new("roaming", begin) };
        let seconds = self.story.seconds(since);
        self.story.tell(visit.name, format_args!("comes, for all events since {seconds:.3} s"));
        let roaming = Roaming::new(self.options, &self.feed, &self.story);
        self.admit(visit, Start::Since(since), move |subscriber, visit, looks| {
            roaming.read(subscriber, visit, &looks)
        })
    }

    fn admit(
        &mut self,
        visit: Visit,
        start: Start,
        read: impl FnOnce(Subscriber<Event>, Visit, Receiver<()>) -> Result<Visit, Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        let subscription = self.feed.subscription().name(visit.name).start(start);
        let subscriber = subscription.subscribe().map_err(|error| visit.cannot_begin(error))?;
        let (look, looks) = mpsc::channel();
        self.looks.push(look);
        self.others.push(visit.on_a_thread(|visit| read(subscriber, visit, looks))?);
        Ok(())
    }

    /// Tells that the watcher has looked.
    pub(crate) fn looked(&self) {
        for look in &self.looks {
            // Whoever reads no more need not know.
            let _ = look.send(());
        }
    }

    /// Waits until everybody has read to the end of the journal, which must be closed.
    pub(crate) fn leave(self) -> Result<(Mirror, Vec<Visit>), Failure> {
        // There are no more looks.
        drop(self.looks);
        let gone = |_| Failure::Broken(String::from("a subscriber panicked"));
        let (visit, mirror) = self.mirror.join().map_err(gone)?;
        let mut visits = vec![visit];
        for other in self.others {
            visits.push(other.join().map_err(gone)??);
        }
        Ok((mirror, visits))
    }
}
