//! Function sinks, pointers, filters and maps, written to directly and through lanes.

use buslane::error::OutOfMemory;
use buslane::sink::lane::{InnerLane, Internal, Lane, LaneSealer, LaneWrite, Lanes};
use buslane::sink::{Outcome as _, SinkKey};
use buslane::stats::{CloseReport, Disposition, Finish, FlushReport, SinkKind, SinkState};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{BoxError, Channel, Overflow, Queue, Receiver, Sink, SinkExt, WriteError, noop, sink_fn};
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use test_support::{Drops, Log, Outcome, WAYS, assert_balanced, describe, ends, entry, lane, lock, outcome};

fn refusing(capacity: usize) -> (Channel<u64>, Receiver<u64>) {
    Channel::builder().capacity(capacity).overflow(Overflow::Refuse).build().unwrap()
}

#[test]
fn function_sink_error_returns_the_event() {
    let log = Log::new();
    let seen = log.clone();
    let sink = sink_fn(move |event: &String| seen.push(event.clone()));
    assert_eq!(outcome(sink.write("a".into())), Outcome::Accepted);
    assert_eq!(log.entries(), ["a"]);

    let odd = sink_fn(|event: &u64| if event % 2 == 1 { Ok(()) } else { Err("even") });
    assert_eq!(outcome(odd.write(1)), Outcome::Accepted);
    let error = odd.write(2).unwrap_err();
    assert_eq!((error.to_string(), error.is_closed()), (String::from("the sink failed: even"), false));
    assert_eq!(error.into_event(), 2);

    let parse = sink_fn(|text: &&str| text.parse::<u8>().map(drop));
    assert_eq!(outcome(parse.write("7")), Outcome::Accepted);
    assert_eq!(outcome(parse.write("seven")), Outcome::Failed("seven"));
    let boxed = sink_fn(|_: &u8| Err::<(), BoxError>("boxed".into()));
    assert_eq!(outcome(boxed.write(1)), Outcome::Failed(1));
    assert!(().into_result().is_ok());
}

#[test]
fn noop_takes_everything_and_keeps_nothing() {
    let drops = Drops::default();
    let sink = noop();
    (0..3).for_each(|id| assert!(sink.write(drops.track(id)).is_ok()));
    assert_eq!(drops.ids(), [0, 1, 2]);
}

#[test]
fn minimal_sink_has_no_lane_and_no_key() {
    struct Plain;
    impl Sink<u64> for Plain {
        fn write(&self, _: u64) -> Result<(), WriteError<u64>> {
            Ok(())
        }
    }
    assert_eq!(Plain.close_by(Deadline::NOW), CloseReport::done());
    assert!(Plain.lane().unwrap().is_none() && Plain.key().is_none());
    assert_eq!(describe(&Plain), SinkState::default());
    // Nor do a filter and a map upstream of it have a lane.
    assert!(Plain.filter(|_: &u64| true).lane().unwrap().is_none());
    assert!(Plain.map(|text: &String| text.len() as u64).lane().unwrap().is_none());
}

/// A sink that logs which of its methods were called.
#[derive(Default)]
struct Probe {
    calls: Mutex<Vec<String>>,
    key: Option<SinkKey>,
}

impl Sink<u64> for Probe {
    fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
        lock(&self.calls).push(format!("write {event}"));
        Err(WriteError::Timeout(event))
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        lock(&self.calls).push(format!("close {}", deadline.has_passed()));
        CloseReport::timed_out(5)
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<u64>>, OutOfMemory> {
        lock(&self.calls).push("lane".into());
        Err(OutOfMemory::new(9))
    }

    fn flush_by(&self, _: Deadline, report: &mut FlushReport) {
        report.note(Finish::TimedOut);
        lock(&self.calls).push("flush".into());
    }

    fn abort_now(&self) {
        lock(&self.calls).push("abort".into());
    }

    fn end_of_batch(&self) {
        lock(&self.calls).push("end of batch".into());
    }

