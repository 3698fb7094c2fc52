//! Tasks that wait for room of their own while the notifiers pay for the fence: `TaskWait::poll` and
//! `WaitList::fence_after_entry` against `notify_room`, and a notifier that lets the notifiers off.

use super::explore::Scenario;
use super::program::{Fence, Program, Register, Word};
use super::{BOTH, fails, holds};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const ROOM: Word = Word(0, "room");
/// Nonzero while a waiter is on the list, or notifiers are asked.
const COUNT: Word = Word(1, "count");
const WOKEN: Word = Word(2, "woken");
const LOCK: Word = Word(3, "lock");
const LISTED: Word = Word(4, "listed");
const STATE: Word = Word(5, "state");

const WAITERS: u8 = 0;
const ASKING: u8 = 1;
const NOTIFIERS: u8 = 2;

const SEEN: Register = Register(0);
const FOUND: Register = Register(1);
const PAYS: Register = Register(2);

/// The fences, and what a weakened variant leaves out.
#[derive(Clone, Copy)]
struct Rules {
    /// Of a notifier, before it looks at the count.
    light: Fence,
    /// Of a notifier that finds a count, before it looks at the mark.
    asked: Fence,
    /// Of a waiter that pays.
    paid: Fence,
    /// Of a waiter for which notifiers pay.
    agreed: Fence,
    /// The state while a waiter has asked, and its heavy fence is not yet executed.
    asking: u8,
    /// Whether notifiers are let off only while the list is empty.
    spares_waiters: bool,
}

const RULES: Rules = Rules {
    light: Fence::Compiler,
    asked: Fence::Full,
    paid: Fence::Membarrier,
    agreed: Fence::Full,
    asking: ASKING,
    spares_waiters: true,
};

/// A waiter that asks, whose own wait is left out; later, a notifier that lets the notifiers off.
fn asker(rules: Rules) -> Program {
    Program::new("asker")
        .locked(LOCK, |inside| inside.store(STATE, rules.asking, Relaxed).store(COUNT, 1, Relaxed))
        .fence(rules.paid)
        .locked(LOCK, |inside| inside.store(STATE, NOTIFIERS, Relaxed))
        .locked(LOCK, |inside| {
            let let_off = |body: Program| body.store(STATE, WAITERS, Relaxed).store(COUNT, 0, Relaxed);
            let looked = inside.load(LISTED, FOUND, Relaxed);
            if rules.spares_waiters { looked.when(|r| r[FOUND] == 0, let_off) } else { let_off(looked) }
        })
}

fn waiter(rules: Rules) -> Program {
    // It has waited before, so its mark may be the older one.
    Program::new("waiter").store(WOKEN, 1, Relaxed).repeat(|again| {
        let entered = again.store(WOKEN, 0, Relaxed).locked(LOCK, |inside| {
            inside.load(STATE, PAYS, Relaxed).store(LISTED, 1, Relaxed).store(COUNT, 1, Relaxed)
        });
        let fenced = entered
            .when(|r| r[PAYS] == NOTIFIERS, |cheap| cheap.fence(rules.agreed))
            .when(|r| r[PAYS] != NOTIFIERS, |dear| dear.fence(rules.paid));
        let looked = fenced.load(ROOM, SEEN, Acquire);
        looked.leave_when(|r| r[SEEN] == 1).park()
    })
}

fn notifier(rules: Rules) -> Program {
    Program::new("notifier").store(ROOM, 1, Release).fence(rules.light).load(COUNT, SEEN, Relaxed).when(
        |r| r[SEEN] > 0,
        |waits| {
            waits.fence(rules.asked).load(WOKEN, FOUND, Relaxed).when(
                |r| r[FOUND] == 0,
                |marked| {
                    marked
                        .locked(LOCK, |inside| inside.load(LISTED, FOUND, Relaxed).store(LISTED, 0, Relaxed))
                        .when(|r| r[FOUND] == 1, |listed| listed.store(WOKEN, 1, Release).unpark(1))
                },
            )
        },
    )
}

fn scenario(rules: Rules) -> Scenario {
    Scenario::new().thread(asker(rules)).thread(waiter(rules)).thread(notifier(rules))
}

#[test]
fn waiter_is_woken_whoever_pays() {
    holds("room of its own, paid in turns", BOTH, &scenario(RULES));
}

#[test]
fn state_before_the_heavy_fence_of_the_asker_loses_a_wake_up() {
    let rules = Rules { asking: NOTIFIERS, ..RULES };
    fails("room of its own, agreed too early", BOTH, &scenario(rules));
}

#[test]
fn each_fence_is_needed() {
    for (what, rules) in [
        ("the light fence", Rules { light: Fence::Nothing, ..RULES }),
        ("the fence of a notifier that was asked", Rules { asked: Fence::Compiler, ..RULES }),
        ("the heavy fence", Rules { paid: Fence::Full, ..RULES }),
    ] {
        fails(&format!("room of its own without {what}"), BOTH, &scenario(rules));
    }
    // The lock of the list comes after the mark, and is a full fence on a machine with store buffers.
    let rules = Rules { agreed: Fence::Compiler, ..RULES };
    holds("room of its own without the fence of a waiter", &[super::Machine::Tso], &scenario(rules));
    fails("room of its own without the fence of a waiter", &[super::Machine::Weak], &scenario(rules));
}

#[test]
fn waiters_are_spared_when_notifiers_are_let_off() {
    let rules = Rules { spares_waiters: false, ..RULES };
    fails("room of its own, let off beside a waiter", BOTH, &scenario(rules));
}
