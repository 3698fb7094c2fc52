//! Close, drop and flush: what is written before they return, and what they report.

use crate::{Recorder, Step, balanced, close, flush, log, log_of, numbers, put, put_all, put_and_hold};
use buslane::stats::Finish;
use buslane_tracing::NonBlockingBuilder;
use std::io::ErrorKind;
use std::time::Duration;
use test_support::{GUARD, wait_for};

const MANY: usize = 100_000;

#[test]
fn close_writes_all_lines() {
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    put_all(&log, 0..500);
    close(guard);
    assert_eq!(recorder.lines(), numbers(0..500));
    assert_eq!(balanced(&log).delivered, 500);
}

#[test]
fn close_reports_unwritten_lines_exactly() {
    let (recorder, gate) = Recorder::gated();
    let (log, guard) = log_of(&recorder, MANY);
    put_and_hold(&log, &gate);
    put_all(&log, 0..MANY);
    let report = guard.close(Duration::from_millis(1));
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, MANY as u64 + 1), "{report}");
    gate.open();
    // The worker ends by itself: it writes what it has begun, and discards the rest.
    wait_for(|| recorder.record(|record| record.dropped));
    let ledger = balanced(&log);
    assert_eq!((ledger.accepted, ledger.delivered, ledger.pending), (MANY as u64 + 1, 1, 0), "{ledger}");
    assert_eq!(ledger.dropped.aborted, MANY as u64);
}

#[test]
fn close_waits_for_a_slow_writer() {
    let (recorder, gate) = Recorder::gated();
    let (log, guard) = log_of(&recorder, MANY);
    put_and_hold(&log, &gate);
    put_all(&log, 0..MANY);
    let closing = std::thread::spawn(move || guard.close(GUARD));
    gate.open();
    let report = closing.join().unwrap();
    assert!(report.is_done(), "{report}");
    assert_eq!(recorder.lines().len(), MANY + 1);
    assert_eq!(balanced(&log).delivered, MANY as u64 + 1);
}

#[test]
fn close_flushes_and_drops_the_writer() {
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    put(&log, "line");
    close(guard);
    recorder.record(|record| assert!(record.dropped && record.flushes > 0));
    drop(log);
}

#[test]
fn drop_of_the_guard_writes_all_lines() {
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    put_all(&log, 0..500);
    drop(guard);
    assert_eq!(recorder.lines(), numbers(0..500));
    recorder.record(|record| assert!(record.dropped));
}

#[test]
fn live_clones_do_not_delay_the_close() {
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    let clones = vec![log.clone(); 10];
    put(&clones[9], "tail");
    close(guard);
    assert_eq!(recorder.lines(), ["tail"]);
    assert!(recorder.record(|record| record.dropped));
}

#[test]
fn line_after_the_close_is_counted() {
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    put(&log, "early");
    close(guard);
    put_all(&log, 0..3);
    let ledger = balanced(&log);
    assert_eq!((ledger.delivered, ledger.refused.closed, ledger.offered), (1, 3, 4));
    assert_eq!(log.error_counter().dropped_lines(), 3);
    assert_eq!(recorder.lines(), ["early"]);
}

#[test]
fn close_reports_lines_of_a_broken_writer() {
    let recorder = Recorder::new();
    recorder.record(|record| record.broken = Some(ErrorKind::StorageFull));
    let (log, guard) = log(&recorder);
    put_all(&log, 0..10);
    let report = guard.close(GUARD);
    assert_eq!((report.finish, report.undelivered), (Finish::Done, 10), "{report}");
    assert!(report.errors[0].contains("10 lines lost"), "{report}");
    let ledger = balanced(&log);
    assert_eq!((ledger.delivered, ledger.dropped.failed, ledger.pending), (0, 10, 0), "{ledger}");
}

#[test]
fn close_reports_lines_that_were_refused_before() {
    let recorder = Recorder::new();
    recorder.record(|record| record.broken = Some(ErrorKind::StorageFull));
    let (log, guard) = NonBlockingBuilder::default().lossy(false).build(recorder.writer()).unwrap();
    // More than the mebibyte that waits for the writer.
    let (line, count) = ("x".repeat(199), 20_000);
    (0..count).for_each(|_| put(&log, &line));
    let report = guard.close(GUARD);
    assert_eq!((report.finish, report.undelivered), (Finish::Done, count), "{report}");
    let ledger = balanced(&log);
    assert_eq!((ledger.accepted, ledger.dropped.failed), (count, count), "{ledger}");
}

#[test]
fn close_reports_the_line_of_a_panic() {
    let recorder = Recorder::with([Step::Panic]);
    let (log, guard) = log(&recorder);
    put(&log, "lost");
    recorder.wait_for_writes(1);
    put(&log, "written");
    let report = guard.close(GUARD);
    assert_eq!((report.finish, report.undelivered), (Finish::Done, 1), "{report}");
    assert_eq!((recorder.lines(), balanced(&log).dropped.panicked), (vec!["written".to_owned()], 1));
}

#[test]
fn flush_writes_what_was_accepted() {
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    for line in 0..100 {
        put(&log, line);
        flush(&guard);
        assert_eq!(recorder.lines().len(), line + 1);
        recorder.record(|record| assert!(record.flushes > line));
    }
    assert_eq!(guard.ledger().pending, 0);
}

#[test]
fn flush_reports_the_error_of_the_writer() {
    let recorder = Recorder::new();
    recorder.record(|record| record.broken = Some(ErrorKind::BrokenPipe));
    let (log, guard) = log(&recorder);
    put(&log, "line");
    let report = guard.flush(GUARD);
    assert!(report.errors[0].contains("the writer failed"), "{report}");
    assert_eq!(balanced(&log).pending, 1);
    recorder.record(|record| record.broken = None);
    flush(&guard);
    assert_eq!((recorder.lines(), balanced(&log).delivered), (vec!["line".to_owned()], 1));
}

#[test]
fn constant_load_is_flushed() {
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    // Lines come until the writer was flushed several times while they did.
    let load = std::thread::spawn({
        let recorder = recorder.clone();
        move || {
            let mut lines = 0;
            while recorder.record(|record| record.flushes < 5) {
                put_all(&log, 0..100);
                lines += 100;
            }
            lines
        }
    });
    assert!(load.join().unwrap() > 0);
    close(guard);
}
