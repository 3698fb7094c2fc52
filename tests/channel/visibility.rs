//! A read finds every event whose write returned before the read began. This holds for every
//! non-blocking read, of every kind of receiver and lane.
//!
//! Each writer counts an event after its call has returned. The reader loads these counts and then
//! reads until it finds no event. By then it must have got at least as many events of each writer,
//! including those that were reported as evicted. Events are small or large, which varies the time
//! between the claim of a slot and the write into it.

mod parked;

use buslane::channel::SharedReceiver;
use buslane::error::TryRecvError;
use buslane::stats::DropReason;
use buslane::time::Deadline;
use buslane::{Bus, Channel, Overflow, Receiver, Sink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use test_support::{ends, lane};

const WRITERS: usize = 4;
/// Large enough that no event is refused: the reader lags by at most the events written between two
/// of its reads.
const CAPACITY: usize = 512;

/// An event: its writer, its number, and a payload that makes the write take longer.
type Event<const WORDS: usize> = (usize, u64, [u64; WORDS]);

#[derive(Clone, Default)]
struct Counts(Arc<[AtomicU64; WRITERS]>);

impl Counts {
    fn add(&self, writer: usize) {
        self.0[writer].fetch_add(1, Ordering::Release);
    }

    fn set(&self, counts: [u64; WRITERS]) {
        self.0.iter().zip(counts).for_each(|(word, count)| word.store(count, Ordering::Release));
    }

    fn get(&self) -> [u64; WRITERS] {
        std::array::from_fn(|writer| self.0[writer].load(Ordering::Acquire))
    }
}

/// How events enter the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Into {
    Shared,
    Bus,
    Lanes,
}

/// Passes some of the available events to the callback, and returns whether there may be more.
type Read<R, E> = fn(&mut R, &mut dyn FnMut(E)) -> bool;

/// Reads with `read` while the writers run, and checks each read that found no further event.
fn check<const WORDS: usize, R: Send + 'static>(
    (channel, mut receiver): (Channel<Event<WORDS>>, R),
    evicted: Counts,
    into: Into,
    name: &str,
    read: Read<R, Event<WORDS>>,
) {
    const ROUNDS: usize = 5000;
    // The most events that a writer adds in one round. Without this limit, a read that ends only
    // when it finds no event would never end.
    const LEAD: u64 = 64;
    let name = format!("{name}, {into:?}, {} bytes", WORDS * 8);
    ends(move || {
        let (returned, taken, stop) = (Counts::default(), Counts::default(), AtomicBool::new(false));
        let bus = Bus::new();
        if into == Into::Bus {
            bus.add(channel.clone()).unwrap();
        }
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (channel, bus, returned, stop) = (&channel, &bus, returned.clone(), &stop);
                let (taken, evicted) = (taken.clone(), evicted.clone());
                scope.spawn(move || {
                    let mut own = (into == Into::Lanes).then(|| lane(channel));
                    for n in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let is_ahead = || n > taken.get()[writer] + evicted.get()[writer] + LEAD;
                        while is_ahead() && !stop.load(Ordering::Relaxed) {
                            thread::yield_now();
                        }
                        let event = (writer, n, [n; WORDS]);
                        match (&mut own, into) {
                            (Some(lane), _) => assert!(lane.push(event, Deadline::NEVER).is_ok()),
                            (None, Into::Bus) => assert_eq!(bus.publish(event).unwrap().accepted, 1),
                            (None, _) => assert!(channel.write(event).is_ok()),
                        }
                        returned.add(writer);
                        if n % 64 == 0 {
                            thread::yield_now();
                        }
                    }
                });
            }
            let mut got = [0_u64; WRITERS];
            let stopped = StopAtEnd(&stop);
            for round in 0..ROUNDS {
                let before = returned.get();
                let mut order = [0_u64; WRITERS];
                while read(&mut receiver, &mut |(writer, n, ballast): Event<WORDS>| {
                    assert!(n >= order[writer], "{name}: the events of one writer are out of order");
                    assert!(ballast.iter().all(|word| *word == n));
                    order[writer] = n;
                    got[writer] += 1;
                }) && got
                    .iter()
                    .zip(evicted.get())
                    .zip(before)
                    .any(|((got, lost), before)| got + lost < before)
                {}
                taken.set(got);
                let lost = evicted.get();
                for writer in 0..WRITERS {
                    assert!(
                        got[writer] + lost[writer] >= before[writer],
                        "{name}, round {round}: {} events of writer {writer} were written before, {} were found, {} evicted",
                        before[writer],
                        got[writer],
                        lost[writer]
                    );
                }
            }
            drop(stopped);
            // Reads on, so that writers that wait for room can finish.
            while returned.get() != std::array::from_fn(|writer| got[writer] + evicted.get()[writer]) {
                read(&mut receiver, &mut |(writer, ..)| got[writer] += 1);
            }
        });
    });
}

