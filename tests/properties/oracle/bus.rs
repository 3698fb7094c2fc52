//! A bus, compared with a list of sinks and the events that each must have received.

use super::value::{Step, pick};
use buslane::bus::Removed;
use buslane::error::{AddError, RemoveError, TryRecvError};
use buslane::journal::Start;
use buslane::stats::{SinkKind, SinkState};
use buslane::testing::Collect;
use buslane::time::Deadline;
use buslane::{
    Bus, Channel, Journal, Overflow, Published, Publisher, Queue, Receiver, Sink, SinkExt, SinkId, Subscriber,
};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use test_support::limit;

/// The capacity of each publisher's lane into a channel. With less than four, the bus passes a lane
/// on only when it is empty, so a new publisher always finds this room.
const ROOM: usize = 3;
/// The time limit after which a test fails instead of hanging.
const GUARD: Duration = limit::scaled(Duration::from_secs(30));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Publish(Route),
    Try(usize),
    Batch(usize, usize),
    Add(Kind),
    /// Adds a sink that was added before; it may still be attached.
    AddAgain(usize),
    Remove(usize),
    /// Closes the sink itself, or drops its reader.
    CloseSink(usize),
    MakePublisher,
    ClonePublisher(usize),
    DropPublisher(usize),
    Read(usize, usize),
    Flush,
    Snapshot,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Publisher(usize),
    Shared,
    Local,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Direct,
    Channel,
    Filtered,
    Queue,
    Journal,
}

impl Op {
    pub(crate) fn decode([code, one, two]: Step) -> Self {
        let number = usize::from(one);
        match code % 128 {
            0..20 => Self::Publish(Route::Publisher(number)),
            20..30 => Self::Publish(Route::Shared),
            30..34 => Self::Publish(Route::Local),
            34..40 => Self::Try(number),
            40..48 => Self::Batch(number, pick(two, 7)),
            48..68 => Self::Add(match one % 10 {
                0..3 => Kind::Direct,
                3..6 => Kind::Channel,
                6..8 => Kind::Filtered,
                8 => Kind::Queue,
                _ => Kind::Journal,
            }),
            68..74 => Self::AddAgain(number),
            74..82 => Self::Remove(number),
            82..86 => Self::CloseSink(number),
            86..94 => Self::MakePublisher,
            94..96 => Self::ClonePublisher(number),
            96..100 => Self::DropPublisher(number),
            100..118 => Self::Read(number, pick(two, 10)),
            118..122 => Self::Flush,
            122..127 => Self::Snapshot,
            _ => Self::Close,
        }
    }
}

/// The upper half of an event's number identifies its publisher.
const PUBLISHER: u64 = 1 << 32;
const SHARED: u64 = 0;
const LOCAL: u64 = 1;

fn passes(event: u64) -> bool {
    !event.is_multiple_of(3)
}

enum Reader {
    Direct(Collect<u64>),
    Channel(Option<Receiver<u64>>),
    Queue(Queue<u64>, Collect<u64>),
    Journal(Subscriber<u64>),
}

/// One sink, and the events that it must have received.
struct Entry {
    sink: Arc<dyn Sink<u64>>,
    reader: Reader,
    filtered: bool,
    id: SinkId,
    attached: bool,
    /// The number of times that it was added.
    times: u64,
    /// The sink is closed by itself: the bus may or may not have noticed.
    closed: bool,
    /// All received but unread events, in the order of publishing.
    received: VecDeque<u64>,
    /// The unread events of a channel, by attachment and publisher.
    waiting: HashMap<(u64, u64), VecDeque<u64>>,
}

struct World {
    bus: Bus<u64>,
    closed: bool,
    entries: Vec<Entry>,
    publishers: Vec<(u64, Publisher<u64>)>,
    has_local: bool,
    next_publisher: u64,
    next_event: u64,
}

/// Runs a case; panics where bus and model differ.
pub(crate) fn run(ops: &[Op]) {
    let mut world = World {
        bus: Bus::new(),
        closed: false,
        entries: Vec::new(),
        publishers: Vec::new(),
        has_local: false,
        next_publisher: LOCAL + 1,
        next_event: 1,
    };
    for op in ops {
        world.step(*op);
        world.check();
    }
    // Closes the bus, or drops it with everything in it.
    if ops.len().is_multiple_of(2) {
        world.step(Op::Close);
        world.check();
    }
    let World { bus, publishers, mut entries, .. } = world;
    drop((bus, publishers));
    for entry in &mut entries {
        if let Reader::Queue(queue, _) = &entry.reader {
            assert!(queue.flush_timeout(GUARD).is_done(), "accepted events are handled");
        }
        entry.read(usize::MAX);
        entry.check_books();
        assert!(
            entry.received.is_empty() && entry.waiting.values().all(VecDeque::is_empty),
            "events are missing"
        );
    }
}

