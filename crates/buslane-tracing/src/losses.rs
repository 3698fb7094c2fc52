//! What was lost, and the lines that say so in the log itself.

use buslane::stats::Ledger;
use buslane::{Bus, SinkId};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How often the ledger is read while lines flow.
const INTERVAL: Duration = Duration::from_millis(50);

/// The counts that a bus does not have: of the writer on the worker, and of lines that did not reach
/// the bus. All are counts only, so every access is `Relaxed`.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Lines that the worker has taken. Only the worker stores it.
    taken: AtomicU64,
    /// Lines of those that are written. Only the worker stores it.
    written: AtomicU64,
    /// Lines that the worker has taken, and that were lost because the writer failed. Only the
    /// worker stores it.
    failed: AtomicU64,
    /// Lines at which the writer panicked. Only the worker stores it.
    panicked: AtomicU64,
    /// Lines that were suppressed because their thread was mute.
    reentrant: AtomicU64,
    /// Lines that were too long for a slot, and found no room in the memory for long lines.
    oversized: AtomicU64,
    /// Lines that came after the close.
    late: AtomicU64,
    /// Lines that are not in the order of their time, because too many were kept to sort them. Only
    /// the worker stores it.
    out_of_order: AtomicU64,
    /// The errors of the writer, by kind.
    errors: Mutex<Vec<(io::ErrorKind, u64)>>,
    /// The counters of layers and loggers whose suppressed and late events count here, too. Each worker
    /// has counters of its own, because several workers must not store the same ones.
    unpublished: Vec<Arc<Self>>,
}

impl Counters {
    /// Creates the counters of a worker that also reports what these layers and loggers do not publish.
    pub(crate) fn with_unpublished(unpublished: Vec<Arc<Self>>) -> Self {
        Self { unpublished, ..Self::default() }
    }

    /// Counts a line that the worker has taken.
    #[inline]
    pub(crate) fn add_taken(&self) {
        add(&self.taken, 1);
    }

    /// Counts lines that are written.
    pub(crate) fn add_written(&self, lines: u64) {
        add(&self.written, lines);
    }

    /// Counts lines that the worker has taken, and that will not be written.
    pub(crate) fn add_failed(&self, lines: u64) {
        add(&self.failed, lines);
    }

    /// Counts a line at which the writer panicked.
    pub(crate) fn add_panicked(&self) {
        add(&self.panicked, 1);
    }

