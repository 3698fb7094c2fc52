//! A wait cell whose consumer and publishers take turns in paying for the fence:
//! `WaitCell::park_unless_paid` and `let_publishers_off` against `wake`.

use super::explore::Scenario;
use super::park::{ASLEEP, EVENTS, FOUND, HANDLED, PARKED, SEEN, STATE};
use super::program::{Fence, Program, Register, Registers};
use super::{BOTH, fails, holds};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const IDLE: u8 = 0;
const BUSY: u8 = 2;
/// The bit of the word that asks publishers for a full fence. The other bit is 1: parked.
const FULL: u8 = 2;
/// What the owner of the cell keeps of the word.
const KEPT: Register = Register(3);

/// How the consumer waits after a number of events.
#[derive(Clone, Copy)]
enum Wait {
    /// It pays.
    Consumer,
    /// The publishers pay.
    Publishers,
    /// It pays, and lets the publishers off before, while it is awake.
    LetOff,
}

/// The fences, and what a weakened variant leaves out.
#[derive(Clone, Copy)]
struct Rules {
    /// Of a publisher, before its first look at the word.
    light: Fence,
    /// Of a publisher that is asked for it.
    asked: Fence,
    /// Whether that publisher looks at the word again.
    looks_again: bool,
    /// Of a consumer that pays.
    paid: Fence,
    /// Of a consumer that asks publishers, and had not asked before.
    switch: Fence,
    /// Of a consumer that had asked before.
    agreed: Fence,
}

const RULES: Rules = Rules {
    light: Fence::Compiler,
    asked: Fence::Full,
    looks_again: true,
    paid: Fence::Membarrier,
    switch: Fence::Membarrier,
    agreed: Fence::Full,
};

fn has_handled(events: usize) -> fn(&Registers) -> bool {
    let conditions: [fn(&Registers) -> bool; 3] =
        [|r| r[HANDLED] == 0, |r| r[HANDLED] == 1, |r| r[HANDLED] == 2];
    conditions[events]
}

/// `WaitCell::take`; then `body`.
fn take(program: Program, body: impl FnOnce(Program) -> Program) -> Program {
    program.exchange(STATE, (ASLEEP, BUSY), FOUND, Acquire).when(
        |r| r[FOUND] == ASLEEP,
        |then| {
            let kept = then.load(PARKED, KEPT, Relaxed).compute(|r| r[KEPT] &= FULL);
            body(kept.store(PARKED, KEPT, Relaxed).store(STATE, IDLE, Release))
        },
    )
}

/// `WaitCell::prepare`; then `body`, which finds in KEPT what the word was, if no thread is at work
/// in the cell.
fn prepare(program: Program, word: u8, body: impl FnOnce(Program) -> Program) -> Program {
    program.exchange(STATE, (IDLE, BUSY), FOUND, Acquire).when(
        |r| r[FOUND] == IDLE,
        |then| {
            let kept = then.load(PARKED, KEPT, Relaxed).store(PARKED, word, Relaxed);
            body(kept.store(STATE, ASLEEP, Release))
        },
    )
}

/// Looks again, and parks if there is no further event.
fn recheck(announced: Program) -> Program {
    let checked = announced.load(EVENTS, SEEN, Acquire).when(|r| r[SEEN] == r[HANDLED], Program::park);
    take(checked, |taken| taken)
}

/// `WaitCell::park_unless_paid`.
fn park(program: Program, wait: Wait, rules: Rules) -> Program {
    match wait {
        Wait::Consumer => prepare(program, 1, |announced| recheck(announced.fence(rules.paid))),
        Wait::Publishers => prepare(program, 1 | FULL, |announced| {
            let switched = announced.when(|r| r[KEPT] & FULL == 0, |then| then.fence(rules.switch));
            recheck(switched.when(|r| r[KEPT] & FULL != 0, |then| then.fence(rules.agreed)))
        }),
        Wait::LetOff => {
            let off = program.exchange(STATE, (IDLE, BUSY), FOUND, Acquire).when(
                |r| r[FOUND] == IDLE,
                |then| then.store(PARKED, 0, Relaxed).store(STATE, IDLE, Release),
            );
            park(off, Wait::Consumer, rules)
        }
    }
}

