//! The seal of a private lane: `Sealer::seal` against `Producer::push` and `settle`, and against
//! `Consumer::refresh`.
//!
//! `fin` is 0 while the lane is open, 1 while it is being sealed, and otherwise the end plus 2.

use super::explore::Scenario;
use super::program::{Fence, Program, Register, Word};
use super::{BOTH, check_pairs, fails, holds};
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

const TAIL: Word = Word(0, "tail");
const FIN: Word = Word(1, "fin");
/// A slot holds 1 after its write, and 2 after its event was taken back.
const SLOTS: [Word; 2] = [Word(2, "first slot"), Word(3, "second slot")];

const OPEN: u8 = 0;
const SEALING: u8 = 1;
const ENDS: u8 = 2;

const SEEN: Register = Register(0);
const FOUND: Register = Register(1);
/// The number of accepted events; or of taken ones.
const COUNT: Register = Register(2);
const END: Register = Register(3);

/// The fences of the three sides, and the ordering of the consumer's load of the tail.
#[derive(Clone, Copy)]
struct Seal {
    publisher: Fence,
    consumer: Fence,
    sealer: Fence,
    look: Ordering,
}

/// Pushes two events, and settles after each; `COUNT` is the number of accepted events.
fn publisher(fence: Fence) -> Program {
    Program::new("publisher").repeat(|once| {
        let pushed = [1, 2].into_iter().fold(once, |publisher, tail| {
            let slot = SLOTS[usize::from(tail) - 1];
            publisher
                .store(slot, 1, Relaxed)
                .store(TAIL, tail, Release)
                .fence(fence)
                .load(FIN, FOUND, Relaxed)
                .compute(|r| r[COUNT] += 1)
                .when(
                    |r| r[FOUND] != OPEN,
                    |sealed| {
                        sealed
                            .exchange(FIN, (SEALING, ENDS + tail), FOUND, AcqRel)
                            .when(
                                |r| r[FOUND] >= ENDS && r[FOUND] - ENDS < r[COUNT],
                                |lost| lost.compute(|r| r[COUNT] -= 1).store(slot, 2, Relaxed),
                            )
                            .leave_when(|_| true)
                    },
                )
        });
        pushed.leave_when(|_| true)
    })
}

/// Takes the available events until the lane has ended; `COUNT` is the number of taken events.
fn consumer(fence: Fence, look: Ordering) -> Program {
    Program::new("consumer").repeat(|again| {
        let refreshed =
            again.load(TAIL, SEEN, look).fence(fence).load(FIN, FOUND, Acquire).compute(|r| match r[FOUND] {
                OPEN => r[END] = r[SEEN],
                SEALING => {}
                fin => r[END] = fin - ENDS,
            });
        let take = |consumer: Program, slot, is_next: fn(&super::program::Registers) -> bool| {
            consumer.when(is_next, |next| {
                next.load(slot, SEEN, Relaxed)
                    .check("the consumer took an event that was not written, or that was taken back", |r| {
                        r[SEEN] == 1
                    })
                    .compute(|r| r[COUNT] += 1)
            })
        };
        let taken = take(refreshed, SLOTS[0], |r| r[COUNT] == 0 && r[END] > 0);
        take(taken, SLOTS[1], |r| r[COUNT] == 1 && r[END] > 1)
            .load(FIN, FOUND, Acquire)
            .leave_when(|r| r[FOUND] >= ENDS && r[FOUND] - ENDS <= r[COUNT])
    })
}

fn sealer(fence: Fence) -> Program {
    Program::new("sealer")
        .exchange(FIN, (OPEN, SEALING), FOUND, AcqRel)
        .fence(fence)
        .load(TAIL, SEEN, Acquire)
        .compute(|r| r[SEEN] += ENDS)
        .exchange(FIN, (SEALING, SEEN), FOUND, AcqRel)
}

fn seal(Seal { publisher: of_publisher, consumer: of_consumer, sealer: of_sealer, look }: Seal) -> Scenario {
    Scenario::new()
        .thread(publisher(of_publisher))
        .thread(consumer(of_consumer, look))
        .thread(sealer(of_sealer))
        .finally("the taken events are not the accepted ones", |end| {
            let fin = end.memory(FIN) - ENDS;
            end.register(0, COUNT) == fin && end.register(1, COUNT) == fin
        })
}

/// Returns the light fence that matches a heavy one.
fn light(heavy: Fence) -> Fence {
    if heavy == Fence::Membarrier { Fence::Compiler } else { Fence::Full }
}

#[test]
fn seal_agrees_with_the_publisher() {
    // The mark is a read-modify-write, which is a full fence on one of the machines.
    let tolerated = [(Fence::Full, Fence::Compiler), (Fence::Full, Fence::Nothing)];
    check_pairs("seal against publisher", &tolerated, |publisher, sealer| {
        seal(Seal { publisher, consumer: light(sealer), sealer, look: Acquire })
    });
}

#[test]
fn seal_agrees_with_the_consumer() {
    use Fence::{Compiler, Full, Membarrier, Nothing};
    for sealer in [Membarrier, Full] {
        let with = |consumer, look| seal(Seal { publisher: light(sealer), consumer, sealer, look });
        // Memory is single here: then the Acquire of the tail alone keeps the two loads in order.
        // C11 requires the fence, and loom detects a missing one:
        // `ring_spsc::seal_keeps_accepted_values_for_a_busy_consumer`.
        holds("seal against consumer, Acquire only", BOTH, &with(Nothing, Acquire));
        // The fence alone also keeps them in order.
        holds("seal against consumer, fence only", BOTH, &with(light(sealer), Relaxed));
        fails("seal against consumer, neither", BOTH, &with(Nothing, Relaxed));
    }
    // A light fence against a heavy one of the other pair.
    let mixed = seal(Seal { publisher: Full, consumer: Compiler, sealer: Full, look: Relaxed });
    fails("seal against consumer, mixed", &[super::Machine::Weak], &mixed);
}
