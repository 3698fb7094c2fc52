//! After `Removed::Quiet` no user code of the sink is left to run, even if an idle publisher still
//! has a lane.

use super::thread;
use buslane::bus::Removed;
use buslane::error::OutOfMemory;
use buslane::sink::lane::{InnerLane, Internal, Lane, LaneWrite, Lanes};
use buslane::stats::Disposition;
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Bus, Channel, Journal, Overflow, Published, Publisher, Queue, Sink, SinkExt, WriteError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::ThreadId;
use test_support::{GUARD, ends, lock, wait_for, waits};

/// User code that belongs to a sink.
struct Piece(Arc<Pieces>);

#[derive(Default)]
struct Pieces {
    calls: AtomicUsize,
}

/// Observes the user code without owning it.
struct Watch(Weak<Pieces>, Arc<Mutex<Vec<ThreadId>>>);

/// Owned by a closure, and records the thread that drops it.
struct Token {
    piece: Piece,
    drops: Arc<Mutex<Vec<ThreadId>>>,
}

impl Drop for Token {
    fn drop(&mut self) {
        lock(&self.drops).push(thread::current().id());
    }
}

fn token() -> (Token, Watch) {
    let piece = Piece(Arc::default());
    let drops = Arc::<Mutex<Vec<ThreadId>>>::default();
    let watch = Watch(Arc::downgrade(&piece.0), drops.clone());
    (Token { piece, drops }, watch)
}

impl Watch {
    /// Asserts that no user code is left, and that this thread dropped it.
    #[track_caller]
    fn assert_gone(&self, what: &str) {
        assert!(self.0.upgrade().is_none(), "{what}: user code of the sink was not dropped");
        let drops = lock(&self.1).clone();
        assert_eq!(drops, [thread::current().id()], "{what}: the removing thread must drop it once");
    }
}

/// A sink whose lanes are user-defined stages.
struct Staging(Arc<Token>);

struct Stage(Arc<Token>);

impl LaneWrite<u32> for Stage {
    fn inner(&self) -> Option<&dyn InnerLane> {
        None
    }

    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
        None
    }

    fn offer(&mut self, _: u32, _: Deadline) -> Result<Disposition, WriteError<u32>> {
        self.0.piece.0.calls.fetch_add(1, Ordering::Relaxed);
        Ok(Disposition::Delivered)
    }
}

