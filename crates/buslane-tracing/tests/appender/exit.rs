//! The end of a process: by return, by a panic, and by `process::exit`. Each test runs in a child
//! process.

use crate::put_all;
use buslane_tracing::{Guard, NonBlocking};
use std::process::Output;
use test_support::GUARD;
use test_support::process::in_child;

/// Returns a log that writes to stdout, which the parent process reads.
fn log() -> (NonBlocking, Guard) {
    buslane_tracing::non_blocking(std::io::stdout())
}

/// Asserts that the child process wrote the lines of [`put_all`] for 0 to 99.
#[track_caller]
fn assert_lines(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    // The harness writes to the same pipe: its text may precede the first line.
    let found =
        (0..100).filter(|line| text.lines().any(|text| text.ends_with(&format!("line {line}")))).count();
    assert_eq!(found, 100, "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn put_lines(log: &NonBlocking) {
    (0..100).for_each(|line| crate::put(log, format_args!("line {line}")));
}

#[test]
fn return_writes_all_lines() {
    let Some(output) = in_child(module_path!(), "return_writes_all_lines") else {
        let (log, _guard) = log();
        put_lines(&log);
        return;
    };
    assert!(output.status.success());
    assert_lines(&output);
}

#[test]
fn unwinding_panic_writes_all_lines() {
    let Some(output) = in_child(module_path!(), "unwinding_panic_writes_all_lines") else {
        let (log, _guard) = log();
        put_lines(&log);
        panic!("as planned");
    };
    assert!(!output.status.success());
    assert_lines(&output);
}

#[test]
fn panic_hook_writes_all_lines() {
    let Some(output) = in_child(module_path!(), "panic_hook_writes_all_lines") else {
        let (log, guard) = log();
        // Nothing closes the log, as with `panic = "abort"`.
        let _ = std::thread::spawn(move || {
            std::mem::forget(guard.flush_on_panic());
            put_lines(&log);
            panic!("as planned");
        })
        .join();
        // Ends the process at once, without the destructors and handlers of an exit.
        std::process::abort();
    };
    assert!(!output.status.success());
    assert_lines(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("as planned"), "the hook before is not called");
}

#[test]
fn exit_after_a_close_loses_nothing() {
    let Some(output) = in_child(module_path!(), "exit_after_a_close_loses_nothing") else {
        let (log, guard) = log();
        put_lines(&log);
        let report = guard.close(GUARD);
        std::process::exit(if report.is_done() { 7 } else { 1 });
    };
    assert_eq!(output.status.code(), Some(7));
    assert_lines(&output);
}

#[test]
fn dropped_guard_is_told_once_on_stderr() {
    let Some(output) = in_child(module_path!(), "dropped_guard_is_told_once_on_stderr") else {
        let (log, _) = log();
        put_all(&log, 0..10);
        return;
    };
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.matches("a line came after the log was closed").count(), 1, "{text}");
}

#[test]
fn error_of_the_writer_is_told_once_on_stderr() {
    let Some(output) = in_child(module_path!(), "error_of_the_writer_is_told_once_on_stderr") else {
        let recorder = crate::Recorder::new();
        recorder.record(|record| record.broken = Some(std::io::ErrorKind::StorageFull));
        let (log, guard) = crate::log(&recorder);
        put_all(&log, 0..10);
        recorder.wait_for_writes(5);
        drop(guard);
        return;
    };
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.matches("the writer of the log failed").count(), 1, "{text}");
}
