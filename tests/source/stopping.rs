//! Stopping a monitor, in each of its states and from each thread.

use crate::{GUARD, ManualClock, SECOND, Script, Seen, backoff, texts, wait_for};
use buslane::source::{
    Connection, Fault, Item, Monitor, MonitorState, Session, Source, StopHook, StopReason, Update,
};
use buslane::stats::Finish;
use buslane::time::Deadline;
use buslane::{Bus, Channel, Receiver, Sink, sink_fn};
use std::sync::mpsc::{Receiver as Interrupts, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use test_support::{Log, waits};

fn is_stopped(monitor: &Monitor<u64>) -> bool {
    monitor.state() == MonitorState::Stopped(StopReason::Requested)
}

#[test]
fn stop_interrupts_connect_read_and_wait() {
    let clock = ManualClock::new();
    let scripts: [Script<u32>; 4] = [
        Script::new(),
        Script::new().connect(),
        Script::new().connect().event(1).event(2),
        Script::new().connect_undecided(),
    ];
    for script in scripts {
        let monitor = Monitor::builder(script.clone()).clock(clock.clone()).spawn(Seen::new()).unwrap();
        script.wait_played();
        let report = monitor.stop_timeout(GUARD);
        assert!(report.is_done() && is_stopped(&monitor), "{report}");
        assert_eq!((script.open(), script.tokens().len()), (0, 1));
    }
    for script in [Script::<u32>::new().refuse("no route"), Script::new().connect().wait(SECOND)] {
        let monitor = Monitor::builder(script.clone())
            .backoff(backoff())
            .clock(clock.clone())
            .spawn(Seen::new())
            .unwrap();
        clock.await_sleepers(1);
        assert!(monitor.stop_timeout(GUARD).is_done());
        assert_eq!((script.open(), script.tokens().len()), (0, 1));
    }
}

#[test]
fn stop_is_the_last_update_and_no_fault() {
    let (script, seen) = (Script::new().connect().event(1), Seen::new());
    let monitor = Monitor::builder(script.clone()).spawn(seen.clone()).unwrap();
    script.wait_played();
    assert!(monitor.stop_timeout(GUARD).is_done());
    assert_eq!(texts(&seen), ["connected", "1", "ended None"]);
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.failures, snapshot.last_error), (0, None));
}

/// Starts a monitor whose sink calls it, and returns the results of these calls.
fn called_back<R: Send + 'static>(
    call: impl Fn(&Monitor<u64>) -> R + Send + Sync + 'static,
) -> (Monitor<u64>, Script<u32>, Arc<Mutex<Vec<R>>>) {
    let (cell, results) = (Arc::new(OnceLock::new()), Arc::new(Mutex::new(Vec::new())));
    let (own, into) = (cell.clone(), results.clone());
    let sink = sink_fn(move |update: &Update<u32>| {
        if matches!(update, Update::Event(_)) {
            let result = call(own.wait());
            into.lock().unwrap().push(result);
        }
    });
    let script = Script::new().connect().event(1).event(2);
    let monitor = Monitor::builder(script.clone()).spawn(sink).unwrap();
    assert!(cell.set(monitor.clone()).is_ok());
    (monitor, script, results)
}

#[test]
fn stop_from_inside_the_sink_does_not_wait() {
    let (monitor, script, reports) = called_back(Monitor::stop);
    wait_for(|| is_stopped(&monitor));
    let reports = reports.lock().unwrap();
    assert_eq!((reports.len(), reports[0].finish, reports[0].undelivered), (1, Finish::Pending, 1));
    assert_eq!(script.open(), 0);
    assert!(monitor.stop().is_done());
}

#[test]
fn wait_live_from_inside_the_sink_does_not_wait() {
    let (monitor, script, results) = called_back(|monitor| monitor.wait_live(GUARD));
    script.wait_played();
    assert_eq!(*results.lock().unwrap(), [Ok(()), Ok(())]);
    assert!(monitor.stop_timeout(GUARD).is_done());
}

