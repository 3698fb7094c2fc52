//! The counted cases.

use benches::cost::{self, BLOCK, Cost, journal};
use benches::event::{Event, Seed};
use benches::read::{self, Readers};
use buslane::bus::InlineBytes;
use buslane::retry::Backoff;
use buslane::source::{Connection, Fault, Item, Monitor, Session, Source};
use buslane::stats::metrics::Exposition;
use buslane::{Bus, Channel, Overflow, Publisher, Receiver, WaitStrategy};
use buslane_tracing::{Clock, Record, layer, logger};
use log::LevelFilter;
use std::error::Error;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::mpsc::{self, Sender};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

const NAP: WaitStrategy = WaitStrategy::nap();

/// The counted part of a contender.
type Case = (&'static str, fn(u64));

/// All cases, each with a function that runs a number of blocks.
pub(crate) const CASES: [Case; 40] = [
    ("harness", |blocks| publish(cost::base(), blocks)),
    ("publish, no sink", |blocks| publish(cost::lanes(0, NAP), blocks)),
    ("publish, 1 queue", |blocks| publish(cost::lanes(1, NAP), blocks)),
    ("monitor, 1 queue", by_a_monitor),
    ("publish, 2 queues", |blocks| publish(cost::lanes(2, NAP), blocks)),
    ("publish, 16 queues", |blocks| publish(cost::lanes(16, NAP), blocks)),
    ("publish, 1 queue, SpinPark", |blocks| publish(cost::lanes(1, WaitStrategy::SpinPark), blocks)),
    ("publish, 1 queue, DropOldest", |blocks| publish(cost::lane_with(Overflow::DropOldest), blocks)),
    ("publish, filtered", |blocks| publish(cost::filtered(), blocks)),
    ("publish, with_local", |blocks| publish(cost::local(), blocks)),
    ("publish, Bus::publish", |blocks| publish(cost::bus_shared(1), blocks)),
    ("publish, Bus::publish, 3 channels", |blocks| publish(cost::bus_shared(3), blocks)),
    ("publish, batch of 16", |blocks| publish(cost::lanes_in_slices::<16>(), blocks)),
    ("publish, a new publisher, 4 channels", by_new_publishers),
    ("publish, JournalWriter", |blocks| publish(journal::single(1), blocks)),
    ("publish, Journal", |blocks| publish(journal::shared(1), blocks)),
    ("publish, Journal, destructors", |blocks| publish(journal::shared_beside(0, 0), blocks)),
    ("publish, Journal, 1 stalled", |blocks| publish(journal::shared_beside(1, 0), blocks)),
    ("publish, Journal, 1 of 1000 stalled", |blocks| publish(journal::shared_beside(1, 999), blocks)),
    ("publish, journal on a bus", |blocks| publish(journal::on_bus(1), blocks)),
    ("publish, journal on a bus, 2 publishers", |blocks| publish(journal::on_bus_by_two(1), blocks)),
    ("drain, 1 lane", |blocks| drain(cost::lanes(1, NAP), blocks)),
    ("drain, shared lane", |blocks| drain(cost::bus_shared(1), blocks)),
    ("recv, 1 lane", |blocks| receive(Lane::Private, blocks, by_recv)),
    ("iter, 1 lane", |blocks| receive(Lane::Private, blocks, by_iter)),
    ("try_recv, 1 lane", |blocks| receive(Lane::Private, blocks, by_try_recv)),
    ("recv_timeout, 1 lane", |blocks| receive(Lane::Private, blocks, by_recv_timeout)),
    ("recv_batch of 64, 1 lane", |blocks| receive(Lane::Private, blocks, by_recv_batch)),
    ("recv_async, 1 lane", |blocks| receive(Lane::Private, blocks, by_recv_async)),
    ("recv, shared lane", |blocks| receive(Lane::Shared, blocks, by_recv)),
    ("recv_batch of 64, shared lane", |blocks| receive(Lane::Shared, blocks, by_recv_batch)),
    ("try_recv of nothing, 1 idle publisher", |blocks| find_nothing(1, blocks)),
    ("try_recv of nothing, 1000 idle publishers", |blocks| find_nothing(1000, blocks)),
    ("read, journal", |blocks| read(read::try_recv(1), blocks)),
    ("read, journal in batches", |blocks| read(read::try_recv_slice(1), blocks)),
    ("by hand, 1 queue", |blocks| by_hand(blocks, |_| ())),
    ("by hand, 1 queue, with an exporter", |blocks| by_hand(blocks, scrape)),
    ("publish in place, a text, 1 queue", in_place),
    ("event of tracing, 3 numbers", by_tracing),
    ("record of log, constant message", by_log),
];

/// The number of events of a block.
pub(crate) const EVENTS: u64 = BLOCK;

/// The counted function: only its instructions count. `callgrind` finds it by its name.
#[inline(never)]
pub(crate) fn measured<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Runs a case without counting. Under `callgrind`, the instructions of [`measured`] are counted.
pub(crate) fn run(case: &str, blocks: &str) -> Result<(), Box<dyn Error>> {
    let found = CASES.into_iter().find(|(name, _)| *name == case);
    let (_, body) = found.ok_or_else(|| format!("there is no case {case:?}"))?;
    body(blocks.parse()?);
    Ok(())
}

fn publish(mut contender: impl Cost, blocks: u64) {
    for first in (0..blocks).map(|block| block * BLOCK) {
        measured(|| contender.publish(first, BLOCK));
        check(&mut contender, first);
    }
}

fn drain(mut contender: impl Cost, blocks: u64) {
    for first in (0..blocks).map(|block| block * BLOCK) {
        contender.publish(first, BLOCK);
        measured(|| check(&mut contender, first));
    }
}

/// Drains the receivers, and checks the events.
fn check(contender: &mut impl Cost, first: u64) {
    let (mut count, mut sum) = (0, 0_u64);
    contender.drain(&mut |_, event| {
        count += 1;
        sum = sum.wrapping_add(event.sum());
    });
    let receivers = contender.receivers() as u64;
    let expected = Event::sum_without_end(first, BLOCK).wrapping_mul(receivers);
    assert_eq!((count, sum), (BLOCK * receivers, expected), "the receivers get the published events");
}

/// A source of one connection, which reads a number of events and ends for good.
struct Numbers {
    /// The number of events that are left.
    left: u64,
    /// Told at the end.
    ended: Sender<()>,
}

impl Source for Numbers {
    type Event = Event;
    type Token = u64;
    type Connection = Self;

    fn connect(&mut self, from: Option<&u64>, _: &Session) -> Result<Self, Fault> {
        match from {
            None => Ok(Self { left: self.left, ended: self.ended.clone() }),
            Some(_) => Err(Fault::fatal("all events were read")),
        }
    }
}

impl Connection for Numbers {
    type Event = Event;
    type Token = u64;

    #[inline(always)]
    fn next(&mut self) -> Result<Option<Item<Event, u64>>, Fault> {
        let Some(left) = self.left.checked_sub(1) else {
            self.ended.send(()).expect("the case waits for the end");
            return Ok(None);
        };
        self.left = left;
        Ok(Some(Item::Event(Seed::new(left, false).event(), left)))
    }
}

/// Counts the events that a monitor forwards on its own thread: what `callgrind` counts there are the
/// calls of the monitor below its loop over connections.
fn by_a_monitor(blocks: u64) {
    // For all events of the longest run, so that none waits for room.
    const ROOM: usize = 64 * BLOCK as usize;
    let (channel, mut receiver) =
        Channel::builder().capacity(ROOM).wait_strategy(NAP).build().expect("the settings are valid");
    let (ended, is_ended) = mpsc::channel();
    let source = Numbers { left: blocks * BLOCK, ended };
    let builder = Monitor::builder(source).backoff(Backoff::default().max_attempts(1));
    let monitor = builder.spawn_events(channel).expect("the settings are valid");
    is_ended.recv().expect("the source reads all events");
    assert!(monitor.stop().is_done());
    let sum = receiver.drain().fold(0, |sum: u64, event| sum.wrapping_add(event.sum()));
    assert_eq!(sum, Event::sum_without_end(0, blocks * BLOCK), "the receiver gets the forwarded events");
}

/// Counts events of 256 bytes that are completed in their slots, with a text of 32 bytes.
fn in_place(blocks: u64) {
    let (bus, mut receiver) = one_channel();
    let mut publisher = bus.publisher();
    for first in (0..blocks).map(|block| block * BLOCK) {
        measured(|| {
            for seq in first..first + BLOCK {
                let text = Seed::new(seq, false).event().to_bytes();
                let published = publisher.publish_in_place(InlineBytes::<254>::new, |event| {
                    assert!(event.append(&text), "there is room");
                });
                let _ = published.expect("the bus is open");
            }
        });
        let mut sum = 0_u64;
        let mut see = |event: InlineBytes<254>| sum = sum.wrapping_add(Event::from_bytes(&event).sum());
        while receiver.drain_with(&mut see) > 0 {}
        assert_eq!(sum, Event::sum_without_end(first, BLOCK), "the receiver gets the published events");
    }
}

/// Counts what a thread executes for a record of `buslane_tracing`, without the reading of a clock.
fn record(blocks: u64, begin: impl FnOnce(&Bus<Record>), log: impl Fn(Seed)) {
    let (bus, mut receiver) = one_channel();
    begin(&bus);
    for first in (0..blocks).map(|block| block * BLOCK) {
        measured(|| (first..first + BLOCK).for_each(|seq| log(Seed::new(seq, false))));
        let mut whole = 0;
        let mut see = |record: Record| whole += u64::from(record.message() == "request handled");
        while receiver.drain_with(&mut see) > 0 {}
        assert_eq!(whole, BLOCK, "the receiver gets the records");
    }
}

fn by_tracing(blocks: u64) {
    let begin = |bus: &Bus<Record>| Registry::default().with(layer(bus).clock(Clock::None).build()).init();
    record(blocks, begin, |seed| {
        let Event { seq, next, inverse, .. } = seed.event();
        tracing::info!(seq, next, inverse, "request handled");
    });
}

fn by_log(blocks: u64) {
    let begin = |bus: &Bus<Record>| {
        logger(bus, LevelFilter::Info).clock(Clock::None).install().expect("the first logger");
    };
    record(blocks, begin, |_| log::info!("request handled"));
}

/// Returns a bus with one channel, and its receiver.
fn one_channel<E: Clone + Send + 'static>() -> (Bus<E>, Receiver<E>) {
    let (channel, receiver) = Channel::builder()
        .capacity(benches::CAPACITY)
        .wait_strategy(NAP)
        .build()
        .expect("the settings are valid");
    let bus = Bus::new();
    bus.add(channel).expect("the bus is open");
    (bus, receiver)
}

