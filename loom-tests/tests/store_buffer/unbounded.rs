//! The end of an unbounded lane: `Mailbox::push_unbounded` against `Mailbox::set_drained`. Both
//! fences are full.

use super::check_pairs;
use super::explore::Scenario;
use super::program::{Fence, Program, Register, Word};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const EVENT: Word = Word(0, "event");
const DRAINED: Word = Word(1, "drained");

const SEEN: Register = Register(0);

fn sweep(program: Program) -> Program {
    program.load(EVENT, SEEN, Acquire).when(|r| r[SEEN] == 1, |there| there.swap(EVENT, 0, SEEN, Acquire))
}

fn push_against_the_end(pusher: Fence, consumer: Fence) -> Scenario {
    let pusher = Program::new("pusher").store(EVENT, 1, Release).fence(pusher).load(DRAINED, SEEN, Relaxed);
    let consumer = Program::new("consumer").store(DRAINED, 1, Release).fence(consumer);
    Scenario::new()
        .thread(pusher.when(|r| r[SEEN] == 1, sweep))
        .thread(sweep(consumer))
        .finally("an event remains", |end| end.memory(EVENT) == 0)
}

#[test]
fn end_of_an_unbounded_lane_leaves_no_event() {
    check_pairs("a push against the end", &[], push_against_the_end);
}
