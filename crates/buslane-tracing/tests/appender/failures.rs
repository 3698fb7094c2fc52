//! Writers that fail, recover, hang, panic and write in pieces.

use crate::{Recorder, Step, balanced, close, flush, log, log_of, numbers, put, put_all, put_and_hold};
use buslane::stats::Finish;
use buslane_tracing::NonBlockingBuilder;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use test_support::process::in_child;
use test_support::{GUARD, ends, lock, wait_for};

#[test]
fn error_loses_no_line_and_is_counted_by_kind() {
    let fail = Step::Fail;
    let recorder = Recorder::with([
        fail(ErrorKind::StorageFull),
        fail(ErrorKind::TimedOut),
        fail(ErrorKind::StorageFull),
    ]);
    let (log, guard) = log(&recorder);
    put_all(&log, 0..20);
    recorder.wait_for_writes(4);
    flush(&guard);
    assert_eq!(recorder.lines(), numbers(0..20));
    assert_eq!(guard.writer_errors(), [(ErrorKind::StorageFull, 2), (ErrorKind::TimedOut, 1)]);
    assert_eq!(balanced(&log).delivered, 20);
    let notices = recorder.notices();
    assert!(notices.len() == 1 && notices[0].contains("3 errors"), "{notices:?}");
}

#[test]
fn short_writes_lose_no_byte() {
    let recorder = Recorder::with((0..200).map(|call| Step::Short(1 + call % 7)));
    let (log, guard) = log(&recorder);
    put_all(&log, 0..500);
    close(guard);
    assert_eq!(recorder.lines(), numbers(0..500));
}

#[test]
fn interrupted_write_is_repeated_at_once() {
    let recorder = Recorder::with((0..5).map(|_| Step::Fail(ErrorKind::Interrupted)));
    let (log, guard) = log(&recorder);
    put(&log, "line");
    flush(&guard);
    assert_eq!((recorder.text(), guard.writer_errors()), ("line\n".to_owned(), vec![]));
}

#[test]
fn writer_that_takes_nothing_is_an_error() {
    let recorder = Recorder::with([Step::Short(0)]);
    let (log, guard) = log(&recorder);
    put(&log, "line");
    recorder.wait_for_writes(2);
    flush(&guard);
    assert_eq!(guard.writer_errors(), [(ErrorKind::WriteZero, 1)]);
    assert_eq!(recorder.lines(), ["line"]);
}

#[test]
fn failed_flush_is_repeated() {
    let recorder = Recorder::new();
    recorder.record(|record| record.flush_errors.push_back(ErrorKind::Other));
    let (log, guard) = log(&recorder);
    put(&log, "line");
    wait_for(|| recorder.record(|record| record.flushes >= 2));
    close(guard);
    assert_eq!((recorder.lines(), recorder.notices().len()), (vec!["line".to_owned()], 1));
}

#[test]
fn failed_flush_does_not_stop_a_close() {
    let recorder = Recorder::new();
    recorder.record(|record| record.flush_errors.extend([ErrorKind::Other; 1000]));
    let (log, guard) = log(&recorder);
    put(&log, "line");
    let report = guard.close(GUARD);
    assert_eq!(report.undelivered, 0, "{report}");
    assert!(report.errors[0].contains("the writer failed"), "{report}");
    assert!(recorder.record(|record| record.dropped));
}

#[test]
fn hanging_writer_stalls_no_thread() {
    let (recorder, gate) = Recorder::gated();
    let (log, guard) = log_of(&recorder, 64);
    put_and_hold(&log, &gate);
    // Each of these calls returns while the writer hangs.
    put_all(&log, 0..10_000);
    let ledger = log.ledger();
    assert_eq!(ledger.offered, 10_001);
    assert!(ledger.dropped.full >= 10_000 - 2 * 64, "{ledger}");
    gate.open();
    close(guard);
    let ledger = balanced(&log);
    assert_eq!(ledger.delivered, recorder.lines().len() as u64);
    assert_eq!(ledger.delivered + ledger.dropped.full, 10_001);
}

