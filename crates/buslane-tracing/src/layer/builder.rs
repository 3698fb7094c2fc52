//! The settings of a layer.

use super::BusLayer;
use super::levels::Levels;
use super::mapped::Mapped;
use super::publish::Publish;
use super::records::Records;
use crate::clock::Clock;
use crate::losses::Counters;
use crate::record::Record;
use crate::record::spill::Budget;
use crate::unpublished::Unpublished;
use buslane::Bus;
use std::env::VarError;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use tracing_core::{Event, LevelFilter, Subscriber};
use tracing_subscriber::filter::{Filtered, ParseError, Targets};
use tracing_subscriber::registry::LookupSpan;

/// The bytes that the waiting records of a layer may hold on the heap, by default.
const SPILL: usize = 1 << 20;

/// Returns the settings of a layer that publishes a [`Record`] for each event and span on `bus`.
///
/// The layer does not keep the process from ending, and its bus is closed by its owner. Close the
/// bus before the process ends, or the last records are lost: see
/// [`Bus::close_on_drop`](buslane::Bus::close_on_drop).
///
/// # Examples
/// ```
/// use buslane::{Bus, Queue};
/// use buslane_tracing::Record;
/// use tracing_subscriber::prelude::*;
///
/// let bus: Bus<Record> = Bus::new();
/// bus.add(Queue::builder().spawn(|record: Record| println!("{}", record.message()))?)?;
/// let _closed_last = bus.close_on_drop();
/// tracing_subscriber::registry().with(buslane_tracing::layer(&bus).level(tracing::Level::DEBUG).build()).init();
/// tracing::debug!(answer = 42, "ready");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn layer<const N: usize>(bus: &Bus<Record<N>>) -> LayerBuilder<Records<N>> {
    let budget = Arc::new(Budget::new(SPILL));
    LayerBuilder::new(Records { bus: bus.clone(), clock: Clock::default(), has_spans: true, budget })
}

/// Returns the settings of a layer that publishes a typed event of the user's own for each event for
/// which `convert` returns one.
///
/// `convert` runs on the thread that logs. It reads the values with a
/// [`Visit`](tracing_core::field::Visit). What it logs itself is suppressed. Spans are not published.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use tracing::field::{Field, Visit};
/// use tracing_subscriber::prelude::*;
///
/// #[derive(Clone, Debug, PartialEq)]
/// struct Slow { millis: u64 }
///
/// struct Millis(Option<u64>);
/// impl Visit for Millis {
///     fn record_u64(&mut self, field: &Field, value: u64) {
///         if field.name() == "millis" { self.0 = Some(value) }
///     }
///     fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
/// }
///
/// let bus = Bus::new();
/// let mut slow = bus.subscribe_lossy(16)?;
/// let layer = buslane_tracing::map(&bus, |event| {
///     let mut millis = Millis(None);
///     event.record(&mut millis);
///     millis.0.filter(|millis| *millis > 100).map(|millis| Slow { millis })
/// });
/// tracing::subscriber::with_default(tracing_subscriber::registry().with(layer.build()), || {
///     tracing::info!(millis = 20_u64, "request");
///     tracing::info!(millis = 250_u64, "request");
/// });
/// assert_eq!(slow.recv()?, Slow { millis: 250 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn map<E, F>(bus: &Bus<E>, convert: F) -> LayerBuilder<Mapped<E, F>>
where
    E: Clone + Send + 'static,
    F: Fn(&Event<'_>) -> Option<E> + Send + Sync + 'static,
{
    LayerBuilder::new(Mapped { bus: bus.clone(), convert })
}

/// The settings of a layer, from [`layer`] or [`map`].
///
/// | setting | default |
/// |---|---|
/// | [`level`](Self::level), [`targets`](Self::targets) | `INFO` for all targets |
/// | [`clock`](Self::clock) | [`Clock::System`] |
/// | [`spans`](Self::spans) | `true` |
/// | [`spill_limit`](Self::spill_limit) | 1 MiB |
#[must_use = "a builder does nothing until `build` is called"]
pub struct LayerBuilder<P> {
    publish: P,
    /// Made at once, so that its handle can be had before the layer is built.
    levels: Levels,
    counters: Arc<Counters>,
}

impl<P: Publish> LayerBuilder<P> {
    fn new(publish: P) -> Self {
        let levels = Levels::new(Targets::new().with_default(LevelFilter::INFO));
        Self { publish, levels, counters: Arc::default() }
    }

    /// Sets one level for all targets.
    pub fn level(self, level: impl Into<LevelFilter>) -> Self {
        self.targets(Targets::new().with_default(level))
    }

    /// Sets a level for each target.
    ///
    /// Handles that [`levels`](Self::levels) returned before control the earlier setting only.
    pub fn targets(mut self, targets: Targets) -> Self {
        self.levels = Levels::new(targets);
        self
    }

    /// Sets the levels to those in an environment variable, such as `RUST_LOG`, if it is set and not
    /// empty.
    ///
    /// The syntax is that of [`Targets`], `info,my_service::db=debug`: a part of that of `EnvFilter`,
    /// without spans.
    ///
    /// # Errors
    /// [`LevelsError`] when the variable is not valid.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<buslane_tracing::Record>::new();
    /// let layer = buslane_tracing::layer(&bus).levels_from_env("MY_SERVICE_LOG")?;
    /// # drop(layer);
    /// # Ok::<(), buslane_tracing::LevelsError>(())
    /// ```
    pub fn levels_from_env(self, variable: &str) -> Result<Self, LevelsError> {
        Ok(match targets_from_env(variable)? {
            Some(targets) => self.targets(targets),
            None => self,
        })
    }

    /// Returns the levels, which can be changed while the program runs.
    pub fn levels(&self) -> Levels {
        self.levels.clone()
    }

    /// Returns a handle to the counts of what the layer does not publish.
    #[must_use]
    pub fn unpublished(&self) -> Unpublished {
        Unpublished::new(&self.counters)
    }

    /// Builds the layer, together with its filter.
    ///
    /// The layer is handed out with its filter, because one unfiltered layer slows down every
    /// disabled event of the process: tracing then caches no answer any more.
    pub fn build<S>(self) -> Filtered<BusLayer<P>, Levels, S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let levels = self.levels.clone();
        if !self.publish.has_spans() {
            levels.ignore_spans();
        }
        Filtered::new(BusLayer::new(self.publish, self.levels, self.counters), levels)
    }

    /// Sets the counters in which the layer counts what it does not publish.
    pub(crate) fn counters(mut self, counters: Arc<Counters>) -> Self {
        self.counters = counters;
        self
    }
}

