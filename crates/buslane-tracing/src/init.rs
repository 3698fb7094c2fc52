//! Logging for a whole program in one line.

use crate::clock::Clock;
use crate::error::StartError;
use crate::format::Format;
use crate::guard::Guard;
use crate::layer::{Levels, LevelsError, layer, targets_from_env};
#[cfg(feature = "log")]
use crate::log::Logger;
use crate::losses::Counters;
use crate::record::Record;
use crate::record_writer::RecordWriter;
use crate::text::Text;
use crate::unpublished::Unpublished;
use buslane::Bus;
use std::error::Error;
use std::fmt;
use std::io::Write;
use std::sync::Arc;
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Dispatch, LevelFilter, dispatcher};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

/// The environment variable with the levels, unless another one is set.
const VARIABLE: &str = "RUST_LOG";

/// Logs the events of the whole program to `writer`, as lines of text, from a worker thread.
///
/// This sets the global subscriber of tracing and, with the feature `log`, the logger of the `log`
/// facade. The levels are those in the environment variable `RUST_LOG`, such as
/// `info,my_service::db=debug`, or `INFO`. For settings, see [`Init`].
///
/// Keep the guard until the end of `main`: it writes what is left when it is dropped. A program that
/// ends by `std::process::exit` calls [`Guard::close`] first.
///
/// # Errors
/// [`InitError`], and then nothing is left running.
///
/// # Examples
/// ```
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let _guard = buslane_tracing::init(std::io::stdout())?;
///     tracing::info!(port = 8080, "listening");
///     Ok(())
/// }
/// ```
pub fn init<W: Write + Send + 'static>(writer: W) -> Result<Guard, InitError> {
    Init::new(writer).init()
}

/// The settings of [`init`].
///
/// | setting | default |
/// |---|---|
/// | [`format`](Self::format) | [`Text`] |
/// | [`levels_from_env`](Self::levels_from_env) | `RUST_LOG` |
/// | [`level`](Self::level), [`targets`](Self::targets) | `INFO` for all targets, if the variable is not set |
/// | [`clock`](Self::clock) | [`Clock::System`] |
/// | [`spans`](Self::spans) | `true` |
/// | [`writer`](Self::writer) | those of [`RecordWriter`] |
///
/// # Examples
/// ```
/// use buslane_tracing::{Clock, Init, Json};
/// let _guard = Init::new(std::io::stdout())
///     .format(Json::new())
///     .level(tracing::Level::DEBUG)
///     .levels_from_env("MY_SERVICE_LOG")
///     .clock(Clock::Coarse)
///     .writer(|writer| writer.capacity(4096))
///     .init()?;
/// # Ok::<(), buslane_tracing::InitError>(())
/// ```
#[must_use = "the settings do nothing until `init` is called"]
pub struct Init<F, W> {
    bus: Bus<Record>,
    writer: RecordWriter<F, W>,
    targets: Targets,
    variable: String,
    clock: Clock,
    spans: bool,
}

impl<W: Write + Send + 'static> Init<Text, W> {
    /// Returns the default settings for this writer.
    pub fn new(writer: W) -> Self {
        Self {
            bus: Bus::new(),
            writer: RecordWriter::new(Text::new(), writer),
            targets: Targets::new().with_default(LevelFilter::INFO),
            variable: VARIABLE.to_owned(),
            clock: Clock::default(),
            spans: true,
        }
    }
}

