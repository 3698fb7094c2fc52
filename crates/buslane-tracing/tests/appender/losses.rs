//! Losses: counted by reason, and told in the log itself.

use crate::{Recorder, balanced, close, flush, log, log_of, put, put_all, put_and_hold};
use buslane::Overflow;
use buslane_tracing::NonBlockingBuilder;
use std::io::{ErrorKind, Write};
use test_support::{GUARD, waits};

/// Returns the sum of the lines that the log tells as lost for this reason.
fn told(recorder: &Recorder, reason: &str) -> u64 {
    let of_reason = |text: &String| {
        let (count, rest) = text.split_once(" line")?;
        rest.ends_with(&format!("lost ({reason})")).then(|| count.parse::<u64>().unwrap())
    };
    recorder.notices().iter().filter_map(of_reason).sum()
}

#[test]
fn losses_in_the_log_equal_the_ledger() {
    let (recorder, gate) = Recorder::gated();
    let (log, guard) = log_of(&recorder, 64);
    put_and_hold(&log, &gate);
    put_all(&log, 0..1000);
    gate.open();
    flush(&guard);
    let lost = balanced(&log).dropped.full;
    assert!(lost > 0);
    assert_eq!(told(&recorder, "full"), lost);
    // Nothing is told twice.
    put_all(&log, 0..10);
    close(guard);
    assert_eq!((told(&recorder, "full"), balanced(&log).dropped.full), (lost, lost));
    assert_eq!(log.error_counter().dropped_lines() as u64, lost);
}

#[test]
fn losses_are_told_after_each_burst() {
    let recorder = Recorder::new();
    let (log, guard) = log_of(&recorder, 64);
    for burst in 1..=3 {
        let gate = buslane::testing::Gate::closed();
        recorder.record(|record| record.steps.push_back(crate::Step::Wait(gate.clone())));
        put_and_hold(&log, &gate);
        put_all(&log, 0..1000 * burst);
        gate.open();
        flush(&guard);
        assert_eq!(told(&recorder, "full"), balanced(&log).dropped.full);
    }
    assert!(recorder.notices().len() >= 3);
}

#[test]
fn evicted_lines_are_told() {
    let (recorder, gate) = Recorder::gated();
    let builder = NonBlockingBuilder::default().capacity(64).overflow(Overflow::DropOldest);
    let (log, guard) = builder.build(recorder.writer()).unwrap();
    put_and_hold(&log, &gate);
    put_all(&log, 0..1000);
    gate.open();
    close(guard);
    let ledger = balanced(&log);
    assert!(ledger.dropped.evicted > 0, "{ledger}");
    assert_eq!(told(&recorder, "evicted"), ledger.dropped.evicted);
    assert_eq!(recorder.lines().last().unwrap(), "999");
}

#[test]
fn refused_line_is_an_error_for_its_thread() {
    let (recorder, gate) = Recorder::gated();
    let builder = NonBlockingBuilder::default().capacity(8).overflow(Overflow::Refuse);
    let (log, guard) = builder.build(recorder.writer()).unwrap();
    put_and_hold(&log, &gate);
    let outcomes = (0..100).map(|line| writeln!(&mut &log, "{line}")).collect::<Vec<_>>();
    let refused = outcomes.iter().filter(|outcome| outcome.is_err()).count() as u64;
    let mut errors = outcomes.into_iter().filter_map(Result::err);
    assert!(errors.all(|error| error.kind() == ErrorKind::WouldBlock));
    gate.open();
    close(guard);
    let ledger = balanced(&log);
    assert_eq!((ledger.refused.full, ledger.delivered), (refused, 101 - refused), "{ledger}");
    assert_eq!(told(&recorder, "full"), refused);
    assert_eq!(writeln!(&mut &log, "late").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn lossless_log_waits_for_room() {
    let (recorder, gate) = Recorder::gated();
    let (log, guard) =
        NonBlockingBuilder::default().capacity(8).lossy(false).build(recorder.writer()).unwrap();
    put_and_hold(&log, &gate);
    let writing = waits({
        let log = log.clone();
        move || put_all(&log, 0..1000)
    });
    gate.open();
    writing.join().unwrap();
    close(guard);
    assert_eq!((recorder.lines().len(), balanced(&log).delivered), (1001, 1001));
}

#[test]
fn long_lines_are_whole_within_their_limit() {
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    let lines = [228, 229, 230, 231, 1000, 100_000].map(|length| "y".repeat(length));
    lines.iter().for_each(|line| put(&log, line));
    close(guard);
    assert_eq!(recorder.lines(), lines);
}

#[test]
fn long_lines_above_the_limit_are_refused() {
    let (recorder, gate) = Recorder::gated();
    let (log, guard) = NonBlockingBuilder::default().long_lines_limit(1000).build(recorder.writer()).unwrap();
    put_and_hold(&log, &gate);
    // Lines of 300 bytes: three fit.
    (0..10).for_each(|_| put(&log, "z".repeat(299)));
    assert_eq!(log.ledger().refused.full, 7);
    gate.open();
    flush(&guard);
    assert_eq!(told(&recorder, "full"), 7);
    // The room is free again.
    put(&log, "z".repeat(999));
    let report = guard.close(GUARD);
    assert!(report.is_done(), "{report}");
    let ledger = balanced(&log);
    assert_eq!((ledger.delivered, ledger.refused.full, ledger.offered), (5, 7, 12), "{ledger}");
}

#[test]
fn notice_begins_a_line_of_its_own() {
    let (recorder, gate) = Recorder::gated();
    let (log, guard) = log_of(&recorder, 8);
    put_and_hold(&log, &gate);
    (0..100).for_each(|_| (&log).write_all(b"no end of line").unwrap());
    gate.open();
    close(guard);
    assert_eq!(recorder.notices().len(), 1, "{}", recorder.text());
    assert!(balanced(&log).dropped.full > 0);
}