/// Handles one event for each of these waits, and waits like this when there is none.
fn consumer(waits: [Wait; 3], rules: Rules) -> Program {
    Program::new("consumer").repeat(|again| {
        let looked = again
            .load(EVENTS, SEEN, Acquire)
            .compute(|r| r[HANDLED] = r[SEEN])
            .leave_when(|r| r[HANDLED] == 3);
        waits.into_iter().enumerate().fold(looked, |program, (events, wait)| {
            program.when(has_handled(events), |then| park(then, wait, rules))
        })
    })
}

/// `FastLane::push`: the event, the light fence, the word; then `WaitCell::wake`.
fn publish(program: Program, event: u8, rules: Rules) -> Program {
    program
        .store(EVENTS, event, Release)
        .fence(rules.light)
        .load(PARKED, SEEN, Relaxed)
        .when(
            |r| r[SEEN] & FULL != 0,
            |asked| {
                let fenced = asked.fence(rules.asked);
                if rules.looks_again { fenced.load(PARKED, SEEN, Relaxed) } else { fenced }
            },
        )
        .when(
            |r| r[SEEN] & 1 != 0,
            |then| {
                then.load(STATE, FOUND, Relaxed)
                    .when(|r| r[FOUND] == ASLEEP, |then| take(then, |woken| woken.unpark(0)))
            },
        )
}

fn scenario(waits: [Wait; 3], rules: Rules) -> Scenario {
    let publisher = [1, 2, 3]
        .into_iter()
        .fold(Program::new("publisher"), |program, event| publish(program, event, rules));
    Scenario::new().thread(consumer(waits, rules)).thread(publisher)
}

use Wait::{Consumer, LetOff, Publishers};

#[test]
fn change_of_the_payer_loses_no_wake_up() {
    for (what, waits) in [
        ("asked, agreed", [Publishers, Publishers, Publishers]),
        ("paid, asked, agreed", [Consumer, Publishers, Publishers]),
        ("asked, agreed, paid", [Publishers, Publishers, Consumer]),
        ("asked, paid, asked", [Publishers, Consumer, Publishers]),
        ("asked, agreed, let off", [Publishers, Publishers, LetOff]),
        ("asked, let off, asked", [Publishers, LetOff, Publishers]),
    ] {
        holds(what, BOTH, &scenario(waits, RULES));
    }
}

#[test]
fn weakened_change_of_the_payer_loses_wake_ups() {
    let asked = [Publishers, Publishers, Publishers];
    // A publisher that is asked for a full fence, and runs none.
    fails("not fenced", BOTH, &scenario(asked, Rules { asked: Fence::Compiler, ..RULES }));
    // A publisher that runs it, and trusts the word of before.
    fails("not loaded again", BOTH, &scenario(asked, Rules { looks_again: false, ..RULES }));
    // A publisher has loaded the word before it was asked, and its event is not visible yet.
    fails("asked without membarrier", BOTH, &scenario(asked, Rules { switch: Fence::Full, ..RULES }));
    fails("agreed without fence", BOTH, &scenario(asked, Rules { agreed: Fence::Compiler, ..RULES }));
    // The publishers are no longer asked, and the consumer does not pay either.
    let back = Rules { paid: Fence::Full, ..RULES };
    fails("paid without membarrier", BOTH, &scenario([Publishers, Publishers, Consumer], back));
    fails("let off without membarrier", BOTH, &scenario([Publishers, Publishers, LetOff], back));
    // A publisher looks at the word before its event: it is not asked, and `membarrier` comes
    // between.
    fails("no light fence", BOTH, &scenario(asked, Rules { light: Fence::Nothing, ..RULES }));
}