#[test]
fn drop_of_the_last_handle_stops() {
    let (script, seen) = (Script::<u32>::new().connect(), Seen::new());
    let monitor = Monitor::builder(script.clone()).spawn(seen.clone()).unwrap();
    script.wait_played();
    let other = monitor.clone();
    drop(monitor);
    assert_eq!(other.state(), MonitorState::Live);
    drop(other);
    wait_for(|| script.open() == 0);
    wait_for(|| texts(&seen).last().is_some_and(|text| text == "ended None"));
}

#[test]
fn stop_gives_up_a_wait_for_room_at_its_deadline() {
    let (channel, mut receiver) = Channel::lossless(1).unwrap();
    let script = Script::new().connect().event(1).event(2);
    let monitor = Monitor::builder(script.clone()).spawn(channel).unwrap();
    // `Connected` fills the channel, and the first event waits.
    wait_for(|| monitor.snapshot().events == 1);
    let report = monitor.stop_timeout(SECOND / 100);
    assert_eq!((report.finish, report.forwarded, report.undelivered), (Finish::TimedOut, 0, 1));
    wait_for(|| is_stopped(&monitor));
    assert_eq!(receiver.recv(), Ok(Update::Connected { resumed: false }));
    assert!(receiver.recv().is_err(), "the monitor has dropped its handle");
    assert_eq!((monitor.token(), monitor.stop().undelivered), (None, 1));
}

#[test]
fn drop_gives_up_a_wait_for_room() {
    let (channel, mut receiver) = Channel::lossless(1).unwrap();
    let script = Script::new().connect().event(1);
    let monitor = Monitor::builder(script.clone()).spawn(channel).unwrap();
    wait_for(|| monitor.snapshot().events == 1);
    drop(monitor);
    wait_for(|| script.open() == 0);
    assert_eq!(receiver.recv(), Ok(Update::Connected { resumed: false }));
    assert!(receiver.recv().is_err());
}

/// A bus whose only sink has room for one update, and the receiver of that sink.
fn full_bus() -> (Bus<Update<u32>>, Receiver<Update<u32>>) {
    let (channel, receiver) = Channel::lossless(1).unwrap();
    let bus = Bus::new();
    bus.add(channel).unwrap();
    (bus, receiver)
}

#[test]
fn stop_gives_up_a_wait_for_room_in_a_bus() {
    let (bus, mut receiver) = full_bus();
    let outer = Bus::new();
    outer.add(bus.clone()).unwrap();
    for sink in [bus, outer] {
        let script = Script::new().connect().event(1).event(2);
        let monitor = Monitor::builder(script.clone()).spawn(sink).unwrap();
        wait_for(|| monitor.snapshot().events == 1);
        let report = monitor.stop_timeout(SECOND / 100);
        assert_eq!((report.finish, report.forwarded, report.undelivered), (Finish::TimedOut, 0, 1));
        wait_for(|| is_stopped(&monitor));
        assert_eq!((script.open(), monitor.token(), monitor.snapshot().refused), (0, None, 0));
        assert_eq!(receiver.recv(), Ok(Update::Connected { resumed: false }));
        assert!(receiver.try_recv().is_err());
    }
}

#[test]
fn drop_gives_up_a_wait_for_room_in_a_bus() {
    let (bus, mut receiver) = full_bus();
    let sink = bus.downgrade();
    let script = Script::new().connect().event(1);
    let monitor = Monitor::builder(script.clone()).spawn(bus).unwrap();
    wait_for(|| monitor.snapshot().events == 1);
    drop(monitor);
    // The last update still finds no room.
    wait_for(|| script.open() == 0 && sink.upgrade().is_none());
    assert_eq!(receiver.recv(), Ok(Update::Connected { resumed: false }));
    assert!(receiver.recv().is_err());
}

