//! What a monitor does with a sink that refuses, drops, panics, or is a bus.

use crate::{GUARD, Script, Seen, texts};
use buslane::source::{Gap, GapReason, Monitor, Update};
use buslane::testing::{Collect, PANICKING};
use buslane::{Bus, Channel, Journal, Overflow, Queue, Sink, SinkExt, WriteError, sink_fn};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use test_support::Log;

/// A sink that refuses updates while a test says so.
#[derive(Default)]
struct Moody {
    refuses: AtomicBool,
    seen: Option<Seen>,
}

impl Sink<Update<u32>> for Moody {
    fn write(&self, update: Update<u32>) -> Result<(), WriteError<Update<u32>>> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(WriteError::Full(update));
        }
        self.seen.as_ref().expect("it has one").write(update)
    }
}

#[test]
fn refused_events_leave_an_exact_gap() {
    let seen = Seen::new();
    let sink = Arc::new(Moody { refuses: AtomicBool::new(false), seen: Some(seen.clone()) });
    let script = Script::new().connect().event(1);
    let monitor = Monitor::builder(script.clone()).spawn(sink.clone()).unwrap();
    script.wait_played();
    sink.refuses.store(true, Ordering::Relaxed);
    let script = script.event(2).event(3).event(4);
    script.wait_played();
    assert_eq!(monitor.token(), Some(1), "a token after lost events would hide them from a later process");
    sink.refuses.store(false, Ordering::Relaxed);
    let script = script.event(5).end().connect_resumed();
    script.wait_connects(2);
    script.wait_played();
    assert_eq!(texts(&seen)[..4], ["connected", "1", "SinkRefused Some(3)", "5"]);
    assert_eq!(script.tokens()[1], Some(5), "lost events are not read again");
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.events, snapshot.forwarded, snapshot.refused), (5, 2, 3));
}

#[test]
fn token_passes_lost_events_when_their_gap_is_told() {
    let seen = Seen::new();
    let sink = Arc::new(Moody { refuses: AtomicBool::new(false), seen: Some(seen.clone()) });
    let stored = Log::new();
    let into = stored.clone();
    let store = move |token: &u64| {
        into.push(*token);
        Ok::<_, Infallible>(())
    };
    let script = Script::new().connect().event(1);
    let monitor = Monitor::builder(script.clone()).store_token(100, store).spawn(sink.clone()).unwrap();
    script.wait_played();
    sink.refuses.store(true, Ordering::Relaxed);
    let script = script.event(2).event(3).alive();
    script.wait_played();
    assert_eq!((monitor.token(), stored.entries()), (Some(1), vec![1]), "the sink refuses the gap as well");
    sink.refuses.store(false, Ordering::Relaxed);
    // A source may send no further event before it learns that it need not keep these.
    let script = script.alive();
    script.wait_played();
    assert_eq!(texts(&seen), ["connected", "1", "SinkRefused Some(2)"]);
    assert_eq!((monitor.token(), stored.entries()), (Some(5), vec![1, 5]));
}

#[test]
fn token_passes_lost_events_where_no_gap_can_be_told() {
    let (channel, _unread) = Channel::builder().capacity(1).overflow(Overflow::Refuse).build().unwrap();
    let script = Script::new().connect().event(1).event(2).event(3);
    let monitor = Monitor::builder(script.clone()).spawn_events(channel).unwrap();
    script.wait_played();
    assert_eq!(monitor.token(), Some(1));
    let script = script.alive();
    script.wait_played();
    assert_eq!((monitor.token(), monitor.snapshot().refused), (Some(4), 2));
}

