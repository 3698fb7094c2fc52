//! Waits for room of one's own for which the waiter and the notifiers take turns in paying for the
//! fence.
//!
//! With the asymmetric pair, a wait costs a `membarrier`, which interrupts every running thread of the
//! process. Where tasks wait often, that costs more than all events in between. Then they ask the
//! notifiers to pay: a bit in the count of the list, which every notifier loads in any case, makes each of
//! them look at the mark of the waiter whose room it made, behind a full fence. [`WaitCell`] has the
//! same for the parks of a consumer, `wait::cell::paid`.
//!
//! | state | bit | fence of a waiter |
//! |---|---|---|
//! | `Waiters` | no | heavy |
//! | `Asking`: one waiter has asked, and executes its heavy fence | yes | heavy |
//! | `Notifiers`: that fence has been executed | yes | full |
//!
//! A waiter enters the list and learns of the state under one lock, so it is on the list while it pays
//! for a full fence only. No wake-up is lost:
//! - A notifier that finds the count to be zero has loaded it before a waiter asked, or after the bit was
//!   cleared. In the first case the heavy fence, which comes before the state `Notifiers`, makes its room
//!   visible to every waiter that pays less. In the second case the list had no waiter when the bit was
//!   cleared, and a later one finds the state `Waiters`.
//! - A notifier that finds another count executes a full fence, and then loads the waiter's mark. Either
//!   it finds that the waiter waits, or the waiter, which executes a fence between its mark and its attempt,
//!   finds the room.
//!
//! Notifiers clear the bit when no task has waited for long. A waiter that is asking still has it.
//!
//! [`WaitCell`]: crate::wait::WaitCell

use super::{WaitList, Waiter};
use crate::sync::membarrier::{FencePair, heavy_fence_or_wait};
use crate::sync::{MODEL, Ordering, fence, lock};
use std::time::{Duration, Instant};

/// In the count: notifiers pay. It is among the bits of the number of waiters that do not wait for
/// progress.
pub(super) const FENCED: u64 = 1 << 31;

/// A wait that begins after less time than this since the one before, on the same list, is one too many.
/// A `membarrier` takes 1 to 15 µs.
const SHORT_TIME: Duration = Duration::from_micros(100);
/// The number of such waits in a row from which the notifiers pay.
const OFTEN: u32 = if MODEL { 1 } else { 8 };
/// After this number of rooms for which no task waited, with none on the list, waiters pay again. As many
/// full fences take about as long as a `membarrier`.
const CALM: u64 = if MODEL { 2 } else { 1024 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiters,
    Asking,
    Notifiers,
}

/// The fence of a waiter between its entry and its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pays {
    Heavy,
    /// Then the notifiers pay.
    HeavyAndAsks,
    Full,
}

/// The recent waits for room of one's own on one list. Under its lock.
pub(super) struct OwnWaits {
    state: State,
    frequent: u32,
    last: Option<Instant>,
}

impl OwnWaits {
    pub(super) const NONE: Self = Self { state: State::Waiters, frequent: 0, last: None };

    /// Records that a wait begins.
    pub(super) fn begins(&mut self, now: Instant) -> Pays {
        let since = self.last.replace(now).map(|last| now.saturating_duration_since(last));
        let is_frequent = since.is_some_and(|since| MODEL || since < SHORT_TIME);
        self.frequent = if is_frequent { self.frequent.saturating_add(1) } else { 0 };
        match self.state {
            State::Notifiers => Pays::Full,
            State::Waiters if self.frequent >= OFTEN => {
                self.state = State::Asking;
                Pays::HeavyAndAsks
            }
            State::Waiters | State::Asking => Pays::Heavy,
        }
    }

    /// Returns the bits of the count that tell notifiers to pay.
    pub(super) fn bits(&self) -> u64 {
        if self.state == State::Waiters { 0 } else { FENCED }
    }
}

impl WaitList {
    /// Executes the fence between the entry of a task and its attempt.
    pub(super) fn fence_after_entry(&self, pays: Pays) {
        match pays {
            // ORD(list.count): full fence; pairs with the one in `made_room` and in `notify_waiter`.
            Pays::Full => fence(Ordering::SeqCst),
            // ORD(list.count): heavy fence; pairs with the light one in `waiting`. It must not fail,
            // since a task cannot park with a limit.
            Pays::Heavy | Pays::HeavyAndAsks => heavy_fence_or_wait(self.pair),
        }
        if pays == Pays::HeavyAndAsks {
            lock(&self.line).own_waits.state = State::Notifiers;
        }
    }

    /// Wakes the waiter whose room the caller has made, if it waits, and those for progress.
    #[cold]
    #[inline(never)]
    pub(super) fn made_room(&self, waiter: &Waiter) {
        // ORD(list.count): full fence; pairs with the one in `fence_after_entry`.
        fence(Ordering::SeqCst);
        if waiter.may_wait() {
            self.wake_entry(&waiter.0);
        } else if self.count.load(Ordering::Relaxed) == FENCED {
            self.made_unused_room();
        }
        self.notify_progress();
    }

    fn made_unused_room(&self) {
        // A number that another notifier overwrites at the same time is counted later.
        let unused = self.unused.load(Ordering::Relaxed) + 1;
        self.unused.store(unused, Ordering::Relaxed);
        if unused >= CALM {
            let mut line = lock(&self.line);
            if line.listed.is_empty() && line.own_waits.state == State::Notifiers {
                line.own_waits = OwnWaits::NONE;
                self.count.store(line.count(), Ordering::Relaxed);
            }
        }
    }

    /// Records that a task begins to wait, under the lock of the list. A thread pays in any case: its
    /// park costs more than the fence.
    pub(super) fn task_begins(&self, waiter: &Waiter, own_waits: &mut OwnWaits) -> Pays {
        // With the symmetric pair, notifiers always execute a full fence.
        if !waiter.has_own_room() || self.pair == FencePair::Symmetric {
            return Pays::Heavy;
        }
        self.unused.store(0, Ordering::Relaxed);
        own_waits.begins(Instant::now())
    }
}
