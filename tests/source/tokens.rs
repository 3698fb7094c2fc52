//! Where a connection continues, and which token is stored for a later process.

use crate::{GUARD, ManualClock, Script, Seen, backoff, texts};
use buslane::source::{Connection, Fault, Item, Monitor, MonitorState, Session, Source, StopReason};
use buslane::testing::{Collect, Gate};
use buslane::{Queue, sink_fn};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use test_support::{Log, wait_for};

type Stored = Arc<Mutex<Vec<u64>>>;

/// Returns where tokens are stored, and the function that stores them.
fn storage() -> (Stored, impl FnMut(&u64) -> Result<(), Infallible> + Send + 'static) {
    let stored = Stored::default();
    let into = stored.clone();
    let store = move |token: &u64| {
        into.lock().unwrap().push(*token);
        Ok(())
    };
    (stored, store)
}

#[test]
fn stored_token_comes_after_the_event_was_handled() {
    let (gate, (stored, store)) = (Gate::closed(), storage());
    let queue = Queue::builder().spawn_sink(gate.before(Collect::new())).unwrap();
    let script = Script::new().connect().event(1);
    let monitor = Monitor::builder(script.clone()).store_token(1, store).spawn_events(queue).unwrap();
    gate.wait_reached(1);
    assert_eq!(*stored.lock().unwrap(), [0; 0], "the handler has not returned");
    gate.open();
    script.wait_played();
    assert!(monitor.stop_timeout(GUARD).is_done());
    assert_eq!(*stored.lock().unwrap(), [1]);
}

#[test]
fn token_is_stored_at_intervals_when_the_source_is_quiet_and_at_each_end() {
    let (stored, store) = storage();
    let script = Script::new().connect().event(1).event(2).event(3).end();
    let script = script.connect().event(4).alive().event(5).event(6).event(7);
    let monitor =
        Monitor::builder(script.clone()).store_token(2, store).spawn_events(Collect::new()).unwrap();
    script.wait_played();
    assert_eq!(*stored.lock().unwrap(), [2, 3, 5, 7]);
    assert!(monitor.stop_timeout(GUARD).is_done());
    assert_eq!(*stored.lock().unwrap(), [2, 3, 5, 7, 8]);
}

#[test]
fn later_process_resumes_where_the_token_was_stored() {
    let (stored, store) = storage();
    let script = Script::new().connect().event(1).event(2);
    let first = Monitor::builder(script.clone()).store_token(1, store).spawn(Seen::new()).unwrap();
    script.wait_played();
    assert!(first.stop_timeout(GUARD).is_done());
    let token = stored.lock().unwrap().last().copied();
    let (script, seen) = (Script::new().connect_resumed().event(3), Seen::new());
    let _second = Monitor::builder(script.clone()).resume(token).spawn(seen.clone()).unwrap();
    script.wait_played();
    assert_eq!((script.tokens(), texts(&seen)), (vec![Some(2)], vec!["resumed".into(), "3".into()]));
}

#[test]
fn panic_of_the_store_is_counted_as_an_error() {
    let script = Script::new().connect().event(1).event(2);
    let monitor = Monitor::builder(script.clone())
        .store_token(1, |token| {
            assert!(*token > 1, "no space left");
            Ok::<_, Infallible>(())
        })
        .spawn_events(sink_fn(|_: &u32| ()))
        .unwrap();
    script.wait_played();
    assert_eq!(monitor.snapshot().last_error.as_deref(), Some("storing the token panicked: no space left"));
    assert_eq!((monitor.snapshot().forwarded, monitor.token()), (2, Some(2)));
    assert_eq!(monitor.snapshot().store_failures, 1);
}

#[test]
fn failed_store_is_counted_and_tried_again() {
    let tried = Stored::default();
    let log = tried.clone();
    let script = Script::new().connect().event(1).event(2).end().connect();
    let monitor = Monitor::builder(script.clone())
        .backoff(backoff())
        .clock(ManualClock::hurrying())
        .store_token(2, move |token| {
            let mut log = log.lock().unwrap();
            log.push(*token);
            if log.len() > 2 { Ok(()) } else { Err("no space left") }
        })
        .spawn_events(sink_fn(|_: &u32| ()))
        .unwrap();
    script.wait_played();
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.store_failures, &*tried.lock().unwrap()), (2, &vec![2, 2]));
    assert_eq!(snapshot.last_error.as_deref(), Some("the token was not stored: no space left"));
    assert!(monitor.stop_timeout(GUARD).is_done());
    assert_eq!((monitor.snapshot().store_failures, &*tried.lock().unwrap()), (2, &vec![2, 2, 2]));
}

#[test]
fn token_that_moved_without_an_event_is_stored() {
    let (stored, store) = storage();
    let script = Script::<u32>::new().connect().alive();
    let monitor =
        Monitor::builder(script.clone()).store_token(9, store).spawn_events(Collect::new()).unwrap();
    script.wait_played();
    assert_eq!(*stored.lock().unwrap(), [1], "where the first connection begins");
    let script = script.alive().duplicate();
    script.wait_played();
    assert!(monitor.stop_timeout(GUARD).is_done());
    assert_eq!(*stored.lock().unwrap(), [1, 3]);
}

