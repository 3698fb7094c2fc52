//! The dead-letter sink of a retry: letters are written before the sink ends, and no writer stays
//! in it after a deadline.
//!
//! A close that times out aborts a retry. Then the events that the retry has in hand become
//! letters, so the dead-letter sink has to outlive the abort, and a writer that waits in that sink
//! has to return all the same.
//!
//! - From the abort on, the letters are *overdue*: the waits for each of them are limited to
//!   [`GRACE`].
//! - A sink of the user may wait without regard to a limit, and a writer may have begun to wait
//!   before the abort. So a thread *watches* the writers that an abort finds in the sink, and those
//!   that come later if the sink is not a queue or a channel. The same holds for threads that close
//!   or flush the sink. If no call of the sink has returned for a whole [`GRACE`] and a thread is
//!   inside, the watching thread ends the sink.
//! - A close of the retry waits until no thread has an event [in hand](super::hands), for at most
//!   [`GRACE`], and then closes the sink. After an abort it gives a queue the rest of that time to
//!   handle its letters, and aborts the sink last.

use super::dead_letter::DeadLetter;
use super::hands::{Hand, Hands};
use crate::error::WriteError;
use crate::sink::Sink;
use crate::sink::control::close_caught;
use crate::sink::lane::Lanes;
use crate::stats::{CloseReport, Disposition, Identity};
use crate::sync::{MODEL, Mutex, lock, thread};
use crate::time::{Deadline, Pause};
use crate::wait::context::{DeferredWaits, LastOffer, WaitLimit, WaitedFor, discard, must_not_wait, quietly};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long a letter may wait after an abort, and how long a close waits for letters.
pub(super) const GRACE: Duration = Duration::from_millis(200);

/// The dead-letter sink, the events in hand, and the writers in the sink.
pub(super) struct Letters<E> {
    pub(super) sink: Arc<dyn Sink<DeadLetter<E>>>,
    hands: Hands,
    writers: Arc<Mutex<Writers>>,
}

/// The threads that are inside the dead-letter sink.
#[derive(Default)]
struct Writers {
    /// Whether a close has timed out: no letter waits for long.
    overdue: bool,
    /// The number of threads that are writing a letter.
    inside: u64,
    /// The number of threads that are closing or flushing the sink, or in another control call.
    controls: u64,
    /// The number of calls of the sink that have returned.
    returned: u64,
    /// Whether a thread watches the writers.
    watched: bool,
}

impl<E> Letters<E> {
    pub(super) fn new(sink: impl Sink<DeadLetter<E>> + 'static) -> Self {
        Self { sink: Arc::new(sink), hands: Hands::new(), writers: Arc::default() }
    }
}

impl<E: 'static> Letters<E> {
    /// Records that the calling thread may have a letter to write, until the result is dropped.
    pub(super) fn hold(&self) -> Hand<'_> {
        self.hands.hold()
    }

    /// Limits the waits for all later letters. Call it before the waits of the retry are
    /// interrupted, so that each letter that the interruption causes is limited.
    pub(super) fn expire(&self) {
        lock(&self.writers).overdue = true;
    }

    /// Makes sure that the writers in the sink return.
    pub(super) fn free_writers(&self) {
        let begins = {
            let mut writers = lock(&self.writers);
            writers.is_any_inside() && writers.begin_watch()
        };
        if begins {
            self.watch();
        }
    }

    /// Writes a letter. If the sink panics, so does this.
    pub(super) fn write(&self, letter: DeadLetter<E>) -> Result<Disposition, WriteError<DeadLetter<E>>> {
        let (overdue, begins) = {
            let mut writers = lock(&self.writers);
            writers.inside += 1;
            (writers.overdue, writers.overdue && !self.sink.has_lanes() && writers.begin_watch())
        };
        let _inside = Inside(&self.writers, |writers| &mut writers.inside);
        if begins {
            self.watch();
        }
        let _limit = overdue.then(|| WaitLimit::begin(GRACE));
        let (_held, _offer) = (WaitedFor::begin(), LastOffer::of_letter(overdue));
        self.sink.offer(letter)
    }

    /// Calls the sink for a close, a flush or another control. An abort frees a thread that is
    /// stuck there, as it frees a writer.
    pub(super) fn control<R>(&self, call: impl FnOnce(&dyn Sink<DeadLetter<E>>) -> R) -> R {
        let begins = {
            let mut writers = lock(&self.writers);
            writers.controls += 1;
            writers.overdue && !self.sink.has_lanes() && writers.begin_watch()
        };
        let _inside = Inside(&self.writers, |writers| &mut writers.controls);
        if begins {
            self.watch();
        }
        call(&*self.sink)
    }

    /// Starts a thread that ends the sink when its writers are stuck.
    fn watch(&self) {
        let (writers, sink) = (self.writers.clone(), Arc::downgrade(&self.sink));
        let body = move || watch(&writers, &sink);
        if thread::spawn_named(String::from("buslane-control"), body).is_err() {
            lock(&self.writers).watched = false;
            end(&*self.sink);
        }
    }

    /// Closes the sink after the letters of the events in hand.
    pub(super) fn close(&self, deadline: Deadline) -> CloseReport {
        // In hand may be an event of this very thread. And a model has no time that passes.
        let waits = !MODEL && !must_not_wait();
        let until = Deadline::after(GRACE);
        if waits {
            self.hands.wait_none(until);
        }
        let report = self.control(|sink| close_caught(sink, deadline));
        if waits && lock(&self.writers).overdue {
            // The deadline has passed, and a queue of letters still has to handle those that the
            // deadline caused.
            report.await_told(&Identity::new(), until);
            quietly(|| self.sink.abort_now());
        }
        report
    }
}

impl Writers {
    fn is_any_inside(&self) -> bool {
        self.inside > 0 || self.controls > 0
    }

    /// Returns whether the caller has to start a thread that watches.
    fn begin_watch(&mut self) -> bool {
        !MODEL && !std::mem::replace(&mut self.watched, true)
    }
}

/// A thread inside the sink, also when the sink panics, and the count in which it is.
struct Inside<'a>(&'a Mutex<Writers>, fn(&mut Writers) -> &mut u64);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut writers = lock(self.0);
        *(self.1)(&mut writers) -= 1;
        writers.returned += 1;
    }
}

/// Waits until no thread is inside the sink, or until no call has returned for a whole [`GRACE`].
/// Then ends the sink.
///
/// Nothing wakes this thread, so that one serves all letters of a close.
fn watch<E: 'static>(writers: &Mutex<Writers>, sink: &Weak<dyn Sink<DeadLetter<E>>>) {
    let mut before = lock(writers).returned;
    let has_controls = loop {
        Pause::new().wait(Deadline::after(GRACE), || false);
        let mut writers = lock(writers);
        let is_stuck = writers.returned == before;
        before = writers.returned;
        writers.watched = writers.is_any_inside() && !is_stuck;
        if !writers.is_any_inside() {
            return;
        }
        if is_stuck {
            break writers.controls > 0;
        }
    };
    if let Some(sink) = sink.upgrade() {
        if has_controls {
            // Only an abort ends the waits of a close or a flush.
            quietly(|| sink.abort_now());
        } else {
            end(&*sink);
        }
        discard(sink);
    }
}

/// Ends the waits of writers in a sink. A queue and a channel keep the letters that they have
/// accepted: a close is enough to refuse the writers.
fn end<L>(sink: &dyn Sink<L>) {
    if sink.has_lanes() {
        let _told = DeferredWaits::begin();
        let _ = close_caught(sink, Deadline::NOW);
    } else {
        quietly(|| sink.abort_now());
    }
}
