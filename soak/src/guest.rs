//! A sink on the bus, with its readers, its disturbances, and the checks at its end.

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

/// The disturbances of a sink's reader. Another thread requests them, and the reader acts at its
/// next event.
#[derive(Clone, Default)]
pub(crate) struct Mischief(Arc<Wishes>);

#[derive(Default)]
struct Wishes {
    stall: AtomicU64,
    panics: AtomicBool,
    /// A reader is to be dropped.
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

    /// Stalls if requested.
    pub(crate) fn stand_still(&self) {
        if self.0.stall.load(Ordering::Relaxed) > 0 {
            thread::sleep(Duration::from_micros(self.0.stall.swap(0, Ordering::Relaxed)));
        }
    }

    /// Stalls or panics if requested, without a message of the panic hook.
    pub(crate) fn act(&self) {
        self.stand_still();
        if self.0.panics.load(Ordering::Relaxed) && self.0.panics.swap(false, Ordering::Relaxed) {
            resume_unwind(Box::new("as requested"));
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
    /// Closes the sink, waits for its readers, and compares its ledger with the events that they
    /// saw.
    end: Box<dyn FnOnce()>,
}

impl Guest {
    /// Adds a sink to the bus; `end` closes it and checks it.
    pub(crate) fn add(
        invitation: &Invitation<'_>,
        sink: impl Sink<Event> + 'static,
        end: impl FnOnce() + 'static,
    ) -> Self {
        Self::add_with(invitation, sink, || false, end)
    }

    /// Adds a sink as [`add`](Self::add) does; `cut_off` returns whether the lanes are closed
    /// although the sink is still attached.
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

    /// Removes the sink and then ends it, or the other way around.
    pub(crate) fn leave(self, bus: &Bus<Event>, closes_first: bool) {
        let Self { id, name, bound, account, end, .. } = self;
        if closes_first {
            end();
            // The bus may have detached the closed sink.
            let _ = bus.remove_timeout(id, GUARD);
            bound.ended(account);
            return;
        }
        let before = pauses();
        // A sink that closed itself is already detached.
        if let Ok(removed) = bus.remove_timeout(id, GUARD) {
            in_time(removed == Removed::Quiet, before, || format!("{name}: {removed:?} after a removal"));
        }
        bound.left(account);
        end();
        bound.ended(account);
    }

    /// Closes and checks the sink, on a closed bus.
    pub(crate) fn end(self) {
        (self.end)();
        self.bound.ended(self.account);
    }
}

/// Returns the state that a sink reports.
pub(crate) fn state_of(sink: &impl Sink<Event>) -> SinkState {
    let mut state = SinkState::default();
    sink.describe(&mut state);
    state
}

/// Checks that a close is done.
pub(crate) fn check_close(name: &str, report: &CloseReport, before: u64) {
    in_time(report.is_done(), before, || format!("{name}: the close reported: {report}"));
}

/// Returns the ledger of a closed sink. A write that the bus began before it noticed the close may
/// be in progress for a short time: it is offered, and not refused yet.
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

/// Checks that the ledger of a closed and empty sink balances, and agrees with the events that its
/// readers saw.
pub(crate) fn check_books(name: &str, state: impl Fn() -> SinkState, seen: &Seen) {
    let ledger = books(name, state);
    require(ledger.pending == 0, || format!("{name}: events remain: {ledger}"));
    let handled = ledger.delivered + ledger.dropped.panicked + ledger.dropped.failed;
    require(handled == seen.count(), || format!("{name}: {} events were seen: {ledger}", seen.count()));
}
