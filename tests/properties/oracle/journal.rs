//! A journal, compared with the list of all events.

mod reader;

use super::value::{Step, pick};
use buslane::error::SubscribeError;
use buslane::journal::{Feed, JournalWriter, OnLag, Sequence, Start, Until};
use buslane::{Journal, WriteError};
use reader::Reader;
use std::cell::Cell;
use std::ops::Range;
use std::time::{Duration, SystemTime};

/// An event: its number and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Event {
    number: u64,
    time: SystemTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    capacity: usize,
    /// A single publisher owns the journal, instead of any number.
    single: bool,
    /// Whether the events have a time, which lies in the past or in the future.
    timed: bool,
    future: bool,
}

impl Setup {
    pub(crate) fn decode([capacity, kind, _]: Step) -> Self {
        Self {
            capacity: usize::from(capacity) + 1,
            single: kind % 2 == 1,
            timed: kind & 2 != 0,
            future: kind & 4 != 0,
        }
    }

    fn time(self, seconds: u8) -> SystemTime {
        // Either far in the future or in 1970: never while a case runs.
        let base = if self.future {
            SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000)
        } else {
            SystemTime::UNIX_EPOCH
        };
        base + Duration::from_secs(u64::from(seconds))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Publishes `n` events in sequence, of this second and the following ones.
    Publish(usize, u8),
    Try(u8),
    Batch(usize, u8),
    Subscribe(Request),
    /// Reads at most `n` entries.
    Read(usize, usize),
    ReadBatch(usize),
    /// Replaces a subscriber with a new one that resumes at its position.
    Resume(usize),
    Drop(usize),
    Close,
}

/// The settings of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    from: From,
    to: To,
    /// The subscriber wants one of this many events.
    one_in: u64,
    newest: bool,
    ends_on_lag: bool,
    gating: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Now,
    Oldest,
    Last(usize),
    /// A fraction of the range from the first event to the end.
    At(u8),
    Since(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    End,
    /// A fraction of the range from the first event to slightly after the last.
    Sequence(u8),
    Time(u8),
}

impl Request {
    fn decode(one: u8, two: u8) -> Self {
        let from = match one % 8 {
            0 | 1 => From::Oldest,
            2 => From::Now,
            3 | 4 => From::Last(usize::from(two)),
            5 | 6 => From::At(two),
            _ => From::Since(two),
        };
        let to = match one / 8 % 8 {
            0..5 => To::End,
            5 | 6 => To::Sequence(two.rotate_left(3)),
            _ => To::Time(two.rotate_left(4)),
        };
        let one_in = if two % 5 == 4 { 3 } else { 1 };
        Self {
            from,
            to,
            one_in,
            newest: one & 64 != 0,
            ends_on_lag: one & 128 != 0 && two.is_multiple_of(2),
            gating: one & 128 != 0 && two % 4 == 1,
        }
    }
}

impl Op {
    pub(crate) fn decode([code, one, two]: Step) -> Self {
        let reader = usize::from(one);
        match code % 64 {
            0..14 => Self::Publish(pick(one, 30) + 1, two),
            14..17 => Self::Try(two),
            17..22 => Self::Batch(pick(one, 80), two),
            22..34 => Self::Subscribe(Request::decode(one, two)),
            34..46 => Self::Read(reader, usize::from(two) + 1),
            46..56 => Self::ReadBatch(reader),
            56..59 => Self::Resume(reader),
            59..63 => Self::Drop(reader),
            _ => Self::Close,
        }
    }
}

enum Pen {
    Shared(Journal<Event>),
    Single(JournalWriter<Event>),
    Closed,
}

/// The part of a journal that a reader may see.
struct Scene {
    /// The first event that was not overwritten.
    there: u64,
    /// The events that are guaranteed to be retained.
    kept: Range<u64>,
    closed: bool,
}

struct World {
    setup: Setup,
    pen: Pen,
    feed: Feed<Event>,
    events: Vec<Event>,
    readers: Vec<Reader>,
    block_len: u64,
    /// The number of refused events: full, timed out, closed.
    refused: [u64; 3],
}

/// Runs a case; panics where journal and model differ.
pub(crate) fn run(setup: Setup, ops: &[Op]) {
    // A publisher that would wait for a subscriber gives up at once.
    let mut builder = Journal::builder().capacity(setup.capacity).gate_limit(Duration::ZERO);
    if setup.timed {
        builder = builder.time_by(|event: &Event| event.time);
    }
    let (pen, feed) = if setup.single {
        let (writer, feed) = builder.build_single().expect("a small journal");
        (Pen::Single(writer), feed)
    } else {
        let journal = builder.build().expect("a small journal");
        let feed = journal.feed();
        (Pen::Shared(journal), feed)
    };
    let block_len = 64.min(1 << setup.capacity.ilog2());
    let mut world =
        World { setup, pen, feed, events: Vec::new(), readers: Vec::new(), block_len, refused: [0; 3] };
    for op in ops {
        world.step(*op);
        world.check();
    }
}