/// Counts publishers that are made, used once and dropped. The lanes have so much room that each
/// publisher takes those of the one before it.
fn by_new_publishers(blocks: u64) {
    let bus = Bus::new();
    let room = 4 * BLOCK as usize;
    let mut receivers = [(); 4].map(|()| bus.subscribe_lossy(room).expect("the bus is open"));
    for first in (0..blocks).map(|block| block * BLOCK) {
        measured(|| {
            for seq in first..first + BLOCK {
                let published = bus.publisher().publish(Seed::new(seq, false).event());
                assert!(published.is_ok_and(|published| published.is_complete()), "the channels have room");
            }
        });
        for receiver in &mut receivers {
            let sum = receiver.drain().fold(0, |sum: u64, event| sum.wrapping_add(event.sum()));
            assert_eq!(sum, Event::sum_without_end(first, BLOCK), "the receivers get the published events");
        }
    }
}

/// Counts the reads of a receiver that finds no event, long after all publishers have spoken.
fn find_nothing(publishers: usize, blocks: u64) {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossy(4).expect("the bus is open");
    let mut idle: Vec<_> = (0..publishers).map(|_| bus.publisher()).collect();
    let seeds = (0..).map(|seq| Seed::new(seq, false));
    for (publisher, seed) in idle.iter_mut().zip(seeds) {
        assert!(publisher.publish(seed.event()).is_ok(), "the bus is open");
    }
    assert_eq!(receiver.drain().count(), publishers, "the receiver gets the published events");
    let mut poll = || assert!(receiver.try_recv().is_err(), "all events were read");
    (0..10_000).for_each(|_| poll());
    for _ in 0..blocks {
        measured(|| (0..BLOCK).for_each(|_| poll()));
    }
}

