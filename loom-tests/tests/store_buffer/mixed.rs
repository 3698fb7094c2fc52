//! Pairs of fences that are mixed, or switched while in use: why a mailbox keeps one pair for its
//! lifetime.

use super::explore::Scenario;
use super::machine::Machine::{Tso, Weak};
use super::park::{EVENTS, sleep, wake};
use super::program::{Fence, Program, Register, Word};
use super::{BOTH, fails, holds};
use std::sync::atomic::Ordering::{Relaxed, Release};

/// The pair in use, where that may change: 0 is the asymmetric one, 1 the symmetric one.
const PAIR: Word = Word(9, "pair");
const SEEN: Register = Register(3);

/// Publishes two events; loads the pair in use before each event, or after it.
fn publisher(looks_before: bool) -> Program {
    let look = |program: Program| program.load(PAIR, SEEN, Relaxed);
    [1, 2].into_iter().fold(Program::new("publisher"), |publisher, event| {
        let pushed = if looks_before {
            look(publisher).fence(Fence::Compiler).store(EVENTS, event, Release)
        } else {
            look(publisher.store(EVENTS, event, Release).fence(Fence::Compiler))
        };
        wake(pushed.fence(Fence::Compiler).when(|r| r[SEEN] == 1, |symmetric| symmetric.fence(Fence::Full)))
    })
}

/// The consumer switches to the symmetric pair, runs this fence after the switch, and parks.
fn switched(fence: Fence, looks_before: bool) -> Scenario {
    let consumer = Program::new("consumer").store(PAIR, 1, Relaxed).fence(fence);
    Scenario::new().thread(sleep(consumer, Fence::Full, true)).thread(publisher(looks_before))
}

/// A publisher with one fence, and a consumer that parks after another fence.
fn mixed(frequent: Fence, rare: Fence) -> Scenario {
    let publisher = [1, 2].into_iter().fold(Program::new("publisher"), |publisher, event| {
        wake(publisher.store(EVENTS, event, Release).fence(frequent))
    });
    Scenario::new().thread(sleep(Program::new("consumer"), rare, true)).thread(publisher)
}

#[test]
fn mixed_fence_pairs_lose_wake_ups() {
    // A consumer that switches to `fence(SeqCst)`, or whose `membarrier` starts to fail: therefore
    // parks have a limit then.
    fails("compiler fence against full fence", BOTH, &mixed(Fence::Compiler, Fence::Full));
    // Both are the light fence of the asymmetric pair.
    fails("compiler fence against compiler fence", BOTH, &mixed(Fence::Compiler, Fence::Compiler));
    // The reverse loses nothing: the full fence is at least as strong as the light one.
    holds("full fence against membarrier", BOTH, &mixed(Fence::Full, Fence::Membarrier));
}

#[test]
fn switched_fence_pair_loses_wake_ups() {
    // A publisher that has loaded the pair still runs the light fence of the old pair after the
    // consumer's switch to the new one.
    fails("switched, loaded before", BOTH, &switched(Fence::Membarrier, true));
    // `membarrier` orders the load after the push; without it, this variant loses wake-ups, too.
    holds("switched, loaded after", BOTH, &switched(Fence::Membarrier, false));
    fails("switched without membarrier, loaded after", &[Tso, Weak], &switched(Fence::Full, false));
}
