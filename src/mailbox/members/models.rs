//! The model of the marks of several consumers. In a queue a light fence separates two marks, and
//! in a model that is a full fence.

use super::Members;
use crate::ring::mpmc::{Pop, Ring};
use loom_tests::probe::Traces;
use loom_tests::{Arc, Steps, model, thread};

#[test]
fn flush_sees_events_handled_before_a_new_mark() {
    // A flush that finds a mark above its target, or none, sees what the consumer did with the
    // events below. Fails when ORD(member.mark) is Relaxed in `set_mark`, `clear_mark` or `mark`.
    model(|| {
        let (ring, members) = (Ring::new(2).expect("a small ring"), Members::default());
        let (traces, steps) = (Traces::default(), Steps::new());
        assert!(ring.push(0).is_ok());
        let shared = Arc::new((ring, members));
        let ((member, _), consumer) = (shared.1.join(), shared.clone());
        let (done, turns) = (traces.clone(), steps.clone());
        let consumer = thread::spawn(move || {
            let (ring, _) = &*consumer;
            loop {
                member.set_mark(ring.claimed());
                turns.step();
                let Pop::Value((position, _)) = ring.pop_at() else { break };
                member.set_mark(position);
                done.leave(0);
                member.clear_mark();
                turns.step();
            }
            member.clear_mark();
        });
        steps.step();
        let (ring, members) = &*shared;
        if members.have_reached(1, || ring.claimed()) {
            traces.look(0b1);
        }
        consumer.join().unwrap();
    });
}
