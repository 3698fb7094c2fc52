//! The builder, and what it refuses.

use crate::{Recorder, balanced, close, put, put_all};
use buslane::Overflow;
use buslane_tracing::{ErrorCounter, NonBlocking, NonBlockingBuilder, StartError, WorkerGuard};
use std::io::{ErrorKind, Write};
use std::sync::{Arc, Mutex};
use test_support::{invalid, lock};

/// A program that was written for tracing-appender, with its names.
#[test]
fn names_of_tracing_appender_are_here() {
    struct Logging {
        writer: NonBlocking,
        guard: WorkerGuard,
        errors: ErrorCounter,
    }
    let recorder = Recorder::new();
    let (writer, guard): (NonBlocking, WorkerGuard) = NonBlocking::new(recorder.writer());
    let errors = writer.error_counter();
    let mut logging = Logging { writer, guard, errors };
    logging.writer.write_all(b"line\n").unwrap();
    assert_eq!(logging.errors.dropped_lines(), 0);
    drop(logging.guard);
    assert_eq!(recorder.lines(), ["line"]);
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(64).thread_name("log");
    let (_writer, _guard): (NonBlocking, WorkerGuard) = builder.finish(std::io::sink());
}

#[test]
fn zero_capacity_is_invalid() {
    let Err(StartError::Queue(error)) = NonBlocking::builder().capacity(0).build(std::io::sink()) else {
        panic!("a capacity of 0 was accepted");
    };
    assert_eq!(invalid::<(), _>(Err(error)), buslane::error::ConfigErrorKind::Capacity);
}

#[test]
fn writer_without_a_worker_refuses_and_counts() {
    // The same happens where the system has no thread.
    let (log, guard) = NonBlocking::builder().buffered_lines_limit(0).finish(std::io::sink());
    put_all(&log, 0..5);
    let ledger = balanced(&log);
    assert_eq!((ledger.offered, ledger.refused.closed), (5, 5));
    let report = guard.close(std::time::Duration::ZERO);
    assert!(report.errors[0].contains("capacity 0 is invalid"), "{report}");
}

#[test]
fn strict_writer_without_a_worker_returns_errors() {
    let builder = NonBlocking::builder().capacity(0).overflow(Overflow::Refuse);
    let (log, _guard) = builder.finish(std::io::sink());
    assert_eq!((&log).write(b"line\n").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn each_line_is_one_call_where_asked() {
    let recorder = Recorder::new();
    let (log, guard) = NonBlocking::builder().one_write_per_line(true).build(recorder.writer()).unwrap();
    put_all(&log, 0..100);
    close(guard);
    recorder.record(|record| assert_eq!(record.writes, 100));
}

#[test]
fn lines_are_written_together() {
    let (recorder, gate) = Recorder::gated();
    let (log, guard) = NonBlockingBuilder::default().build(recorder.writer()).unwrap();
    crate::put_and_hold(&log, &gate);
    put_all(&log, 0..1000);
    gate.open();
    close(guard);
    recorder.record(|record| assert!(record.writes < 100, "{} calls", record.writes));
}

#[test]
fn worker_has_the_name_that_was_set() {
    let names = Arc::new(Mutex::new(Vec::new()));
    struct Names(Arc<Mutex<Vec<String>>>);
    impl Write for Names {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            lock(&self.0).extend(std::thread::current().name().map(str::to_owned));
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (log, guard) = NonBlocking::builder().thread_name("access").build(Names(names.clone())).unwrap();
    put(&log, "line");
    close(guard);
    assert_eq!(*lock(&names), ["access"]);
}

#[test]
fn formatted_text_is_one_line() {
    let recorder = Recorder::new();
    let (log, guard) = NonBlocking::builder().one_write_per_line(true).build(recorder.writer()).unwrap();
    let mut writer = log.clone();
    writeln!(writer, "{} and {}", 1, 2).unwrap();
    writeln!(writer, "constant").unwrap();
    assert_eq!(writer.write(b"").unwrap(), 0);
    writer.flush().unwrap();
    close(guard);
    assert_eq!(recorder.text(), "1 and 2\nconstant\n");
    assert_eq!(recorder.record(|record| record.writes), 2);
}
