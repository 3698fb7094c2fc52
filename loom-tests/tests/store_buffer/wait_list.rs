//! A publisher that waits for room against the consumer that makes room: `WaitList::wait` against
//! `notify`.

use super::check_pairs;
use super::explore::Scenario;
use super::program::{Fence, Program, Register, Word};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const PROGRESS: Word = Word(0, "progress");
const COUNT: Word = Word(1, "count");
const WOKEN: Word = Word(2, "woken");
const LOCK: Word = Word(3, "lock");
/// Whether the waiter is on the list.
const LISTED: Word = Word(4, "listed");

const SEEN: Register = Register(0);
const FOUND: Register = Register(1);

fn list(program: Program, listed: u8) -> Program {
    program.locked(LOCK, |inside| inside.store(LISTED, listed, Relaxed).store(COUNT, listed, Relaxed))
}

fn wait_against_notify(frequent: Fence, rare: Fence) -> Scenario {
    let waiter = Program::new("waiter").repeat(|again| {
        let looked = list(again.store(WOKEN, 0, Relaxed), 1).fence(rare).load(PROGRESS, SEEN, Acquire);
        let waited = looked.when(
            |r| r[SEEN] == 0,
            |none| none.load(WOKEN, FOUND, Acquire).when(|r| r[FOUND] == 0, Program::park),
        );
        list(waited, 0).leave_when(|r| r[SEEN] == 1)
    });
    let notifier =
        Program::new("notifier").store(PROGRESS, 1, Release).fence(frequent).load(COUNT, SEEN, Relaxed).when(
            |r| r[SEEN] > 0,
            |waits| {
                waits
                    .locked(LOCK, |inside| {
                        inside.load(LISTED, FOUND, Relaxed).store(LISTED, 0, Relaxed).store(COUNT, 0, Relaxed)
                    })
                    .when(|r| r[FOUND] == 1, |listed| listed.store(WOKEN, 1, Release).unpark(0))
            },
        );
    Scenario::new().thread(waiter).thread(notifier)
}

#[test]
fn notify_wakes_a_blocked_publisher() {
    check_pairs("wait against notify", &[], wait_against_notify);
}

/// The same with a waiter whose mark the notifier looks at: `notify_room`. Others are on the list all the
/// time, so the count says nothing. The waiter has waited before, so its mark may be the older one.
fn wait_against_notify_room(frequent: Fence, rare: Fence) -> Scenario {
    let waiter = Program::new("waiter").store(WOKEN, 1, Relaxed).repeat(|again| {
        let entered = again
            .store(WOKEN, 0, Relaxed)
            .locked(LOCK, |inside| inside.store(LISTED, 1, Relaxed))
            .fence(rare)
            .load(PROGRESS, SEEN, Acquire);
        let waited = entered.when(
            |r| r[SEEN] == 0,
            |none| none.load(WOKEN, FOUND, Acquire).when(|r| r[FOUND] == 0, Program::park),
        );
        let left = waited.locked(LOCK, |inside| inside.store(LISTED, 0, Relaxed));
        left.store(WOKEN, 1, Relaxed).leave_when(|r| r[SEEN] == 1)
    });
    let notifier =
        Program::new("notifier").store(PROGRESS, 1, Release).fence(frequent).load(WOKEN, SEEN, Relaxed).when(
            |r| r[SEEN] == 0,
            |waits| {
                waits
                    .locked(LOCK, |inside| inside.load(LISTED, FOUND, Relaxed).store(LISTED, 0, Relaxed))
                    .when(|r| r[FOUND] == 1, |listed| listed.store(WOKEN, 1, Release).unpark(0))
            },
        );
    Scenario::new().thread(waiter).thread(notifier)
}

#[test]
fn notify_of_own_room_wakes_its_publisher() {
    // The lock of the list comes after the mark, and is a full fence on a machine with store buffers.
    let tolerated = [(Fence::Full, Fence::Compiler), (Fence::Full, Fence::Nothing)];
    check_pairs("wait against notify of own room", &tolerated, wait_against_notify_room);
}