#[test]
fn token_moves_without_events() {
    let script = Script::<u32>::new().connect().alive().duplicate().alive();
    let monitor = Monitor::builder(script.clone()).spawn_events(Collect::new()).unwrap();
    script.wait_played();
    assert_eq!((monitor.token(), monitor.clone().token()), (Some(3), Some(3)));
    let script = script.alive();
    script.wait_played();
    assert_eq!(monitor.token(), Some(4));
}

/// A token whose first clone panics.
struct Fragile {
    number: u64,
    panics: Arc<AtomicBool>,
}

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(!self.panics.swap(false, Ordering::Relaxed), "the token is fragile");
        Self { number: self.number, panics: self.panics.clone() }
    }
}

/// A source of one event, which refuses to continue after it.
struct Single {
    panics: Arc<AtomicBool>,
    connects: Log<Option<u64>>,
}

struct Open(Option<Fragile>);

impl Source for Single {
    type Event = u32;
    type Token = Fragile;
    type Connection = Open;

    fn connect(&mut self, from: Option<&Fragile>, _: &Session) -> Result<Open, Fault> {
        self.connects.push(from.map(|token| token.number));
        match from {
            Some(_) => Err(Fault::fatal("that was all")),
            None => Ok(Open(Some(Fragile { number: 1, panics: self.panics.clone() }))),
        }
    }
}

impl Connection for Open {
    type Event = u32;
    type Token = Fragile;

    fn next(&mut self) -> Result<Option<Item<u32, Fragile>>, Fault> {
        Ok(self.0.take().map(|token| Item::Event(7, token)))
    }
}

#[test]
fn panic_of_a_clone_of_the_token_is_a_fault() {
    let (connects, seen) = (Log::new(), Seen::new());
    let source = Single { panics: Arc::new(AtomicBool::new(true)), connects: connects.clone() };
    let monitor = Monitor::builder(source).backoff(backoff()).clock(ManualClock::hurrying());
    let monitor = monitor.spawn(seen.clone()).unwrap();
    wait_for(|| matches!(monitor.state(), MonitorState::Stopped(_)));
    assert_eq!(monitor.state(), MonitorState::Stopped(StopReason::Fatal("that was all".into())));
    assert_eq!(connects.entries(), [None, Some(1)], "the token is kept");
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.source_panics, snapshot.failures, snapshot.attempts), (1, 3, 3));
    assert_eq!((snapshot.forwarded, monitor.token().map(|token| token.number)), (1, Some(1)));
    assert_eq!(texts(&seen)[..2], ["connected", "7"]);
}

#[test]
fn token_is_exact_after_any_number_of_events() {
    let mut script = Script::new();
    let monitor = Monitor::builder(script.clone()).spawn_events(Collect::new()).unwrap();
    let mut sent = 0;
    // Some are few, and some more than any number of tokens that is kept.
    for count in [1, 31, 1, 32, 33, 100, 1000, 2] {
        for _ in 0..count {
            script = script.event(7);
        }
        sent += count;
        script.wait_played();
        assert_eq!(monitor.token(), Some(sent));
    }
    // Without a reader in between.
    for _ in 0..77 {
        script = script.event(7);
    }
    script.wait_played();
    let script = script.fail_token().connect().event(7);
    wait_for(|| script.tokens().len() == 2);
    assert_eq!(script.tokens(), [None, None], "it was forgotten");
    script.wait_played();
    assert!(monitor.stop_timeout(GUARD).is_done());
    assert_eq!(monitor.token(), Some(sent + 78));
}

#[test]
fn token_never_goes_back_while_it_moves() {
    let mut script = Script::new();
    for _ in 0..5000 {
        script = script.event(7);
    }
    let monitor = Monitor::builder(script.clone()).spawn_events(Collect::new()).unwrap();
    let mut last = None;
    while last < Some(5000) {
        let token = monitor.token();
        assert!(token >= last, "{token:?} after {last:?}");
        last = token;
        std::thread::yield_now();
    }
    assert!(monitor.stop_timeout(GUARD).is_done());
}

/// A source of a number of events, whose tokens are one allocation.
struct Kept {
    left: u64,
    token: Arc<()>,
}

impl Source for Kept {
    type Event = u32;
    type Token = Arc<()>;
    type Connection = Self;

    fn connect(&mut self, from: Option<&Arc<()>>, _: &Session) -> Result<Self, Fault> {
        match from {
            Some(_) => Err(Fault::fatal("that was all")),
            None => Ok(Self { left: self.left, token: self.token.clone() }),
        }
    }
}

impl Connection for Kept {
    type Event = u32;
    type Token = Arc<()>;

    fn next(&mut self) -> Result<Option<Item<u32, Arc<()>>>, Fault> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        Ok(Some(Item::Event(7, self.token.clone())))
    }
}

#[test]
fn one_token_is_left_after_the_end() {
    for events in [1, 10, 32, 33, 500] {
        let token = Arc::new(());
        let source = Kept { left: events, token: token.clone() };
        let monitor = Monitor::builder(source).backoff(backoff()).clock(ManualClock::hurrying());
        let monitor = monitor.spawn_events(Collect::new()).unwrap();
        wait_for(|| matches!(monitor.state(), MonitorState::Stopped(_)));
        assert_eq!((monitor.snapshot().forwarded, Arc::strong_count(&token)), (events, 2));
        drop(monitor);
        wait_for(|| Arc::strong_count(&token) == 1);
    }
}