impl World {
    fn step(&mut self, op: Op) {
        match op {
            Op::Publish(_) | Op::Try(_) | Op::Batch(..) => self.publish(op),
            Op::Add(kind) => self.add(kind),
            Op::AddAgain(number) => self.add_again(number),
            Op::Remove(number) => {
                let closed = self.closed;
                let Some(entry) = pick_from(&mut self.entries, number) else { return };
                let removed = self.bus.remove_timeout(entry.id, GUARD);
                let is_there = entry.attached && !closed;
                // The bus may have dropped a sink that closed itself.
                let may_be_gone = !is_there || entry.closed;
                assert!(
                    removed == Ok(Removed::Quiet) && is_there
                        || removed == Err(RemoveError::Unknown) && may_be_gone,
                    "{removed:?}"
                );
                entry.attached &= closed;
            }
            Op::CloseSink(number) => {
                if let Some(entry) = pick_from(&mut self.entries, number) {
                    entry.close();
                }
            }
            Op::MakePublisher if self.publishers.len() < 4 => {
                self.publishers.push((self.next_publisher, self.bus.publisher()));
                self.next_publisher += 1;
            }
            Op::ClonePublisher(number) if self.publishers.len() < 4 => {
                if let Some((_, publisher)) = pick_from(&mut self.publishers, number) {
                    let publisher = publisher.clone();
                    self.publishers.push((self.next_publisher, publisher));
                    self.next_publisher += 1;
                }
            }
            Op::MakePublisher | Op::ClonePublisher(_) => {}
            Op::DropPublisher(number) => {
                if !self.publishers.is_empty() {
                    self.publishers.swap_remove(number % self.publishers.len());
                }
            }
            Op::Read(number, most) => {
                if let Some(entry) = pick_from(&mut self.entries, number) {
                    entry.read(most);
                }
            }
            Op::Flush => self.flush(),
            Op::Snapshot => self.snapshot(),
            Op::Close => {
                let report = self.bus.close();
                assert!(report.is_done(), "{report}");
                assert_eq!(self.bus.close(), report, "every caller gets the same report");
                if !self.closed {
                    self.closed = true;
                    self.entries.iter_mut().filter(|entry| entry.attached).for_each(Entry::closed_by_the_bus);
                }
            }
        }
    }

    /// Returns a new event of a publisher.
    fn event(&mut self, publisher: u64) -> u64 {
        self.next_event += 1;
        publisher * PUBLISHER + self.next_event
    }

    fn publish(&mut self, op: Op) {
        let at = match op {
            Op::Publish(Route::Publisher(number)) | Op::Try(number) | Op::Batch(number, _) => {
                if self.publishers.is_empty() {
                    return;
                }
                Some(number % self.publishers.len())
            }
            _ => None,
        };
        let publisher = match (at, op) {
            (Some(at), _) => self.publishers[at].0,
            (None, Op::Publish(Route::Local)) => LOCAL,
            _ => SHARED,
        };
        let count = if let Op::Batch(_, count) = op { count } else { 1 };
        let events: Vec<u64> = (0..count).map(|_| self.event(publisher)).collect();
        let outcome = match (at, op) {
            (Some(at), Op::Batch(..)) => self.publishers[at].1.publish_batch(&events).map_err(|_| ()),
            (Some(at), Op::Try(_)) => match self.publishers[at].1.try_publish(events[0]) {
                // Every sink refused the event, so it came back.
                Err(back) if !back.is_closed() => {
                    assert_eq!(back.into_event(), events[0]);
                    let mut refused = Published::default();
                    let attached = self.entries.iter().filter(|entry| entry.attached).count();
                    refused.refused = u32::try_from(attached).expect("few sinks");
                    Ok(refused)
                }
                answer => answer.map_err(|_| ()),
            },
            (Some(at), _) => self.publishers[at].1.publish(events[0]).map_err(|_| ()),
            (None, Op::Publish(Route::Local)) => {
                self.has_local |= !self.closed;
                self.bus.with_local(|publisher| publisher.publish(events[0])).map_err(|_| ())
            }
            _ => self.bus.publish(events[0]).map_err(|_| ()),
        };
        if self.closed {
            assert_eq!(outcome, Err(()), "a closed bus accepts no event");
            return;
        }
        let published = outcome.expect("the bus is open");
        let (mut must, mut may) = (Published::default(), 0);
        for event in events {
            for entry in self.entries.iter_mut().filter(|entry| entry.attached) {
                match entry.offer(publisher, event) {
                    Some(true) => must.accepted += 1,
                    Some(false) => must.refused += 1,
                    None => may += 1,
                }
            }
        }
        let within = |count: usize, least: usize| (least..=least + may).contains(&count);
        assert!(
            within(published.accepted, must.accepted)
                && within(published.refused as usize, must.refused as usize)
                && published.dropped == must.dropped,
            "{published:?}, expected {must:?}, and at most {may} closed sinks more"
        );
    }