    fn tick(&self, now: Instant) -> Option<Instant> {
        lock(&self.calls).push("tick".into());
        Some(now)
    }

    fn describe(&self, state: &mut SinkState) {
        state.kind = SinkKind::Custom("probe");
        lock(&self.calls).push("describe".into());
    }

    fn key(&self) -> Option<SinkKey> {
        self.key
    }
}

/// Calls every method through a wrapper, and checks that the inner probe was called and that its
/// answer came back.
fn assert_hands_on(probe: &Probe, sink: impl Sink<u64>) {
    assert_eq!(outcome(sink.write(3)), Outcome::Timeout(3));
    assert_eq!(sink.close_by(Deadline::NOW), CloseReport::timed_out(5));
    assert_eq!(sink.lane().err(), Some(OutOfMemory::new(9)));
    let (mut report, now) = (FlushReport::default(), Instant::now());
    sink.abort_now();
    sink.end_of_batch();
    sink.flush_by(Deadline::NOW, &mut report);
    let next = sink.tick(now);
    assert_eq!(
        (report.finish, next, describe(&sink).kind),
        (Finish::TimedOut, Some(now), SinkKind::Custom("probe"))
    );
    let calls = std::mem::take(&mut *lock(&probe.calls));
    let expected = ["write 3", "close true", "lane", "abort", "end of batch", "flush", "tick", "describe"];
    assert_eq!(calls, expected);
}

#[test]
fn pointers_filters_and_maps_forward_every_method() {
    let probe = Arc::new(Probe::default());
    assert_hands_on(&probe, &*probe);
    assert_hands_on(&probe, &probe);
    assert_hands_on(&probe, probe.clone());
    assert_hands_on(&probe, Box::new(probe.clone()));
    assert_hands_on(&probe, Box::new(probe.clone()) as Box<dyn Sink<u64>>);
    assert_hands_on(&probe, Arc::new(probe.clone()) as Arc<dyn Sink<u64>>);
    assert_hands_on(&probe, probe.clone().filter(|_: &u64| true));
    assert_hands_on(&probe, probe.clone().map(|event: &u64| *event));
    assert_hands_on(&probe, Arc::new(probe.clone().map(|event: &u64| *event).filter(|_| true)));
}

#[test]
fn clones_share_a_key_and_other_sinks_do_not() {
    let (one, other) = (Arc::new(noop::<u8>()), Arc::new(noop::<u8>()));
    let key = Sink::<u8>::key(&one);
    assert!(key.is_some() && key == one.clone().key() && key != other.key());
    let plain = noop::<u8>();
    assert_eq!((plain.key(), Sink::<u8>::key(&&plain), Box::new(noop::<u8>()).key()), (None, None, None));
    // A sink's own key takes precedence over the address of a pointer to it.
    let own = Some(SinkKey::of(&other));
    let keyed = Probe { key: own, ..Probe::default() };
    assert_eq!((Sink::key(&&keyed), Box::new(&keyed).key(), Arc::new(&keyed).key()), (own, own, own));
    let (channel, _receiver) = refusing(1);
    let queue = Queue::builder().spawn(|_: u64| ()).unwrap();
    assert_eq!(
        (channel.key(), queue.key()),
        (Arc::new(channel.clone()).key(), Box::new(queue.clone()).key())
    );
    assert_ne!(channel.key(), queue.key());
    // A filter upstream of a sink is a different sink.
    let filters = [1, 2].map(|least| channel.clone().filter(move |event: &u64| *event >= least));
    assert!(filters[0].key().is_some() && filters[0].key() != filters[1].key());
    assert_ne!(filters[0].key(), channel.key());
}

