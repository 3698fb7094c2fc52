//! The policies of the crate by themselves: windows, limits, invalid settings.

use super::{HOUR, MILLI, SECOND};
use buslane::error::ConfigErrorKind;
use buslane::retry::{Attempt, AttemptError, Backoff, Breaker, Next, RetryPolicy};
use buslane::{SinkExt, noop};
use std::sync::Arc;
use std::time::Duration;
use test_support::invalid;

fn attempt(number: u32, elapsed: Duration) -> Attempt<'static> {
    Attempt::new(number, elapsed, AttemptError::Full)
}

fn ask(policy: &impl RetryPolicy<()>, number: u32) -> Next {
    policy.failure(&(), &attempt(number, Duration::ZERO))
}

#[track_caller]
fn wait(policy: &impl RetryPolicy<()>, number: u32) -> Duration {
    match ask(policy, number) {
        Next::After(wait) => wait,
        other => panic!("no wait: {other:?}"),
    }
}

#[test]
fn backoff_window_doubles_up_to_its_limit() {
    let backoff = Backoff::new(SECOND, 20 * SECOND);
    assert_eq!(RetryPolicy::<()>::before(&backoff, &()), Duration::ZERO);
    for failures in 1..=10 {
        let window = (SECOND * 2_u32.pow(failures - 1)).min(20 * SECOND);
        assert_eq!(backoff.window(failures), window);
        let mut longest = Duration::ZERO;
        for _ in 0..1000 {
            let wait = wait(&backoff, failures);
            assert!(wait > Duration::ZERO && wait <= window, "{wait:?} after {failures}");
            longest = longest.max(wait);
        }
        assert!(longest > window / 2, "the waits cover the whole window");
    }
    RetryPolicy::<()>::success(&backoff);
    assert_eq!(RetryPolicy::<()>::before(&backoff, &()), Duration::ZERO);
}

#[test]
fn e6_a_backoff_saturates_however_many_attempts_fail() {
    let backoff = Backoff::new(SECOND, 20 * SECOND).jitter(0.0);
    for failures in (6..200).chain([i32::MAX as u32, 1 << 31, u32::MAX]) {
        assert_eq!(wait(&backoff, failures), 20 * SECOND, "after {failures}");
    }
    let backoff = Backoff::new(Duration::from_nanos(1), Duration::MAX).factor(f64::MAX);
    assert_eq!(backoff.window(1), Duration::from_nanos(1));
    assert_eq!(backoff.window(3), Duration::MAX);
    for _ in 0..1000 {
        assert!(wait(&backoff, u32::MAX) > Duration::ZERO);
    }
    // In go-events, a base of zero panics once the window has collapsed to it.
    assert_eq!(invalid(Backoff::new(Duration::ZERO, 20 * SECOND).validate()), ConfigErrorKind::Backoff);
}

#[test]
fn jitter_stays_within_the_wait_and_seeds_repeat() {
    let seeded = |jitter| Backoff::new(SECOND, SECOND).jitter(jitter).seed(7);
    let waits = |backoff: &Backoff| (0..100).map(|_| wait(backoff, 1)).collect::<Vec<_>>();
    assert_eq!(waits(&seeded(1.0)), waits(&seeded(1.0)));
    assert_ne!(waits(&seeded(1.0)), waits(&seeded(1.0).seed(8)));
    assert!(waits(&seeded(0.5)).iter().all(|wait| (SECOND / 2..=SECOND).contains(wait)));
    assert!(waits(&seeded(0.0)).iter().all(|wait| *wait == SECOND));
}

#[test]
fn limits_give_an_event_up_by_attempts_and_by_time() {
    let backoff = Backoff::new(SECOND, SECOND).jitter(0.0);
    let backoff = backoff.max_attempts(3).max_elapsed(10 * SECOND);
    let breaker = Breaker::new(100, SECOND).max_attempts(3).max_elapsed(10 * SECOND);
    let policies: [Box<dyn RetryPolicy<()>>; 2] = [Box::new(backoff), Box::new(breaker)];
    for policy in policies {
        let asked = |number, elapsed| policy.failure(&(), &attempt(number, elapsed));
        assert_ne!(asked(2, SECOND), Next::GiveUp);
        assert_eq!(asked(3, SECOND), Next::GiveUp);
        assert_eq!(asked(2, 10 * SECOND), Next::GiveUp, "the next attempt would exceed the time limit");
    }
}

#[test]
fn pointers_and_arcs_forward_a_policy() {
    let backoff = Backoff::default().max_attempts(1);
    assert_eq!(ask(&&backoff, 1), Next::GiveUp);
    let shared: Arc<dyn RetryPolicy<()>> = Arc::new(backoff);
    assert_eq!(ask(&shared, 1), Next::GiveUp);
    assert_eq!(ask(&(Box::new(shared) as Box<dyn RetryPolicy<()>>), 1), Next::GiveUp);
}

#[test]
fn invalid_settings_are_refused() {
    let backoff = || Backoff::default();
    let breaker = || Breaker::new(5, SECOND);
    let policies = [
        (Backoff::new(Duration::ZERO, SECOND), ConfigErrorKind::Backoff),
        (Backoff::new(SECOND, MILLI), ConfigErrorKind::Backoff),
        (backoff().factor(0.5), ConfigErrorKind::Factor),
        (backoff().factor(f64::NAN), ConfigErrorKind::Factor),
        (backoff().factor(f64::INFINITY), ConfigErrorKind::Factor),
        (backoff().jitter(-0.1), ConfigErrorKind::Jitter),
        (backoff().jitter(1.1), ConfigErrorKind::Jitter),
        (backoff().jitter(f64::NAN), ConfigErrorKind::Jitter),
        (backoff().jitter(f64::INFINITY), ConfigErrorKind::Jitter),
        (backoff().max_attempts(0), ConfigErrorKind::Attempts),
    ];
    for (policy, expected) in policies {
        assert_eq!(invalid(policy.validate()), expected);
        // The retry reports the invalid policy, with and without keys.
        let policy = Arc::new(policy);
        assert_eq!(invalid(noop::<()>().retry(policy.clone()).queue(1)), expected);
        assert_eq!(invalid(noop::<()>().retry_by_key(|()| 0, policy).queue(1)), expected);
    }
    let breakers = [
        (breaker().max_attempts(0), ConfigErrorKind::Attempts),
        (Breaker::new(0, SECOND), ConfigErrorKind::Threshold),
        (Breaker::new(5, Duration::ZERO), ConfigErrorKind::Backoff),
    ];
    for (policy, expected) in breakers {
        assert_eq!(invalid(policy.validate()), expected);
        assert_eq!(invalid(noop::<()>().retry(policy).queue(1)), expected);
    }
    assert!(Breaker::new(u32::MAX, HOUR).validate().is_ok());
    assert!(Breaker::new(1, Duration::MAX).validate().is_ok());
}

#[test]
fn longest_backoff_does_not_panic() {
    let longest = Backoff::new(Duration::MAX, Duration::MAX).jitter(0.0);
    assert_eq!(wait(&longest, 1), Duration::MAX);
}

/// Found by fuzzing: a float cannot represent this number of seconds, and the next larger float
/// exceeds the limit.
#[test]
fn rounding_never_exceeds_the_longest_backoff() {
    let most = Duration::from_secs(6_004_234_345_560_364_031);
    let longest = Backoff::new(most, most).jitter(0.0);
    assert_eq!(wait(&longest, 1), most);
}
