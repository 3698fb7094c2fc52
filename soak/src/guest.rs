//! A sink on the bus, with its readers, what disturbs it, and how its end is checked.

use crate::bound::{Account, Bound};
use crate::event::{Event, Seen};
use crate::guests::Invitation;
use crate::watch::{GUARD, fail, in_time, pauses, require};
use buslane::bus::Removed;
use buslane::stats::{CloseReport, Ledger, SinkState};
use buslane::{Bus, Sink, SinkId};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What disturbs the reader of a sink. Asked for from outside, and done by the reader at its next
/// event.
#[derive(Clone, Default)]
pub(crate) struct Mischief(Arc<Wishes>);

#[derive(Default)]
struct Wishes {
    stall: AtomicU64,
    panics: AtomicBool,
    /// A reader is to go away.
    leaves: AtomicBool,
}

impl Mischief {
    pub(crate) fn stall(&self, limit: Duration) {
        self.0.stall.store(limit.as_micros() as u64, Ordering::Relaxed);
    }

    pub(crate) fn panic(&self) {
        self.0.panics.store(true, Ordering::Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.0.leaves.store(true, Ordering::Relaxed);
    }

    /// Stands still if that is wished for.
    pub(crate) fn stand_still(&self) {
        if self.0.stall.load(Ordering::Relaxed) > 0 {
            thread::sleep(Duration::from_micros(self.0.stall.swap(0, Ordering::Relaxed)));
        }
    }

    /// Stands still or panics if that is wished for; without a word of the panic hook.
    pub(crate) fn act(&self) {
        self.stand_still();
        if self.0.panics.load(Ordering::Relaxed) && self.0.panics.swap(false, Ordering::Relaxed) {
            resume_unwind(Box::new("as planned"));
        }
    }

    pub(crate) fn leaves(&self) -> bool {
        self.0.leaves.load(Ordering::Relaxed)
    }
}

/// One sink on the bus.
pub(crate) struct Guest {
    pub(crate) id: SinkId,
    pub(crate) name: String,
    pub(crate) mischief: Mischief,
    bound: Bound,
    account: Account,
    /// Closes it, waits for its readers, and checks its books against what they saw.
    end: Box<dyn FnOnce()>,
}

impl Guest {
    /// Puts a sink on the bus; `end` closes it and checks it.
    pub(crate) fn add(
        invitation: &Invitation<'_>,
        sink: impl Sink<Event> + 'static,
        end: impl FnOnce() + 'static,
    ) -> Self {
        Self::add_with(invitation, sink, || false, end)
    }

    /// As [`add`](Self::add); `cut_off` returns whether the lanes are closed although the bus has
    /// the sink still.
    pub(crate) fn add_with(
        invitation: &Invitation<'_>,
        sink: impl Sink<Event> + 'static,
        cut_off: impl Fn() -> bool + Send + 'static,
        end: impl FnOnce() + 'static,
    ) -> Self {
        let Invitation { bus, bound, account, name, mischief, .. } = invitation;
        let sink: Arc<dyn Sink<Event>> = Arc::new(sink);
        let added = bus.add_named(name, sink.clone());
        let id = added.unwrap_or_else(|error| fail(&format!("{name}: {error}")));
        bound.attached(*account, id, sink, Box::new(cut_off));
        Self {
            id,
            name: name.clone(),
            mischief: mischief.clone(),
            bound: (*bound).clone(),
            account: *account,
            end: Box::new(end),
        }
    }

    /// Takes it off the bus, and then ends it; or the other way round.
    pub(crate) fn leave(self, bus: &Bus<Event>, closes_first: bool) {
        let Self { id, name, bound, account, end, .. } = self;
        if closes_first {
            end();
            // The bus may have noticed.
            let _ = bus.remove_timeout(id, GUARD);
            bound.ended(account);
            return;
        }
        let before = pauses();
        // One that has closed itself is gone already.
        if let Ok(removed) = bus.remove_timeout(id, GUARD) {
            in_time(removed == Removed::Quiet, before, || format!("{name}: {removed:?} after a removal"));
        }
        bound.left(account);
        end();
        bound.ended(account);
    }

    /// Closes and checks it, on a bus that is closed.
    pub(crate) fn end(self) {
        (self.end)();
        self.bound.ended(self.account);
    }
}

/// What a sink says about itself.
pub(crate) fn state_of(sink: &impl Sink<Event>) -> SinkState {
    let mut state = SinkState::default();
    sink.describe(&mut state);
    state
}

/// A close came to its end.
pub(crate) fn check_close(name: &str, report: &CloseReport, before: u64) {
    in_time(report.is_done(), before, || format!("{name}: the close says: {report}"));
}

/// The books of something that is closed. A write that the bus had begun before it noticed the
/// close may be on its way for a moment: it is offered, and not refused yet.
pub(crate) fn books(name: &str, state: impl Fn() -> SinkState) -> Ledger {
    let before = pauses();
    let begun = Instant::now();
    loop {
        let ledger = state().ledger;
        match ledger.check() {
            Ok(()) => return ledger,
            Err(imbalance) if begun.elapsed() > GUARD => {
                in_time(false, before, || format!("{name}: {imbalance}"));
                return ledger;
            }
            Err(_) => thread::yield_now(),
        }
    }
}

/// The books of a sink that is closed and empty balance, and agree with what its readers saw.
pub(crate) fn check_books(name: &str, state: impl Fn() -> SinkState, seen: &Seen) {
    let ledger = books(name, state);
    require(ledger.pending == 0, || format!("{name}: events are left: {ledger}"));
    let handled = ledger.delivered + ledger.dropped.panicked + ledger.dropped.failed;
    require(handled == seen.count(), || format!("{name}: {} events were seen: {ledger}", seen.count()));
}
