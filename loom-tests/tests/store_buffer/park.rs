//! A consumer that parks in the wait cell against publishers: `WaitCell::park_unless` against
//! `fence` and `wake`.

use super::explore::Scenario;
use super::program::{Fence, Program, Register, Word};
use super::{BOTH, check_pairs, fails, holds};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

pub(crate) const EVENTS: Word = Word(0, "events");
pub(crate) const PARKED: Word = Word(1, "parked");
pub(crate) const STATE: Word = Word(2, "state");

const IDLE: u8 = 0;
pub(crate) const ASLEEP: u8 = 1;
const BUSY: u8 = 2;

pub(crate) const SEEN: Register = Register(0);
pub(crate) const FOUND: Register = Register(1);
pub(crate) const HANDLED: Register = Register(2);

/// `WaitCell::prepare`; then `body`, if no thread is at work in the cell.
pub(crate) fn prepare(program: Program, parks: bool, body: impl FnOnce(Program) -> Program) -> Program {
    program.exchange(STATE, (IDLE, BUSY), FOUND, Acquire).when(
        |r| r[FOUND] == IDLE,
        |then| {
            let announced = if parks { then.store(PARKED, 1, Relaxed) } else { then };
            body(announced.store(STATE, ASLEEP, Release))
        },
    )
}

/// `WaitCell::take`; then `body`, for the thread that took the parked consumer out.
pub(crate) fn take(program: Program, parks: bool, body: impl FnOnce(Program) -> Program) -> Program {
    program.exchange(STATE, (ASLEEP, BUSY), FOUND, Acquire).when(
        |r| r[FOUND] == ASLEEP,
        |then| {
            let taken = if parks { then.store(PARKED, 0, Relaxed) } else { then };
            body(taken.store(STATE, IDLE, Release))
        },
    )
}

/// `WaitCell::wake`, for the consumer, which is thread 0.
pub(crate) fn wake(program: Program) -> Program {
    program.load(PARKED, SEEN, Relaxed).when(
        |r| r[SEEN] == 1,
        |then| {
            then.load(STATE, FOUND, Relaxed)
                .when(|r| r[FOUND] == ASLEEP, |then| take(then, true, |woken| woken.unpark(0)))
        },
    )
}

/// Handles events until there were two, and sleeps when there is none: in a park, or in a nap,
/// which has no end here.
pub(crate) fn sleep(consumer: Program, rare: Fence, parks: bool) -> Program {
    consumer.repeat(|again| {
        let looked = again
            .load(EVENTS, SEEN, Acquire)
            .compute(|r| r[HANDLED] = r[SEEN])
            .leave_when(|r| r[HANDLED] == 2);
        prepare(looked, parks, |announced| {
            let up = announced
                .fence(rare)
                .load(EVENTS, SEEN, Acquire)
                .when(|r| r[SEEN] == r[HANDLED], Program::park);
            take(up, parks, |taken| taken)
        })
    })
}

/// One publisher of two events.
fn one_publisher(frequent: Fence, rare: Fence) -> Scenario {
    let publisher = [1, 2].into_iter().fold(Program::new("publisher"), |publisher, event| {
        wake(publisher.store(EVENTS, event, Release).fence(frequent))
    });
    Scenario::new().thread(sleep(Program::new("consumer"), rare, true)).thread(publisher)
}

/// Two publishers of one event each, as on a shared lane.
fn two_publishers(frequent: Fence, rare: Fence) -> Scenario {
    let publisher = |name| wake(Program::new(name).add(EVENTS, 1, SEEN, Release).fence(frequent));
    Scenario::new()
        .thread(sleep(Program::new("consumer"), rare, true))
        .thread(publisher("publisher"))
        .thread(publisher("other publisher"))
}

#[test]
fn publish_wakes_a_parking_consumer() {
    check_pairs("publish against park", &[], one_publisher);
}

#[test]
fn two_publishers_wake_a_parking_consumer() {
    use Fence::{Compiler, Full, Membarrier};
    for (frequent, rare) in [(Compiler, Membarrier), (Full, Full)] {
        holds("two publishers against park", BOTH, &two_publishers(frequent, rare));
    }
    fails("two publishers against park", BOTH, &two_publishers(Full, Compiler));
}