/// Stops the writers, also when the check fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn builder<const WORDS: usize>(
    overflow: Overflow,
    evicted: &Counts,
) -> buslane::channel::ChannelBuilder<Event<WORDS>> {
    let evicted = evicted.clone();
    // Room for the events that four writers write while the reader does not run. The hook reports
    // an eviction before the evicting write returns.
    Channel::builder().capacity(CAPACITY).overflow(overflow).on_drop(
        move |(writer, ..): Event<WORDS>, reason| {
            // With `DropOldest`, the new event itself is dropped while the reader is taking the
            // oldest one.
            if matches!(reason, DropReason::Evicted | DropReason::Full) {
                evicted.add(writer);
            }
        },
    )
}

/// Returns all ways to read a channel without waiting.
fn reads<E: Send + 'static>() -> Vec<(&'static str, Read<Receiver<E>, E>)> {
    vec![
        ("try_recv", |receiver, take| receiver.try_recv().map(&mut *take).is_ok()),
        ("try_iter", |receiver, take| {
            receiver.try_iter().for_each(&mut *take);
            false
        }),
        ("drain", |receiver, take| {
            receiver.drain().for_each(&mut *take);
            false
        }),
        // Reads at most a quarter of a lane at a time, so the caller repeats it until it finds no
        // event.
        ("drain_with", |receiver, take| receiver.drain_with(&mut *take) > 0),
        ("is_empty, then recv_batch", |receiver, take| {
            const MOST: usize = 64;
            // An empty channel holds no event written before, so there is nothing to wait for.
            if receiver.is_empty() {
                return false;
            }
            let mut batch = Vec::new();
            receiver.recv_batch(&mut batch, MOST).unwrap();
            let full = batch.len() == MOST;
            batch.into_iter().for_each(&mut *take);
            full
        }),
        ("recv_timeout of zero", |receiver, take| {
            receiver.recv_timeout(Duration::ZERO).map(&mut *take).is_ok()
        }),
        // May park first, and then reads once more.
        ("recv_timeout of a nanosecond", |receiver, take| {
            receiver.recv_timeout(Duration::from_nanos(1)).map(&mut *take).is_ok()
        }),
    ]
}

fn check_all<const WORDS: usize>() {
    for (name, read) in reads() {
        for into in [Into::Shared, Into::Bus, Into::Lanes] {
            let evicted = Counts::default();
            let made = builder::<WORDS>(Overflow::Block, &evicted).build().unwrap();
            check(made, evicted, into, name, read);
        }
    }
}

#[test]
fn reads_find_small_events_written_before() {
    check_all::<1>();
}

#[test]
fn reads_find_large_events_written_before() {
    check_all::<512>();
}

#[test]
fn unbounded_reads_find_events_written_before() {
    for (name, read) in reads() {
        let evicted = Counts::default();
        let made = Channel::builder().unbounded().build().unwrap();
        check::<512, _>(made, evicted, Into::Shared, &format!("unbounded {name}"), read);
    }
}