fn read(mut readers: impl Readers, blocks: u64) {
    for first in (0..blocks).map(|block| block * BLOCK) {
        readers.fill(first, BLOCK);
        black_box(measured(|| readers.read()));
    }
}

/// The lane through which events reach a receiver.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    Private,
    Shared,
}

/// Counts a read of a block of waiting events. `read` takes that many, and returns their sum.
fn receive(lane: Lane, blocks: u64, read: fn(&mut Receiver<Event>, u64) -> u64) {
    let (bus, mut receiver) = one_channel();
    let mut publisher = bus.publisher();
    for first in (0..blocks).map(|block| block * BLOCK) {
        for seq in first..first + BLOCK {
            let event = Seed::new(seq, false).event();
            let published = match lane {
                Lane::Private => publisher.publish(event),
                Lane::Shared => bus.publish(event),
            };
            assert!(published.is_ok_and(|published| published.is_complete()), "the channel has room");
        }
        let sum = measured(|| read(&mut receiver, BLOCK));
        assert_eq!(sum, Event::sum_without_end(first, BLOCK), "the receiver gets the published events");
    }
}

fn by_recv(receiver: &mut Receiver<Event>, count: u64) -> u64 {
    (0..count).fold(0, |sum, _| sum.wrapping_add(receiver.recv().expect("the channel is open").sum()))
}

