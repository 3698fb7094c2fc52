//! The model of the progress of one consumer. In a queue a light fence separates two events, and in
//! a model that is a full fence.

use super::Progress;
use crate::ring::mpmc::{Pop, Ring};
use loom_tests::probe::Traces;
use loom_tests::{Arc, model, thread};

#[test]
fn a_flush_against_an_event_that_is_evicted_first() {
    // The consumer sees an event and then cannot take it, since the event is evicted first. A flush
    // that finds nothing in progress, and everything claimed, sees what the consumer did with the
    // event before. Fails when ORD(lane.in_hand) is Relaxed in `nothing_in_hand`.
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
            && progress.has_reached(ring, 2)
        {
            traces.look(0b11 & !(1 << evicted));
        }
        consumer.join().unwrap();
    });
}