#[test]
fn evicting_reads_find_events_written_before() {
    // `drain` and `len` count the events that are there when they begin. Evictions meanwhile make
    // room for later events, so these two are left out.
    for (name, read) in
        reads().into_iter().filter(|(name, _)| ["try_recv", "try_iter", "drain_with"].contains(name))
    {
        for into in [Into::Shared, Into::Lanes] {
            let evicted = Counts::default();
            let made = builder::<512>(Overflow::DropOldest, &evicted).build().unwrap();
            check(made, evicted, into, &format!("evicting {name}"), read);
        }
    }
}

#[test]
fn shared_receivers_find_events_written_before() {
    let reads: [(&str, Read<SharedReceiver<Event<512>>, Event<512>>); 4] = [
        ("try_recv", |receiver, take| match receiver.try_recv() {
            Ok(event) => {
                take(event);
                true
            }
            Err(error) => error != TryRecvError::Empty,
        }),
        ("try_iter", |receiver, take| {
            receiver.try_iter().for_each(&mut *take);
            false
        }),
        ("recv_timeout of zero", |receiver, take| {
            receiver.recv_timeout(Duration::ZERO).map(&mut *take).is_ok()
        }),
        ("recv_timeout of a nanosecond", |receiver, take| {
            receiver.recv_timeout(Duration::from_nanos(1)).map(&mut *take).is_ok()
        }),
    ];
    for (name, read) in reads {
        let evicted = Counts::default();
        let made = builder::<512>(Overflow::Block, &evicted).build_shared().unwrap();
        check(made, evicted, Into::Shared, &format!("shared receiver, {name}"), read);
        let made = Channel::builder().unbounded().build_shared().unwrap();
        check(made, Counts::default(), Into::Shared, &format!("unbounded shared receiver, {name}"), read);
    }
}

#[test]
fn bulk_read_rechecks_lanes_before_it_ends() {
    // The receiver knows of one event from an earlier load of the tail. Nine more were written
    // since.
    let (channel, mut receiver) = Channel::builder().capacity(64).build().unwrap();
    let mut publisher = lane(&channel);
    let mut push = |n: u64| assert!(publisher.push(n, Deadline::NOW).is_ok());
    push(0);
    push(1);
    assert_eq!(receiver.recv(), Ok(0));
    (2..11).for_each(&mut push);
    let mut got = Vec::new();
    assert_eq!(receiver.drain_with(|n| got.push(n)), 10);
    assert!(got.into_iter().eq(1..11));

    let (mut producer, mut consumer) = buslane::ring::spsc::ring(16).unwrap();
    (0..2).for_each(|n| assert!(producer.push(n).is_ok()));
    assert_eq!(consumer.pop(), Some(0));
    (2..11).for_each(|n| assert!(producer.push(n).is_ok()));
    let mut got = Vec::new();
    assert_eq!(consumer.drain(usize::MAX, |n| got.push(n)), 10);
    assert!(got.into_iter().eq(1..11));
    (0..2).for_each(|n| assert!(producer.push(n).is_ok()));
    assert_eq!(consumer.pop(), Some(0));
    (2..11).for_each(|n| assert!(producer.push(n).is_ok()));
    assert_eq!(consumer.drain_in_place(usize::MAX, |_| ()), 10);
}

#[test]
fn read_during_a_seal_finds_events_written_before() {
    ends(|| {
        for round in 0..2000_u64 {
            let (channel, mut receiver) = Channel::builder().capacity(4).build().unwrap();
            let mut publisher = lane(&channel);
            assert!(publisher.push(round, Deadline::NOW).is_ok());
            thread::scope(|scope| {
                scope.spawn(|| channel.close());
                assert_eq!(receiver.try_recv(), Ok(round));
            });
        }
    });
}
