//! How long what is called on this thread may wait in all.
//!
//! A `Timeout` bounds the waits of whatever is behind it: a full lane, a back-off, a request. It cannot reach into them, and
//! they do not know of it; so it leaves a limit on the thread, and everything of ours that waits asks for it. The time starts to
//! run when the first of them asks: a write that need not wait reads no clock.

use super::Deadline;
use crate::sync::per_thread;
use std::cell::Cell;
use std::time::Duration;

/// A limit that nobody has asked for yet, and the deadline of those that somebody has.
#[derive(Clone, Copy)]
struct Limits {
    fresh: Option<Duration>,
    known: Deadline,
}

per_thread! {
    static LIMITS: Cell<Limits> = Cell::new(Limits { fresh: None, known: Deadline::NEVER })
}

/// A limit to the waits on this thread, until it is dropped. Limits within limits: the earliest counts.
#[must_use = "the limit holds until this is dropped"]
pub(crate) struct Allowance {
    outer: Limits,
}

impl Allowance {
    pub(crate) fn begin(limit: Duration) -> Self {
        // The outer limit starts to run now at the latest: it may not be asked for again before this one ends.
        let known = Self::deadline();
        let outer = Limits { fresh: None, known };
        let _ = LIMITS.try_with(|cell| cell.set(Limits { fresh: Some(limit), known }));
        Self { outer }
    }

    /// As a deadline: what a close or a flush calls waits no longer than itself. Nothing where there is none.
    pub(crate) fn until(deadline: Deadline) -> Option<Self> {
        deadline.remaining().map(Self::begin)
    }

    /// The deadline of every wait on this thread: [`Deadline::NEVER`] where there is no limit.
    pub(crate) fn deadline() -> Deadline {
        let resolve = |cell: &Cell<Limits>| {
            let mut limits = cell.get();
            if let Some(limit) = limits.fresh.take() {
                limits.known = limits.known.min(Deadline::after(limit));
                cell.set(limits);
            }
            limits.known
        };
        LIMITS.try_with(resolve).unwrap_or(Deadline::NEVER)
    }
}

per_thread! {
    static LAST: Cell<bool> = Cell::new(false)
}

/// What is offered on this thread is offered for the last time, until this is dropped: a close is out of time, and will drop the events
/// that come back. A retry gives them to its dead letters in place of one more attempt.
#[must_use = "it is the last offer until this is dropped"]
pub(crate) struct LastOffer(bool);

impl LastOffer {
    pub(crate) fn begin() -> Self {
        Self(LAST.try_with(|last| last.replace(true)).unwrap_or(true))
    }

    /// Until this is dropped, offers are ordinary ones.
    pub(crate) fn suspend() -> Self {
        Self(LAST.try_with(|last| last.replace(false)).unwrap_or(false))
    }

    pub(crate) fn is_now() -> bool {
        LAST.try_with(Cell::get).unwrap_or(false)
    }
}

impl Drop for LastOffer {
    fn drop(&mut self) {
        let _ = LAST.try_with(|last| last.set(self.0));
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        let _ = LIMITS.try_with(|cell| cell.set(self.outer));
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowance, Deadline};
    use std::time::Duration;

    #[test]
    fn the_earliest_of_nested_limits_counts_and_ends_with_its_scope() {
        assert_eq!(Allowance::deadline(), Deadline::NEVER);
        let outer = Allowance::begin(Duration::from_secs(3600));
        let long = Allowance::deadline();
        assert_eq!(Allowance::deadline(), long, "the same at each question");
        {
            let _longer = Allowance::begin(Duration::from_secs(36_000));
            assert_eq!(Allowance::deadline(), long);
            let _none = Allowance::begin(Duration::ZERO);
            assert!(Allowance::deadline().is_over());
        }
        assert_eq!(Allowance::deadline(), long);
        drop(outer);
        assert_eq!(Allowance::deadline(), Deadline::NEVER);
    }
}
