//! `Removed::Quiet` means that no call of the bus into the sink is in progress, by any entry path.

use super::thread;
use buslane::bus::Removed;
use buslane::error::OutOfMemory;
use buslane::sink::lane::{InnerLane, Internal, Lane, LaneWrite};
use buslane::stats::{Disposition, FlushReport, SinkState};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Bus, Sink, SinkExt, WriteError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use test_support::{GUARD, Log, wait_for};

/// The entry paths of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Write,
    Lane,
    Push,
    DropLane,
    Flush,
    Describe,
    IsClosed,
    EndOfBatch,
}

/// A sink that waits at a gate in one of its methods, once the test enables it.
#[derive(Clone)]
struct Doors(Arc<House>);

struct House {
    stops_at: Door,
    gate: Gate,
    stops: AtomicBool,
    has_lanes: bool,
}

impl House {
    fn enter(&self, door: Door) {
        if door == self.stops_at && self.stops.load(Ordering::Acquire) {
            self.gate.pass();
        }
    }
}

impl Sink<u32> for Doors {
    fn write(&self, _event: u32) -> Result<(), WriteError<u32>> {
        self.0.enter(Door::Write);
        Ok(())
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<u32>>, OutOfMemory> {
        self.0.enter(Door::Lane);
        Ok(self.0.has_lanes.then(|| Lane::staged(Way(self.0.clone()))))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        self.0.has_lanes
    }

    fn flush_by(&self, _: Deadline, _: &mut FlushReport) {
        self.0.enter(Door::Flush);
    }

    fn describe(&self, _: &mut SinkState) {
        self.0.enter(Door::Describe);
    }

    fn reports_closed(&self) -> bool {
        self.0.enter(Door::IsClosed);
        false
    }

    fn end_of_batch(&self) {
        self.0.enter(Door::EndOfBatch);
    }
}

struct Way(Arc<House>);

impl LaneWrite<u32> for Way {
    fn offer(&mut self, _event: u32, _deadline: Deadline) -> Result<Disposition, WriteError<u32>> {
        self.0.enter(Door::Push);
        Ok(Disposition::Delivered)
    }

    fn inner(&self) -> Option<&dyn InnerLane> {
        None
    }

    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
        None
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.0.enter(Door::DropLane);
    }
}

type Wrap = fn(Doors) -> Box<dyn Sink<u32>>;

const WRAPS: [(&str, Wrap); 4] = [
    ("itself", |sink| Box::new(sink)),
    ("filter", |sink| Box::new(sink.filter(|_: &u32| true))),
    ("map", |sink| Box::new(sink.map(|n: &u32| *n))),
    ("bus", |sink| {
        let bus = Bus::new();
        bus.add(sink).unwrap();
        Box::new(bus)
    }),
];

/// A call that enters the sink by an entry path.
type Visitor = fn(&Bus<u32>);

const VISITORS: [(&str, Door, bool, Visitor); 13] = [
    ("publish", Door::Write, false, |bus| {
        let _ = bus.publish(1);
    }),
    ("a publisher", Door::Write, false, |bus| {
        let _ = bus.publisher().publish(1);
    }),
    ("with_local", Door::Write, false, |bus| {
        let _ = bus.with_local(|local| local.publish(1));
    }),
    ("publish past the lanes", Door::Write, true, |bus| {
        let _ = bus.publish(1);
    }),
    ("a lane", Door::Push, true, |bus| {
        let _ = bus.publisher().publish(1);
    }),
    ("a new publisher", Door::Lane, false, |bus| {
        let _ = bus.publisher();
    }),
    ("a new publisher's lane", Door::Lane, true, |bus| {
        let _ = bus.publisher();
    }),
    ("a dropped lane", Door::DropLane, true, |bus| {
        let _ = bus.publisher();
    }),
    ("flush", Door::Flush, false, |bus| {
        let _ = bus.flush_timeout(GUARD);
    }),
    ("flush with lanes", Door::Flush, true, |bus| {
        let _ = bus.publisher().flush_timeout(GUARD);
    }),
    ("snapshot", Door::Describe, false, |bus| {
        let _ = bus.snapshot();
    }),
    ("a check for a closed sink", Door::IsClosed, true, |bus| {
        let _ = bus.publisher();
    }),
    ("a signal", Door::EndOfBatch, false, |bus| bus.end_of_batch()),
];

