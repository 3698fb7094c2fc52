//! A channel, compared with a queue for each lane, and counters.

use super::value::{Census, Step, Value, pick};
use buslane::error::TryRecvError;
use buslane::sink::lane::{Lane, Lanes};
use buslane::stats::{DropReason, Ledger, SinkState, SinkStatus};
use buslane::time::Deadline;
use buslane::{Channel, Overflow, Receiver, Sink, SinkExt, WriteError};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    capacity: usize,
    overflow: Overflow,
    filtered: bool,
}

impl Setup {
    pub(crate) fn decode([capacity, overflow, filtered]: Step) -> Self {
        let overflow = match overflow % 6 {
            0 => Overflow::DropNewest,
            1 => Overflow::DropOldest,
            2 => Overflow::Refuse,
            3 => Overflow::Block,
            4 => Overflow::BlockFor(Duration::ZERO),
            _ => Overflow::Close,
        };
        Self { capacity: pick(capacity, 9) + 1, overflow, filtered: filtered % 4 == 3 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Writes through the lane of this number, or through the shared lane.
    Write(usize),
    WriteShared,
    /// Writes as [`Op::Write`] does, without waiting.
    Try(usize),
    AddLane,
    DropLane(usize),
    Receive,
    ReceiveBatch(usize),
    ReceiveInTime,
    DrainWith,
    Drain,
    Close,
    DropReceiver,
}

impl Op {
    pub(crate) fn decode([code, number, _]: Step) -> Self {
        let number = usize::from(number);
        match code % 64 {
            0..18 => Self::Write(number),
            18..26 => Self::WriteShared,
            26..31 => Self::Try(number),
            31..36 => Self::AddLane,
            36..38 => Self::DropLane(number),
            38..50 => Self::Receive,
            50..53 => Self::ReceiveBatch(number % 12),
            53..55 => Self::ReceiveInTime,
            55..59 => Self::DrainWith,
            59..62 => Self::Drain,
            62 => Self::Close,
            _ => Self::DropReceiver,
        }
    }
}

/// One lane: its accepted but unread events. The events of a dropped publisher stay.
#[derive(Default)]
struct Way {
    waiting: VecDeque<u64>,
    /// The newest event of the shared lane when this lane was created: the reader takes it before
    /// any event of this lane.
    after: Option<u64>,
}

struct World {
    setup: Setup,
    census: Census,
    sink: Box<dyn Sink<Value>>,
    receiver: Option<Receiver<Value>>,
    /// The shared lane, and every private lane that was ever created.
    ways: Vec<Way>,
    lanes: Vec<(usize, Lane<Value>)>,
    end: Option<TryRecvError>,
    books: Ledger,
    hook: Arc<Mutex<Vec<(u64, DropReason)>>>,
    /// The calls that the hook must have received.
    told: Vec<(u64, DropReason)>,
    next: u64,
    /// The lane of the latest single read, and the number of consecutive reads from it while other
    /// lanes had events.
    turn: (usize, usize),
    draining: bool,
}

/// An event's number: its lane, and a count.
const WAY: u64 = 1 << 32;

/// Returns whether a filter accepts an event.
fn passes(id: u64) -> bool {
    !id.is_multiple_of(3)
}

/// Runs a case; panics where channel and model differ.
pub(crate) fn run(setup: Setup, ops: &[Op]) {
    let census = Census::default();
    let hook = Arc::new(Mutex::new(Vec::new()));
    let told = hook.clone();
    let (channel, receiver) = Channel::builder()
        .capacity(setup.capacity)
        .overflow(setup.overflow)
        .on_drop(move |value: Value, reason| {
            told.lock().expect("no test panics here").push((value.id, reason))
        })
        .build()
        .expect("a small channel");
    let sink: Box<dyn Sink<Value>> = if setup.filtered {
        Box::new(channel.filter(|value: &Value| passes(value.id)))
    } else {
        Box::new(channel)
    };
    let mut world = World {
        setup,
        census: census.clone(),
        sink,
        receiver: Some(receiver),
        ways: vec![Way::default()],
        lanes: Vec::new(),
        end: None,
        books: Ledger::default(),
        hook,
        told: Vec::new(),
        next: 0,
        turn: (0, 0),
        draining: false,
    };
    for op in ops {
        world.step(*op);
        world.check();
    }
    drop(world);
    assert_eq!(census.alive(), 0, "values outlive their channel");
}

impl World {
    fn step(&mut self, op: Op) {
        match op {
            Op::Write(number) | Op::Try(number) => {
                let deadline = if matches!(op, Op::Try(_)) { Deadline::NOW } else { Deadline::NEVER };
                if !self.lanes.is_empty() {
                    self.write(Some(number % self.lanes.len()), deadline);
                }
            }
            Op::WriteShared => self.write(None, Deadline::NEVER),
            Op::AddLane => {
                if self.lanes.len() < 4 {
                    let lane = self.sink.lane().expect("memory for a lane").expect("channels have lanes");
                    self.lanes.push((self.ways.len(), lane));
                    let after = self.ways[0].waiting.back().copied();
                    self.ways.push(Way { after, ..Way::default() });
                    // The turns start anew when lanes are added or removed.
                    self.turn = (0, 0);
                }
            }
            Op::DropLane(number) => {
                if !self.lanes.is_empty() {
                    self.lanes.swap_remove(number % self.lanes.len());
                }
            }
            Op::Close => {
                assert!(self.sink.close_by(buslane::time::Deadline::NOW).is_done());
                self.end.get_or_insert(TryRecvError::Closed);
            }
            Op::DropReceiver => {
                if self.receiver.take().is_some() {
                    self.end.get_or_insert(TryRecvError::Closed);
                    for way in &mut self.ways {
                        for id in way.waiting.drain(..) {
                            self.books.dropped.receiver_dropped += 1;
                            self.told.push((id, DropReason::ReceiverDropped));
                        }
                    }
                }
            }
            _ => self.read(op),
        }
    }

    /// Offers an event to a private lane, or to the shared lane.
    fn write(&mut self, lane: Option<usize>, deadline: Deadline) {
        let way = lane.map_or(0, |lane| self.lanes[lane].0);
        let is_full = self.ways[way].waiting.len() == self.setup.capacity;
        let is_open = self.end.is_none();
        if is_full && is_open && self.setup.overflow == Overflow::Block && deadline == Deadline::NEVER {
            // The write would wait forever.
            return;
        }
        let id = way as u64 * WAY + self.next;
        self.next += 1;
        let value = self.census.make(id);
        let outcome = match lane {
            Some(lane) => self.lanes[lane].1.push(value, deadline),
            None => self.sink.write(value),
        };
        self.books.offered += 1;
        if self.setup.filtered && !passes(id) {
            assert!(outcome.is_ok() || !is_open, "a rejected event counts as accepted");
            if outcome.is_ok() {
                self.books.accepted += 1;
                self.books.filtered += 1;
            } else {
                self.books.refused.closed += 1;
            }
            return;
        }
        let refused = |error: &WriteError<Value>| match error {
            WriteError::Full(value) => ("full", value.id),
            WriteError::Closed(value) => ("closed", value.id),
            WriteError::Timeout(value) => ("timeout", value.id),
            other => panic!("{other}"),
        };
        let outcome = outcome.as_ref().map_err(refused).copied();
        if !is_open {
            assert_eq!(outcome, Err(("closed", id)));
            self.books.refused.closed += 1;
        } else if !is_full {
            assert_eq!(outcome, Ok(()));
            self.books.accepted += 1;
            self.ways[way].waiting.push_back(id);
        } else {
            self.overflow(way, id, outcome, deadline);
        }
    }

    fn overflow(&mut self, way: usize, id: u64, outcome: Result<(), (&str, u64)>, deadline: Deadline) {
        match self.setup.overflow {
            Overflow::DropNewest => {
                assert_eq!(outcome, Ok(()));
                self.books.accepted += 1;
                self.books.dropped.full += 1;
                self.told.push((id, DropReason::Full));
            }
            Overflow::DropOldest => {
                assert_eq!(outcome, Ok(()));
                self.books.accepted += 1;
                self.books.dropped.evicted += 1;
                let oldest = self.ways[way].waiting.pop_front().expect("it was full");
                self.told.push((oldest, DropReason::Evicted));
                self.ways[way].waiting.push_back(id);
            }
            Overflow::BlockFor(_) if deadline == Deadline::NEVER => {
                assert_eq!(outcome, Err(("timeout", id)));
                self.books.refused.timeout += 1;
            }
            Overflow::Close => {
                assert_eq!(outcome, Err(("closed", id)));
                self.books.refused.closed += 1;
                self.end = Some(TryRecvError::Overflowed);
            }
            _ => {
                assert_eq!(outcome, Err(("full", id)));
                self.books.refused.full += 1;
            }
        }
    }

    fn read(&mut self, op: Op) {
        let Some(mut receiver) = self.receiver.take() else { return };
        let waiting: usize = self.ways.iter().map(|way| way.waiting.len()).sum();
        let end = self.end.unwrap_or(TryRecvError::Empty);
        match op {
            Op::Receive => {
                let read = receiver.try_recv().map(|value| self.took(value.id));
                assert_eq!(read, if waiting > 0 { Ok(()) } else { Err(end) });
            }
            Op::ReceiveInTime => {
                let read = receiver.recv_timeout(Duration::ZERO).map(|value| self.took(value.id));
                assert_eq!(read.is_ok(), waiting > 0);
            }
            Op::ReceiveBatch(most) => {
                // The read would wait forever.
                if waiting > 0 || self.end.is_some() {
                    let mut batch = Vec::new();
                    let read = receiver.recv_batch(&mut batch, most);
                    assert_eq!(read.is_ok(), most == 0 || waiting > 0);
                    assert_eq!(batch.len(), most.min(waiting));
                    batch.iter().for_each(|value| self.took(value.id));
                }
            }
            Op::DrainWith => {
                let before = waiting;
                self.draining = true;
                let count = receiver.drain_with(|value| self.took(value.id));
                self.draining = false;
                // The drain has its own turns, and drops lanes that have ended.
                self.turn = (0, 0);
                // The drain reads at most a quarter of the capacity from each lane, and at least
                // one event.
                let share = (self.setup.capacity / 4).max(1) * self.ways.len();
                assert!(count <= before.min(share) && (count > 0 || before == 0), "{count} of {before}");
            }
            _ => {
                let count = receiver.drain().map(|value| self.took(value.id)).count();
                assert_eq!(count, waiting);
            }
        }
        self.receiver = Some(receiver);
    }

    /// Returns whether every event that precedes this lane has been read.
    fn has_turns(&self, way: usize) -> bool {
        let oldest = self.ways[0].waiting.front();
        self.ways[way].after.is_none_or(|after| oldest.is_none_or(|oldest| *oldest > after))
    }

    /// Records a read event, which must be the oldest of its lane.
    fn took(&mut self, id: u64) {
        let way = (id / WAY) as usize;
        assert!(self.has_turns(way), "earlier events of the shared lane come first");
        assert_eq!(self.ways[way].waiting.pop_front(), Some(id), "first in, first out");
        let mut others = self.ways.iter().enumerate().filter(|(other, _)| *other != way);
        let in_a_row = match (
            self.turn,
            others.any(|(number, other)| !other.waiting.is_empty() && self.has_turns(number)),
        ) {
            (_, false) => 0,
            ((last, in_a_row), true) if last == way => in_a_row + 1,
            _ => 1,
        };
        self.turn = (way, in_a_row);
        if !self.draining {
            assert!(in_a_row <= (self.setup.capacity / 4).max(1), "the other lanes have no turn");
        }
        self.books.delivered += 1;
    }

    fn check(&mut self) {
        let mut state = SinkState::default();
        self.sink.describe(&mut state);
        let waiting: usize = self.ways.iter().map(|way| way.waiting.len()).sum();
        self.books.pending = waiting as u64;
        state.ledger.check().expect("the ledger balances");
        assert_eq!(state.ledger, self.books);
        let status = match (self.end, waiting) {
            (None, _) => SinkStatus::Open,
            (Some(_), 0) => SinkStatus::Drained,
            (Some(_), _) => SinkStatus::Closed,
        };
        assert_eq!((state.status, state.depth), (status, waiting as u64));
        if let Some(receiver) = &self.receiver {
            assert_eq!((receiver.len(), receiver.is_empty()), (waiting, waiting == 0));
            let lost = self.books.dropped.full + self.books.dropped.evicted;
            assert_eq!(receiver.lost(), lost);
        }
        // The order holds within each lane; a dropped receiver may drop the lanes in any order.
        let mut told = self.hook.lock().expect("no test panics here").clone();
        told.sort_by_key(|(id, _)| *id / WAY);
        self.told.sort_by_key(|(id, _)| *id / WAY);
        assert_eq!(told, self.told);
        assert_eq!(self.census.alive(), waiting, "values alive");
    }
}
