//! Monitors: a stop against a connect, a read and a wait, and from inside the sink.

use buslane::retry::Backoff;
use buslane::source::{
    Connection, Fault, Item, Monitor, MonitorState, Session, Source, StopHook, StopReason, Update,
};
use buslane::stats::Finish;
use buslane::{Channel, Overflow, Receiver, Sink, WriteError};
use loom_tests::{Arc, Condvar, LIMIT, Mutex, before, model, model_with, thread};
use std::sync::Arc as Shared;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Where the source blocks until it is interrupted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blocks {
    Connect,
    Read,
    /// Nowhere: it refuses each connection, so the monitor waits.
    Nowhere,
}

/// A source that blocks, and counts its connects and its open connections.
struct Blocking {
    blocks: Blocks,
    counts: Shared<[AtomicUsize; 2]>,
}

const CONNECTS: usize = 0;
const OPEN: usize = 1;

impl Blocking {
    fn new(blocks: Blocks) -> (Self, Shared<[AtomicUsize; 2]>) {
        let counts = Shared::<[AtomicUsize; 2]>::default();
        (Self { blocks, counts: counts.clone() }, counts)
    }
}

/// A call that blocks until its interrupt. A lost interrupt is a deadlock.
struct Call {
    interrupted: Arc<(Mutex<bool>, Condvar)>,
    _hook: StopHook,
}

impl Call {
    fn new(session: &Session) -> Self {
        let interrupted = Arc::new((Mutex::new(false), Condvar::new()));
        let theirs = interrupted.clone();
        let hook = session.on_stop(move || {
            let was_interrupted = std::mem::replace(&mut *theirs.0.lock().unwrap(), true);
            assert!(!was_interrupted, "an interrupt is called once");
            theirs.1.notify_one();
        });
        Self { interrupted, _hook: hook }
    }

    fn block(&self) -> Fault {
        let mut interrupted = self.interrupted.0.lock().unwrap();
        while !*interrupted {
            interrupted = self.interrupted.1.wait(interrupted).unwrap();
        }
        Fault::transient("interrupted")
    }
}

struct Open {
    call: Call,
    blocks: Blocks,
    sent: bool,
    counts: Shared<[AtomicUsize; 2]>,
}

impl Source for Blocking {
    type Event = u8;
    type Token = ();
    type Connection = Open;

    fn connect(&mut self, _from: Option<&()>, session: &Session) -> Result<Open, Fault> {
        self.counts[CONNECTS].fetch_add(1, Ordering::Relaxed);
        if self.blocks == Blocks::Nowhere {
            return Err(Fault::transient("no route"));
        }
        let call = Call::new(session);
        if self.blocks == Blocks::Connect {
            return Err(call.block());
        }
        assert_eq!(self.counts[OPEN].fetch_add(1, Ordering::Relaxed), 0, "one connection is open");
        Ok(Open { call, blocks: self.blocks, sent: false, counts: self.counts.clone() })
    }
}

impl Connection for Open {
    type Event = u8;
    type Token = ();

    fn next(&mut self) -> Result<Option<Item<u8, ()>>, Fault> {
        if !std::mem::replace(&mut self.sent, true) {
            return Ok(Some(Item::Event(7, ())));
        }
        assert!(self.blocks == Blocks::Read);
        Err(self.call.block())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counts[OPEN].fetch_sub(1, Ordering::Relaxed);
    }
}

/// A sink that counts events, and may call its monitor at the first one.
#[derive(Default)]
struct Counting {
    events: Shared<AtomicUsize>,
    monitor: Option<Arc<Mutex<Option<Monitor<()>>>>>,
}

impl Sink<Update<u8>> for Counting {
    fn write(&self, update: Update<u8>) -> Result<(), WriteError<Update<u8>>> {
        if let Update::Event(_) = update {
            self.events.fetch_add(1, Ordering::Relaxed);
            if let Some(place) = &self.monitor {
                let monitor = place.lock().unwrap().clone();
                let report = monitor.expect("it was set before the event").stop_timeout(LIMIT);
                assert_eq!(report.finish, Finish::Pending);
            }
        }
        Ok(())
    }
}

fn start(blocks: Blocks) -> (Monitor<()>, Shared<[AtomicUsize; 2]>, Shared<AtomicUsize>) {
    let (source, counts) = Blocking::new(blocks);
    let sink = Counting::default();
    let events = sink.events.clone();
    let monitor = Monitor::builder(source).backoff(Backoff::default().seed(1)).spawn(sink).unwrap();
    (monitor, counts, events)
}

/// Checks that a monitor has stopped, that at most `connects` were made, and that none is open.
fn assert_stopped(monitor: &Monitor<()>, counts: &[AtomicUsize; 2], connects: usize) {
    let report = monitor.stop_timeout(LIMIT);
    assert_eq!((report.finish, report.reason), (Finish::Done, Some(StopReason::Requested)));
    let [made, open] = [CONNECTS, OPEN].map(|count| counts[count].load(Ordering::Relaxed));
    assert!(made <= connects && open == 0, "{made} connects, {open} open");
}