#[test]
fn removal_waits_for_every_call_in_progress() {
    for (what, wrap) in WRAPS {
        for (visitor, door, has_lanes, visit) in VISITORS {
            // A bus describes itself, and reports itself whether it is closed: the sink is not
            // called.
            if what == "bus" && matches!(door, Door::Describe | Door::IsClosed) {
                continue;
            }
            // A removal with a limit returns while the call is in progress, which shows that it
            // waits. A removal without a limit returns afterwards.
            for limited in [true, false] {
                let gate = Gate::closed();
                let house =
                    House { stops_at: door, gate: gate.clone(), stops: AtomicBool::new(false), has_lanes };
                let sink = Doors(Arc::new(house));
                let bus = Bus::new();
                let id = bus.add(wrap(sink.clone())).unwrap();
                let kept = bus.add(buslane::noop()).unwrap();
                sink.0.stops.store(true, Ordering::Release);
                let visiting = bus.clone();
                let inside = thread::spawn(move || visit(&visiting));
                gate.wait_reached(1);
                if limited {
                    let removed = bus.remove_timeout(id, Duration::from_millis(1));
                    assert_eq!(
                        removed,
                        Ok(Removed::StillInside),
                        "{what}, {visitor}: the call is in progress"
                    );
                }
                let remover = (!limited).then(|| {
                    let (removing, done) = (bus.clone(), gate.clone());
                    thread::spawn(move || {
                        let removed = removing.remove(id);
                        (removed, done.waiting())
                    })
                });
                // The sink is off the list, and the removal waits for the call.
                wait_for(|| bus.sink_count() == 1);
                sink.0.stops.store(false, Ordering::Release);
                gate.open();
                if let Some(remover) = remover {
                    let (removed, waiting) = remover.join().unwrap();
                    assert_eq!((removed, waiting), (Ok(Removed::Quiet), 0), "{what}, {visitor}");
                }
                inside.join().unwrap();
                assert_eq!(bus.remove(kept), Ok(Removed::Quiet));
            }
        }
    }
}

#[test]
fn limited_removal_reports_a_flush_in_progress() {
    let gate = Gate::closed();
    let stops = AtomicBool::new(true);
    let house = House { stops_at: Door::Flush, gate: gate.clone(), stops, has_lanes: false };
    let bus = Bus::new();
    let id = bus.add(Doors(Arc::new(house))).unwrap();
    let flushing = bus.clone();
    let flusher = thread::spawn(move || flushing.flush_timeout(GUARD));
    gate.wait_reached(1);
    assert_eq!(bus.remove_timeout(id, Duration::from_millis(1)), Ok(Removed::StillInside));
    gate.open();
    assert!(flusher.join().unwrap().is_done());
}

#[test]
fn stuck_flush_delays_no_other_removal() {
    let gate = Gate::closed();
    let stops = AtomicBool::new(true);
    let house = House { stops_at: Door::Flush, gate: gate.clone(), stops, has_lanes: false };
    let bus = Bus::new();
    let before = bus.add(buslane::noop()).unwrap();
    bus.add(Doors(Arc::new(house))).unwrap();
    let after = bus.add(buslane::noop()).unwrap();
    let flushing = bus.clone();
    let flusher = thread::spawn(move || flushing.flush_timeout(GUARD));
    gate.wait_reached(1);
    for id in [before, after] {
        assert_eq!(bus.remove_timeout(id, GUARD), Ok(Removed::Quiet));
    }
    gate.open();
    assert!(flusher.join().unwrap().is_done());
}

/// A sink that removes itself from the bus in whichever method is called.
struct Leaves {
    bus: OnceLock<(buslane::WeakBus<u32>, buslane::SinkId)>,
    seen: Log<(Door, Removed)>,
}

impl Leaves {
    fn enter(&self, door: Door) {
        if let Some((bus, id)) = self.bus.get()
            && let Ok(removed) = bus.upgrade().unwrap().remove(*id)
        {
            self.seen.push((door, removed));
        }
    }
}

struct Leaving(Arc<Leaves>, bool);

impl Sink<u32> for Leaving {
    fn write(&self, _event: u32) -> Result<(), WriteError<u32>> {
        self.0.enter(Door::Write);
        Ok(())
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<u32>>, OutOfMemory> {
        self.0.enter(Door::Lane);
        Ok(None)
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        self.1
    }

    fn flush_by(&self, _: Deadline, _: &mut FlushReport) {
        self.0.enter(Door::Flush);
    }

    fn describe(&self, _: &mut SinkState) {
        self.0.enter(Door::Describe);
    }

    fn reports_closed(&self) -> bool {
        self.0.enter(Door::IsClosed);
        false
    }
}

#[test]
fn sink_that_removes_itself_does_not_wait_for_itself() {
    for (visitor, door, has_lanes, visit) in VISITORS {
        // A publisher may wait in these calls, so they do not count as deliveries.
        if matches!(door, Door::Push | Door::DropLane | Door::EndOfBatch) || has_lanes && door == Door::Write
        {
            continue;
        }
        let leaves = Arc::new(Leaves { bus: OnceLock::new(), seen: Log::new() });
        let bus = Bus::new();
        let id = bus.add(Leaving(leaves.clone(), has_lanes)).unwrap();
        let _ = leaves.bus.set((bus.downgrade(), id));
        let begun = Instant::now();
        let visiting = bus.clone();
        let inside = thread::spawn(move || visit(&visiting));
        while !inside.is_finished() {
            assert!(begun.elapsed() < GUARD, "{visitor}: the removal waits for its own call");
            thread::yield_now();
        }
        inside.join().unwrap();
        let seen = leaves.seen.entries();
        assert!(matches!(seen[..], [(_, Removed::FromInside)]), "{visitor}: {seen:?}");
        assert_eq!(bus.sink_count(), 0, "{visitor}");
        let mut report = FlushReport::default();
        bus.flush_by(Deadline::NOW, &mut report);
        assert!(report.is_done());
    }
}