    fn add(&mut self, kind: Kind) {
        let queues = self.entries.iter().filter(|entry| matches!(entry.reader, Reader::Queue(..))).count();
        // Each sink of these kinds has a thread.
        if self.entries.len() == 6 || (kind == Kind::Queue && queues == 2) {
            return;
        }
        let (sink, reader): (Arc<dyn Sink<u64>>, Reader) = match kind {
            Kind::Direct => {
                let collect = Collect::new();
                (Arc::new(collect.clone()), Reader::Direct(collect))
            }
            Kind::Channel | Kind::Filtered => {
                let built = Channel::builder().capacity(ROOM).overflow(Overflow::Refuse).build();
                let (channel, receiver) = built.expect("a small channel");
                let reader = Reader::Channel(Some(receiver));
                if kind == Kind::Channel {
                    (Arc::new(channel), reader)
                } else {
                    (Arc::new(channel.filter(|event: &u64| passes(*event))), reader)
                }
            }
            Kind::Queue => {
                let seen = Collect::new();
                let queue = seen.clone().queue(1024).expect("a worker thread");
                (Arc::new(queue.clone()), Reader::Queue(queue, seen))
            }
            Kind::Journal => {
                let journal = Journal::new(1024).expect("a small journal");
                let subscriber = journal.subscribe(Start::Oldest).expect("a subscriber");
                (Arc::new(journal), Reader::Journal(subscriber))
            }
        };
        match self.bus.add(sink.clone()) {
            Ok(id) => {
                assert!(!self.closed, "a closed bus accepts no sink");
                assert!(self.entries.iter().all(|entry| entry.id != id), "an id is never reused");
                self.entries.push(Entry {
                    sink,
                    reader,
                    filtered: kind == Kind::Filtered,
                    id,
                    attached: true,
                    times: 0,
                    closed: false,
                    received: VecDeque::new(),
                    waiting: HashMap::new(),
                });
            }
            Err(error) => assert!(self.closed && error == AddError::Closed, "{error}"),
        }
    }

    fn add_again(&mut self, number: usize) {
        let closed = self.closed;
        let Some(entry) = pick_from(&mut self.entries, number) else { return };
        if entry.closed && !closed {
            return;
        }
        match self.bus.add(entry.sink.clone()) {
            Ok(id) => {
                assert!(!closed, "a closed bus accepts no sink");
                assert_eq!(id == entry.id, entry.attached, "a sink is attached at most once");
                if !entry.attached {
                    entry.id = id;
                    entry.attached = true;
                    entry.times += 1;
                }
            }
            Err(error) => assert!(closed && error == AddError::Closed, "{error}"),
        }
    }

    fn flush(&mut self) {
        let on_bus = || self.entries.iter().filter(|entry| entry.attached);
        let unread = |entry: &&Entry| entry.waiting.values().any(|events| !events.is_empty());
        if on_bus().any(|entry| unread(&entry)) {
            let report = self.bus.flush_timeout(Duration::ZERO);
            let must_wait = on_bus().any(|entry| unread(&entry) && (!entry.closed || self.closed));
            assert!(!must_wait || !report.is_done(), "the flush is done, but events are unread");
        } else {
            let report = self.bus.flush_timeout(GUARD);
            assert!(report.is_done(), "{report}");
            self.entries.iter_mut().filter(|entry| entry.attached).for_each(|entry| entry.read(usize::MAX));
        }
    }

    fn snapshot(&mut self) {
        let snapshot = self.bus.snapshot();
        assert_eq!(snapshot.closed, self.closed);
        if self.closed {
            return;
        }
        assert_eq!(snapshot.publishers, self.publishers.len() + usize::from(self.has_local));
        for entry in self.entries.iter().filter(|entry| entry.attached && !entry.closed) {
            let there = snapshot.sinks.iter().filter(|sink| sink.id == entry.id).count();
            assert_eq!(there, 1, "a snapshot lists a sink once");
        }
        for entry in self.entries.iter().filter(|entry| !entry.attached) {
            assert!(snapshot.sinks.iter().all(|sink| sink.id != entry.id), "a removed sink is gone");
        }
        for sink in snapshot.sinks.iter().filter(|sink| sink.state.kind != SinkKind::Queue) {
            sink.state.ledger.check().expect("the ledger balances");
        }
    }