#[test]
fn filter_passes_matches_and_counts_the_rest() {
    for way in WAYS {
        let (channel, mut receiver) = refusing(3);
        let sink = Arc::new(channel.filter(|event: &u64| match event % 4 {
            0 => panic!("a predicate"),
            rest => rest == 1,
        }));
        let mut entry = entry(&sink, way);
        (0..12).for_each(|event| assert_eq!(outcome(entry.write(event)), Outcome::Accepted, "{way:?}"));
        assert_eq!(outcome(entry.write(13)), Outcome::Full(13));
        assert_eq!(outcome(entry.write(14)), Outcome::Accepted, "a filtered event needs no room");
        let state = describe(&sink);
        assert_eq!((state.kind, state.depth), (SinkKind::Channel, 3));
        let ledger = assert_balanced(&state);
        assert_eq!((ledger.offered, ledger.accepted, ledger.filtered), (14, 13, 7), "{ledger}");
        assert_eq!((ledger.dropped.panicked, ledger.refused.full, ledger.pending), (3, 1, 3));
        assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 5, 9]);
        assert!(sink.close_by(Deadline::NOW).is_done());
        assert_eq!(outcome(entry.write(17)), Outcome::Closed(17));
        // The ledger keeps the counts of a dropped lane.
        drop(entry);
        let ledger = assert_balanced(&describe(&sink));
        assert_eq!((ledger.filtered, ledger.refused.closed, ledger.delivered), (7, 1, 3));
    }
}

#[test]
fn map_forwards_outputs_and_returns_refused_inputs() {
    for way in WAYS {
        let (channel, mut receiver) = refusing(2);
        let sink = Arc::new(channel.map(|text: &String| text.parse::<u64>().expect("a number")));
        let mut entry = entry(&sink, way);
        for text in ["1", "one", "2"] {
            assert_eq!(outcome(entry.write(text.into())), Outcome::Accepted, "{way:?}");
        }
        assert_eq!(outcome(entry.write("3".into())), Outcome::Full(String::from("3")));
        let ledger = assert_balanced(&describe(&sink));
        assert_eq!((ledger.offered, ledger.accepted, ledger.pending), (4, 3, 2), "{ledger}");
        assert_eq!((ledger.dropped.panicked, ledger.refused.full), (1, 1));
        assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 2]);
        receiver.close();
        assert_eq!(outcome(entry.write("4".into())), Outcome::Closed(String::from("4")));
        assert_balanced(&describe(&sink));
    }
}

#[test]
fn outermost_combinator_sees_the_event_first() {
    for way in WAYS {
        let (channel, mut receiver) = refusing(8);
        let filter_first = Arc::new(channel.map(|n: &u64| n * 10).filter(|n: &u64| *n > 1));
        let mut first = entry(&filter_first, way);
        (0..4).for_each(|event| first.write(event).unwrap());
        assert_eq!(receiver.drain().collect::<Vec<_>>(), [20, 30], "{way:?}");
        let (channel, mut receiver) = refusing(8);
        let map_first = Arc::new(channel.filter(|n: &u64| *n > 1).map(|n: &u64| n * 10));
        let mut first = entry(&map_first, way);
        (0..4).for_each(|event| first.write(event).unwrap());
        assert_eq!(receiver.drain().collect::<Vec<_>>(), [10, 20, 30], "{way:?}");
        assert_eq!(assert_balanced(&describe(&map_first)).filtered, 1);
    }
}

#[test]
fn staged_lane_waits_and_seals_like_its_inner_lane() {
    let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
    let sink = channel.map(|n: &u32| u64::from(*n)).filter(|n: &u32| *n != 3);
    let mut staged = lane(&sink);
    assert!(staged.may_wait() && staged.sealer().is_some());
    assert!(format!("{staged:?} {sink:?}").contains("Staged"));
    staged.push(1, Deadline::NEVER).unwrap();
    assert_eq!(outcome(staged.push(2, Deadline::NOW)), Outcome::Full(2));
    let writer = std::thread::spawn(move || (2..100).all(|n| staged.push(n, Deadline::NEVER).is_ok()));
    let read = ends(move || receiver.iter().take(98).collect::<Vec<_>>());
    assert!(writer.join().unwrap());
    assert!(read.into_iter().eq((1..100).filter(|n| *n != 3)));
    let (channel, _receiver) = refusing(1);
    assert!(!lane(&channel.filter(|_: &u64| true)).may_wait());
}