#[test]
fn lossy_channel_leaves_an_exact_gap() {
    // Drop-newest: the channel has room for `Connected` and one event.
    let (channel, mut receiver) =
        Channel::builder().capacity(2).overflow(Overflow::DropNewest).build().unwrap();
    let script = (1..=5).fold(Script::new().connect(), Script::event);
    let monitor = Monitor::builder(script.clone()).spawn(channel).unwrap();
    script.wait_played();
    assert_eq!(receiver.recv(), Ok(Update::Connected { resumed: false }));
    assert_eq!(receiver.recv(), Ok(Update::Event(1)));
    let script = script.event(6);
    script.wait_played();
    assert_eq!(receiver.recv(), Ok(Update::Gap(Gap::new(GapReason::SinkRefused).missed(4))));
    assert_eq!(receiver.recv(), Ok(Update::Event(6)));
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.forwarded, snapshot.dropped), (2, 4));
}

#[test]
fn panicking_sink_loses_its_event_only() {
    let seen = Seen::new();
    let into = seen.clone();
    let sink = sink_fn(move |update: &Update<u32>| {
        assert!(*update != Update::Event(2), "{PANICKING}");
        into.write(update.clone()).unwrap();
    });
    let script = Script::new().connect().event(1).event(2).event(3);
    let monitor = Monitor::builder(script.clone()).spawn(sink).unwrap();
    script.wait_played();
    assert_eq!(texts(&seen), ["connected", "1", "SinkRefused Some(1)", "3"]);
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.panicked, snapshot.source_panics), (1, 0));
    assert!(snapshot.last_error.is_some_and(|error| error == format!("the sink panicked: {PANICKING}")));
}

#[test]
fn every_kind_of_sink_gets_every_event_in_order() {
    const EVENTS: u32 = 1000;
    let run = |sink: &dyn Fn(Script<u32>) -> Monitor<u64>| {
        let script = (0..EVENTS).fold(Script::new().connect(), Script::event);
        let monitor = sink(script.clone());
        script.wait_played();
        assert!(monitor.stop_timeout(GUARD).is_done());
        assert_eq!((monitor.snapshot().forwarded, monitor.token()), (u64::from(EVENTS), Some(EVENTS.into())));
    };
    let all: Vec<u32> = (0..EVENTS).collect();
    let capacity = EVENTS as usize;

    let seen = Collect::new();
    run(&|script| Monitor::builder(script).spawn_events(seen.clone()).unwrap());
    assert_eq!(seen.events(), all);

    let seen = Collect::new();
    let queue = Queue::builder().overflow(Overflow::Block).capacity(8).spawn_sink(seen.clone()).unwrap();
    run(&|script| Monitor::builder(script).spawn_events(queue.clone()).unwrap());
    assert!(queue.close_timeout(GUARD).is_done());
    assert_eq!(seen.events(), all);

    let bus = Bus::new();
    let (mut plain, odd) = (bus.subscribe_lossy(capacity).unwrap(), Collect::new());
    bus.add(odd.clone().filter(|n: &u32| n % 2 == 1)).unwrap();
    run(&|script| Monitor::builder(script).spawn_events(bus.clone()).unwrap());
    assert!(plain.drain().eq(all.iter().copied()));
    assert_eq!(odd.events().len(), capacity / 2);
    assert!(bus.close_timeout(GUARD).is_done());

    let journal = Journal::new(capacity).unwrap();
    run(&|script| Monitor::builder(script).spawn_events(journal.clone()).unwrap());
    assert_eq!(journal.state().ledger.accepted, u64::from(EVENTS));

    let (channel, mut receiver) = Channel::lossy(capacity).unwrap();
    run(&|script| {
        let chain = channel.clone().map(|n: &u32| n * 2).filter(|n: &u32| *n < 10);
        Monitor::builder(script).spawn_events(chain).unwrap()
    });
    assert!(receiver.drain().eq((0..10).map(|n| n * 2)));
}

#[test]
fn events_only_sink_gets_no_other_update() {
    let (script, seen) = (Script::new().connect().event(1).undecodable("garbage").event(2), Collect::new());
    let monitor = Monitor::builder(script.clone()).spawn_events(seen.clone()).unwrap();
    script.wait_played();
    assert!(monitor.stop_timeout(GUARD).is_done());
    assert_eq!(seen.events(), [1, 2]);
    assert_eq!(monitor.snapshot().gaps, 1);
}
