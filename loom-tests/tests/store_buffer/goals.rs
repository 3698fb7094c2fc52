//! A task that waits for a goal in two parts against the two threads that bring them about:
//! `TaskWait::poll` against `WaitList::notify_progress`, which checks the goals of tasks itself.

use super::explore::Scenario;
use super::machine::Machine;
use super::program::{Fence, Program, Register, Word};
use super::{check_pairs, fails};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const PARTS: [Word; 2] = [Word(0, "one part"), Word(1, "other part")];
const COUNT: Word = Word(2, "count");
const LOCK: Word = Word(3, "lock");
/// Whether the task is on the list.
const LISTED: Word = Word(4, "listed");

const SEEN: Register = Register(0);
const FOUND: Register = Register(1);
const ONE: Register = Register(2);
const OTHER: Register = Register(3);

/// Loads both parts, of which the goal is reached if both are there.
fn check_goal(program: Program) -> Program {
    program.load(PARTS[0], ONE, Acquire).load(PARTS[1], OTHER, Acquire)
}

fn task(rare: Fence) -> Program {
    Program::new("task").repeat(|again| {
        let entered = again
            .locked(LOCK, |inside| inside.store(LISTED, 1, Relaxed).store(COUNT, 1, Relaxed))
            .fence(rare);
        check_goal(entered).leave_when(|r| r[ONE] + r[OTHER] == 2).park()
    })
}

/// `between` is the fence between a notifier's progress and its check of the goal (A5).
fn notifier(name: &'static str, part: Word, frequent: Fence, between: Fence) -> Program {
    Program::new(name).store(part, 1, Release).fence(frequent).load(COUNT, SEEN, Relaxed).when(
        |r| r[SEEN] > 0,
        |waits| {
            let looked = waits.locked(LOCK, |inside| inside.load(LISTED, FOUND, Relaxed)).fence(between);
            check_goal(looked).when(
                |r| r[ONE] + r[OTHER] == 2,
                |reached| {
                    reached
                        .locked(LOCK, |inside| {
                            inside
                                .load(LISTED, FOUND, Relaxed)
                                .store(LISTED, 0, Relaxed)
                                .store(COUNT, 0, Relaxed)
                        })
                        .when(|r| r[FOUND] == 1, |listed| listed.unpark(0))
                },
            )
        },
    )
}

fn two_parts(frequent: Fence, rare: Fence, between: Fence) -> Scenario {
    Scenario::new()
        .thread(task(rare))
        .thread(notifier("one notifier", PARTS[0], frequent, between))
        .thread(notifier("other notifier", PARTS[1], frequent, between))
}

#[test]
fn two_reports_reach_the_goal_of_a_task() {
    check_pairs("a goal in two parts", &[], |frequent, rare| two_parts(frequent, rare, Fence::Full));
}

#[test]
fn goal_that_is_checked_without_a_fence_is_missed() {
    // The light fence of the asymmetric pair orders nothing between two notifiers. The lock does where
    // it is a full fence, and not on a weak machine.
    let scenario = two_parts(Fence::Compiler, Fence::Membarrier, Fence::Nothing);
    fails("a goal in two parts, without a fence", &[Machine::Weak], &scenario);
}
