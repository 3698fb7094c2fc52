//! The limit on the waits of calls on this thread.
//!
//! A `Timeout` bounds the waits of its downstream sinks: for room in a full lane, for a backoff,
//! for an answer. It cannot reach into them, so it sets a limit on the thread, and every wait of
//! the crate reads it. The limit starts to run at the first wait: a write that need not wait reads
//! no clock.

use super::of_this_thread;
use crate::deadline::DROP_LIMIT;
use crate::deadline::Deadline;
use std::cell::Cell;
use std::time::Duration;

/// A limit that no wait has read yet, and the deadline of the limits that have been read.
#[derive(Clone, Copy)]
pub(super) struct ThreadLimits {
    fresh: Option<Duration>,
    known: Deadline,
}

impl ThreadLimits {
    pub(super) const NONE: Self = Self { fresh: None, known: Deadline::NEVER };
}

/// A limit on the waits on this thread, until it is dropped. Of nested limits the earliest applies.
#[must_use = "the limit holds until this is dropped"]
pub(crate) struct WaitLimit {
    outer: ThreadLimits,
}

impl WaitLimit {
    pub(crate) fn begin(limit: Duration) -> Self {
        // The outer limit starts to run now at the latest: it may not be read again before this one
        // ends.
        let known = Self::deadline();
        let outer = ThreadLimits { fresh: None, known };
        of_this_thread((), |context| context.limits.set(ThreadLimits { fresh: Some(limit), known }));
        Self { outer }
    }

    /// Sets a limit from a deadline, so that the callees of a close or a flush wait no longer than
    /// it does. Returns `None` if the deadline is unlimited.
    pub(crate) fn until(deadline: Deadline) -> Option<Self> {
        deadline.remaining().map(Self::begin)
    }

    /// Returns the deadline of every wait on this thread: [`Deadline::NEVER`] where there is no
    /// limit.
    pub(crate) fn deadline() -> Deadline {
        let resolve = |cell: &Cell<ThreadLimits>| {
            let mut limits = cell.get();
            if let Some(limit) = limits.fresh.take() {
                limits.known = limits.known.min(Deadline::after(limit));
                cell.set(limits);
            }
            limits.known
        };
        of_this_thread(Deadline::NEVER, |context| resolve(&context.limits))
    }
}

/// How often a retry on this thread may try the event that it is offered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptsLeft {
    AsThePolicySays,
    One,
    None,
}

/// A mark: each offer on this thread is the last one, until it is dropped.
///
/// The deadline of a close has passed, and it will drop the events that are returned. A retry moves
/// them to its dead letters instead of making another attempt.
#[must_use = "the mark holds until this is dropped"]
pub(crate) struct LastOffer(AttemptsLeft);

impl LastOffer {
    /// Rules out every attempt.
    pub(crate) fn begin() -> Self {
        Self::set(AttemptsLeft::None)
    }

    /// Marks the offer of a letter, which has had no attempt. A retry makes one, and then
    /// continues as its policy decides, unless the letter is `late` or its event was offered for the last
    /// time.
    pub(crate) fn of_letter(late: bool) -> Self {
        let is_last = late || Self::left() != AttemptsLeft::AsThePolicySays;
        Self::set(if is_last { AttemptsLeft::One } else { AttemptsLeft::AsThePolicySays })
    }

    /// Returns whether a retry must not make an attempt.
    pub(crate) fn is_now() -> bool {
        Self::left() == AttemptsLeft::None
    }

    /// Returns whether a retry must not make a second attempt.
    pub(crate) fn is_after_attempt() -> bool {
        Self::left() != AttemptsLeft::AsThePolicySays
    }

    fn left() -> AttemptsLeft {
        of_this_thread(AttemptsLeft::AsThePolicySays, |context| context.attempts_left.get())
    }

    fn set(left: AttemptsLeft) -> Self {
        Self(of_this_thread(left, |context| context.attempts_left.replace(left)))
    }
}

impl Drop for LastOffer {
    fn drop(&mut self) {
        of_this_thread((), |context| context.attempts_left.set(self.0));
    }
}

impl Drop for WaitLimit {
    fn drop(&mut self) {
        of_this_thread((), |context| context.limits.set(self.outer));
    }
}

/// A mark for the drop of a last handle. All drops that it causes on this thread share its
/// deadline.
pub(crate) struct HandleDrop {
    deadline: Deadline,
    outermost: bool,
}

impl HandleDrop {
    pub(crate) fn begin() -> Self {
        let outer = of_this_thread(None, |context| context.dropping.get());
        let deadline = outer.unwrap_or_else(|| Deadline::after(DROP_LIMIT));
        of_this_thread((), |context| context.dropping.set(Some(deadline)));
        Self { deadline, outermost: outer.is_none() }
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline
    }
}

impl Drop for HandleDrop {
    fn drop(&mut self) {
        if self.outermost {
            of_this_thread((), |context| context.dropping.set(None));
        }
    }
}

impl Deadline {
    /// Returns the deadline of the waits on the calling thread, or [`NEVER`](Self::NEVER) if there
    /// is none.
    ///
    /// A [`Timeout`](crate::sink::Timeout), a close and a flush bound the waits of the sinks that
    /// they call. A sink that waits by itself, such as for the answer to a request, must wait no
    /// longer than that. A limit starts to run when it is first read, so a write that need not wait
    /// reads no clock.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::Deadline;
    /// use buslane::{Sink, SinkExt, sink_fn};
    /// use std::time::Duration;
    /// let patient = sink_fn(|_: &u32| assert_eq!(Deadline::current(), Deadline::NEVER));
    /// patient.write(1)?;
    /// let limit = Duration::from_secs(60);
    /// let bounded = sink_fn(move |_: &u32| assert!(Deadline::current().remaining().is_some_and(|left| left <= limit)));
    /// bounded.timeout(limit).write(1)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn current() -> Self {
        WaitLimit::deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::WaitLimit;
    use crate::deadline::Deadline;
    use std::time::Duration;

    #[test]
    fn earliest_nested_limit_applies_within_its_scope() {
        assert_eq!(WaitLimit::deadline(), Deadline::NEVER);
        let outer = WaitLimit::begin(Duration::from_secs(3600));
        let long = WaitLimit::deadline();
        assert_eq!(WaitLimit::deadline(), long, "each call must return the same deadline");
        {
            let _longer = WaitLimit::begin(Duration::from_secs(36_000));
            assert_eq!(WaitLimit::deadline(), long);
            let _none = WaitLimit::begin(Duration::ZERO);
            assert!(WaitLimit::deadline().has_passed());
        }
        assert_eq!(WaitLimit::deadline(), long);
        drop(outer);
        assert_eq!(WaitLimit::deadline(), Deadline::NEVER);
    }
}