    fn check(&mut self) {
        assert_eq!(self.bus.is_closed(), self.closed);
        let on_bus = self.entries.iter().filter(|entry| entry.attached);
        let (open, all) = (on_bus.clone().filter(|entry| !entry.closed).count(), on_bus.count());
        if !self.closed {
            assert!((open..=all).contains(&self.bus.sink_count()), "the number of sinks");
            assert!(self.bus.has_sinks() || open == 0);
        }
        self.entries.iter_mut().for_each(Entry::check_books);
    }
}

impl Entry {
    /// Returns whether the sink must accept the event; `None` if it is closed, where the bus is
    /// free to choose.
    fn offer(&mut self, publisher: u64, event: u64) -> Option<bool> {
        if self.closed {
            return None;
        }
        if self.filtered && !passes(event) {
            return Some(true);
        }
        if let Reader::Channel(_) = self.reader {
            // Each attachment creates new private lanes; the shared lane belongs to the channel.
            let times = if publisher == SHARED { 0 } else { self.times };
            let waiting = self.waiting.entry((times, publisher)).or_default();
            let has_room = waiting.len() < ROOM;
            if has_room {
                waiting.push_back(event);
            }
            return Some(has_room);
        }
        self.received.push_back(event);
        Some(true)
    }

    fn close(&mut self) {
        self.closed = true;
        match &mut self.reader {
            Reader::Channel(receiver) => {
                *receiver = None;
                self.waiting.clear();
            }
            _ => assert!(self.sink.close_by(Deadline::after(GUARD)).is_done()),
        }
    }

    fn closed_by_the_bus(&mut self) {
        self.closed = true;
        if let Reader::Direct(collect) = &self.reader {
            assert!(collect.is_closed(), "a bus closes its sinks");
        }
        if let Reader::Queue(..) = &self.reader {
            // The close returned after every event was handled.
            self.read(usize::MAX);
            assert!(self.received.is_empty(), "the sink is closed, but events are missing");
        }
    }

    /// Reads and compares at most `most` events, in the order of each publisher.
    fn read(&mut self, most: usize) {
        match &mut self.reader {
            Reader::Direct(collect) => {
                let taken = collect.taken();
                assert_eq!(taken, self.received.drain(..).collect::<Vec<_>>());
            }
            Reader::Queue(_, seen) => {
                for event in seen.taken() {
                    // The oldest event of its publisher.
                    let first = |known: &u64| known / PUBLISHER == event / PUBLISHER;
                    let at = self.received.iter().position(first);
                    assert_eq!(at.map(|at| self.received[at]), Some(event), "first in, first out");
                    self.received.remove(at.unwrap_or_default());
                }
            }
            Reader::Journal(subscriber) => {
                while let Ok(entry) = subscriber.try_recv() {
                    assert_eq!(entry.event(), self.received.pop_front());
                }
                assert!(self.received.is_empty(), "events are missing");
            }
            Reader::Channel(None) => {}
            Reader::Channel(Some(receiver)) => {
                for _ in 0..most {
                    let unread = self.waiting.values().any(|events| !events.is_empty());
                    match receiver.try_recv() {
                        Ok(event) => {
                            let mut queues = self.waiting.iter_mut().filter(|((_, publisher), events)| {
                                *publisher == event / PUBLISHER && events.front() == Some(&event)
                            });
                            let (_, events) = queues.next().expect("first in, first out");
                            events.pop_front();
                        }
                        Err(TryRecvError::Overflowed) => panic!("no overflow was expected"),
                        Err(_) => {
                            assert!(!unread, "events are missing");
                            break;
                        }
                    }
                }
            }
        }
    }

    fn check_books(&mut self) {
        let mut state = SinkState::default();
        self.sink.describe(&mut state);
        let unread: usize = self.waiting.values().map(VecDeque::len).sum();
        match &self.reader {
            // A worker may be between two events.
            Reader::Queue(..) => return,
            Reader::Channel(_) => assert_eq!(state.depth, unread as u64),
            _ => {}
        }
        state.ledger.check().expect("the ledger balances");
    }
}

fn pick_from<T>(list: &mut [T], number: usize) -> Option<&mut T> {
    let count = list.len();
    if count == 0 { None } else { list.get_mut(number % count) }
}
