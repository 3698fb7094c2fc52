//! Threads: those that end, that log as they end, and many short ones.

use super::{Written, ledger, lines_of, spawn};
use buslane_tracing::Text;
use std::cell::RefCell;
use test_support::heap::heap_of;
use tracing::{Dispatch, info, info_span};

const BARE: Text = Text::new().time(false).target(false);

/// Logs when it is dropped.
struct LogsOnDrop(Dispatch);

impl Drop for LogsOnDrop {
    fn drop(&mut self) {
        tracing::dispatcher::with_default(&self.0, || {
            info!("from a destructor");
            info_span!("ending").in_scope(|| info!("in a span"));
        });
    }
}

thread_local! {
    static LAST: RefCell<Vec<LogsOnDrop>> = const { RefCell::new(Vec::new()) };
}

/// Row 10: an event from the destructor of a thread-local value, without a subscriber of the process.
#[test]
fn scoped_event_from_a_destructor_does_no_harm() {
    let lines = lines_of(BARE, || {
        for before in [0, 100] {
            let thread = spawn(move || {
                // The values of the crate are made before the test's own, or after it.
                (0..before).for_each(|n| info!(n, "before"));
                let last = LogsOnDrop(tracing::dispatcher::get_default(Clone::clone));
                LAST.with(|all| all.borrow_mut().push(last));
                (0..before).for_each(|n| info!(n, "before"));
            });
            thread.join().unwrap();
        }
    });
    // A scoped subscriber may be gone at the end of a thread; then the events have none.
    assert!(lines.iter().filter(|line| line.contains("before")).count() == 200, "{}", lines.len());
}

#[test]
fn events_of_ended_threads_are_written() {
    let written = Written::start(BARE);
    written.log(|| {
        for n in 0..50 {
            let thread = spawn(move || info_span!("thread", n).in_scope(|| info!("event")));
            thread.join().unwrap();
        }
    });
    let lines = written.close();
    assert_eq!(lines.len(), 50);
    assert!((0..50).all(|n| lines.contains(&format!(" INFO thread{{n={n}}}: event"))), "{lines:?}");
}

#[test]
fn ledger_balances_with_many_threads() {
    let written = Written::start_with(BARE, |writer| writer.capacity(64));
    written.log(|| {
        let work = || (0..2000).for_each(|n| info_span!("work").in_scope(|| info!(n, "event")));
        let threads: Vec<_> = (0..8).map(|_| spawn(work)).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert!(written.guard.flush(test_support::GUARD).is_done());
    let ledger = ledger(&written.guard);
    assert_eq!(ledger.pending, 0, "{ledger}");
    // An event and two steps of a span, for each round of each thread.
    assert_eq!(ledger.offered, 3 * 8 * 2000);
    assert!(written.close().len() <= 8 * 2000 + 100);
}

/// A lane of its own would be 256 KiB for each sink.
#[test]
fn thread_with_a_few_events_takes_little_memory() {
    const MOST: u64 = 4096;
    let written = Written::start(BARE);
    written.log(|| {
        let event = |n: i32| info!(n, text = "some text", "event");
        // The first event registers its callsite.
        event(0);
        for _ in 0..20 {
            let (heap, ()) = spawn(move || heap_of(|| (0..16).for_each(event))).join().unwrap();
            assert!(heap.asked <= MOST, "{heap:?}");
        }
    });
    assert_eq!(written.close().len(), 1 + 20 * 16);
}