impl<F: Format, W: Write + Send + 'static> Init<F, W> {
    /// Sets the format of the lines.
    pub fn format<G: Format>(self, format: G) -> Init<G, W> {
        let Self { bus, writer, targets, variable, clock, spans } = self;
        Init { bus, writer: writer.format(format), targets, variable, clock, spans }
    }

    /// Sets one level for all targets, for when the environment variable is not set.
    pub fn level(self, level: impl Into<LevelFilter>) -> Self {
        self.targets(Targets::new().with_default(level))
    }

    /// Sets a level for each target, for when the environment variable is not set.
    pub fn targets(mut self, targets: Targets) -> Self {
        self.targets = targets;
        self
    }

    /// Sets the environment variable with the levels. The empty name stands for none.
    pub fn levels_from_env(mut self, variable: &str) -> Self {
        variable.clone_into(&mut self.variable);
        self
    }

    /// Sets the clock of the records.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets whether lines have the spans around their events.
    pub fn spans(mut self, spans: bool) -> Self {
        self.spans = spans;
        self
    }

    /// Changes the settings of the writer.
    pub fn writer(mut self, change: impl FnOnce(RecordWriter<F, W>) -> RecordWriter<F, W>) -> Self {
        self.writer = change(self.writer);
        self
    }

    /// Returns the bus of the records, to which more sinks can be added at any time.
    pub fn bus(&self) -> Bus<Record> {
        self.bus.clone()
    }

    /// Starts the worker, and makes it the log of the whole program.
    ///
    /// # Errors
    /// [`InitError`], and then nothing is left running.
    pub fn init(self) -> Result<Guard, InitError> {
        self.init_with_levels().map(|(guard, _)| guard)
    }

    /// Does what [`init`](Self::init) does, and also returns the levels, which can be changed while the
    /// program runs.
    ///
    /// # Errors
    /// [`InitError`], and then nothing is left running.
    pub fn init_with_levels(self) -> Result<(Guard, Levels), InitError> {
        let Self { bus, writer, mut targets, variable, clock, spans } = self;
        if !variable.is_empty()
            && let Some(found) = targets_from_env(&variable)?
        {
            targets = found;
        }
        if !dispatcher::get_default(|current| current.is::<NoSubscriber>()) {
            return Err(InitError::Subscriber);
        }
        let counters = Arc::<Counters>::default();
        let layer = layer(&bus).targets(targets).clock(clock.clone()).spans(spans).counters(counters.clone());
        let levels = layer.levels();
        // From here on, an error drops the guard, which closes the bus and ends the worker.
        let guard = writer.report_unpublished(Unpublished::new(&counters)).start(&bus)?;
        #[cfg(feature = "log")]
        Logger::new(&bus, levels.clone(), counters).clock(clock).install().map_err(|_| InitError::Logger)?;
        #[cfg(not(feature = "log"))]
        drop((counters, clock));
        let subscriber = tracing_subscriber::registry().with(layer.build());
        if dispatcher::set_global_default(Dispatch::new(subscriber)).is_err() {
            // Another thread was faster. The logger of the process cannot be taken back.
            #[cfg(feature = "log")]
            levels.set_level(LevelFilter::OFF);
            return Err(InitError::Subscriber);
        }
        Ok((guard, levels))
    }
}

impl<F: fmt::Debug, W> fmt::Debug for Init<F, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Init")
            .field("writer", &self.writer)
            .field("targets", &self.targets.to_string())
            .field("variable", &self.variable)
            .field("clock", &self.clock)
            .field("spans", &self.spans)
            .finish_non_exhaustive()
    }
}

/// Why logging could not be set up.
///
/// # Examples
/// ```
/// use buslane_tracing::InitError;
/// let _guard = buslane_tracing::init(std::io::sink())?;
/// let again = buslane_tracing::init(std::io::sink());
/// assert!(matches!(again, Err(InitError::Subscriber)));
/// # Ok::<(), InitError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// The process has a subscriber for tracing, or this thread has one of its own.
    Subscriber,
    /// The process has a logger for the `log` facade.
    Logger,
    /// The levels in the environment variable are invalid.
    Levels(LevelsError),
    /// The worker could not be started.
    Start(StartError),
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscriber => {
                f.write_str("a subscriber for tracing is set already: set it once per process")
            }
            Self::Logger => {
                f.write_str("a logger for the log facade is set already: set it once per process")
            }
            Self::Levels(error) => error.fmt(f),
            Self::Start(error) => error.fmt(f),
        }
    }
}

impl Error for InitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Subscriber | Self::Logger => None,
            Self::Levels(error) => error.source(),
            Self::Start(error) => error.source(),
        }
    }
}

impl From<LevelsError> for InitError {
    fn from(error: LevelsError) -> Self {
        Self::Levels(error)
    }
}

impl From<StartError> for InitError {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}
