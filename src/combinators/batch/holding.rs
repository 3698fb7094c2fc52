//! The contents of a batch, and its counters.

use super::limits::BatchLimits;
use crate::deadline::moment_after;
use crate::error::{ConfigError, WriteError};
use crate::stats::{CloseReport, Disposition, Downstream, Ledger, Load, SinkKind, SinkState, SinkStatus};
use crate::time::Deadline;
use crate::wait::context::{discard, discard_each, text_or_panic};
use std::time::{Duration, Instant};

/// The delay after which a refused batch is offered again, at the latest.
const OFFER_AGAIN: Duration = Duration::from_millis(100);

/// Which batches are forwarded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Emit {
    /// Those that are complete.
    Complete,
    /// The current one, and then those that are complete.
    Now,
    /// All batches, by the thread that closes.
    Finally,
}

/// The outcome of a batch that was forwarded.
pub(super) enum BatchOutcome<E> {
    /// The inner sink accepted the batch, with this disposition.
    Taken(Disposition),
    /// The inner sink has no room for these events now.
    Held {
        batch: Vec<E>,
        is_out_of_time: bool,
    },
    /// The inner sink failed, and `lost` events were lost.
    Failed {
        lost: usize,
        text: String,
        is_closed: bool,
    },
    Panicked(String),
}

impl<E> BatchOutcome<E> {
    /// Runs user code: the texts of errors, and the drops of returned events.
    pub(super) fn of(
        result: Result<Result<Disposition, WriteError<Vec<E>>>, String>,
        count: usize,
        load: &mut Load<'_>,
    ) -> Self
    where
        E: 'static,
    {
        let error = match result {
            Ok(Ok(disposition)) => return Self::Taken(disposition),
            Err(text) => return Self::Panicked(text),
            Ok(Err(error @ (WriteError::Full(_) | WriteError::Timeout(_) | WriteError::Reentrant(_)))) => {
                let is_out_of_time = matches!(error, WriteError::Timeout(_));
                let batch = error.into_event();
                load.came_back(&batch);
                return if batch.is_empty() {
                    Self::Taken(Disposition::Delivered)
                } else {
                    Self::Held { batch, is_out_of_time }
                };
            }
            Ok(Err(error)) => error,
        };
        let is_closed = error.is_closed();
        let text = || match &error {
            WriteError::Failed { source, .. } => source.to_string(),
            other => other.to_string(),
        };
        let text = text_or_panic(text);
        let mut lost = count;
        let batch = match error {
            WriteError::Failed { event, source } => {
                discard(source);
                event
            }
            other => other.into_event(),
        };
        lost = lost.min(batch.len());
        load.came_back(&batch);
        discard_each(batch);
        Self::Failed { lost, text, is_closed }
    }
}

/// The events of a batch, and its counters.
pub(super) struct Holding<E> {
    /// The batch that is being filled.
    gathering: Vec<E>,
    bytes: usize,
    /// Whether it became due while another batch was being forwarded, and has to follow that one.
    is_due: bool,
    /// The time of the first tick that found an event in it.
    since: Option<Instant>,
    /// The previous batch, if the inner sink had no room for it.
    refused: Vec<E>,
    /// Whether the inner sink refused that batch because a time limit had passed.
    is_out_of_time: bool,
    /// The number of events in the batch that is being forwarded.
    away: usize,
    /// The number of batches that were ever forwarded.
    forwarded: u64,
    /// The number of events that were ever accepted into a batch.
    pushed: u64,
    /// The number of events that a downstream sink keeps or kept, which count as delivered in
    /// `ledger`, and the number of their batches.
    passed: u64,
    passed_batches: u64,
    closing: Option<Deadline>,
    is_closing: bool,
    report: Option<CloseReport>,
    ledger: Ledger,
    /// The number of events lost because the size function panicked, which were never in a batch.
    panicked_at_once: u64,
    last_error: Option<String>,
}

impl<E> Holding<E> {
    pub(super) fn new() -> Self {
        Self {
            gathering: Vec::new(),
            bytes: 0,
            is_due: false,
            since: None,
            refused: Vec::new(),
            is_out_of_time: false,
            away: 0,
            forwarded: 0,
            pushed: 0,
            passed: 0,
            passed_batches: 0,
            closing: None,
            is_closing: false,
            report: None,
            ledger: Ledger::default(),
            panicked_at_once: 0,
            last_error: None,
        }
    }

    // Filling.

    pub(super) fn has_room(&self, size: usize, limits: &BatchLimits<E>) -> bool {
        // An event that is too large by itself finds room in an empty batch.
        let fits = self.bytes.saturating_add(size) <= limits.max_bytes();
        self.gathering.is_empty() || (self.gathering.len() < limits.count && fits)
    }

