//! One side of a tee: its sink's outcome for each event, and the counters of a sink without a
//! ledger.

use crate::error::WriteError;
use crate::sink::Sink;
use crate::sink::control::close_caught;
use crate::sink::lane::{Lane, Lanes};
use crate::stats::{
    CloseReport, Disposition, DropReason, EntryCounters, EntryOutcome, Finish, FlushReport, Ledger,
    SinkState, SinkStatus,
};
use crate::sync::{AtomicBool, Mutex, Ordering, lock};
use crate::time::Deadline;
use crate::wait::context::{caught, text_or_panic};
use std::sync::Arc;

/// The disposition of an event lost to a panic of the sink.
const LOST: Disposition = Disposition::Dropped(DropReason::Panicked);

/// The tee's state for one of its two sinks.
pub(super) struct Side {
    /// Whether the sink accepts no further events.
    closed: AtomicBool,
    /// The counters of a sink that is called directly and does not count itself.
    counters: EntryCounters,
    last_error: Mutex<Option<String>>,
}

impl Side {
    pub(super) fn new() -> Self {
        Self {
            closed: AtomicBool::new(false),
            counters: EntryCounters::shared(),
            last_error: Mutex::new(None),
        }
    }

    /// Returns whether the sink is skipped.
    pub(super) fn is_closed(&self) -> bool {
        // Relaxed: a hint; a closed sink refuses events by itself.
        self.closed.load(Ordering::Relaxed)
    }

    /// Returns whether the sink accepts no further events, as far as the sink reports it.
    pub(super) fn reports_closed<E>(&self, sink: &impl Sink<E>) -> bool {
        self.is_closed() || caught(|| sink.reports_closed()).unwrap_or(false)
    }

    /// Offers an event to the sink.
    pub(super) fn offer<E>(&self, sink: &impl Sink<E>, event: E) -> Result<Disposition, WriteError<E>> {
        let direct = !sink.has_lanes();
        let Some(offered) = self.attempt(|| sink.offer(event)) else { return Ok(LOST) };
        if direct {
            self.counters.offered(1);
            match &offered {
                Ok(disposition) => self.counters.disposed(*disposition),
                Err(error) => self.counters.count(EntryOutcome::refused(error), 1),
            }
            if let Err(error @ WriteError::Failed { .. }) = &offered {
                self.note(|| error.to_string());
            }
        }
        if matches!(&offered, Err(WriteError::Closed(_))) {
            self.closed.store(true, Ordering::Relaxed);
        }
        offered
    }

    /// Calls the sink with an event. Returns `None` and counts the event if the sink panics.
    fn attempt<E>(
        &self,
        write: impl FnOnce() -> Result<Disposition, WriteError<E>>,
    ) -> Option<Result<Disposition, WriteError<E>>> {
        match caught(write) {
            Ok(outcome) => Some(outcome),
            Err(text) => {
                self.counters.offered(1);
                self.counters.count(EntryOutcome::Unwound, 1);
                self.note(|| format!("the sink panicked: {text}"));
                None
            }
        }
    }

    #[cold]
    fn note(&self, text: impl FnOnce() -> String) {
        // The text of an error is made by user code.
        let text = text_or_panic(text);
        *lock(&self.last_error) = Some(text);
    }

    pub(super) fn close<E>(&self, sink: &impl Sink<E>, deadline: Deadline) -> CloseReport {
        close_caught(sink, deadline)
    }

    /// Flushes the sink.
    pub(super) fn flush<E>(&self, sink: &impl Sink<E>, deadline: Deadline) -> FlushReport {
        let mut report = FlushReport::default();
        if caught(|| sink.flush_by(deadline, &mut report)).is_err() {
            report.note(Finish::TimedOut);
        }
        report
    }

    /// Returns what a stage upstream of the tee shows of this side.
    pub(super) fn shown(&self) -> SinkState {
        SinkState { last_error: lock(&self.last_error).clone(), ..SinkState::default() }
    }

    pub(super) fn describe<E>(&self, sink: &impl Sink<E>) -> SinkState {
        let (mut state, mut counted) = (SinkState::default(), Ledger::default());
        let _ = caught(|| sink.describe(&mut state));
        self.counters.add_to(&mut counted);
        if !state.kind.keeps_ledger() {
            state.ledger = counted;
            if self.is_closed() {
                state.status = SinkStatus::Drained;
            }
        } else {
            // The sink keeps its own ledger, but only the tee counts its panics.
            state.ledger.add_panicked(self.counters.unwound());
        }
        state.last_error = state.last_error.or_else(|| lock(&self.last_error).clone());
        state
    }
}

/// A publisher's lane into one side.
pub(super) struct SideLane<E> {
    lane: Lane<E>,
    index: usize,
    sides: Arc<[Side; 2]>,
    /// Whether the lane accepts no further events. Its sink may still accept some: a bus that
    /// removes the tee ends only its own lanes.
    closed: bool,
}

impl<E: Send + 'static> SideLane<E> {
    pub(super) fn new(lane: Lane<E>, index: usize, sides: &Arc<[Side; 2]>) -> Self {
        Self { lane, index, sides: sides.clone(), closed: false }
    }

    pub(super) fn lane(&self) -> &Lane<E> {
        &self.lane
    }

    /// Returns whether the lane is skipped.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Continues with the event that the lane keeps. Returns whether it keeps none.
    pub(super) fn resume(&mut self) -> bool {
        self.lane.resume()
    }

    /// Drops the event that the lane keeps.
    pub(super) fn give_up(&mut self) {
        self.lane.give_up();
    }

    pub(super) fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        let Self { lane, index, sides, closed } = self;
        let pushed = sides[*index].attempt(|| lane.offer(event, deadline)).unwrap_or(Ok(LOST));
        *closed = matches!(&pushed, Err(WriteError::Closed(_)));
        pushed
    }
}