impl Sink<u32> for Staging {
    fn write(&self, _: u32) -> Result<(), WriteError<u32>> {
        Ok(())
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<u32>>, OutOfMemory> {
        Ok(Some(Lane::staged(Stage(self.0.clone()))))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        true
    }
}

/// A sink that puts user-defined filters into the lanes of another sink.
struct Filtering(Channel<u32>, Arc<Token>);

impl Sink<u32> for Filtering {
    fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
        self.0.write(event)
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<u32>>, OutOfMemory> {
        let token = self.1.clone();
        Ok(self.0.lane()?.map(|lane| {
            lane.filtered(move |_| token.piece.0.calls.fetch_add(1, Ordering::Relaxed) < usize::MAX)
        }))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        true
    }
}

fn channel() -> Channel<u32> {
    let (channel, receiver) = Channel::builder().capacity(64).build().unwrap();
    std::mem::forget(receiver);
    channel
}

fn evicting() -> Channel<u32> {
    let (channel, receiver) = Channel::builder().capacity(64).overflow(Overflow::DropOldest).build().unwrap();
    std::mem::forget(receiver);
    channel
}

fn shared() -> Channel<u32> {
    let (channel, receiver) = Channel::builder().capacity(64).build_shared().unwrap();
    std::mem::forget(receiver);
    channel
}

type Make = fn(Token) -> Box<dyn Sink<u32>>;

fn uses(token: &Token) -> bool {
    token.piece.0.calls.fetch_add(1, Ordering::Relaxed) < usize::MAX
}

const SINKS: [(&str, Make); 15] = [
    ("a direct closure", |token| {
        Box::new(buslane::sink_fn(move |_: &u32| -> Result<(), buslane::BoxError> {
            uses(&token);
            Ok(())
        }))
    }),
    ("a filtered channel", |token| Box::new(channel().filter(move |_| uses(&token)))),
    ("a filtered evicting channel", |token| Box::new(evicting().filter(move |_| uses(&token)))),
    ("a filtered shared channel", |token| Box::new(shared().filter(move |_| uses(&token)))),
    ("two filters", |token| Box::new(channel().filter(move |_| uses(&token)).filter(|_| true))),
    ("a mapped channel", |token| Box::new(channel().map(move |n: &u32| *n + u32::from(!uses(&token))))),
    ("a filtered map", |token| Box::new(channel().map(|n: &u32| *n).filter(move |_| uses(&token)))),
    ("an inspected channel", |token| {
        Box::new(channel().inspect_fn(move |_: &u32| {
            uses(&token);
        }))
    }),
    ("a sampled map", |token| {
        Box::new(channel().map(move |n: &u32| *n + u32::from(!uses(&token))).sample(2))
    }),
    ("a filtered journal", |token| Box::new(Journal::new(64).unwrap().filter(move |_| uses(&token)))),
    ("a bus with a filter", |token| {
        let bus = Bus::new();
        bus.add(channel().filter(move |_| uses(&token))).unwrap();
        Box::new(bus)
    }),
    ("a bus with a direct sink", |token| {
        let bus = Bus::new();
        bus.add(buslane::sink_fn(move |_: &u32| -> Result<(), buslane::BoxError> {
            uses(&token);
            Ok(())
        }))
        .unwrap();
        Box::new(bus)
    }),
    ("a user-defined stage", |token| Box::new(Staging(Arc::new(token)))),
    ("a user-defined filter", |token| Box::new(Filtering(channel(), Arc::new(token)))),
    ("a tee", |token| {
        let token = Arc::new(token);
        Box::new(channel().filter(move |_| uses(&token)).tee(channel()))
    }),
];

/// What publishers do before the removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// They have not seen the sink yet.
    Nothing,
    /// They have published, and are idle.
    Published,
    /// They were made after the sink was added.
    CameLater,
}

#[test]
fn quiet_leaves_no_user_code_with_idle_publishers() {
    for (what, make) in SINKS {
        for before in [Before::Nothing, Before::Published, Before::CameLater] {
            let what = format!("{what}, {before:?}");
            let bus = Bus::new();
            let kept = Arc::new(AtomicUsize::new(0));
            let mut publishers: Vec<Publisher<u32>> = Vec::new();
            if before != Before::CameLater {
                publishers.extend([(); 3].map(|()| bus.publisher()));
            }
            let (token, watch) = token();
            let id = bus.add(make(token)).unwrap();
            if before == Before::CameLater {
                publishers.extend([(); 3].map(|()| bus.publisher()));
            }
            if before == Before::Published {
                publishers.iter_mut().for_each(|publisher| assert!(publisher.publish(1).is_ok()));
            }
            assert_eq!(bus.remove(id), Ok(Removed::Quiet), "{what}");
            watch.assert_gone(&what);
            // The publishers can still publish into sinks that are added later.
            let seen = kept.clone();
            bus.add(buslane::sink_fn(move |_: &u32| -> Result<(), buslane::BoxError> {
                seen.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }))
            .unwrap();
            for publisher in &mut publishers {
                assert_eq!(publisher.publish(2).unwrap(), published(1), "{what}");
            }
            assert_eq!(kept.load(Ordering::Relaxed), publishers.len());
        }
    }
}

fn published(accepted: usize) -> Published {
    let mut published = Published::default();
    published.accepted = accepted;
    published
}

#[test]
fn quiet_leaves_no_user_code_with_threads() {
    // Cached publishers of threads that continue to run.
    for (what, make) in SINKS {
        let bus = Bus::new();
        let (token, watch) = token();
        let id = bus.add(make(token)).unwrap();
        let (gate, publishing) = (Gate::closed(), bus.clone());
        let held = gate.clone();
        let idle = thread::spawn(move || {
            for _ in 0..64 {
                let _ = publishing.with_local(|local| local.publish(1));
            }
            held.pass();
        });
        gate.wait_reached(1);
        assert_eq!(bus.remove(id), Ok(Removed::Quiet), "{what}");
        watch.assert_gone(what);
        gate.open();
        idle.join().unwrap();
    }
}