    pub(super) fn is_complete(&self, limits: &BatchLimits<E>) -> bool {
        self.gathering.len() >= limits.count || self.bytes >= limits.max_bytes()
    }

    pub(super) fn push(&mut self, event: E, size: usize) {
        self.gathering.push(event);
        self.bytes = self.bytes.saturating_add(size);
        self.pushed += 1;
        self.ledger.offered += 1;
        self.ledger.accepted += 1;
    }

    /// Counts an event that a panic of the size function lost.
    pub(super) fn count_panicked(&mut self) {
        self.ledger.add_panicked(1);
        self.panicked_at_once += 1;
    }

    /// Refuses an event that has no room.
    pub(super) fn refuse(&mut self, event: E) -> WriteError<E> {
        if self.is_closed() {
            return self.refuse_closed(event);
        }
        self.ledger.offered += 1;
        self.ledger.refused.full += 1;
        WriteError::Full(event)
    }

    /// Refuses an event because a setting is invalid.
    pub(super) fn refuse_invalid(&mut self, event: E, error: ConfigError) -> WriteError<E> {
        self.ledger.offered += 1;
        self.ledger.refused.failed += 1;
        WriteError::Failed { event, source: Box::new(error) }
    }

    pub(super) fn refuse_closed(&mut self, event: E) -> WriteError<E> {
        self.ledger.offered += 1;
        self.ledger.refused.closed += 1;
        WriteError::Closed(event)
    }

    // Forwarding.

    /// Returns the next batch to forward, unless one is being forwarded or another thread has begun
    /// to close.
    pub(super) fn send_off(&mut self, limits: &BatchLimits<E>, emit: &mut Emit) -> Option<Vec<E>> {
        if self.away > 0 || self.is_closing != (*emit == Emit::Finally) {
            self.is_due |= *emit == Emit::Now && !self.gathering.is_empty();
            return None;
        }
        let batch = if !self.refused.is_empty() {
            std::mem::take(&mut self.refused)
        } else if !self.gathering.is_empty()
            && (*emit != Emit::Complete || self.is_due || self.is_complete(limits))
        {
            if *emit == Emit::Now {
                *emit = Emit::Complete;
            }
            self.bytes = 0;
            self.is_due = false;
            self.since = None;
            let next = Vec::with_capacity(self.gathering.len());
            std::mem::replace(&mut self.gathering, next)
        } else {
            return None;
        };
        self.away = batch.len();
        self.forwarded += 1;
        Some(batch)
    }

    /// Counts the outcome of a batch. Returns whether the next one may be forwarded.
    pub(super) fn settle(&mut self, count: usize, outcome: BatchOutcome<E>) -> bool {
        self.away = 0;
        let lost;
        let goes_on = match outcome {
            BatchOutcome::Taken(disposition) => {
                self.taken(count as u64, disposition);
                return true;
            }
            BatchOutcome::Held { batch, is_out_of_time } => {
                lost = batch.len();
                self.is_out_of_time = is_out_of_time;
                self.refused = batch;
                false
            }
            BatchOutcome::Failed { lost: failed, text, is_closed } => {
                lost = failed;
                self.ledger.dropped.failed += failed as u64;
                self.last_error = Some(text);
                if is_closed {
                    self.close(Deadline::NOW);
                }
                true
            }
            BatchOutcome::Panicked(text) => {
                lost = count;
                self.ledger.dropped.panicked += count as u64;
                self.last_error = Some(format!("the sink panicked: {text}"));
                true
            }
        };
        self.ledger.delivered += count.saturating_sub(lost) as u64;
        goes_on
    }

    /// Counts the outcome of events that the inner sink accepted.
    fn taken(&mut self, count: u64, disposition: Disposition) {
        let ledger = &mut self.ledger;
        let place = match disposition {
            Disposition::Partly(parts) => {
                let delivered = parts.delivered().min(count);
                ledger.delivered += delivered;
                return self.taken(count - delivered, parts.rest());
            }
            Disposition::Pending => {
                self.passed += count;
                self.passed_batches += 1;
                &mut ledger.delivered
            }
            Disposition::Delivered => &mut ledger.delivered,
            Disposition::Filtered => &mut ledger.filtered,
            Disposition::Dropped(reason) => ledger.dropped.by(reason),
        };
        *place += count;
    }

    // Time.

