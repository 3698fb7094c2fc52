//! Several parked consumers: `Crowd::park_unless` against `Signals::wake`, and against a consumer
//! that passes on; and `Crowd::nap_unless` against `Crowd::wake_all`.

use super::explore::Scenario;
use super::program::{Fence, Program, Register, Word};
use super::{BOTH, check_pairs, fails, holds};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Whether the first slot of the lane is filled.
const FIRST: Word = Word(0, "first slot");
const SECOND: Word = Word(1, "second slot");
/// The position of the next event to claim.
const HEAD: Word = Word(2, "head");
/// The number of parked consumers; here zero or one, so that it is the list, too.
const PARKED: Word = Word(3, "parked");
const LOCK: Word = Word(4, "lock");

const SEEN: Register = Register(0);
const PLACE: Register = Register(1);
const OTHER: Register = Register(2);

/// `Crowd::wake_last`: takes the parked consumer, thread 0, off the list, and wakes it.
fn wake_last(program: Program) -> Program {
    program
        .locked(LOCK, |inside| inside.load(PARKED, SEEN, Relaxed).store(PARKED, 0, Relaxed))
        .when(|r| r[SEEN] == 1, |listed| listed.unpark(0))
}

/// Fills a slot and wakes a consumer, if one is parked.
fn writer(name: &'static str, place: Word, fence: Fence) -> Program {
    let put = Program::new(name).store(place, 1, Release).fence(fence);
    put.load(PARKED, SEEN, Relaxed).when(|r| r[SEEN] > 0, wake_last)
}

fn listed(program: Program, parked: u8) -> Program {
    program.locked(LOCK, |inside| inside.store(PARKED, parked, Relaxed))
}

/// Parks until the first slot is filled.
fn consumer(rare: Fence) -> Program {
    Program::new("consumer").repeat(|again| {
        let looked = again.load(FIRST, SEEN, Acquire).leave_when(|r| r[SEEN] == 1);
        let up =
            listed(looked, 1).fence(rare).load(FIRST, SEEN, Acquire).when(|r| r[SEEN] == 0, Program::park);
        listed(up, 0)
    })
}

fn one_event(frequent: Fence, rare: Fence) -> Scenario {
    Scenario::new().thread(consumer(rare)).thread(writer("writer", FIRST, frequent))
}

/// The table of the protocol: the second slot is filled before the first one. Consumer c is woken
/// for the first event, and stays busy with it; consumer d has to get the second event.
fn passed_on(frequent: Fence, rare: Fence, passing_on: Fence) -> Scenario {
    let d = Program::new("consumer d").repeat(|again| {
        let up = listed(again, 1)
            .fence(rare)
            .load(HEAD, PLACE, Acquire)
            .when(|r| r[PLACE] == 0, |first| first.load(FIRST, SEEN, Acquire))
            .when(|r| r[PLACE] == 1, |second| second.load(SECOND, SEEN, Acquire))
            .when(|r| r[SEEN] == 0, Program::park);
        // The other consumer takes the first event.
        listed(up, 0).leave_when(|r| r[PLACE] == 1 && r[SEEN] == 1)
    });
    let c = Program::new("consumer c")
        .park()
        .exchange(HEAD, (0, 1), PLACE, Release)
        .fence(passing_on)
        .load(PARKED, SEEN, Relaxed)
        .load(SECOND, OTHER, Acquire)
        .when(|r| r[SEEN] > 0 && r[OTHER] == 1, wake_last);
    Scenario::new()
        .thread(d)
        .thread(c)
        .thread(Program::new("writer a").store(FIRST, 1, Release).fence(frequent).unpark(1))
        .thread(writer("writer b", SECOND, frequent))
}

#[test]
fn write_wakes_a_parking_consumer() {
    check_pairs("a write against a crowd", &[], one_event);
}

#[test]
fn wake_all_ends_a_nap_under_the_lock() {
    // `wake_all` takes the lock whatever the count is, so neither side has a fence. A variant that
    // relied on the count would need both fences.
    let changes = Program::new("waker").store(FIRST, 1, Relaxed);
    holds("wake_all", BOTH, &Scenario::new().thread(consumer(Fence::Nothing)).thread(wake_last(changes)));
    fails("wake_all by the count", BOTH, &one_event(Fence::Nothing, Fence::Nothing));
}

#[test]
fn consumer_passes_the_wake_up_on_after_an_event() {
    use Fence::{Compiler, Full, Membarrier, Nothing};
    holds("passing on, asymmetric", BOTH, &passed_on(Compiler, Membarrier, Compiler));
    holds("passing on, symmetric", BOTH, &passed_on(Full, Full, Full));
    // Memory is single here: a thread that sees the first slot filled also sees every consumer that
    // parked while it was empty, and every slot filled before that. So the fence of passing on does
    // not show as necessary.
    holds("passing on without a fence", BOTH, &passed_on(Compiler, Membarrier, Nothing));
    for (frequent, rare) in [(Nothing, Membarrier), (Compiler, Full), (Full, Compiler), (Full, Nothing)] {
        fails(&format!("passing on ({frequent:?}, {rare:?})"), BOTH, &passed_on(frequent, rare, Full));
    }
}