    /// Counts a line of a mute thread.
    #[cold]
    pub(crate) fn add_reentrant(&self) {
        self.reentrant.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a line that found no room in the memory for long lines.
    #[cold]
    pub(crate) fn add_oversized(&self) {
        self.oversized.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a line after the close, and returns whether it is the first one.
    #[cold]
    pub(crate) fn add_late(&self) -> bool {
        self.late.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Counts a line that is not in the order of its time, because too many lines were kept.
    #[cold]
    pub(crate) fn add_out_of_order(&self) {
        add(&self.out_of_order, 1);
    }

    /// Returns the number of lines that are not in the order of their time for that reason.
    pub(crate) fn out_of_order(&self) -> u64 {
        load(&self.out_of_order)
    }

    /// Returns the number of lines of mute threads.
    pub(crate) fn reentrant(&self) -> u64 {
        load(&self.reentrant) + self.unpublished.iter().map(|other| other.reentrant()).sum::<u64>()
    }

    /// Returns the number of lines that came after the close.
    pub(crate) fn late(&self) -> u64 {
        load(&self.late) + self.unpublished.iter().map(|other| other.late()).sum::<u64>()
    }

    /// Counts an error of the writer.
    #[cold]
    pub(crate) fn add_error(&self, kind: io::ErrorKind) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        match errors.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => errors.push((kind, 1)),
        }
    }

    /// Returns the errors of the writer, by kind.
    pub(crate) fn errors(&self) -> Vec<(io::ErrorKind, u64)> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the lines that the worker has taken, and that are neither written nor lost.
    fn held(&self) -> u64 {
        // A line that is written while the worker takes it is counted as written first.
        let done = [&self.written, &self.failed, &self.panicked].map(load);
        load(&self.taken).saturating_sub(done.iter().sum())
    }

    /// Returns the lines that the worker has taken and that are not written after a close: those that it
    /// still holds, those that it has given up, and those at which the writer panicked.
    pub(crate) fn unwritten(&self) -> u64 {
        self.held() + load(&self.failed) + load(&self.panicked)
    }

    /// Adds these counts to the ledger of the worker's queue. What the worker has taken counts as
    /// delivered there, and here only if it is written.
    pub(crate) fn add_to(&self, ledger: &mut Ledger) {
        // The worker's own counts may be ahead of the queue's.
        let mut take = |count: u64| {
            let count = count.min(ledger.delivered);
            ledger.delivered -= count;
            count
        };
        let (failed, panicked, held) =
            (take(load(&self.failed)), take(load(&self.panicked)), take(self.held()));
        ledger.dropped.failed += failed;
        ledger.dropped.panicked += panicked;
        ledger.pending += held;
        // The queue has counted those late lines that were published while it closed.
        let late = self.late().saturating_sub(ledger.refused.closed);
        let (reentrant, oversized) = (self.reentrant(), load(&self.oversized));
        ledger.refused.closed += late;
        ledger.refused.reentrant += reentrant;
        ledger.refused.full += oversized;
        ledger.offered += late + reentrant + oversized;
    }
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// Adds to a count that only one thread changes.
fn add(count: &AtomicU64, more: u64) {
    count.store(load(count) + more, Ordering::Relaxed);
}

/// Reads the ledger of one sink, from the worker of that sink. Keeps no handle of its bus.
pub(crate) type Probe = Box<dyn Fn() -> Option<Ledger> + Send>;

/// The id of the worker's sink on the bus, once it is added. Several sinks may share a name.
pub(crate) type Attachment = Arc<OnceLock<SinkId>>;

/// Returns the probe of the sink with this attachment, which has no ledger before the sink is added.
pub(crate) fn probe<E: Clone + Send + 'static>(bus: &Bus<E>, attachment: &Attachment) -> Probe {
    let (bus, attachment) = (bus.downgrade(), attachment.clone());
    Box::new(move || {
        let id = *attachment.get()?;
        let snapshot = bus.upgrade()?.snapshot();
        snapshot.sinks.into_iter().find(|sink| sink.id == id).map(|sink| sink.state.ledger)
    })
}

/// Compares the ledger with what the log has told, between batches.
pub(crate) struct Losses {
    probe: Probe,
    told: [u64; REASONS.len()],
    /// When the ledger is read next, if lines have flowed since it was read.
    due: Option<Instant>,
    read: Option<Instant>,
}

/// The reasons of losses, in the order of [`lost`].
const REASONS: [&str; 6] = ["full", "evicted", "timeout", "reentrant", "failed", "panicked"];

/// Returns the lost lines by reason. Those that a close discards are not among them: no line comes
/// after it.
fn lost(ledger: &Ledger) -> [u64; REASONS.len()] {
    let (dropped, refused) = (&ledger.dropped, &ledger.refused);
    [
        dropped.full + refused.full,
        dropped.evicted,
        refused.timeout,
        refused.reentrant,
        dropped.failed + refused.failed,
        dropped.panicked,
    ]
}

impl Losses {
    /// Creates the comparison with the ledger that `probe` reads.
    pub(crate) fn new(probe: Probe) -> Self {
        Self { probe, told: [0; REASONS.len()], due: None, read: None }
    }

    /// Records that lines have flowed, so that lines may have been lost, too.
    pub(crate) fn note_flow(&mut self, now: Instant) {
        if self.due.is_none() {
            self.due = Some(self.read.map_or(now, |read| read + INTERVAL));
        }
    }

    /// Returns when the ledger is to be read next.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Passes one text for each reason to `tell`, if lines were lost since the last call. `tell`
    /// returns whether there is room for it; what is not told is told later. Does nothing before the
    /// time at which the ledger is due.
    pub(crate) fn tell_when_due(
        &mut self,
        now: Instant,
        counters: &Counters,
        tell: impl FnMut(fmt::Arguments<'_>) -> bool,
    ) {
        if self.due.is_some_and(|due| due <= now) {
            self.read = Some(now);
            let all_told = self.tell(counters, tell);
            self.due = (!all_told).then(|| now + INTERVAL);
        }
    }

    /// The same at once. Returns whether all is told.
    pub(crate) fn tell(
        &mut self,
        counters: &Counters,
        mut tell: impl FnMut(fmt::Arguments<'_>) -> bool,
    ) -> bool {
        let Some(mut ledger) = (self.probe)() else { return true };
        counters.add_to(&mut ledger);
        let mut all_told = true;
        for ((reason, lost), told) in REASONS.iter().zip(lost(&ledger)).zip(&mut self.told) {
            let untold = lost.saturating_sub(*told);
            let lines = if untold == 1 { "line" } else { "lines" };
            if untold > 0 {
                let room = tell(format_args!("{untold} {lines} lost ({reason})"));
                if room {
                    *told = lost;
                }
                all_told &= room;
            }
        }
        all_told
    }
}

impl fmt::Debug for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Losses").field("told", &self.told).finish_non_exhaustive()
    }
}
