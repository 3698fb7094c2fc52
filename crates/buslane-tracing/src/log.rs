//! The `log` facade on a bus of records, with a real flush.

mod places;

use crate::clock::Clock;
use crate::fields::tag;
use crate::layer::decisions::Decisions;
use crate::layer::{Levels, count_late};
use crate::losses::Counters;
use crate::record::encoder::Encoder;
use crate::record::spill::Budget;
use crate::record::{INLINE_BYTES, Kind, LOG_FILE, LOG_LINE, LOG_TARGET, Record};
use crate::thread;
use crate::unpublished::Unpublished;
use ::log::{Level, LevelFilter, Log, SetLoggerError};
use buslane::Bus;
use places::{Places, static_target};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tracing_core::callsite::Callsite;
use tracing_core::subscriber::Interest;
use tracing_core::{Metadata, metadata};
use tracing_subscriber::filter::Targets;

/// The limit of [`Log::flush`], which has no argument for one.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);
/// The bytes that waiting records may hold on the heap.
const SPILL: usize = 1 << 20;

// The positions of the fields.
static FIELDS: [&str; 4] = ["message", LOG_TARGET, LOG_FILE, LOG_LINE];
const MESSAGE: usize = 0;
const TARGET: usize = 1;
const FILE: usize = 2;
const LINE: usize = 3;

/// Returns a logger for the `log` facade that publishes a [`Record`] for each event on `bus`, up to
/// the level `most`.
///
/// These records have no span: the facade has none.
///
/// [`Logger::install`] makes it the logger of the process. For one that also takes the events of
/// tracing, see [`init`](crate::init).
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use buslane_tracing::{Record, RecordWriter, Text};
/// let bus: Bus<Record> = Bus::new();
/// let _guard = RecordWriter::new(Text::new(), std::io::stdout()).start(&bus)?;
/// buslane_tracing::logger(&bus, log::LevelFilter::Info).install()?;
/// log::warn!(target: "my_service::db", "no answer after {} ms", 20);
/// log::logger().flush(); // waits until the line is written
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn logger<const N: usize>(bus: &Bus<Record<N>>, most: LevelFilter) -> Logger<N> {
    let levels = Levels::new(Targets::new().with_default(to_tracing(most)));
    Logger::new(bus, levels, Arc::default())
}

/// The logger of the `log` facade, made by [`logger`].
///
/// - A constant message is copied; another one is formatted into the record, without an allocation.
/// - The first event of each place in the source allocates a description of that place (target,
///   level, file and line), which stays for the life of the process, for up to 1024 places.
/// - [`flush`](Log::flush) waits until every record that was published before is handled, for one
///   second at most. On a thread that handles records it does not wait.
/// - Key-values of the facade are not recorded.
/// - An event that is logged while the same thread makes or publishes another one, or by a worker of
///   this crate, is suppressed and counted.
#[must_use = "a logger does nothing until it is installed"]
pub struct Logger<const N: usize = INLINE_BYTES> {
    bus: Bus<Record<N>>,
    clock: Clock,
    levels: Levels,
    /// The most verbose level of each static target, with the generation of the levels.
    targets: Decisions,
    places: Places,
    budget: Arc<Budget>,
    counters: Arc<Counters>,
}

impl<const N: usize> Logger<N> {
    pub(crate) fn new(bus: &Bus<Record<N>>, levels: Levels, counters: Arc<Counters>) -> Self {
        let budget = Arc::new(Budget::new(SPILL));
        let (clock, targets) = (Clock::default(), Decisions::new());
        Self { bus: bus.clone(), clock, levels, targets, places: Places::get(), budget, counters }
    }

    /// Sets the clock of the records.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets a level for each target.
    pub fn targets(mut self, targets: Targets) -> Self {
        self.levels = Levels::new(targets);
        self
    }

    /// Returns the levels, which can be changed while the program runs. [`log::set_max_level`](::log::set_max_level) is
    /// changed with them once the logger is installed.
    #[must_use]
    pub fn levels(&self) -> Levels {
        self.levels.clone()
    }

    /// Returns a handle to the counts of what the logger does not publish.
    #[must_use]
    pub fn unpublished(&self) -> Unpublished {
        Unpublished::new(&self.counters)
    }

    /// Makes this the logger of the process, and sets [`log::max_level`](::log::max_level).
    ///
    /// # Errors
    /// [`SetLoggerError`] when the process has a logger.
    pub fn install(self) -> Result<(), SetLoggerError> {
        let levels = self.levels.clone();
        ::log::set_boxed_logger(Box::new(self))?;
        levels.control_log();
        Ok(())
    }

    /// Returns whether an event is recorded.
    #[inline]
    fn allow(&self, record: &::log::Record<'_>) -> bool {
        let (level, target) = (record.level(), record.target());
        if to_tracing(level.to_level_filter()) > self.levels.most() {
            return false;
        }
        match static_target(record) {
            Some(path) => level as u64 <= self.most_of(path),
            None => level as u64 <= self.levels.most_of(target).0,
        }
    }