impl World {
    fn tail(&self) -> u64 {
        self.events.len() as u64
    }

    fn oldest(&self) -> u64 {
        self.tail().saturating_sub(self.setup.capacity as u64)
    }

    fn is_closed(&self) -> bool {
        matches!(self.pen, Pen::Closed)
    }

    /// Returns the part of the journal that a reader may see now.
    fn scene(&self) -> Scene {
        // One block more than the capacity needs; the block under construction counts as one of
        // them.
        let blocks = (self.setup.capacity as u64).div_ceil(self.block_len) + 1;
        let there = self.tail().div_ceil(self.block_len).saturating_sub(blocks) * self.block_len;
        Scene { there, kept: self.oldest()..self.tail(), closed: self.is_closed() }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Publish(count, time) => {
                (0..count).for_each(|n| self.publish(time.wrapping_add(n as u8), true))
            }
            Op::Try(time) => self.publish(time, false),
            Op::Batch(count, time) => self.publish_batch(count, time),
            Op::Subscribe(request) => {
                if self.readers.len() < 5 {
                    self.subscribe(request, None);
                }
            }
            Op::Read(number, most) => {
                let scene = self.scene();
                let Self { readers, events, setup, .. } = self;
                if let Some(at) = at(readers, number) {
                    let reader = &mut readers[at];
                    (0..most).all(|_| reader.read(*setup, events, &scene));
                }
            }
            Op::ReadBatch(number) => {
                let scene = self.scene();
                let Self { readers, events, setup, .. } = self;
                if let Some(at) = at(readers, number) {
                    readers[at].read_batch(*setup, events, &scene);
                }
            }
            Op::Resume(number) => {
                if let Some(at) = at(&self.readers, number) {
                    let reader = self.readers.swap_remove(at);
                    let place = reader.subscriber.next_sequence();
                    assert_eq!(place.get(), reader.cursor);
                    drop(reader.subscriber);
                    self.subscribe(reader.request, Some(place));
                }
            }
            Op::Drop(number) => {
                if let Some(at) = at(&self.readers, number) {
                    self.readers.swap_remove(at);
                }
            }
            Op::Close => {
                if let Pen::Shared(journal) = &self.pen {
                    journal.close();
                    let event = Event { number: self.tail(), time: self.setup.time(0) };
                    assert!(matches!(journal.publish(event), Err(WriteError::Closed(back)) if back == event));
                    assert!(
                        matches!(journal.publish_batch(vec![event; 3]), Err(WriteError::Closed(back)) if back.len() == 3)
                    );
                    self.refused[2] += 4;
                }
                self.pen = Pen::Closed;
            }
        }
    }

    /// Returns whether a gating subscriber blocks the event at this position.
    fn is_barred(&self, position: u64) -> bool {
        let in_the_way = |reader: &Reader| {
            reader.request.gating && !reader.ended && reader.cursor + (self.setup.capacity as u64) < position
        };
        position.is_multiple_of(self.block_len) && self.readers.iter().any(in_the_way)
    }

    fn publish(&mut self, time: u8, waits: bool) {
        let number = self.tail();
        let event = Event { number, time: self.setup.time(time) };
        let outcome = match (&mut self.pen, waits) {
            (Pen::Shared(journal), true) => journal.publish(event),
            (Pen::Shared(journal), false) => journal.try_publish(event),
            (Pen::Single(writer), true) => writer.publish(event),
            (Pen::Single(writer), false) => writer.try_publish(event),
            (Pen::Closed, _) => return,
        };
        match outcome {
            Ok(place) => {
                assert!(!self.is_barred(number), "published over a gating subscriber");
                assert_eq!(place.get(), number);
                self.events.push(event);
            }
            Err(WriteError::Full(back)) if !waits => {
                assert!(back == event && self.is_barred(number), "full, but no gating subscriber blocks it");
                self.refused[0] += 1;
            }
            Err(WriteError::Timeout(back)) if waits => {
                assert!(
                    back == event && self.is_barred(number),
                    "timed out, but no gating subscriber blocks it"
                );
                self.refused[1] += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn publish_batch(&mut self, count: usize, time: u8) {
        let first = self.tail();
        let setup = self.setup;
        let event =
            |n: usize| Event { number: first + n as u64, time: setup.time(time.wrapping_add(n as u8)) };
        let batch: Vec<Event> = (0..count).map(event).collect();
        let fits = (0..count).take_while(|n| !self.is_barred(first + *n as u64)).count();
        match &mut self.pen {
            Pen::Shared(journal) => match journal.publish_batch(batch.clone()) {
                Ok(place) => assert!(place.get() == first && fits == count, "published over a subscriber"),
                Err(WriteError::Timeout(rest)) => {
                    assert_eq!(rest, batch[fits..], "what was not published comes back");
                    self.refused[1] += rest.len() as u64;
                }
                Err(error) => panic!("{error}"),
            },
            Pen::Single(writer) => match writer.publish_batch(&batch) {
                Ok(place) => assert!(place.get() == first && fits == count, "published over a subscriber"),
                Err(WriteError::Timeout(rest)) => {
                    assert_eq!(rest, batch[fits..], "what was not published comes back");
                    self.refused[1] += rest.len() as u64;
                }
                Err(error) => panic!("{error}"),
            },
            Pen::Closed => return,
        }
        self.events.extend(&batch[..fits]);
    }

    fn subscribe(&mut self, request: Request, resumed: Option<Sequence>) {
        let (tail, oldest) = (self.tail(), self.oldest());
        let part = |byte: u8| u64::from(byte) * (tail + 3) / 256;
        let start = match (resumed, request.from) {
            (Some(place), From::Since(_)) if !self.setup.timed => Start::At(place),
            (Some(place), _) => Start::At(place),
            (None, From::Now) => Start::Now,
            (None, From::Oldest) => Start::Oldest,
            (None, From::Last(count)) => Start::Last(count),
            (None, From::At(byte)) => Start::At(Sequence::new(part(byte))),
            (None, From::Since(seconds)) => Start::Since(self.setup.time(seconds)),
        };
        let until = match request.to {
            To::End => None,
            To::Sequence(byte) => {
                Some(Until::Sequence(Sequence::new(part(byte).max(oldest / 2) + u64::from(byte % 8))))
            }
            To::Time(seconds) => Some(Until::Time(self.setup.time(seconds))),
        };
        let on_lag = if request.newest { OnLag::Newest } else { OnLag::Oldest };
        let mut settings = self.feed.subscription().start(start).on_lag(on_lag);
        if let Some(until) = until {
            settings = settings.until(until);
        }
        if request.one_in > 1 {
            settings = settings.filter(move |event| event.number % request.one_in == 0);
        }
        if request.ends_on_lag {
            settings = settings.end_on_lag();
        }
        if request.gating {
            settings = settings.gating();
        }
        let inverted = match (start, until) {
            (Start::Since(since), Some(Until::Time(until))) if until < since => {
                Err(SubscribeError::InvertedTime { since, until })
            }
            (Start::At(first), Some(Until::Sequence(last))) if last < first => {
                Err(SubscribeError::Inverted { first: first.get(), last: last.get() })
            }
            _ => Ok(()),
        };
        let asks_for_time = matches!(start, Start::Since(_)) || matches!(until, Some(Until::Time(_)));
        let expected = inverted.and_then(|()| match start {
            Start::At(place) if place.get() > tail => {
                Err(SubscribeError::Future { asked: place.get(), next: tail })
            }
            _ if asks_for_time && !self.setup.timed => Err(SubscribeError::NoTime),
            Start::Now => Ok(tail),
            Start::Last(count) => Ok(tail.saturating_sub(count as u64).max(oldest)),
            Start::At(place) => Ok(place.get()),
            _ => Ok(oldest),
        });
        let subscribed = settings.subscribe();
        assert_eq!(
            subscribed.as_ref().map(|subscriber| subscriber.next_sequence().get()),
            expected.as_ref().copied()
        );
        let (Ok(subscriber), Ok(start_place)) = (subscribed, expected) else { return };
        self.readers.push(Reader {
            subscriber,
            request,
            start: start_place,
            cursor: start_place,
            live_from: tail,
            since: if let Start::Since(since) = start { Some(since) } else { None },
            last: if let Some(Until::Sequence(last)) = until { Some(last.get()) } else { None },
            until: if let Some(Until::Time(until)) = until { Some(until) } else { None },
            ended: false,
            counted: Cell::new(start_place),
            delivered: 0,
            lagged: 0,
        });
    }

    fn check(&self) {
        assert_eq!((self.feed.next().get(), self.feed.oldest().get()), (self.tail(), self.oldest()));
        assert_eq!(self.feed.is_closed(), self.is_closed());
        let state = self.feed.state();
        state.ledger.check().expect("the ledger balances");
        let refused = state.ledger.refused;
        assert_eq!([refused.full, refused.timeout, refused.closed], self.refused);
        assert_eq!((state.ledger.accepted, state.ledger.delivered), (self.tail(), self.tail()));
        assert_eq!(state.subscribers.len(), self.readers.len());
        for reader in &self.readers {
            reader.check(self.tail());
        }
    }
}

fn at(readers: &[Reader], number: usize) -> Option<usize> {
    (!readers.is_empty()).then(|| number % readers.len())
}
