//! The reporter: what is published, with which labels, and how often.

use crate::running::Running;
use crate::series::{ExtraLabels, Published, RecorderId, give};
use buslane::stats::metrics::Measurement;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Calls a function with each measurement. Returns `false` when what it measures is gone.
pub(crate) type Measure = Box<dyn Fn(&mut dyn FnMut(Measurement<'_>)) -> bool + Send + Sync>;

/// The time between two rounds by default.
const EVERY: Duration = Duration::from_secs(10);
/// The least time between two rounds.
const LEAST: Duration = Duration::from_millis(10);

/// Publishes the numbers of a bus to the recorder of the `metrics` facade.
///
/// [`observe`](crate::observe) returns it. It publishes when it is told to, with
/// [`publish_now`](Self::publish_now), or from its own thread, with [`spawn`](Self::spawn).
///
/// | setting | default |
/// |---|---|
/// | [`every`](Self::every) | 10 seconds |
/// | [`label`](Self::label) | none but those of [`buslane::docs::metrics`] |
///
/// # Examples
/// ```
/// let bus = buslane::Bus::<u32>::new();
/// let reporter = buslane_metrics::observe("telemetry", &bus);
/// // At a time of your choice, such as in the handler of a scrape:
/// reporter.publish_now();
/// ```
#[must_use = "a reporter publishes nothing until `publish_now` or `spawn` is called"]
pub struct Reporter {
    measure: Measure,
    every: Duration,
    labels: ExtraLabels,
    published: Mutex<Published>,
}

/// The result of one round.
pub(crate) struct Round {
    /// The number of series that a recorder was given.
    pub(crate) series: usize,
    /// Whether what is measured still exists.
    pub(crate) exists: bool,
}

impl Reporter {
    pub(crate) fn new(measure: Measure) -> Self {
        Self { measure, every: EVERY, labels: Vec::new(), published: Mutex::default() }
    }

    /// Sets the time between two rounds of the thread that [`spawn`](Self::spawn) starts: at least 10
    /// milliseconds, a shorter time counts as that.
    ///
    /// A value may be as old as this time when it is scraped. So choose a time below the interval of
    /// the scrapes.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// let bus = buslane::Bus::<u32>::new();
    /// let reporter = buslane_metrics::observe("telemetry", &bus).every(Duration::from_secs(1));
    /// ```
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every.max(LEAST);
        self
    }

    /// Adds a label to every series. A label that a series has anyway, such as `bus`, keeps its
    /// value.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<u32>::new();
    /// let reporter = buslane_metrics::observe("telemetry", &bus).label("service", "shop");
    /// ```
    pub fn label(mut self, name: &'static str, value: &str) -> Self {
        self.labels.push((name, value.to_owned()));
        self
    }

    /// Takes a snapshot, and gives its numbers to the recorder of this thread. Returns the number of
    /// series.
    ///
    /// It returns 0 if no recorder is installed, or only one of another major version of `metrics`,
    /// and if the bus is gone. A recorder type without fields cannot be told from none: it gets every
    /// number, but 0 is returned.
    ///
    /// A recorder that is installed later gets every series from then on. Calls on several threads do
    /// not wait for each other: of those that overlap, the one that began first may leave a gauge at
    /// its older value until the next call.
    ///
    /// # Examples
    /// ```
    /// use metrics_util::debugging::DebuggingRecorder;
    /// let bus = buslane::Bus::<u32>::new();
    /// let reporter = buslane_metrics::observe("telemetry", &bus);
    /// assert_eq!(reporter.publish_now(), 0);
    /// let recorder = DebuggingRecorder::new();
    /// let series = metrics::with_local_recorder(&recorder, || reporter.publish_now());
    /// assert_eq!(series, bus.snapshot().measurements("telemetry").count());
    /// ```
    pub fn publish_now(&self) -> usize {
        self.publish().series
    }

    pub(crate) fn publish(&self) -> Round {
        let round = self.published().begin();
        // The measure and the recorder are the user's: neither runs under the lock.
        let mut measured = Vec::new();
        let exists = (self.measure)(&mut |measurement| measured.push(measurement.into_owned()));
        let series = measured.len();
        metrics::with_recorder(|recorder| {
            let id = RecorderId::of(recorder);
            let points = self.published().take(round, id, measured);
            give(recorder, &points, &self.labels);
            Round { series: if id.may_be_none() { 0 } else { series }, exists }
        })
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a thread that publishes: at once, then at each interval, and once more at its end.
    ///
    /// The thread ends after the bus is gone, at the next interval, and when the value that is
    /// returned is dropped. It uses the global recorder.
    ///
    /// # Errors
    /// That of the operating system when it starts no thread.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<u32>::new();
    /// let running = buslane_metrics::observe("telemetry", &bus).spawn()?;
    /// assert!(!running.is_finished());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn spawn(self) -> io::Result<Running> {
        let (every, series) = (self.every, Arc::new(AtomicUsize::new(0)));
        let given = series.clone();
        Running::start(every, series, move || {
            let round = self.publish();
            // Relaxed: the number publishes nothing.
            given.store(round.series, Ordering::Relaxed);
            round.exists
        })
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter")
            .field("every", &self.every)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}
