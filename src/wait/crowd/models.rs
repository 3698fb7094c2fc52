//! Models of the parking place of several consumers.

use super::Crowd;
use crate::wait::FencePair;
use loom_tests::{Arc, AtomicUsize, Ordering, model, thread};
use std::time::Duration;

/// The longest nap on real threads; in a model only a wake-up ends it.
const NAP: Duration = Duration::from_secs(1);

/// A crowd, and the progress that its consumers check for.
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
fn wake_all_ends_a_nap() {
    // A napping consumer sees the change or is woken, by the lock alone. Fails when the check after
    // the announcement is missing in `Crowd::nap_unless`, or comes before it.
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
fn wake_all_ends_naps_and_parks() {
    // Consumers on both lists are woken. Fails when `Crowd::wake_all` omits a list, or counts it
    // before it has the lock.
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
