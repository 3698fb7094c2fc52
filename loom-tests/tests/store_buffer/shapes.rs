//! The machines themselves: the small programs of the literature that distinguish memory models,
//! and the outcome on each machine.

use super::explore::Scenario;
use super::machine::Machine::{Tso, Weak};
use super::program::{Fence, Program, Register, Word};
use super::{BOTH, fails, holds};
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

const X: Word = Word(0, "x");
const Y: Word = Word(1, "y");
const A: Register = Register(0);
const B: Register = Register(1);

/// Each of two threads stores one word and loads the other one: at least one thread must see the
/// other's store.
fn store_buffering(first: Fence, second: Fence) -> Scenario {
    let thread = |name, own, other, fence| {
        Program::new(name).store(own, 1, Relaxed).fence(fence).load(other, A, Relaxed)
    };
    Scenario::new()
        .thread(thread("first", X, Y, first))
        .thread(thread("second", Y, X, second))
        .finally("neither has seen the other", |end| end.register(0, A) + end.register(1, A) > 0)
}

/// A thread that sees the second store sees the first.
fn message_passing(publish: Ordering, between: Fence, look: Ordering) -> Scenario {
    Scenario::new()
        .thread(Program::new("writer").store(X, 1, Relaxed).fence(between).store(Y, 1, publish))
        .thread(Program::new("reader").load(Y, A, look).fence(between).load(X, B, Relaxed))
        .finally("the second store came first", |end| end.register(1, A) <= end.register(1, B))
}

/// Two loads, each before a store of the word that the other thread loads.
fn load_buffering(fence: Fence, ordering: Ordering) -> Scenario {
    let thread =
        |name, from, to| Program::new(name).load(from, A, ordering).fence(fence).store(to, 1, Relaxed);
    Scenario::new()
        .thread(thread("first", X, Y))
        .thread(thread("second", Y, X))
        .finally("both have seen what came later", |end| end.register(0, A) + end.register(1, A) < 2)
}

#[test]
fn store_buffering_needs_a_fence_on_both_sides() {
    use Fence::{Compiler, Full, Membarrier, Nothing};
    for (first, second) in [(Full, Full), (Compiler, Membarrier), (Membarrier, Compiler), (Membarrier, Full)]
    {
        holds("store buffering", BOTH, &store_buffering(first, second));
    }
    for (first, second) in [
        (Nothing, Nothing),
        (Compiler, Compiler),
        (Compiler, Full),
        (Full, Nothing),
        // The compiler has swapped the two accesses, so the fence between them has no effect.
        (Nothing, Membarrier),
    ] {
        fails("store buffering", BOTH, &store_buffering(first, second));
    }
}

#[test]
fn message_passing_needs_release_and_acquire() {
    use Fence::{Compiler, Full, Nothing};
    holds("message passing", BOTH, &message_passing(Release, Nothing, Acquire));
    holds("message passing, full fences", BOTH, &message_passing(Relaxed, Full, Relaxed));
    fails("message passing", BOTH, &message_passing(Relaxed, Nothing, Acquire));
    fails("message passing", BOTH, &message_passing(Release, Nothing, Relaxed));
    // Where the compiler keeps the order, a processor with total store order also does.
    holds("message passing, compiler fences", &[Tso], &message_passing(Relaxed, Compiler, Relaxed));
    fails("message passing, compiler fences", &[Weak], &message_passing(Relaxed, Compiler, Relaxed));
}

#[test]
fn load_buffering_needs_acquire_or_total_store_order() {
    fails("load buffering", BOTH, &load_buffering(Fence::Nothing, Relaxed));
    holds("load buffering, acquire", BOTH, &load_buffering(Fence::Nothing, Acquire));
    holds("load buffering, compiler fences", &[Tso], &load_buffering(Fence::Compiler, Relaxed));
    fails("load buffering, compiler fences", &[Weak], &load_buffering(Fence::Compiler, Relaxed));
}

#[test]
fn read_modify_write_is_a_full_fence_on_tso_only() {
    let scenario = || {
        let thread = |name, own, other| Program::new(name).swap(own, 1, B, AcqRel).load(other, A, Relaxed);
        Scenario::new()
            .thread(thread("first", X, Y))
            .thread(thread("second", Y, X))
            .finally("neither has seen the other", |end| end.register(0, A) + end.register(1, A) > 0)
    };
    holds("store buffering with swaps", &[Tso], &scenario());
    fails("store buffering with swaps", &[Weak], &scenario());
}

#[test]
fn read_modify_writes_of_a_word_lose_no_update() {
    let thread = |name| Program::new(name).add(X, 1, A, Relaxed).add(X, 1, A, Relaxed);
    let scenario = Scenario::new().thread(thread("first")).thread(thread("second")).thread(thread("third"));
    holds("additions", BOTH, &scenario.finally("an addition was lost", |end| end.memory(X) == 6));
}

#[test]
fn lock_excludes_others_and_publishes_stores() {
    const LOCK: Word = Word(2, "lock");
    let thread = |name| {
        Program::new(name)
            .locked(LOCK, |inside| inside.load(X, A, Relaxed).compute(|r| r[A] += 1).store(X, A, Relaxed))
    };
    let scenario = Scenario::new().thread(thread("first")).thread(thread("second")).thread(thread("third"));
    holds("a lock", BOTH, &scenario.finally("an addition was lost", |end| end.memory(X) == 3));
}

#[test]
fn readers_agree_on_the_order_of_stores() {
    // POWER and C11 allow this, and these machines do not: two readers that disagree on which of
    // two stores came first.
    let reader = |name, first, second| Program::new(name).load(first, A, Acquire).load(second, B, Acquire);
    let scenario = Scenario::new()
        .thread(Program::new("writer of x").store(X, 1, Release))
        .thread(Program::new("writer of y").store(Y, 1, Release))
        .thread(reader("reader of x, y", X, Y))
        .thread(reader("reader of y, x", Y, X))
        .finally("the readers disagree", |end| {
            let sees_first_only = |thread| end.register(thread, A) == 1 && end.register(thread, B) == 0;
            !(sees_first_only(2) && sees_first_only(3))
        });
    holds("two writers, two readers", BOTH, &scenario);
}

#[test]
fn explorer_keeps_wake_ups_and_finds_lost_ones() {
    let waker = || Program::new("waker").unpark(0);
    holds("a wake-up", BOTH, &Scenario::new().thread(Program::new("sleeper").park()).thread(waker()));
    let twice = Program::new("sleeper").park().park();
    fails("one wake-up for two sleeps", BOTH, &Scenario::new().thread(twice).thread(waker()));
    // Also while another thread runs forever.
    let spinner = Program::new("spinner").repeat(|again| again.load(X, A, Relaxed).leave_when(|r| r[A] == 1));
    let last = Program::new("sleeper").park().store(X, 1, Relaxed);
    fails("no thread wakes, and one spins", BOTH, &Scenario::new().thread(last).thread(spinner));
}
