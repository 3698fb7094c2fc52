//! A signal reaches every sink of a fan-out, also when the first of them panics at it.

use buslane::retry::{Backoff, DeadLetter};
use buslane::sink::Signal;
use buslane::stats::{FlushReport, SinkState};
use buslane::time::Deadline;
use buslane::{Bus, Sink, SinkExt, WriteError};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Panics at every signal.
struct Faulty;

impl<E> Sink<E> for Faulty {
    fn write(&self, _event: E) -> Result<(), WriteError<E>> {
        Ok(())
    }

    fn signal(&self, _signal: &mut Signal<'_>) {
        panic!("a faulty sink");
    }
}

/// Counts the signals of interest.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl<E> Sink<E> for Counting {
    fn write(&self, _event: E) -> Result<(), WriteError<E>> {
        Ok(())
    }

    fn signal(&self, signal: &mut Signal<'_>) {
        if matches!(signal, Signal::Tick { .. } | Signal::EndOfBatch | Signal::Abort | Signal::Flush(..)) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends each signal once; every one must arrive, and none may unwind.
#[track_caller]
fn assert_all_arrive(what: &str, fan_out: &dyn Sink<u32>, counting: &Counting) {
    let before = counting.0.load(Ordering::Relaxed);
    fan_out.signal(&mut Signal::Tick { now: Instant::now(), next: &mut None });
    fan_out.signal(&mut Signal::EndOfBatch);
    fan_out.signal(&mut Signal::Flush(Deadline::NOW, &mut FlushReport::default()));
    fan_out.signal(&mut Signal::Describe(&mut SinkState::default()));
    fan_out.signal(&mut Signal::IsClosed(&mut false));
    fan_out.signal(&mut Signal::Abort);
    assert_eq!(counting.0.load(Ordering::Relaxed) - before, 4, "{what}");
}

#[test]
fn signals_reach_every_sink_of_a_fan_out() {
    let counting = Counting::default();
    let letters = || {
        let counting = counting.clone();
        struct Letters(Counting);
        impl Sink<DeadLetter<u32>> for Letters {
            fn write(&self, letter: DeadLetter<u32>) -> Result<(), WriteError<DeadLetter<u32>>> {
                self.0.write(letter)
            }
            fn signal(&self, signal: &mut Signal<'_>) {
                Sink::<u32>::signal(&self.0, signal);
            }
        }
        Letters(counting)
    };
    let bus = Bus::new();
    bus.add(Faulty).unwrap();
    bus.add(counting.clone()).unwrap();
    assert_all_arrive("bus", &bus, &counting);
    assert_all_arrive("tee", &Faulty.tee(counting.clone()), &counting);
    assert_all_arrive("tee, the other way", &counting.clone().tee(Faulty), &counting);
    let retry = Faulty.retry(Backoff::default()).dead_letters(letters());
    assert_all_arrive("retry", &retry, &counting);
    let keyed = Faulty.retry_by_key(|n: &u32| *n, Backoff::default()).dead_letters(letters());
    assert_all_arrive("retry by key", &keyed, &counting);
}