    /// Returns whether the batch that is being filled has reached its age.
    pub(super) fn is_old(&self, now: Instant, limits: &BatchLimits<E>) -> bool {
        let old = |since: Instant| limits.age.is_some_and(|age| now.saturating_duration_since(since) >= age);
        self.since.is_some_and(old)
    }

    /// Returns the latest time of the next tick; starts the age of a batch that has events.
    pub(super) fn next_tick(&mut self, now: Instant, limits: &BatchLimits<E>) -> Option<Instant> {
        let mut wish = None;
        if let (false, false, Some(age)) = (self.gathering.is_empty(), self.is_due, limits.age) {
            wish = self.since.get_or_insert(now).checked_add(age);
        }
        if self.has_refused() || self.is_due {
            let again = moment_after(now, limits.age.map_or(OFFER_AGAIN, |age| age.min(OFFER_AGAIN)));
            wish = Some(wish.map_or(again, |wish| wish.min(again)));
        }
        wish
    }

    // The end.

    pub(super) fn close(&mut self, deadline: Deadline) {
        self.closing.get_or_insert(deadline);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closing.is_some()
    }

    /// Returns the deadline of a close that no thread is performing.
    pub(super) fn close_left_behind(&self) -> Option<Deadline> {
        if self.is_busy() || self.report.is_some() { None } else { self.closing }
    }

    pub(super) fn begin_close(&mut self) {
        self.is_closing = true;
    }

    pub(super) fn end_close(&mut self, report: CloseReport) {
        self.is_closing = false;
        self.report = Some(report);
    }

    /// Discards the events that the inner sink did not accept.
    pub(super) fn give_up(&mut self) -> Vec<E> {
        let mut left = std::mem::take(&mut self.refused);
        left.append(&mut self.gathering);
        self.ledger.dropped.aborted += left.len() as u64;
        left
    }

    pub(super) fn report(&self) -> Option<&CloseReport> {
        self.report.as_ref()
    }

    // Contents.

    /// Returns whether another thread is forwarding a batch or closing.
    pub(super) fn is_busy(&self) -> bool {
        self.away > 0 || self.is_closing
    }

    pub(super) fn has_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Returns whether the inner sink refused a batch because a time limit had passed.
    pub(super) fn is_out_of_time(&self) -> bool {
        self.has_refused() && self.is_out_of_time
    }

    /// Returns the number of events that wait here.
    pub(super) fn held(&self) -> usize {
        self.refused.len() + self.gathering.len()
    }

    /// Returns the number of events that wait here or are being forwarded.
    pub(super) fn pending(&self) -> u64 {
        (self.held() + self.away) as u64
    }

    /// Returns the number of events that were accepted into a batch.
    pub(super) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Returns the number of accepted events that have left. They leave in the order in which they
    /// were accepted.
    pub(super) fn gone(&self) -> u64 {
        // A sink may return more events than it was offered.
        self.pushed.saturating_sub(self.pending())
    }

    /// Returns the number of batches that were forwarded and settled. It is read before the ledgers
    /// of the downstream sinks.
    pub(super) fn settled(&self) -> u64 {
        self.forwarded - u64::from(self.away > 0)
    }

    /// Returns an upper bound of the batches that the downstream sinks may have kept. It is read
    /// after the ledgers of these sinks, and `settled` before them: their counters may hold one batch
    /// that was settled meanwhile.
    pub(super) fn kept_at_most(&self, settled: u64) -> u64 {
        self.passed_batches + u64::from(self.forwarded != settled)
    }

    /// Returns the disposition of all events, here and in the downstream sinks.
    fn whole(&self, downstream: &Downstream) -> Ledger {
        let mut ledger = Ledger { pending: self.pending(), ..self.ledger };
        ledger.follow_batches(self.passed, self.away as u64, downstream);
        ledger
    }

    /// Returns the disposition of the events that were accepted into a batch.
    pub(super) fn deferred(&self, downstream: &Downstream) -> Ledger {
        let mut at_once = Ledger::default();
        at_once.add_panicked(self.panicked_at_once);
        self.whole(downstream).without(&at_once)
    }

    pub(super) fn describe(&self, state: &mut SinkState, downstream: &Downstream) {
        state.kind = SinkKind::Batch;
        state.status = match (&self.closing, &self.report) {
            (None, _) => SinkStatus::Open,
            (Some(_), None) => SinkStatus::Closed,
            (Some(_), Some(_)) => SinkStatus::Drained,
        };
        state.depth = self.pending();
        state.ledger += self.whole(downstream);
        state.last_error = self.last_error.clone();
    }
}

impl<E> Drop for Holding<E> {
    fn drop(&mut self) {
        discard_each(self.refused.drain(..).chain(self.gathering.drain(..)));
    }
}
