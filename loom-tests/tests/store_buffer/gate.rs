//! A gate that is set up during a publish: `Subscription::subscribe` against `Gates::bar`.
//!
//! The journal keeps one event, in blocks of one. There are two blocks: a publisher that enters the
//! block of event `n` removes event `n - 2`.

use super::explore::Scenario;
use super::program::{Fence, Program, Register, Word};
use super::{BOTH, check_pairs, fails, holds};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const TAIL: Word = Word(0, "tail");
const COUNT: Word = Word(1, "count");
const SEAT: Word = Word(2, "seat");
/// The oldest event that is retained.
const OLDEST: Word = Word(3, "oldest");

const SEEN: Register = Register(0);
const BEGIN: Register = Register(1);
const ENTERED: Register = Register(2);

/// Publishes event 1, which blocks no gate, and two more, unless a gate blocks them.
fn publisher(frequent: Fence) -> Program {
    Program::new("publisher").compute(|r| r[ENTERED] = 2).store(TAIL, ENTERED, Release).repeat(|again| {
        again
            .fence(frequent)
            .load(COUNT, SEEN, Acquire)
            .when(
                |r| r[SEEN] > 0,
                |gated| gated.load(SEAT, SEEN, Relaxed).leave_when(|r| r[SEEN] + 1 < r[ENTERED]),
            )
            .compute(|r| r[SEEN] = r[ENTERED] - 1)
            .store(OLDEST, SEEN, Relaxed)
            .compute(|r| r[ENTERED] += 1)
            .store(TAIL, ENTERED, Release)
            .leave_when(|r| r[ENTERED] == 4)
    })
}

/// Starts at the oldest retained event, and stays there.
fn subscriber(rare: Fence) -> Program {
    Program::new("subscriber")
        .load(TAIL, SEEN, Acquire)
        .compute(|r| r[BEGIN] = r[SEEN] - 1)
        .store(SEAT, BEGIN, Relaxed)
        .store(COUNT, 1, Release)
        .fence(rare)
        .load(TAIL, SEEN, Acquire)
        .compute(|r| r[BEGIN] = r[SEEN] - 1)
        .store(SEAT, BEGIN, Relaxed)
}

#[test]
fn new_gate_misses_no_publish() {
    check_pairs("a gate against publish", &[], |frequent, rare| {
        Scenario::new()
            .word(TAIL, 1)
            .thread(publisher(frequent))
            .thread(subscriber(rare))
            .finally("an event that the gate protects was removed", |end| {
                end.memory(OLDEST) <= end.register(1, BEGIN)
            })
    });
}

const MOVED: [Word; 2] = [Word(0, "one position"), Word(1, "other position")];
const WOKEN: Word = Word(2, "woken");

/// Two subscribers that both block a publisher on the list, and both advance: `Gates::moved`.
/// `between` is the fence between a subscriber's store of its position and its load of the other
/// position.
fn two_movers(between: Fence) -> Scenario {
    let mover = |name, mine, other| {
        Program::new(name)
            .store(mine, 1, Relaxed)
            .fence(between)
            .load(other, SEEN, Relaxed)
            .when(|r| r[SEEN] == 1, |free| free.store(WOKEN, 1, Relaxed))
    };
    let [one, other] = MOVED;
    Scenario::new()
        .thread(mover("one", one, other))
        .thread(mover("other", other, one))
        .finally("no publisher was woken", |end| end.memory(WOKEN) == 1)
}

#[test]
fn two_moving_gates_wake_the_publisher() {
    // The list's own fence may be a compiler fence, which is not sufficient.
    holds("two gates, a full fence", BOTH, &two_movers(Fence::Full));
    fails("two gates, a compiler fence", BOTH, &two_movers(Fence::Compiler));
    fails("two gates, no fence", BOTH, &two_movers(Fence::Nothing));
}
