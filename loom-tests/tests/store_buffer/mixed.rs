//! Pairs of fences that are mixed, or switched while they are in use: why a mailbox has one pair
//! for life.

use super::explore::Scenario;
use super::machine::Machine::{Tso, Weak};
use super::park::{EVENTS, sleep, wake};
use super::program::{Fence, Program, Register, Word};
use super::{BOTH, fails, holds};
use std::sync::atomic::Ordering::{Relaxed, Release};

/// Which pair is in use, where that may change: 0 the asymmetric one, 1 the symmetric one.
const PAIR: Word = Word(9, "pair");
const SEEN: Register = Register(3);

/// Two events; the pair in use is looked at before each, or behind it.
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

/// The consumer turns to the symmetric pair, with this fence behind that, and parks.
fn switched(fence: Fence, looks_before: bool) -> Scenario {
    let consumer = Program::new("consumer").store(PAIR, 1, Relaxed).fence(fence);
    Scenario::new().thread(sleep(consumer, Fence::Full, true)).thread(publisher(looks_before))
}

/// Publishers with one fence, and a consumer that parks behind another.
fn mixed(frequent: Fence, rare: Fence) -> Scenario {
    let publisher = [1, 2].into_iter().fold(Program::new("publisher"), |publisher, event| {
        wake(publisher.store(EVENTS, event, Release).fence(frequent))
    });
    Scenario::new().thread(sleep(Program::new("consumer"), rare, true)).thread(publisher)
}

#[test]
fn mixed_fence_pairs_lose_wake_ups() {
    // A consumer that goes over to `fence(SeqCst)`, or whose `membarrier` begins to fail: hence the
    // limit on parks then.
    fails("compiler fence against full fence", BOTH, &mixed(Fence::Compiler, Fence::Full));
    // Both are the light one of the asymmetric pair.
    fails("compiler fence against compiler fence", BOTH, &mixed(Fence::Compiler, Fence::Compiler));
    // The other way round nothing is lost: the full fence is at least as strong as the light one.
    holds("full fence against membarrier", BOTH, &mixed(Fence::Full, Fence::Membarrier));
}

#[test]
fn switched_fence_pair_loses_wake_ups() {
    // A publisher that has looked still runs the light fence of the old pair when the consumer has
    // gone over to the new one.
    fails("switched, looked before", BOTH, &switched(Fence::Membarrier, true));
    // The look behind the push is what `membarrier` orders; without it, this loses them too.
    holds("switched, looked behind", BOTH, &switched(Fence::Membarrier, false));
    fails("switched without membarrier, looked behind", &[Tso, Weak], &switched(Fence::Full, false));
}
