//! The handshakes on machines with store buffers, in every order: what loom cannot show of the
//! asymmetric pair of fences.
//!
//! loom has no `membarrier`. Here each handshake is modeled as a few steps of abstract threads, and
//! every state that two machines allow is visited: [`machine`] documents what they do, and what
//! they do not. A scenario that holds is significant only because its weakened variants fail: each
//! test has both.
//!
//! The scenarios follow the source by hand and are not generated from it; each names the functions
//! whose steps it has. [`shapes`] tests the machines themselves.
//!
//! `cargo test -p loom-tests --test store_buffer -- --nocapture` prints the number of states.
#![cfg(not(loom))]

mod bias;
mod crowd;
mod direct;
mod explore;
mod gate;
mod goals;
mod list;
mod machine;
mod mixed;
mod nap;
mod order;
mod paid_room;
mod park;
mod payer;
mod program;
mod seal;
mod shapes;
mod sleepers;
mod unbounded;
mod wait_list;

use explore::{Scenario, explore};
use machine::Machine;
use program::Fence;

/// Both machines.
const BOTH: &[Machine] = &[Machine::Tso, Machine::Weak];

/// Asserts that no state is a violation, on any of the machines.
#[track_caller]
fn holds(what: &str, machines: &[Machine], scenario: &Scenario) {
    for machine in machines {
        let verdict = explore(*machine, scenario);
        eprintln!("{what}, {machine:?}: holds, {} states", verdict.states);
        if let Some((violation, way)) = verdict.violation {
            panic!("{what}, {machine:?}: {violation}:\n{way}");
        }
    }
}

/// Asserts that each of the machines reaches a violation.
#[track_caller]
fn fails(what: &str, machines: &[Machine], scenario: &Scenario) {
    for machine in machines {
        let verdict = explore(*machine, scenario);
        let Some((violation, _)) = verdict.violation else {
            panic!("{what}, {machine:?}: expected to fail, but holds in all {} states", verdict.states);
        };
        eprintln!("{what}, {machine:?}: fails after {} states: {violation}", verdict.states);
    }
}

/// Checks a handshake of the frequent side's fence and the rare side's. Both pairs hold, on both
/// machines, and so does the heavy fence against a full one. Each weakened pair fails on both
/// machines, except those of `tolerated`, which fail only on the weak one.
#[track_caller]
fn check_pairs(what: &str, tolerated: &[(Fence, Fence)], scenario: impl Fn(Fence, Fence) -> Scenario) {
    use Fence::{Compiler, Full, Membarrier, Nothing};
    for (frequent, rare) in [(Compiler, Membarrier), (Full, Full), (Full, Membarrier)] {
        holds(&format!("{what} ({frequent:?}, {rare:?})"), BOTH, &scenario(frequent, rare));
    }
    for (frequent, rare) in [
        (Nothing, Membarrier),
        (Nothing, Full),
        (Compiler, Full),
        (Compiler, Compiler),
        (Compiler, Nothing),
        (Full, Compiler),
        (Full, Nothing),
    ] {
        let what = format!("{what} ({frequent:?}, {rare:?})");
        if tolerated.contains(&(frequent, rare)) {
            holds(&what, &[Machine::Tso], &scenario(frequent, rare));
            fails(&what, &[Machine::Weak], &scenario(frequent, rare));
        } else {
            fails(&what, BOTH, &scenario(frequent, rare));
        }
    }
}
