//! The bias of a journal's writer: `Bias::announce` against `Holders::revoke`.
//!
//! The bias was granted at position 1. In the tail word, a bias at position `n` is `n`, and a claim
//! there is `n + CLAIM`.

use super::check_pairs;
use super::explore::Scenario;
use super::program::{Fence, Program, Register, Word};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const TAIL: Word = Word(0, "tail");
const ANNOUNCED: Word = Word(1, "announced");
const REVOKED: Word = Word(2, "revoked");
/// Set by the writer that has revoked.
const CLAIMED: Word = Word(3, "claimed");

const CLAIM: u8 = 10;

/// The position of the holder, or the tail word that the other writer expects.
const AT: Register = Register(0);
const FOUND: Register = Register(1);
const NEXT: Register = Register(2);
const OLD: Register = Register(3);

/// Writes two values, unless the bias is revoked.
fn holder(frequent: Fence) -> Program {
    (0..2).fold(Program::new("holder").compute(|r| r[AT] = 1), |holder, _| {
        holder
            .compute(|r| r[NEXT] = r[AT] + 1)
            .store(ANNOUNCED, NEXT, Relaxed)
            .fence(frequent)
            .load(REVOKED, FOUND, Relaxed)
            .when(|r| r[FOUND] > 0, |revoked| revoked.store(ANNOUNCED, AT, Relaxed))
            .when(
                |r| r[FOUND] == 0,
                |inside| {
                    inside
                        .load(CLAIMED, OLD, Relaxed)
                        .check("written beside a claim", |r| r[OLD] == 0)
                        .store(TAIL, NEXT, Release)
                        .compute(|r| r[AT] = r[NEXT])
                },
            )
    })
}

/// Revokes the bias, and turns it into a claim.
fn revoker(rare: Fence) -> Program {
    Program::new("revoker")
        .repeat(|attempt| {
            attempt
                .load(TAIL, AT, Acquire)
                .swap(REVOKED, AT, OLD, Relaxed)
                .fence(rare)
                .repeat(|wait| {
                    wait.load(ANNOUNCED, FOUND, Relaxed)
                        .leave_when(|r| r[FOUND] == r[AT])
                        .load(TAIL, OLD, Relaxed)
                        .leave_when(|r| r[OLD] != r[AT])
                })
                .compute(|r| r[NEXT] = r[AT] + CLAIM)
                .when(|r| r[FOUND] == r[AT], |still| still.exchange(TAIL, (AT, NEXT), OLD, Acquire))
                .leave_when(|r| r[FOUND] == r[AT] && r[OLD] == r[AT])
        })
        .store(CLAIMED, 1, Relaxed)
}

#[test]
fn revoked_holder_writes_beside_no_claim() {
    // The revocation is a read-modify-write, which is a full fence on one of the machines, unless the
    // compiler swaps it with the load after it.
    let tolerated = [(Fence::Full, Fence::Compiler)];
    check_pairs("a revocation against publish", &tolerated, |frequent, rare| {
        Scenario::new()
            .word(TAIL, 1)
            .word(ANNOUNCED, 1)
            .thread(holder(frequent))
            .thread(revoker(rare))
            .finally("a value was overwritten", |end| end.memory(TAIL) == end.register(0, AT) + CLAIM)
    });
}
