//! The pairs of accesses of a thread that may be swapped.

use super::program::{Change, Register, Step, Value, Word};

/// The part of the machine that swaps two accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swapper {
    Compiler,
    Processor,
}

/// Returns whether `later` may be done before `earlier`, which is not done. Both are accesses of
/// the same thread, with only accesses and compiler fences in between. `reserved` means that the
/// earlier one is a read-modify-write that has done its load.
pub(crate) fn may_overtake(earlier: Step, later: Step, reserved: bool) -> bool {
    let (Some(word), Some(other)) = (word(earlier), word(later)) else { return false };
    let acquires = match earlier {
        Step::Load { acquire, .. } => acquire,
        Step::Exchange { acquire, .. } => acquire && !reserved,
        _ => false,
    };
    let releases = match later {
        Step::Load { .. } => false,
        Step::Store { release, .. } | Step::Exchange { release, .. } => release || reserved,
        _ => true,
    };
    let (first, second) = (destination(earlier), destination(later));
    let tied = first.is_some_and(|register| second == first || uses(later, register))
        || second.is_some_and(|register| uses(earlier, register));
    word != other && !acquires && !releases && !tied
}

/// Returns the word of an access.
fn word(step: Step) -> Option<Word> {
    match step {
        Step::Load { word, .. } | Step::Store { word, .. } | Step::Exchange { word, .. } => Some(word),
        _ => None,
    }
}

/// Returns the register that gets the loaded value.
fn destination(step: Step) -> Option<Register> {
    match step {
        Step::Load { into, .. } | Step::Exchange { into, .. } => Some(into),
        _ => None,
    }
}

/// Returns whether the access reads the register.
fn uses(step: Step, register: Register) -> bool {
    let is = |value| value == Value::Of(register);
    match step {
        Step::Store { value, .. } => is(value),
        Step::Exchange { change: Change::FromTo(from, to), .. } => is(from) || is(to),
        Step::Exchange { change: Change::To(to), .. } => is(to),
        _ => false,
    }
}