fn by_iter(receiver: &mut Receiver<Event>, count: u64) -> u64 {
    let events = receiver.iter().take(count as usize);
    events.fold(0, |sum, event| sum.wrapping_add(event.sum()))
}

fn by_try_recv(receiver: &mut Receiver<Event>, count: u64) -> u64 {
    (0..count).fold(0, |sum, _| sum.wrapping_add(receiver.try_recv().expect("an event is there").sum()))
}

fn by_recv_timeout(receiver: &mut Receiver<Event>, count: u64) -> u64 {
    let mut next = || receiver.recv_timeout(Duration::from_secs(1)).expect("an event is there");
    (0..count).fold(0, |sum, _| sum.wrapping_add(next().sum()))
}

fn by_recv_batch(receiver: &mut Receiver<Event>, count: u64) -> u64 {
    let (mut batch, mut sum, mut left) = (Vec::with_capacity(64), 0_u64, count);
    while left > 0 {
        left -= receiver.recv_batch(&mut batch, 64).expect("the channel is open") as u64;
        sum = batch.drain(..).fold(sum, |sum, event| sum.wrapping_add(event.sum()));
    }
    sum
}

fn by_recv_async(receiver: &mut Receiver<Event>, count: u64) -> u64 {
    let mut context = Context::from_waker(Waker::noop());
    let mut next = || {
        loop {
            // Pending once after each turn, for the other tasks of a thread, though an event is there.
            if let Poll::Ready(event) = pin!(receiver.recv_async()).poll(&mut context) {
                break event.expect("the channel is open");
            }
        }
    };
    (0..count).fold(0, |sum, _| sum.wrapping_add(next().sum()))
}

/// The hot function: one publish into one queue, as in user code. It is disassembled under this
/// name.
#[inline(never)]
pub(crate) fn publish_into_one_queue(publisher: &mut Publisher<Event>, seed: Seed) {
    let _ = publisher.publish(seed.event()).expect("the bus is open");
}

/// Reads every number of a bus, as a scraper does. What it does is not counted: only what it leaves
/// for the publishers.
fn scrape(bus: &Bus<Event>) {
    let page = Exposition::new().bus("bus", &bus.snapshot()).to_string();
    assert!(page.contains("buslane_sink_accepted_events"), "{page}");
}

/// Publishes as in "publish, 1 queue", except for the call. `before` is called before each block.
fn by_hand(blocks: u64, before: fn(&Bus<Event>)) {
    let (bus, mut receiver) = one_channel();
    let mut publisher = bus.publisher();
    for first in (0..blocks).map(|block| block * BLOCK) {
        before(&bus);
        measured(|| {
            for seq in first..first + BLOCK {
                publish_into_one_queue(&mut publisher, Seed::new(seq, false));
            }
        });
        let mut sum = 0_u64;
        while receiver.drain_with(|event: Event| sum = sum.wrapping_add(event.sum())) > 0 {}
        assert_eq!(sum, Event::sum_without_end(first, BLOCK), "the receiver gets the published events");
    }
}
