//! The model of the counters of events that were set aside.

use super::RetryCounters;
use crate::stats::{Disposition, Ledgers, Levels};
use loom_tests::{Arc, model, thread};

#[test]
fn event_that_ends_is_in_every_ledger_once() {
    // A snapshot finds the event waiting or ended, whenever the outcome is counted. Fails when the
    // waiting events are counted apart from those that were set aside, or when a counter is loaded
    // twice for one ledger.
    model(|| {
        let counters = Arc::new(RetryCounters::new());
        counters.set_aside();
        let ending = counters.clone();
        let ending = thread::spawn(move || {
            let load = ending.scales.load(&7_u32, &Levels::default());
            ending.ended(load, Disposition::Delivered);
        });
        for _ in 0..2 {
            let ledger = counters.ledger(&Ledgers::default());
            assert_eq!((ledger.offered, ledger.accepted, ledger.delivered + ledger.pending), (1, 1, 1));
        }
        ending.join().unwrap();
        assert_eq!(counters.ledger(&Ledgers::default()).delivered, 1);
    });
}