#[test]
fn stop_interrupts_a_connect() {
    // The interrupt is registered before the stop, which calls it, or after it, and called at once.
    // Fails, by a deadlock, when the stop takes the interrupts before it sets the flag.
    model(|| {
        let (monitor, counts, _) = before(|| start(Blocks::Connect));
        assert_stopped(&monitor, &counts, 1);
    });
}

#[test]
fn stop_interrupts_a_read() {
    // An event that was read is forwarded before the end. Fails like the one above.
    model_with(2, || {
        let (monitor, counts, events) = before(|| start(Blocks::Read));
        assert_stopped(&monitor, &counts, 1);
        let (events, forwarded) = (events.load(Ordering::Relaxed), monitor.snapshot().forwarded);
        assert_eq!(events as u64, forwarded);
    });
}

#[test]
fn stop_interrupts_a_backoff() {
    // No connect follows a wait that the stop has ended. Fails when the stop interrupts the pause
    // before it sets the flag.
    model_with(2, || {
        let (monitor, counts, _) = before(|| start(Blocks::Nowhere));
        assert_stopped(&monitor, &counts, 1);
    });
}

#[test]
fn stop_from_inside_the_sink_ends_the_monitor() {
    // The worker does not wait for itself, and other threads see its end. Fails, by a deadlock, when
    // a stop waits inside.
    model_with(2, || {
        let place = Arc::new(Mutex::new(None));
        let (source, counts) = Blocking::new(Blocks::Read);
        let monitor = {
            let mut own = place.lock().unwrap();
            let sink = Counting { monitor: Some(place.clone()), ..Counting::default() };
            let monitor = Monitor::builder(source).backoff(Backoff::default().seed(1)).spawn(sink).unwrap();
            own.insert(monitor).clone()
        };
        // The state is final once the worker has ended; `wait_live` waits for that or a connection.
        let live = monitor.wait_live(LIMIT);
        assert!(live.is_ok() || monitor.state() == MonitorState::Stopped(StopReason::Requested));
        assert_stopped(&monitor, &counts, 1);
        drop(place.lock().unwrap().take());
    });
}

#[test]
fn stop_gives_up_a_wait_for_room() {
    // `Connected` fills the channel, and the event waits for room. A stop whose deadline has passed
    // seals the lane, and the worker ends. Fails, by a deadlock, without the seal.
    model_with(2, || {
        let (monitor, counts, receiver) = before(|| {
            let (source, counts) = Blocking::new(Blocks::Read);
            let (channel, receiver) =
                Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
            let builder = Monitor::builder(source).backoff(Backoff::default().seed(1));
            (builder.spawn(channel).unwrap(), counts, receiver)
        });
        let report = monitor.stop_timeout(Duration::ZERO);
        assert!(report.forwarded == 0);
        assert_stopped(&monitor, &counts, 1);
        drop::<Receiver<_>>(receiver);
    });
}

#[test]
fn two_stops_both_see_the_end() {
    model_with(2, || {
        let (monitor, counts, _) = before(|| start(Blocks::Connect));
        let (other, theirs) = (monitor.clone(), counts.clone());
        let other = thread::spawn(move || assert_stopped(&other, &theirs, 1));
        assert_stopped(&monitor, &counts, 1);
        other.join().unwrap();
    });
}

/// A source of one connection, which reads a number of events and ends for good.
struct Numbers(u8);

impl Source for Numbers {
    type Event = u8;
    type Token = u8;
    type Connection = Counted;

    fn connect(&mut self, _from: Option<&u8>, _session: &Session) -> Result<Counted, Fault> {
        Ok(Counted { next: 1, last: self.0 })
    }
}

struct Counted {
    next: u8,
    last: u8,
}

impl Connection for Counted {
    type Event = u8;
    type Token = u8;

    fn next(&mut self) -> Result<Option<Item<u8, u8>>, Fault> {
        if self.next > self.last {
            return Err(Fault::fatal("all events were read"));
        }
        self.next += 1;
        Ok(Some(Item::Event(7, self.next - 1)))
    }
}

#[test]
fn token_never_goes_back_and_is_the_last() {
    // The ring of tokens holds two in models, so the third event finds it full, or emptied by the
    // reader. Fails when the worker replaces the token of a full ring without emptying it.
    model_with(2, || {
        let monitor = before(|| {
            let sink = Counting::default();
            Monitor::builder(Numbers(3)).backoff(Backoff::default().seed(1)).spawn(sink).unwrap()
        });
        let first = monitor.token();
        let second = monitor.token();
        assert!(first <= second && second <= Some(3), "{second:?} after {first:?}");
        let report = monitor.stop_timeout(LIMIT);
        assert_eq!(report.finish, Finish::Done);
        let forwarded = report.forwarded as u8;
        assert_eq!(monitor.token(), (forwarded > 0).then_some(forwarded));
    });
}
