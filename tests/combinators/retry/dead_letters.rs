//! Dead letters: events that are given up, each with its error, and counted once.

use super::{By, describe, flaky};
use buslane::retry::{DeadLetter, Next, RetryPolicy};
use buslane::{Bus, Channel, Overflow, Sink, SinkExt, WriteError, sink_fn};
use test_support::{Outcome, assert_balanced, outcome};

#[test]
fn dead_letter_holds_event_error_and_attempts() {
    let (letters, mut dead) = Channel::lossy(8).unwrap();
    let bus = Bus::new();
    let sink = flaky(|_, event| event == 1);
    let policy = By(|attempt| if attempt < 3 { Next::Again } else { Next::GiveUp });
    bus.add(sink.clone().retry(policy).dead_letters(letters)).unwrap();
    for event in 0..3 {
        let published = bus.publish(event).unwrap();
        assert_eq!((published.accepted, published.dropped), if event == 1 { (0, 1) } else { (1, 0) });
    }
    let letter: DeadLetter<u64> = dead.recv().unwrap();
    assert_eq!((letter.event, letter.attempts), (1, 3));
    assert!(
        matches!(&*letter.error, WriteError::Failed { event: (), source } if source.to_string() == "flaky")
    );
    assert_eq!(letter.to_string(), "given up after 3 attempts: the sink failed: flaky");
    assert!(!format!("{letter:?}").contains("event"), "the debug text does not contain the event");
    let state = &bus.snapshot().sinks[0].state;
    let ledger = assert_balanced(state);
    assert_eq!((ledger.offered, ledger.delivered, ledger.dropped.failed), (3, 2, 1));
    assert_eq!(state.last_error.as_deref(), Some("the sink failed: flaky"));
    assert!(bus.close().is_done());
    assert!(dead.recv().is_err(), "the close also closes the dead letters");
}

#[test]
fn retried_event_counts_once_in_the_ledger() {
    let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Refuse).build().unwrap();
    let (letters, mut dead) = Channel::lossy(8).unwrap();
    let bus = Bus::new();
    let retry = channel.retry(By(|attempt| if attempt < 2 { Next::Again } else { Next::GiveUp }));
    bus.add(retry.dead_letters(letters)).unwrap();
    assert!(bus.publish(1_u64).is_ok());
    assert!(bus.publish(2).is_ok());
    assert_eq!(receiver.recv(), Ok(1));
    let letter = dead.recv().unwrap();
    assert!(matches!((letter.event, &*letter.error), (2, WriteError::Full(()))));
    let state = &bus.snapshot().sinks[0].state;
    let ledger = assert_balanced(state);
    assert_eq!((ledger.offered, ledger.refused.full, ledger.dropped.failed), (2, 0, 1));
    assert_eq!((ledger.delivered, state.retries[0].retried, state.retries[0].letters_sent), (1, 1, 1));
}

#[test]
fn refused_letter_returns_the_event_and_sink_error() {
    let (letters, _dead) = Channel::builder().capacity(1).overflow(Overflow::Refuse).build().unwrap();
    let retry = flaky(|_, _| true).retry(By(|_| Next::GiveUp)).dead_letters(letters);
    assert_eq!(outcome(retry.write(1)), Outcome::Accepted);
    let Err(WriteError::Failed { event: 2, source }) = retry.write(2) else {
        panic!("the event did not come back")
    };
    assert_eq!(source.to_string(), "flaky");
    let ledger = assert_balanced(&describe(&retry));
    assert_eq!((ledger.offered, ledger.dropped.failed, ledger.refused.failed), (2, 1, 1));

    // If the dead-letter sink keeps the error, the caller gets only its text.
    let kept = test_support::Log::new();
    struct Keeps(test_support::Log<std::sync::Arc<WriteError<()>>>);
    impl Sink<DeadLetter<u64>> for Keeps {
        fn write(&self, letter: DeadLetter<u64>) -> Result<(), WriteError<DeadLetter<u64>>> {
            self.0.push(letter.error.clone());
            Err(WriteError::Full(letter))
        }
    }
    let retry = flaky(|_, _| true).retry(By(|_| Next::GiveUp)).dead_letters(Keeps(kept.clone()));
    assert_eq!(retry.write(3).unwrap_err().to_string(), "the sink failed: the sink failed: flaky");
    assert_eq!(kept.entries().len(), 1);
}

#[test]
fn letters_lost_to_a_panic_are_counted() {
    let letters = sink_fn(|_: &DeadLetter<u64>| -> Result<(), &str> { panic!("letters") });
    let retry = flaky(|_, _| true).retry(By(|_| Next::GiveUp)).dead_letters(letters);
    assert_eq!(outcome(retry.write(1)), Outcome::Accepted);
    let ledger = assert_balanced(&describe(&retry));
    assert_eq!((ledger.offered, ledger.dropped.panicked), (1, 1));
}

#[test]
fn e13_attempt_limit_ends_retries_in_a_dead_letter() {
    let (letters, mut dead) = Channel::lossy(8).unwrap();
    let sink = flaky(|_, _| true);
    let breaker = buslane::retry::Breaker::new(2, super::SECOND).max_attempts(4);
    let clock = buslane::testing::ManualClock::hurrying();
    let retry = sink.clone().retry(breaker.clock(clock.clone())).clock(clock.clone()).dead_letters(letters);
    assert_eq!(outcome(retry.write(1)), Outcome::Accepted);
    assert_eq!((sink.attempts(), dead.recv().unwrap().attempts), (4, 4));
    // Half a backoff after the first failure, and a whole one after the second and the third.
    assert_eq!(clock.passed(), super::SECOND * 5 / 2);
}

#[test]
fn untried_event_becomes_a_letter_with_no_attempts() {
    struct Panics;
    impl RetryPolicy<u64> for Panics {
        fn before(&self, _: &u64) -> std::time::Duration {
            panic!("before");
        }
        fn failure(&self, _: &u64, _: &buslane::retry::Attempt<'_>) -> Next {
            Next::GiveUp
        }
    }
    let (letters, mut dead) = Channel::lossy(8).unwrap();
    let retry = flaky(|_, _| false).retry(Panics).dead_letters(letters);
    assert_eq!(outcome(retry.write(1)), Outcome::Accepted);
    assert_eq!(dead.recv().unwrap().attempts, 0);
    let retry = flaky(|_, _| false).retry(Panics);
    assert_eq!(outcome(retry.write(2)), Outcome::Failed(2));
    assert_eq!(assert_balanced(&describe(&retry)).refused.failed, 1);
}