#[test]
fn racing_removal_drops_user_code_before_it_returns() {
    // Either the publisher or the removal drops the closure, but never after the removal returned.
    for (what, make) in SINKS {
        for _ in 0..100 {
            let bus = Bus::new();
            let (token, watch) = token();
            let id = bus.add(make(token)).unwrap();
            let mut publisher = bus.publisher();
            let goes = thread::spawn(move || {
                let _ = publisher.publish(1);
                drop(publisher);
            });
            let comes = bus.clone();
            let comes = thread::spawn(move || drop(comes.publisher()));
            assert_eq!(bus.remove_timeout(id, GUARD), Ok(Removed::Quiet), "{what}");
            assert!(watch.0.upgrade().is_none(), "{what}: user code of the sink was not dropped");
            assert_eq!(lock(&watch.1).len(), 1, "{what}");
            goes.join().unwrap();
            comes.join().unwrap();
        }
    }
}

#[test]
fn next_control_call_drops_a_busy_removed_sink() {
    // The removal did not wait. The next control call finds no call in progress, and drops all user
    // code of the sink.
    ends(|| {
        let bus = Bus::new();
        let (gate, held) = (Gate::closed(), Gate::closed());
        let (token, watch) = token();
        let inside = gate.clone();
        let sink = channel().filter(move |n| {
            if *n == 7 {
                inside.pass();
            }
            uses(&token)
        });
        let id = bus.add(sink).unwrap();
        let mut publisher = bus.publisher();
        let idle = held.clone();
        let publishing = thread::spawn(move || {
            let _ = publisher.publish(7).unwrap();
            idle.pass();
        });
        gate.wait_reached(1);
        let removed = bus.remove_timeout(id, std::time::Duration::ZERO);
        assert_eq!(removed, Ok(Removed::StillInside));
        gate.open();
        held.wait_reached(1);
        wait_for(|| {
            let _ = bus.add(buslane::noop()).unwrap();
            watch.0.upgrade().is_none()
        });
        held.open();
        publishing.join().unwrap();
    });
}

#[test]
fn removed_queue_ends_despite_an_idle_publisher() {
    // The bus had the last handle of the queue, so the worker ends and drops the handler.
    ends(|| {
        let bus = Bus::new();
        let (token, watch) = token();
        let queue = Queue::builder().spawn(move |_: u32| assert!(uses(&token))).unwrap();
        let id = bus.add(queue.filter(|_| true)).unwrap();
        let mut publisher = bus.publisher();
        let _ = publisher.publish(1).unwrap();
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        wait_for(|| watch.0.upgrade().is_none());
        drop(publisher);
    });
}

/// Waits at a gate in its destructor.
struct StopsAsItGoes(Gate);

impl Drop for StopsAsItGoes {
    fn drop(&mut self) {
        self.0.pass();
    }
}

/// A sink whose lanes have filters, each with its own destructor.
struct Slow(Channel<u32>, Gate);

impl Sink<u32> for Slow {
    fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
        self.0.write(event)
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<u32>>, OutOfMemory> {
        let stops = StopsAsItGoes(self.1.clone());
        Ok(self.0.lane()?.map(|lane| lane.filtered(move |_| stops.0.reached() < usize::MAX)))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        true
    }
}

/// Removes a sink while a thread waits at a gate in user code of the sink. The removal must wait
/// until the gate opens.
#[track_caller]
fn assert_waited_for(bus: &Bus<u32>, id: buslane::SinkId, gate: &Gate, what: &str) {
    gate.wait_reached(1);
    let (removing, at) = (bus.clone(), gate.clone());
    // The last line asserts the order: a removal that returned before the gate opened would find
    // the thread still at the gate.
    let remover = waits(move || (removing.remove(id), at.waiting()));
    assert!(!remover.is_finished(), "{what}: the call is in progress");
    gate.open();
    let (removed, waiting) = ends(move || remover.join().unwrap());
    assert_eq!((removed, waiting), (Ok(Removed::Quiet), 0), "{what}");
}