#[test]
fn panic_costs_the_line_at_which_it_happened() {
    let recorder = Recorder::with([Step::Panic]);
    let (log, guard) =
        NonBlockingBuilder::default().one_write_per_line(true).build(recorder.writer()).unwrap();
    put_all(&log, 0..10);
    recorder.wait_for_writes(2);
    close(guard);
    assert_eq!(recorder.lines(), numbers(1..10));
    let ledger = balanced(&log);
    assert_eq!((ledger.delivered, ledger.dropped.panicked), (9, 1), "{ledger}");
    assert_eq!(recorder.notices().iter().filter(|text| *text == "1 line lost (panicked)").count(), 1);
}

#[test]
fn panic_in_a_piece_costs_one_line() {
    let (recorder, gate) = Recorder::gated();
    recorder.record(|record| record.poison = Some("poison"));
    let (log, guard) = log(&recorder);
    put_and_hold(&log, &gate);
    // They wait together, and so are one piece.
    put_all(&log, 0..50);
    put(&log, "poison");
    put_all(&log, 50..100);
    gate.open();
    wait_for(|| recorder.lines().len() == 101);
    close(guard);
    let lines = [vec!["held".to_owned()], numbers(0..100)].concat();
    assert_eq!(recorder.lines(), lines, "a line is lost, or written twice");
    let ledger = balanced(&log);
    assert_eq!((ledger.delivered, ledger.dropped.panicked), (101, 1), "{ledger}");
}

#[test]
fn panic_in_a_torn_line_glues_no_lines() {
    let recorder = Recorder::with([Step::Short(3), Step::Panic]);
    let builder = NonBlockingBuilder::default().one_write_per_line(true);
    let (log, guard) = builder.build(recorder.writer()).unwrap();
    put(&log, "the first line");
    recorder.wait_for_writes(2);
    put(&log, "second");
    close(guard);
    assert_eq!(recorder.lines(), ["the", "second"]);
    let ledger = balanced(&log);
    assert_eq!((ledger.delivered, ledger.dropped.panicked, ledger.pending), (1, 1, 0), "{ledger}");
}

#[test]
fn panic_in_a_flush_loses_no_line() {
    let recorder = Recorder::new();
    recorder.record(|record| record.flush_panics = 2);
    let (log, guard) = log(&recorder);
    put_all(&log, 0..10);
    wait_for(|| recorder.record(|record| record.flushes >= 3));
    flush(&guard);
    assert_eq!(recorder.lines(), numbers(0..10));
    assert_eq!(guard.writer_errors(), [(ErrorKind::Other, 2)]);
    assert!(recorder.notices()[0].contains("the writer's flush panicked"), "{:?}", recorder.notices());
    close(guard);
    assert_eq!(balanced(&log).delivered, 10);
}

#[test]
fn flush_ends_at_its_limit_while_the_writer_hangs() {
    let (recorder, gate) = Recorder::gated();
    let (log, guard) = log(&recorder);
    put_and_hold(&log, &gate);
    let guard = ends(move || {
        let report = guard.flush(Duration::from_millis(10));
        assert_eq!(report.finish, Finish::TimedOut, "{report}");
        guard
    });
    gate.open();
    flush(&guard);
    close(guard);
    assert_eq!(balanced(&log).delivered, 1);
}

#[test]
fn panic_hook_ends_while_the_writer_hangs() {
    let Some(child) = in_child(module_path!(), "panic_hook_ends_while_the_writer_hangs") else {
        let (recorder, gate) = Recorder::gated();
        let (log, guard) = log(&recorder);
        put_and_hold(&log, &gate);
        let guard = guard.flush_on_panic();
        ends(|| assert!(std::thread::spawn(|| panic!("as planned")).join().is_err()));
        gate.open();
        close(guard);
        assert_eq!(recorder.lines(), ["held"]);
        return;
    };
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
}