#[test]
fn user_stage_wraps_a_lane() {
    /// Forwards every event twice.
    struct Twice(Lane<u64>);
    impl LaneWrite<u64> for Twice {
        fn offer(&mut self, event: u64, deadline: Deadline) -> Result<Disposition, WriteError<u64>> {
            self.0.offer(event, deadline)?;
            self.0.offer(event, deadline)
        }
        fn inner(&self) -> Option<&dyn InnerLane> {
            Some(&self.0)
        }

        fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
            Some(&mut self.0)
        }
    }
    /// A stage that reports the defaults.
    struct Silent;
    impl LaneWrite<u64> for Silent {
        fn offer(&mut self, event: u64, _: Deadline) -> Result<Disposition, WriteError<u64>> {
            Err(WriteError::Reentrant(event))
        }
        fn inner(&self) -> Option<&dyn InnerLane> {
            None
        }

        fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
            None
        }
    }
    let (channel, mut receiver) = refusing(3);
    let mut twice = Lane::staged(Twice(lane(&channel)));
    assert!(!twice.may_wait() && twice.sealer().is_some());
    assert_eq!(outcome(twice.push(1, Deadline::NEVER)), Outcome::Accepted);
    assert_eq!(outcome(twice.push(2, Deadline::NEVER)), Outcome::Full(2));
    assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 1, 2]);
    let mut silent = Lane::staged(Silent);
    let sealer: Option<LaneSealer> = silent.sealer();
    assert!(silent.may_wait() && sealer.is_none());
    assert!(matches!(silent.push(1, Deadline::NOW), Err(WriteError::Reentrant(1))));
}

#[test]
fn filter_runs_on_the_publisher_and_map_on_the_worker() {
    let (gate, log) = (Gate::closed(), Log::new());
    let (at, before, behind) = (gate.clone(), log.clone(), log.clone());
    let thread = || std::thread::current().name().map(String::from);
    let sink = sink_fn(move |event: &u64| {
        at.pass();
        behind.push((*event, thread()));
    });
    let queued = sink.map(|event: &u64| event + 1).queue(8).unwrap();
    let sink = queued.clone().filter(move |event: &u64| {
        before.push((*event, thread()));
        true
    });
    sink.write(1).unwrap();
    assert_eq!(log.entries(), [(1, thread())]);
    gate.open();
    assert!(sink.close_by(Deadline::after(Duration::MAX)).is_done());
    assert_eq!(log.entries(), [(1, thread()), (2, Some(String::from("buslane-queue")))]);
    assert_eq!(describe(&sink).kind, SinkKind::Queue);
    assert_eq!(assert_balanced(&describe(&sink)).delivered, 1);
}

#[test]
fn map_event_keeps_the_kind_of_a_write_error() {
    let errors =
        [WriteError::Full(1), WriteError::Closed(1), WriteError::Timeout(1), WriteError::Reentrant(1)];
    let mut texts = Vec::new();
    for error in errors {
        let (closed, text) = (error.is_closed(), error.to_string());
        let mapped = error.map_event(|event| format!("{event}"));
        assert_eq!((mapped.is_closed(), mapped.to_string()), (closed, text.clone()));
        assert!(mapped.source().is_none());
        assert_eq!(mapped.into_event(), "1");
        texts.push(text);
    }
    let failed = WriteError::Failed { event: 1, source: "disk".into() }.map_event(|event| event + 1);
    let WriteError::Failed { event, source } = failed else { panic!("{failed}") };
    assert_eq!((event, source.to_string().as_str()), (2, "disk"));
    texts.dedup();
    assert_eq!(texts.len(), 4);
}
