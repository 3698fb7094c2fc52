//! Removal of a sink that is called directly: `Guarded::enter` against `Guarded::detach`, and
//! `Info::begin_call` against a close.

use super::explore::Scenario;
use super::machine::Machine::{Tso, Weak};
use super::program::{Fence, Program, Register, Word};
use super::{check_pairs, fails, holds};
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

/// The hazard word, or the number of calls in progress.
const NAMED: Word = Word(0, "named");
const STATE: Word = Word(1, "state");
/// The sink itself: 0 while it lives.
const SINK: Word = Word(2, "sink");
/// The sink's store, which the remover reads.
const WRITTEN: Word = Word(3, "written");

const ATTACHED: u8 = 0;
const DETACHED: u8 = 1;

const SEEN: Register = Register(0);
const FOUND: Register = Register(1);
const CALLS: Register = Register(2);

/// Calls the sink twice; it must be alive each time.
fn publisher(
    enter: impl Fn(Program) -> Program,
    leave: impl Fn(Program) -> Program,
    frequent: Fence,
) -> Program {
    (0..2).fold(Program::new("publisher"), |publisher, _| {
        let entered = enter(publisher).fence(frequent).load(STATE, FOUND, Relaxed).when(
            |r| r[FOUND] == ATTACHED,
            |inside| {
                inside
                    .load(SINK, SEEN, Relaxed)
                    .check("called after its drop", |r| r[SEEN] == 0)
                    .compute(|r| r[CALLS] += 1)
                    .store(WRITTEN, CALLS, Relaxed)
            },
        );
        leave(entered)
    })
}

/// Marks the sink, waits until no call is inside, reads its store, and drops it.
fn remover(rare: Fence, look: Ordering) -> Program {
    Program::new("remover")
        .exchange(STATE, (ATTACHED, DETACHED), FOUND, AcqRel)
        .fence(rare)
        .repeat(|again| again.load(NAMED, SEEN, look).leave_when(|r| r[SEEN] == 0))
        .load(WRITTEN, SEEN, Relaxed)
        .store(SINK, 1, Relaxed)
}

fn scenario(publisher: Program, remover: Program) -> Scenario {
    Scenario::new()
        .thread(publisher)
        .thread(remover)
        .finally("a call was not seen", |end| end.register(1, SEEN) == end.register(0, CALLS))
}

fn by_hazard(frequent: Fence, rare: Fence, (clear, look): (Ordering, Ordering)) -> Scenario {
    let publisher = publisher(|p| p.store(NAMED, 1, Relaxed), |p| p.store(NAMED, 0, clear), frequent);
    scenario(publisher, remover(rare, look))
}

fn by_count(frequent: Fence, rare: Fence) -> Scenario {
    let publisher =
        publisher(|p| p.add(NAMED, 1, SEEN, Relaxed), |p| p.add(NAMED, u8::MAX, SEEN, Release), frequent);
    scenario(publisher, remover(rare, Acquire))
}

#[test]
fn remove_ends_calls_of_a_direct_sink() {
    // The mark is a read-modify-write, which is a full fence on one of the machines.
    let tolerated = [(Fence::Full, Fence::Compiler), (Fence::Full, Fence::Nothing)];
    check_pairs("remove against publish", &tolerated, |frequent, rare| {
        by_hazard(frequent, rare, (Release, Acquire))
    });
}

#[test]
fn direct_call_happens_before_the_end_of_remove() {
    let pair = (Fence::Compiler, Fence::Membarrier);
    fails("the hazard is cleared too early", &[Tso, Weak], &by_hazard(pair.0, pair.1, (Relaxed, Acquire)));
    // A load does not pass a branch here, so this ordering does not show as necessary.
    holds("the load of the hazard", &[Tso, Weak], &by_hazard(pair.0, pair.1, (Release, Relaxed)));
}

#[test]
fn close_ends_calls_of_bus_publish() {
    use Fence::{Compiler, Full, Membarrier, Nothing};
    // As in the source, with a full fence on one side and either heavy fence on the other.
    for rare in [Membarrier, Full] {
        holds("close against Bus::publish", &[Tso, Weak], &by_count(Full, rare));
    }
    fails("close against Bus::publish, no fence of the call", &[Tso, Weak], &by_count(Nothing, Full));
    // Both the count and the mark are read-modify-writes.
    for (frequent, rare) in [(Compiler, Full), (Full, Compiler), (Full, Nothing)] {
        let what = format!("close against Bus::publish ({frequent:?}, {rare:?})");
        holds(&what, &[Tso], &by_count(frequent, rare));
        fails(&what, &[Weak], &by_count(frequent, rare));
    }
}