    /// Returns the most verbose level of a static target.
    #[inline]
    fn most_of(&self, target: &'static str) -> u64 {
        let known = self.targets.get(target.as_ptr().addr());
        // Two static texts may begin at the same address.
        let (most, rest) = (known & 7, known >> 3);
        if rest == key(target, self.levels.generation()) { most } else { self.decide(target) }
    }

    #[cold]
    fn decide(&self, target: &'static str) -> u64 {
        let (most, generation) = self.levels.most_of(target);
        self.targets.set(target.as_ptr().addr(), (key(target, generation) << 3) | most);
        most
    }
}

/// Returns what a decision about a static target depends on, beside its address: the length of the
/// target, and the generation of the levels. It is not 0.
fn key(target: &str, generation: u64) -> u64 {
    // A decision outlives 2^41 changes of the levels, or belongs to a target of 1 MiB, before it is
    // mistaken for another one.
    (generation << 20) ^ (target.len() as u64 & 0xf_ffff)
}

impl<const N: usize> Log for Logger<N> {
    fn enabled(&self, metadata: &::log::Metadata<'_>) -> bool {
        metadata.level() as u64 <= self.levels.most_of(metadata.target()).0
    }

    fn log(&self, record: &::log::Record<'_>) {
        if !self.allow(record) {
            return;
        }
        let Some(_mute) = thread::mute() else { return self.counters.add_reentrant() };
        let of_level = metadata_of(record.level());
        let place = self.places.of(record, *of_level.level());
        let metadata = place.unwrap_or(of_level);
        // Neither has more than two words of its own: see `thread::publish_in_place`.
        let (begin, event) = (move || Record::new(Kind::Event, metadata), &(record, place.is_some()));
        let complete = move |made: &mut Record<N>| {
            let (record, is_placed) = event;
            made.set_stamp(self.clock.now(), thread::number_and_sequence());
            let mut encoder = Encoder::new(made, &self.budget);
            // What tells where the event comes from is first: a long message may use up all the room.
            if !is_placed {
                encode_place(&mut encoder, record);
            }
            encoder.display(MESSAGE, *record.args());
            encoder.finish();
        };
        if thread::publish_in_place(&self.bus, begin, complete).is_err() {
            count_late(&self.counters);
        }
    }

    /// Waits until every record that was published before is handled, for one second at most.
    fn flush(&self) {
        if !thread::is_muted() {
            let _ = self.bus.flush_timeout(FLUSH_LIMIT);
        }
    }
}

impl<const N: usize> fmt::Debug for Logger<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger")
            .field("bus", &self.bus)
            .field("clock", &self.clock)
            .field("levels", &self.levels)
            .finish_non_exhaustive()
    }
}

/// Writes the place of an event as fields, where no metadata has it.
#[cold]
fn encode_place<const N: usize>(encoder: &mut Encoder<'_, N>, record: &::log::Record<'_>) {
    encoder.text(TARGET, tag::STR, record.target());
    if let Some(file) = record.file() {
        encoder.text(FILE, tag::STR, file);
    }
    if let Some(line) = record.line() {
        encoder.number(LINE, tag::U64, u64::from(line).to_le_bytes());
    }
}

fn to_tracing(level: LevelFilter) -> tracing_core::LevelFilter {
    match level {
        LevelFilter::Off => tracing_core::LevelFilter::OFF,
        LevelFilter::Error => tracing_core::LevelFilter::ERROR,
        LevelFilter::Warn => tracing_core::LevelFilter::WARN,
        LevelFilter::Info => tracing_core::LevelFilter::INFO,
        LevelFilter::Debug => tracing_core::LevelFilter::DEBUG,
        LevelFilter::Trace => tracing_core::LevelFilter::TRACE,
    }
}

/// A callsite that stands for all events of one level whose places no metadata has.
struct LevelCallsite(&'static Metadata<'static>);

impl Callsite for LevelCallsite {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        self.0
    }
}

/// Makes the metadata of one level.
macro_rules! metadata_of_level {
    ($level:ident) => {{
        static CALLSITE: LevelCallsite = LevelCallsite(&METADATA);
        static METADATA: Metadata<'static> = metadata! {
            name: "log event",
            target: "log",
            level: tracing_core::Level::$level,
            fields: &FIELDS,
            callsite: &CALLSITE,
            kind: tracing_core::Kind::EVENT,
        };
        &METADATA
    }};
}

fn metadata_of(level: Level) -> &'static Metadata<'static> {
    match level {
        Level::Error => metadata_of_level!(ERROR),
        Level::Warn => metadata_of_level!(WARN),
        Level::Info => metadata_of_level!(INFO),
        Level::Debug => metadata_of_level!(DEBUG),
        Level::Trace => metadata_of_level!(TRACE),
    }
}
