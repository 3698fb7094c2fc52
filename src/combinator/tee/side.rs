//! One side of a tee: what its sink does to the event, and the books of a sink that keeps none.

use crate::error::WriteError;
use crate::inbox::Patience;
use crate::ledger::{EntryCounters, Ledger, Outcome, SinkState, SinkStatus};
use crate::panics::{caught, foreign};
use crate::report::{CloseReport, Finish, FlushReport};
use crate::sink::Sink;
use crate::sink::lane::Lane;
use crate::sink::signal::Signal;
use crate::sync::{AtomicBool, Mutex, Ordering, lock};
use crate::wait::Deadline;
use std::sync::Arc;

/// What a tee knows about one of its two sinks.
pub(super) struct Side {
    /// It takes nothing any more.
    closed: AtomicBool,
    /// What a sink that is called directly does not count itself.
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

    /// Whether the sink is left out.
    pub(super) fn is_closed(&self) -> bool {
        // Relaxed: a hint; that the sink takes nothing any more, it says itself.
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether the sink takes nothing any more, as far as it says so.
    pub(super) fn is_over<E>(&self, sink: &impl Sink<E>) -> bool {
        let mut closed = self.is_closed();
        self.signal(sink, &mut Signal::IsClosed(&mut closed));
        closed
    }

    /// Writes to the sink.
    pub(super) fn write<E>(&self, sink: &impl Sink<E>, event: E) -> Result<(), WriteError<E>> {
        let direct = !sink.has_lanes();
        let written = self.attempt(|| sink.write(event));
        if direct {
            let outcome = match &written {
                Some(Ok(())) => Some(Outcome::Delivered),
                Some(Err(WriteError::Full(_))) => Some(Outcome::RefusedFull),
                Some(Err(WriteError::Closed(_))) => Some(Outcome::RefusedClosed),
                Some(Err(WriteError::Timeout(_))) => Some(Outcome::RefusedTimeout),
                Some(Err(WriteError::Reentrant(_))) => Some(Outcome::RefusedReentrant),
                Some(Err(WriteError::Failed { .. })) => Some(Outcome::RefusedFailed),
                None => None,
            };
            if let Some(outcome) = outcome {
                self.counters.offered(1);
                self.counters.count(outcome, 1);
            }
            if let Some(Err(error @ WriteError::Failed { .. })) = &written {
                self.note(|| error.to_string());
            }
        }
        if matches!(&written, Some(Err(WriteError::Closed(_)))) {
            self.closed.store(true, Ordering::Relaxed);
        }
        written.unwrap_or(Ok(()))
    }

    /// Has the sink take an event; nothing, and counted here, when it panics.
    fn attempt<E>(
        &self,
        write: impl FnOnce() -> Result<(), WriteError<E>>,
    ) -> Option<Result<(), WriteError<E>>> {
        match caught(write) {
            Ok(outcome) => Some(outcome),
            Err(text) => {
                self.counters.offered(1);
                self.counters.count(Outcome::DroppedPanicked, 1);
                self.note(|| format!("the sink panicked: {text}"));
                None
            }
        }
    }

    #[cold]
    fn note(&self, text: impl FnOnce() -> String) {
        // The text of an error is foreign code.
        let text = foreign(text).unwrap_or_else(|text| format!("an error whose text panicked: {text}"));
        *lock(&self.last_error) = Some(text);
    }

    pub(super) fn close<E>(&self, sink: &impl Sink<E>, deadline: Deadline) -> CloseReport {
        caught(|| sink.close(deadline))
            .unwrap_or_else(|text| CloseReport::failed(format!("its close panicked: {text}")))
    }

    pub(super) fn signal<E>(&self, sink: &impl Sink<E>, signal: &mut Signal<'_>) {
        if caught(|| sink.signal(signal)).is_err()
            && let Signal::Flush(_, report) = signal
        {
            report.note(Finish::TimedOut);
        }
    }

    /// Flushes the sink.
    pub(super) fn flush<E>(&self, sink: &impl Sink<E>, deadline: Deadline) -> FlushReport {
        let mut report = FlushReport::default();
        self.signal(sink, &mut Signal::Flush(deadline, &mut report));
        report
    }

    pub(super) fn describe<E>(&self, sink: &impl Sink<E>) -> SinkState {
        let (mut state, mut counted) = (SinkState::default(), Ledger::default());
        self.signal(sink, &mut Signal::Describe(&mut state));
        self.counters.add_to(&mut counted);
        if state.kind.is_empty() {
            counted.keep_away(&state.ledger);
            state.ledger = counted;
            if self.is_closed() {
                state.status = SinkStatus::Closed;
            }
        } else {
            // The sink keeps its own books; that it panicked only the tee knows.
            state.ledger.add_panicked(counted.dropped.panicked);
        }
        state.last_error = state.last_error.or_else(|| lock(&self.last_error).clone());
        state
    }
}

/// One publisher's lane into one side.
pub(super) struct SideLane<E> {
    lane: Lane<E>,
    index: usize,
    sides: Arc<[Side; 2]>,
    /// The lane takes nothing any more. Its sink may: a bus that lets go of the tee ends its own lanes only.
    closed: bool,
}

impl<E: Send + 'static> SideLane<E> {
    pub(super) fn new(lane: Lane<E>, index: usize, sides: &Arc<[Side; 2]>) -> Self {
        Self { lane, index, sides: sides.clone(), closed: false }
    }

    pub(super) fn lane(&self) -> &Lane<E> {
        &self.lane
    }

    /// Whether the lane is left out.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn push(&mut self, event: E, patience: Patience) -> Result<(), WriteError<E>> {
        let Self { lane, index, sides, closed } = self;
        let pushed = sides[*index].attempt(|| lane.push(event, patience)).unwrap_or(Ok(()));
        *closed = matches!(&pushed, Err(WriteError::Closed(_)));
        pushed
    }
}
