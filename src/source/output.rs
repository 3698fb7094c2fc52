//! The way from a monitor into its sink.
//!
//! A sink with lanes gets a private lane, so handing an event on costs what it costs a publisher. If
//! the sink is a bus, the lane is a publisher of that bus. Every other sink is called directly, as a
//! bus calls it: nothing waits inside.
//!
//! Events that the sink loses at once leave a gap. The gap comes before the next update that the
//! sink accepts. If the sink refuses the gap as well, the next event is lost with it, so that no
//! event comes after missing ones without a gap between them.

use super::update::{Gap, GapReason, Update};
use crate::error::{OutOfMemory, WriteError};
use crate::sink::Sink;
use crate::sink::lane::{Lane, LaneSealer, Lanes};
use crate::stats::Disposition;
use crate::sync;
use crate::sync::guarded::{Domain, Guarded, Hazard, Listed};
use crate::sync::membarrier::{heavy_fence_or_wait, process_pair};
use crate::time::Deadline;
use crate::wait::context::{Delivery, caught, discard, dispose, error_text, event_of, user_code};
use std::marker::PhantomData;

/// A sink of a monitor, and what of each update it gets.
pub(super) struct Output<E, X, K> {
    sink: K,
    lane: Option<Lane<X>>,
    /// Whether a push may run user code, whose panic is caught.
    is_guarded: bool,
    /// Makes what the sink gets from an update. `None` if the sink does not get it.
    wrap: fn(Update<E>) -> Option<X>,
    /// Whether the sink gets more than events.
    is_told: bool,
    /// The gap that the sink has not accepted yet.
    pending_gap: Option<Gap>,
    permit: WaitPermit,
    events: PhantomData<fn(E)>,
}

/// The right to wait for room in the sink, until a stop takes it back.
///
/// A call of the worker that may run user code is inside this value. A stop detaches the value as a
/// removal detaches a sink: a wait inside ends at its next step, also in a bus, whose lanes change
/// and so have no sealer. See `sync::guarded`.
struct WaitPermit {
    guard: sync::Arc<Guarded<()>>,
    hazard: sync::Arc<Hazard>,
}

/// What ends the waits for room of the worker, from another thread.
pub(super) struct WaitEnd {
    /// Wakes a worker that waits in a lane. `None` if the lane cannot be sealed from outside.
    sealer: Option<LaneSealer>,
    guard: sync::Arc<Guarded<()>>,
}

impl WaitEnd {
    /// Ends the worker's wait for room, and every later one: it gets the event back.
    pub(super) fn end(&self) {
        self.guard.detach();
        LaneSealer::seal_all(self.sealer.as_slice(), || {
            // ORD(spsc.fin): heavy fence; pairs with the light ones of publishers and of
            // `Consumer::refresh`.
            heavy_fence_or_wait(process_pair());
        });
    }
}

impl WaitPermit {
    fn new() -> Self {
        // Nothing is taken out of the value, so its domain does not outlive this call.
        let hazard = Domain::new(process_pair()).register();
        Self { guard: Listed::new(1, ()).guarded().clone(), hazard }
    }

    /// Offers an update, and waits for room until a stop ends the wait. Such an update is returned
    /// as one that a closed sink refuses.
    fn offer<X: Send + 'static>(&self, lane: &mut Lane<X>, update: X) -> Result<Disposition, WriteError<X>> {
        let offered = match self.guard.enter(&self.hazard, process_pair()) {
            Some(entered) => entered.inside(|| lane.offer(update, Deadline::NEVER)),
            None => lane.offer(update, Deadline::NOW),
        };
        match offered {
            Err(error) if !self.guard.is_attached() => Err(WriteError::Closed(event_of(error))),
            offered => offered,
        }
    }
}

/// What became of an event or update.
#[derive(Debug)]
pub(super) enum Outcome {
    Accepted,
    Refused(String),
    Dropped,
    Panicked(String),
    Closed,
}

