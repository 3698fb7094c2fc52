//! Models of the place where several consumers park.

use super::Crowd;
use crate::wait::FencePair;
use loom_tests::{Arc, AtomicUsize, Ordering, model, thread};
use std::time::Duration;

/// How long a nap takes at most on real threads; in a model it ends with a wake-up only.
const NAP: Duration = Duration::from_secs(1);

/// Where consumers park, and what they check for.
struct Place {
    crowd: Crowd,
    progress: AtomicUsize,
}

impl Place {
    fn new() -> Arc<Self> {
        Arc::new(Self { crowd: Crowd::new(FencePair::process()), progress: AtomicUsize::new(0) })
    }

    fn advance(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
        self.crowd.wake_all();
    }

    fn has_come(&self, progress: usize) -> bool {
        self.progress.load(Ordering::Relaxed) >= progress
    }

    fn nap_until(&self, progress: usize) {
        while !self.has_come(progress) {
            self.crowd.nap_unless(NAP, || self.has_come(progress));
        }
    }

    fn park_until(&self, progress: usize) {
        while !self.has_come(progress) {
            self.crowd.park_unless(None, || self.has_come(progress));
        }
    }
}

#[test]
fn wake_all_against_a_nap() {
    // A consumer that naps sees what changed, or is woken: by the lock alone. Fails when the check
    // after the announcement is missing in `Crowd::nap_unless`, or comes before it.
    model(|| {
        let place = Place::new();
        let other = place.clone();
        let waker = thread::spawn(move || {
            other.advance();
            other.advance();
        });
        place.nap_until(1);
        place.nap_until(2);
        waker.join().unwrap();
    });
}

#[test]
fn wake_all_against_one_that_naps_and_one_that_parks() {
    // All are woken, on whichever list. Fails when `Crowd::wake_all` leaves out a list, or counts
    // it before it has the lock.
    model(|| {
        let place = Place::new();
        let (napping, parking) = (place.clone(), place.clone());
        let napping = thread::spawn(move || napping.nap_until(1));
        let parking = thread::spawn(move || parking.park_until(1));
        place.advance();
        napping.join().unwrap();
        parking.join().unwrap();
    });
}
