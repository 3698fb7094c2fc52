//! The handshakes on machines with store buffers, in every order: what loom cannot show of the
//! asymmetric pair of fences.
//!
//! loom knows no `membarrier`. Here each handshake is told once more, as a few steps of abstract
//! threads, and everything that two machines may make of it is gone through: [`machine`] says what
//! they do, and what they do not. A scenario that holds says something only because its weakenings
//! fail: each test has both.
//!
//! The scenarios are told after the code and not drawn from it; each names the functions whose
//! steps it has. The machines themselves are tried in [`shapes`].
//!
//! `cargo test -p loom-tests --test store_buffer -- --nocapture` prints how many states there were.
#![cfg(not(loom))]

mod crowd;
mod direct;
mod explore;
mod gate;
mod machine;
mod mixed;
mod nap;
mod order;
mod park;
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

/// Nothing is violated, whatever the machines do.
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

/// Something is violated on each of the machines.
#[track_caller]
fn fails(what: &str, machines: &[Machine], scenario: &Scenario) {
    for machine in machines {
        let verdict = explore(*machine, scenario);
        let Some((violation, _)) = verdict.violation else {
            panic!("{what}, {machine:?}: was to fail, and holds in all {} states", verdict.states);
        };
        eprintln!("{what}, {machine:?}: fails after {} states: {violation}", verdict.states);
    }
}

/// A handshake of the frequent side's fence and the rare side's: both pairs hold, on both machines,
/// and so does the heavy fence against a full one; each weakening fails on both machines, but for
/// those of `tolerated`, which only fail on the weak one.
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