#[test]
fn event_in_hand_is_delivered_before_the_end() {
    let (channel, mut receiver) = Channel::lossless(1).unwrap();
    let script = Script::new().connect().event(1).event(2);
    let monitor = Monitor::builder(script.clone()).spawn(channel).unwrap();
    wait_for(|| monitor.snapshot().events == 1);
    let other = monitor.clone();
    let stopping = waits(move || other.stop_timeout(GUARD));
    assert_eq!(receiver.recv(), Ok(Update::Connected { resumed: false }));
    let report = stopping.join().unwrap();
    // Either the stop came first, or the monitor had already read the second event.
    assert!(report.reason == Some(StopReason::Requested) && report.forwarded >= 1, "{report}");
    assert_eq!(receiver.recv(), Ok(Update::Event(1)));
}

#[test]
fn closed_sink_stops_the_monitor() {
    let script = Script::new().connect().event(1);
    let (channel, receiver) = Channel::lossy(8).unwrap();
    let monitor = Monitor::builder(script.clone()).spawn(channel).unwrap();
    script.wait_played();
    drop(receiver);
    let _script = script.clone().event(2).event(3);
    wait_for(|| monitor.state() == MonitorState::Stopped(StopReason::SinkClosed));
    assert_eq!((script.open(), monitor.snapshot().refused, monitor.token()), (0, 1, Some(1)));

    // No connection is opened for a closed sink.
    let (script, seen) = (Script::new().connect().event(1).end().connect(), Seen::new());
    let clock = ManualClock::new();
    let monitor =
        Monitor::builder(script.clone()).backoff(backoff()).clock(clock.clone()).spawn(seen.clone()).unwrap();
    clock.await_sleepers(1);
    assert!(seen.close_by(Deadline::NOW).is_done());
    clock.advance(SECOND);
    wait_for(|| matches!(monitor.state(), MonitorState::Stopped(_)));
    assert_eq!((monitor.state(), script.tokens().len()), (MonitorState::Stopped(StopReason::SinkClosed), 1));
}

/// A source with three interrupts, of which the second one panics. Its reads block until the last one.
struct Interrupted {
    called: Log<&'static str>,
}

struct Blocked {
    called: Log<&'static str>,
    session: Session,
    interrupts: Interrupts<()>,
    _hooks: [StopHook; 3],
}

impl Interrupted {
    fn interrupt(&self, session: &Session, name: &'static str, told: Option<Sender<()>>) -> StopHook {
        let called = self.called.clone();
        session.on_stop(move || {
            called.push(name);
            told.expect("this interrupt panics").send(()).unwrap();
        })
    }
}

impl Source for Interrupted {
    type Event = u32;
    type Token = u64;
    type Connection = Blocked;

    fn connect(&mut self, _: Option<&u64>, session: &Session) -> Result<Blocked, Fault> {
        let (tell, interrupts) = channel();
        let hooks = [("first", Some(tell.clone())), ("panicking", None), ("last", Some(tell))];
        let hooks = hooks.map(|(name, told)| self.interrupt(session, name, told));
        let (called, session) = (self.called.clone(), session.clone());
        Ok(Blocked { called, session, interrupts, _hooks: hooks })
    }
}

impl Connection for Blocked {
    type Event = u32;
    type Token = u64;

    fn next(&mut self) -> Result<Option<Item<u32, u64>>, Fault> {
        (0..2).for_each(|_| self.interrupts.recv().unwrap());
        // An interrupt that comes after the stop is called at once.
        let called = self.called.clone();
        let _late = self.session.on_stop(move || {
            called.push("late");
            panic!("this one does, too");
        });
        Ok(None)
    }
}

#[test]
fn panic_of_an_interrupt_does_not_skip_the_others() {
    let called = Log::new();
    let monitor = Monitor::builder(Interrupted { called: called.clone() }).spawn(Seen::new()).unwrap();
    monitor.wait_live(GUARD).unwrap();
    assert!(monitor.stop_timeout(GUARD).is_done() && is_stopped(&monitor));
    assert_eq!(called.entries(), ["first", "panicking", "last", "late"]);
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.source_panics, snapshot.failures, snapshot.last_error), (0, 0, None));
}