impl<E, X: Send + 'static, K: Sink<X>> Output<E, X, K> {
    pub(super) fn new(sink: K, wrap: fn(Update<E>) -> Option<X>, is_told: bool) -> Result<Self, OutOfMemory> {
        let lane = sink.lane()?;
        let is_guarded = lane.as_ref().is_none_or(Lane::has_user_code);
        Ok(Self {
            sink,
            lane,
            is_guarded,
            wrap,
            is_told,
            pending_gap: None,
            permit: WaitPermit::new(),
            events: PhantomData,
        })
    }

    /// Returns what ends the waits for room, from another thread.
    pub(super) fn wait_end(&self) -> WaitEnd {
        WaitEnd { sealer: self.lane.as_ref().and_then(Lane::sealer), guard: self.permit.guard.clone() }
    }

    pub(super) fn sink(&self) -> &K {
        &self.sink
    }

    pub(super) fn is_closed(&self) -> bool {
        user_code(|| self.sink.reports_closed()).unwrap_or(false)
    }

    /// Forwards an event, after a pending gap.
    #[inline]
    pub(super) fn event(&mut self, event: E) -> Outcome {
        if self.pending_gap.is_some() {
            match self.send_gap() {
                Outcome::Accepted => {}
                outcome => {
                    discard(event);
                    self.note_loss();
                    return outcome;
                }
            }
        }
        let outcome = self.send(Update::Event(event));
        if matches!(outcome, Outcome::Refused(_) | Outcome::Dropped | Outcome::Panicked(_)) {
            self.note_loss();
        }
        outcome
    }

    /// Forwards another update, after a pending gap.
    pub(super) fn tell(&mut self, update: Update<E>) -> Outcome {
        match self.send_gap() {
            Outcome::Closed => Outcome::Closed,
            _ => self.send(update),
        }
    }

    /// Forwards a gap. If the sink does not accept it, it stays pending.
    pub(super) fn gap(&mut self, gap: Gap) -> Outcome {
        self.add_gap(gap);
        self.send_gap()
    }

    /// Returns whether a gap is pending.
    pub(super) fn has_gap(&self) -> bool {
        self.pending_gap.is_some()
    }

    #[cold]
    fn note_loss(&mut self) {
        self.add_gap(Gap::new(GapReason::SinkRefused).missed(1));
    }

    fn add_gap(&mut self, gap: Gap) {
        if self.is_told {
            self.pending_gap = Some(self.pending_gap.map_or(gap, |earlier| earlier.and(gap)));
        }
    }

    /// Forwards a pending gap. If the sink does not accept it, it stays pending.
    pub(super) fn send_gap(&mut self) -> Outcome {
        let Some(gap) = self.pending_gap else { return Outcome::Accepted };
        let outcome = self.send(Update::Gap(gap));
        if matches!(outcome, Outcome::Accepted) {
            self.pending_gap = None;
        }
        outcome
    }

    #[inline]
    fn send(&mut self, update: Update<E>) -> Outcome {
        let Some(update) = (self.wrap)(update) else { return Outcome::Accepted };
        match &mut self.lane {
            Some(lane) if !self.is_guarded => outcome_of(lane.offer(update, Deadline::NEVER)),
            lane => Self::send_guarded(lane.as_mut(), &self.permit, &self.sink, update),
        }
    }

    /// Pushes into a lane that runs user code, or calls the sink.
    fn send_guarded(lane: Option<&mut Lane<X>>, permit: &WaitPermit, sink: &K, update: X) -> Outcome {
        let offered = match lane {
            Some(lane) => caught(|| permit.offer(lane, update)),
            None => match Delivery::enter() {
                Some(_inside) => caught(|| sink.offer(update)),
                None => Ok(Err(WriteError::Reentrant(update))),
            },
        };
        offered.map_or_else(Outcome::Panicked, outcome_of)
    }
}

#[inline]
fn outcome_of<X>(offered: Result<Disposition, WriteError<X>>) -> Outcome {
    match offered {
        Ok(Disposition::Dropped(_)) => Outcome::Dropped,
        Ok(_) => Outcome::Accepted,
        Err(error) => refused(error),
    }
}

#[cold]
fn refused<X>(error: WriteError<X>) -> Outcome {
    let outcome = if error.is_closed() { Outcome::Closed } else { Outcome::Refused(error_text(&error)) };
    discard(event_of(error));
    outcome
}

impl<E, X, K> Drop for Output<E, X, K> {
    fn drop(&mut self) {
        dispose(self.lane.take());
    }
}
