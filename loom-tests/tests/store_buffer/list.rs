//! Reading a copy-on-write value under a hazard word: `Current::read` against `Current::replace` and
//! `Retired::unread`.

use super::check_pairs;
use super::explore::Scenario;
use super::program::{Fence, Program, Register, Word};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// The number of the newest value: 0, then 1.
const NEWEST: Word = Word(0, "newest");
/// The number of the value that the reader names, plus 1; 0 names nothing.
const NAMED: Word = Word(1, "named");
/// Whether the first value was freed.
const FREED: Word = Word(2, "freed");

const FIRST: Register = Register(0);
const AGAIN: Register = Register(1);
const NAME: Register = Register(2);
const SEEN: Register = Register(3);

/// Reads the value twice; it must not have been freed.
fn reader(frequent: Fence) -> Program {
    (0..2).fold(Program::new("reader"), |reader, _| {
        reader
            .load(NEWEST, FIRST, Relaxed)
            .compute(|r| r[NAME] = r[FIRST] + 1)
            .store(NAMED, NAME, Release)
            .fence(frequent)
            .load(NEWEST, AGAIN, Acquire)
            .when(
                |r| r[AGAIN] == 0 && r[FIRST] == 0,
                |inside| inside.load(FREED, SEEN, Relaxed).check("read after it was freed", |r| r[SEEN] == 0),
            )
            .store(NAMED, 0, Release)
    })
}

/// Replaces the first value, waits until no word names it, and frees it.
fn control_plane(rare: Fence) -> Program {
    Program::new("control plane")
        .store(NEWEST, 1, Release)
        .fence(rare)
        .repeat(|again| again.load(NAMED, SEEN, Acquire).leave_when(|r| r[SEEN] != 1))
        .store(FREED, 1, Relaxed)
}

fn scenario(frequent: Fence, rare: Fence) -> Scenario {
    Scenario::new().thread(reader(frequent)).thread(control_plane(rare))
}

#[test]
fn replaced_list_is_freed_after_its_readers() {
    // No store passes an earlier load on these machines, so only a model shows that the name must be
    // cleared with Release.
    check_pairs("list against publish", &[], scenario);
}
