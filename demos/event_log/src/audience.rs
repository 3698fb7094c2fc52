//! The subscribers: each subscribes at its time, and reads on a thread of its own.

use crate::event::Event;
use crate::mirror::{self, Mirror};
use crate::options::Options;
use crate::roaming::Roaming;
use crate::slow;
use crate::visit::Visit;
use buslane::Subscriber;
use buslane::journal::{Feed, Start};
use demo_support::{Failure, Story};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::SystemTime;

/// How many of the last events the slow subscriber starts with.
const LAST: u64 = 64;

/// The subscribers that have started.
pub(crate) struct Audience<'a> {
    options: &'a Options,
    feed: Feed<Event>,
    story: Story,
    mirror: JoinHandle<(Visit, Mirror)>,
    others: Vec<JoinHandle<Result<Visit, Failure>>>,
    /// Signals each scan to the others.
    scans: Vec<Sender<()>>,
}

impl<'a> Audience<'a> {
    /// Starts the mirror, which reads from the first event on.
    pub(crate) fn open(options: &'a Options, feed: &Feed<Event>, story: &Story) -> Result<Self, Failure> {
        let visit = Visit::new("mirror", 0);
        let subscription = feed.subscription().name(visit.name).start(Start::Oldest).gating();
        let subscriber = subscription.subscribe().map_err(|error| visit.cannot_begin(error))?;
        story.tell(visit.name, format_args!("subscribes from the oldest event; the watcher waits for it"));
        let mirror = visit.on_a_thread(move |visit| mirror::read(subscriber, visit))?;
        let (others, scans) = (Vec::new(), Vec::new());
        Ok(Self { options, feed: feed.clone(), story: story.clone(), mirror, others, scans })
    }

    /// Starts the slow subscriber, after this many published events.
    pub(crate) fn admit_slow(&mut self, published: u64) -> Result<(), Failure> {
        let begin = published - published.min(LAST).min(self.options.capacity as u64);
        let visit = Visit::new("slow", begin);
        self.story.tell(visit.name, format_args!("subscribes to the last {LAST} events, from event {begin}"));
        let (every, story) = (self.options.slow_every, self.story.clone());
        self.admit(visit, Start::Last(LAST as usize), move |subscriber, visit, scans| {
            Ok(slow::read(subscriber, visit, every, &scans, &story))
        })
    }

    /// Starts the roaming subscriber, after this many published events. It reads those since a
    /// time.
    pub(crate) fn admit_roaming(&mut self, published: u64, since: SystemTime) -> Result<(), Failure> {
        let begin = published - published.min(self.options.capacity as u64);
        let visit = Visit { since: Some(since), ..Visit::new("roaming", begin) };
        let seconds = self.story.seconds(since);
        self.story.tell(visit.name, format_args!("subscribes to the events since {seconds:.3} s"));
        let roaming = Roaming::new(self.options, &self.feed, &self.story);
        self.admit(visit, Start::Since(since), move |subscriber, visit, scans| {
            roaming.read(subscriber, visit, &scans)
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
        let (scan, scans) = mpsc::channel();
        self.scans.push(scan);
        self.others.push(visit.on_a_thread(|visit| read(subscriber, visit, scans))?);
        Ok(())
    }

    /// Signals that the watcher has scanned the directory.
    pub(crate) fn scanned(&self) {
        for scan in &self.scans {
            // A subscriber that has ended needs no signal.
            let _ = scan.send(());
        }
    }

    /// Waits until every subscriber has read to the end of the journal, which must be closed.
    pub(crate) fn leave(self) -> Result<(Mirror, Vec<Visit>), Failure> {
        // There are no more scans.
        drop(self.scans);
        let gone = |_| Failure::Broken(String::from("a subscriber panicked"));
        let (visit, mirror) = self.mirror.join().map_err(gone)?;
        let mut visits = vec![visit];
        for other in self.others {
            visits.push(other.join().map_err(gone)??);
        }
        Ok((mirror, visits))
    }
}