impl<const N: usize> LayerBuilder<Records<N>> {
    /// Sets the clock of the records.
    ///
    /// [`Clock::Coarse`] is several times faster, and as precise as the ticks of the system.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.publish.clock = clock;
        self
    }

    /// Sets whether spans are published, and each event with the id of its span.
    ///
    /// A sink that is interested in events only checks [`Record::kind`].
    pub fn spans(mut self, spans: bool) -> Self {
        self.publish.has_spans = spans;
        self
    }

    /// Sets how many bytes the records that wait on the bus may hold on the heap, because they do
    /// not fit inline. One record holds 64 KiB at most.
    ///
    /// A record for which nothing is left is cut, and counted in
    /// [`BusLayer::truncated`].
    pub fn spill_limit(mut self, bytes: usize) -> Self {
        self.publish.budget = Arc::new(Budget::new(bytes));
        self
    }
}

impl<P: fmt::Debug> fmt::Debug for LayerBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { publish, levels, counters: _ } = self;
        f.debug_struct("LayerBuilder")
            .field("publish", publish)
            .field("levels", levels)
            .finish_non_exhaustive()
    }
}

/// Returns the levels in an environment variable, if it is set and not empty.
pub(crate) fn targets_from_env(variable: &str) -> Result<Option<Targets>, LevelsError> {
    let invalid = |reason| Err(LevelsError { variable: variable.to_owned(), reason });
    match std::env::var(variable) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => text.parse().map(Some).or_else(|error| invalid(Reason::Syntax(error))),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => invalid(Reason::NotUnicode),
    }
}

/// The levels in an environment variable are invalid.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use buslane_tracing::Record;
/// // A directory is no list of levels.
/// let layer = buslane_tracing::layer(&Bus::<Record>::new()).levels_from_env("CARGO_MANIFEST_DIR");
/// # let _ = layer;
/// ```
#[derive(Debug)]
pub struct LevelsError {
    variable: String,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Syntax(ParseError),
    NotUnicode,
}

impl fmt::Display for LevelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the levels in the environment variable {} are invalid: ", self.variable)?;
        match &self.reason {
            Reason::Syntax(error) => error.fmt(f)?,
            Reason::NotUnicode => f.write_str("not Unicode")?,
        }
        f.write_str("; write them as info,my_target=debug")
    }
}

impl Error for LevelsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            Reason::Syntax(error) => Some(error),
            Reason::NotUnicode => None,
        }
    }
}
