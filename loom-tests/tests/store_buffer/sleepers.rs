//! A journal's reader that parks against its writer: `Sleepers::park_unless` against `wake`; and
//! the link of a berth.

use super::explore::Scenario;
use super::machine::Machine::{Tso, Weak};
use super::program::{Fence, Program, Register, Word};
use super::{BOTH, check_pairs, fails, holds};
use std::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};

const EVENTS: Word = Word(0, "events");
/// The stack: whether the single berth is on it.
const FIRST: Word = Word(1, "first");
const BED: Word = Word(2, "bed");
const NEXT: Word = Word(3, "next");

const OUT: u8 = 0;
const AWAY: u8 = 1;
const ASLEEP: u8 = 2;
const TAKING: u8 = 3;
const CALLED: u8 = 4;

const SEEN: Register = Register(0);
const FOUND: Register = Register(1);
const HANDLED: Register = Register(2);

fn lie_down(program: Program) -> Program {
    program.exchange(BED, (AWAY, ASLEEP), FOUND, Release).when(
        |r| r[FOUND] != AWAY,
        |out| out.store(BED, ASLEEP, Relaxed).exchange(FIRST, (0, 1), FOUND, Release),
    )
}

fn get_up(program: Program) -> Program {
    program.repeat(|again| {
        again
            .load(BED, FOUND, Acquire)
            .leave_when(|r| r[FOUND] < ASLEEP)
            .when(
                |r| r[FOUND] == ASLEEP,
                |asleep| {
                    asleep.exchange(BED, (ASLEEP, AWAY), FOUND, Relaxed).leave_when(|r| r[FOUND] == ASLEEP)
                },
            )
            .when(|r| r[FOUND] == CALLED, |called| called.store(BED, OUT, Relaxed).leave_when(|_| true))
    })
}

/// In its second park the reader may still be on the stack.
fn reader(rare: Fence) -> Program {
    Program::new("reader").repeat(|again| {
        let looked = again
            .load(EVENTS, SEEN, Acquire)
            .compute(|r| r[HANDLED] = r[SEEN])
            .leave_when(|r| r[HANDLED] == 2);
        let up = lie_down(looked)
            .fence(rare)
            .load(EVENTS, SEEN, Acquire)
            .when(|r| r[SEEN] == r[HANDLED], Program::park);
        get_up(up)
    })
}

fn rouse(program: Program) -> Program {
    program.repeat(|again| {
        again
            .exchange(BED, (AWAY, OUT), FOUND, Release)
            .leave_when(|r| r[FOUND] == AWAY)
            .exchange(BED, (ASLEEP, TAKING), FOUND, Acquire)
            .when(|r| r[FOUND] == ASLEEP, |taken| taken.store(BED, CALLED, Release).unpark(0))
            .leave_when(|r| r[FOUND] == ASLEEP)
    })
}

fn publish_against_a_reader(frequent: Fence, rare: Fence) -> Scenario {
    let writer = [1, 2].into_iter().fold(Program::new("writer"), |writer, event| {
        writer.store(EVENTS, event, Release).fence(frequent).load(FIRST, SEEN, Relaxed).when(
            |r| r[SEEN] == 1,
            |called| called.swap(FIRST, 0, SEEN, Acquire).when(|r| r[SEEN] == 1, rouse),
        )
    });
    Scenario::new().thread(reader(rare)).thread(writer)
}

/// The owner of the chain reads a berth's link, and releases the berth; its reader, which parks
/// again, writes the link again.
fn link(let_go: Ordering) -> Scenario {
    let waker = Program::new("waker")
        .load(NEXT, SEEN, Relaxed)
        .exchange(BED, (AWAY, OUT), FOUND, let_go)
        .check("the link was read after it was released", |r| r[SEEN] == 1);
    let reader = Program::new("reader")
        .exchange(BED, (AWAY, ASLEEP), FOUND, Acquire)
        .when(|r| r[FOUND] == OUT, |out| out.store(NEXT, 2, Relaxed));
    Scenario::new().word(NEXT, 1).word(BED, AWAY).thread(waker).thread(reader)
}

#[test]
fn publish_wakes_a_parking_journal_reader() {
    // The push is a read-modify-write, which is a full fence on one of the machines, if the
    // compiler leaves it where it is.
    let tolerated = [(Fence::Full, Fence::Compiler)];
    check_pairs("publish against a journal's reader", &tolerated, publish_against_a_reader);
}

#[test]
fn waker_reads_a_link_before_it_frees_the_berth() {
    // A store before an earlier load, which loom never runs: AWAY to OUT is a Release for this
    // reason.
    holds("the link of a berth", BOTH, &link(Release));
    fails("the link of a berth, Relaxed", &[Tso, Weak], &link(Relaxed));
}
