//! Threads that are mute, that end, and that write from everywhere.

use crate::{Recorder, balanced, close, flush, log, put, put_all};
use buslane_tracing::NonBlocking;
use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::thread;

/// A writer that logs to the log that it writes.
struct Loop(Arc<OnceLock<NonBlocking>>, Recorder);

impl Write for Loop {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(log) = self.0.get() {
            put(log, "a line about a line");
        }
        self.1.record(|record| record.bytes.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(log) = self.0.get() {
            put(log, "a line about a flush");
        }
        Ok(())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if let Some(log) = self.0.get() {
            put(log, "a line about an end");
        }
    }
}

#[test]
fn writer_that_logs_does_not_feed_itself() {
    let (itself, recorder) = (Arc::new(OnceLock::new()), Recorder::new());
    let (log, guard) = buslane_tracing::non_blocking(Loop(itself.clone(), recorder.clone()));
    itself.set(log.clone()).unwrap();
    put(&log, "line");
    flush(&guard);
    assert_eq!(recorder.lines(), ["line"]);
    close(guard);
    let ledger = balanced(&log);
    assert_eq!(ledger.delivered, 1);
    // Of the writes, of which some are notices, of the flushes, and of the drop.
    assert!(ledger.refused.reentrant >= 3, "{ledger}");
}

/// Writes a line when its thread ends.
struct Farewell(NonBlocking, &'static str);

impl Drop for Farewell {
    fn drop(&mut self) {
        put(&self.0, self.1);
    }
}

thread_local! {
    static FIRST: RefCell<Option<Farewell>> = const { RefCell::new(None) };
    static LAST: RefCell<Option<Farewell>> = const { RefCell::new(None) };
}

#[test]
fn line_of_an_ending_thread_is_written() {
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    // Values of a thread are dropped in an order that differs between systems: one is made before
    // the thread's lane, the other one after it.
    let ending = thread::spawn({
        let log = log.clone();
        move || {
            FIRST.set(Some(Farewell(log.clone(), "first")));
            put_all(&log, 0..50);
            LAST.set(Some(Farewell(log, "last")));
        }
    });
    ending.join().unwrap();
    close(guard);
    let lines = recorder.lines();
    assert_eq!(lines.len(), 52);
    assert!(
        lines[50..].contains(&"first".to_owned()) && lines[50..].contains(&"last".to_owned()),
        "{lines:?}"
    );
    assert_eq!(balanced(&log).delivered, 52);
}

#[test]
fn threads_that_end_lose_no_line() {
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    for thread in 0..100 {
        let log = log.clone();
        thread::spawn(move || put_all(&log, thread * 100..thread * 100 + 40)).join().unwrap();
    }
    close(guard);
    assert_eq!(balanced(&log).offered, 4000);
    assert_eq!(balanced(&log).delivered as usize, recorder.lines().len());
}

#[test]
fn several_logs_are_independent() {
    let recorders = [Recorder::new(), Recorder::new()];
    let logs = [log(&recorders[0]), log(&recorders[1])];
    for line in 0..100 {
        logs.iter().for_each(|(log, _)| put(log, line));
    }
    let [(_, first), (last, open)] = logs;
    close(first);
    put(&last, "still open");
    close(open);
    assert_eq!((recorders[0].lines().len(), recorders[1].lines().len()), (100, 101));
}