#[test]
fn removal_waits_for_a_publishers_lane_destructor() {
    // The drop of the publisher drops the filter of its lane.
    let (bus, gate) = (Bus::new(), Gate::closed());
    let id = bus.add(Slow(channel(), gate.clone())).unwrap();
    let mut publisher = bus.publisher();
    let _ = publisher.publish(1).unwrap();
    let goes = thread::spawn(move || drop(publisher));
    assert_waited_for(&bus, id, &gate, "a dropped publisher");
    goes.join().unwrap();
}

#[test]
fn removal_waits_for_a_hook_that_a_publisher_runs() {
    // The publishing thread calls the hook, either with the event that finds no room or with the
    // event that is evicted for it.
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        for (several, batch, filtered) in [
            (false, false, false),
            (false, true, false),
            (false, false, true),
            (false, true, true),
            (true, false, false),
        ] {
            if several && overflow == Overflow::DropOldest {
                continue;
            }
            let what = format!("{overflow:?}, several {several}, batch {batch}, filtered {filtered}");
            let (bus, gate, busy) = (Bus::new(), Gate::closed(), Gate::closed());
            let (hook, handler) = (gate.clone(), busy.clone());
            let queue = Queue::builder()
                .capacity(1)
                .overflow(overflow)
                .workers(if several { 2 } else { 1 })
                .on_drop(move |_: u32, _| hook.pass())
                .spawn_each(|_| {
                    let handler = handler.clone();
                    move |_: u32| handler.pass()
                })
                .unwrap();
            let id = if filtered { bus.add(queue.clone().filter(|_| true)) } else { bus.add(queue.clone()) };
            let id = id.unwrap();
            let mut publisher = bus.publisher();
            let publishing = thread::spawn(move || {
                for n in 0..10 {
                    let done = if batch {
                        publisher.publish_batch([n, n])
                    } else {
                        publisher.publish(n).map_err(|_| buslane::error::Closed(()))
                    };
                    assert!(done.is_ok());
                }
            });
            assert_waited_for(&bus, id, &gate, &what);
            busy.open();
            ends(move || publishing.join().unwrap());
            assert!(queue.close().is_done());
            super::assert_balanced(&queue.state());
        }
    }
}

/// A sink whose lanes use the bus, and log the current thread, when they are queried.
struct Asked(buslane::WeakBus<u32>, test_support::Log<ThreadId>);

struct AskedLane(buslane::WeakBus<u32>, test_support::Log<ThreadId>);

impl AskedLane {
    fn asked(&self) {
        self.1.push(thread::current().id());
        // The snapshot takes the control plane's lock.
        assert!(self.0.upgrade().unwrap().snapshot().sinks.len() < 2);
    }
}

impl LaneWrite<u32> for AskedLane {
    fn inner(&self) -> Option<&dyn InnerLane> {
        None
    }

    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
        None
    }

    fn offer(&mut self, _: u32, _: Deadline) -> Result<Disposition, WriteError<u32>> {
        Ok(Disposition::Delivered)
    }

    fn sealer(&self) -> Option<buslane::sink::lane::LaneSealer> {
        self.asked();
        None
    }

    fn may_wait(&self) -> bool {
        self.asked();
        false
    }
}

impl Sink<u32> for Asked {
    fn write(&self, _: u32) -> Result<(), WriteError<u32>> {
        Ok(())
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<u32>>, OutOfMemory> {
        Ok(Some(Lane::staged(AskedLane(self.0.clone(), self.1.clone()))))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        true
    }
}

#[test]
fn lane_maker_queries_its_lanes_without_a_lock() {
    // A publisher that takes a lane later does not query it, because a removal could not wait for
    // such a query.
    ends(|| {
        let (bus, asked) = (Bus::new(), test_support::Log::new());
        let mut publisher = bus.publisher();
        let id = bus.add(Asked(bus.downgrade(), asked.clone())).unwrap();
        let mut later = bus.publisher();
        let makers = asked.entries();
        assert!(makers.len() >= 4 && makers.iter().all(|maker| *maker == thread::current().id()));
        thread::spawn(move || {
            assert_eq!(publisher.publish(1).unwrap(), published(1));
            assert_eq!(later.publish(1).unwrap(), published(1));
        })
        .join()
        .unwrap();
        assert_eq!(asked.entries().len(), makers.len());
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
    });
}
