//! Where a connection continues, and which token is stored for a later process.

use crate::{GUARD, ManualClock, Script, Seen, backoff, texts};
use buslane::source::Monitor;
use buslane::testing::{Collect, Gate};
use buslane::{Queue, sink_fn};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

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
fn token_is_stored_at_intervals_and_at_each_end() {
    let (stored, store) = storage();
    let script = Script::new().connect().event(1).event(2).event(3).end();
    let script = script.connect().event(4).alive().event(5).event(6);
    let monitor =
        Monitor::builder(script.clone()).store_token(2, store).spawn_events(Collect::new()).unwrap();
    script.wait_played();
    assert_eq!(*stored.lock().unwrap(), [2, 3, 6]);
    assert!(monitor.stop_timeout(GUARD).is_done());
    assert_eq!(*stored.lock().unwrap(), [2, 3, 6, 7]);
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