#[test]
fn broken_writer_takes_bounded_memory() {
    let recorder = Recorder::new();
    recorder.record(|record| record.broken = Some(ErrorKind::StorageFull));
    let (log, guard) = NonBlockingBuilder::default().lossy(false).build(recorder.writer()).unwrap();
    let line = "x".repeat(199);
    // The worker keeps a mebibyte, and takes and counts the others.
    let (count, kept) = (20_000, (1 << 20) / 200);
    (0..count).for_each(|_| put(&log, &line));
    let _ = guard.flush(GUARD);
    let ledger = balanced(&log);
    assert_eq!(ledger.offered, count);
    assert!((kept..count).contains(&ledger.pending), "{ledger}");
    assert_eq!(ledger.dropped.failed, count - ledger.pending, "{ledger}");
    recorder.record(|record| record.broken = None);
    close(guard);
    let (now, notices) = (balanced(&log), recorder.notices());
    assert_eq!((now.delivered, now.dropped.failed), (ledger.pending, ledger.dropped.failed));
    let told = format!("{} lines lost (failed)", ledger.dropped.failed);
    assert!(notices.contains(&told), "{notices:?} without {told:?}");
}

#[test]
fn torn_line_is_written_again_by_the_new_writer() {
    let old = Recorder::with([Step::Short(3), Step::Fail(ErrorKind::NotConnected)]);
    let new = Recorder::new();
    let writers = Arc::new(Mutex::new(vec![new.writer(), old.writer()]));
    let open = move || lock(&writers).pop().ok_or_else(|| io::Error::other("no further writer"));
    let (log, guard) = NonBlockingBuilder::default().build_reopening(open).unwrap();
    put(&log, "a whole line");
    wait_for(|| new.record(|record| record.writes > 0));
    flush(&guard);
    assert_eq!((old.text(), new.lines()), ("a w".to_owned(), vec!["a whole line".to_owned()]));
    assert!(old.record(|record| record.dropped), "the old writer is kept");
    drop(guard);
    assert_eq!(balanced(&log).delivered, 1);
}

#[test]
fn reopen_hook_that_fails_is_called_again() {
    let (first, last) = (Recorder::with([Step::Fail(ErrorKind::BrokenPipe)]), Recorder::new());
    let (mut first_writer, mut last_writer) = (Some(first.writer()), Some(last.writer()));
    let mut calls = 0;
    let open = move || {
        calls += 1;
        match calls {
            1 => Ok(first_writer.take().unwrap()),
            2 => Err(ErrorKind::ConnectionRefused.into()),
            3 => panic!("the hook panicked as planned"),
            _ => last_writer.take().ok_or_else(|| ErrorKind::AlreadyExists.into()),
        }
    };
    let (log, guard) = NonBlockingBuilder::default().build_reopening(open).unwrap();
    put(&log, "line");
    last.wait_for_writes(1);
    flush(&guard);
    assert_eq!(last.lines(), ["line"]);
    let errors = [(ErrorKind::BrokenPipe, 1), (ErrorKind::ConnectionRefused, 1), (ErrorKind::Other, 1)];
    assert_eq!(guard.writer_errors(), errors);
    let report = guard.close(Duration::from_secs(60));
    assert!(report.is_done(), "{report}");
}

#[test]
fn drop_of_the_writer_may_panic() {
    struct Bad;
    impl io::Write for Bad {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("the drop panicked as planned");
        }
    }
    let (log, guard) = buslane_tracing::non_blocking(Bad);
    put(&log, "line");
    let report = guard.close(GUARD);
    assert!(report.errors[0].contains("panicked as planned"), "{report}");
    assert_eq!(balanced(&log).delivered, 1);
}

#[test]
fn interrupted_flush_is_repeated_before_the_close() {
    let recorder = Recorder::new();
    recorder.record(|record| record.flush_errors.extend([ErrorKind::Interrupted; 3]));
    let (log, guard) = log(&recorder);
    put(&log, "line");
    close(guard);
    assert_eq!(recorder.record(|record| record.flush_errors.len()), 0);
    assert_eq!((recorder.lines(), recorder.notices()), (vec!["line".to_owned()], vec![]));
}

#[test]
fn writer_that_takes_parts_is_told_once() {
    // It takes a byte, and has no room then, again and again.
    let parts = (0..20).flat_map(|_| [Step::Short(1), Step::Fail(ErrorKind::WouldBlock)]);
    let recorder = Recorder::with(parts);
    let (log, guard) = log(&recorder);
    put_all(&log, 0..20);
    wait_for(|| recorder.record(|record| record.steps.is_empty()));
    flush(&guard);
    close(guard);
    assert_eq!(recorder.lines(), numbers(0..20));
    assert_eq!(recorder.notices().len(), 1, "{:?}", recorder.notices());
}
