//! A model of how far one consumer is. In a queue a light fence stands between two events, and in a
//! model that is a full one.

use super::Progress;
use crate::ring::mpmc::{Pop, Ring};
use loom_tests::probe::Traces;
use loom_tests::{Arc, model, thread};

#[test]
fn a_flush_against_an_event_that_is_evicted_first() {
    // The consumer finds nothing where it has seen something, since the event is evicted before the
    // consumer has it. A flush that finds the consumer with empty hands, and everything claimed,
    // sees what it did with the event before. Fails when ORD(lane.in_hand) is Relaxed in
    // `nothing_in_hand`.
    model(|| {
        let (ring, progress) = (Ring::new(2).expect("a small ring"), Progress::default());
        let traces = Traces::default();
        assert!(ring.push(0).is_ok() && ring.push(1).is_ok());
        let shared = Arc::new((ring, progress));
        let (consumer, done) = (shared.clone(), traces.clone());
        let consumer = thread::spawn(move || {
            let (ring, progress) = &*consumer;
            while ring.has_filled() {
                progress.take_in_hand();
                let Pop::Value((position, event)) = ring.pop_at() else {
                    progress.nothing_in_hand();
                    break;
                };
                done.leave(event);
                progress.done(position);
            }
        });
        let (ring, progress) = &*shared;
        if let Pop::Value(evicted) = ring.pop()
            && progress.is_past(ring, 2)
        {
            traces.look(0b11 & !(1 << evicted));
        }
        consumer.join().unwrap();
    });
}
