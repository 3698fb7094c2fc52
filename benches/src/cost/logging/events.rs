//! Events of tracing, enabled and disabled, with the subscribers that services use; and records of
//! the `log` facade.

use super::File;
use crate::CAPACITY;
use crate::cost::appender::Written;
use crate::cost::{Cost, Singly};
use crate::event::{Event, Seed};
use crate::machine::on_consumer;
use buslane::Bus;
use buslane_tracing::{Clock, Guard, NonBlockingBuilder, Record, RecordWriter, Text, layer};
use std::io::sink;
use tracing::Subscriber;
use tracing_appender::non_blocking::NonBlockingBuilder as AppenderBuilder;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// The subscriber of an enabled event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enabled {
    /// A registry with a layer that does nothing: what tracing itself costs.
    Noop,
    /// tracing-subscriber's formatter, into nothing.
    Fmt,
    /// The same into `tracing_appender::non_blocking`.
    FmtAppender,
    /// The same into `buslane_tracing::non_blocking`.
    FmtNonBlocking,
    /// The layer of `buslane_tracing` with a writer of text, with its defaults.
    Layer,
    /// The same with the coarse clock.
    LayerCoarse,
}

/// The subscriber of an event that is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disabled {
    /// None at all.
    NoSubscriber,
    /// The layer of `buslane_tracing`, which is filtered.
    Layer,
    /// A formatter with an `EnvFilter`.
    Fmt,
    /// The layer of `buslane_tracing` beside that formatter.
    LayerBesideFmt,
    /// A layer without a filter of its own, beside a formatter with an `EnvFilter`: the caches of all
    /// callsites are lost.
    UnfilteredBesideFmt,
}

/// The logger of a record of the `log` facade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logged {
    /// A logger that does nothing: what the facade costs.
    Noop,
    /// The logger of `buslane_tracing` with a writer of text, with its defaults.
    Logger,
    /// The same with the coarse clock.
    LoggerCoarse,
}

const MESSAGE: &str = "request handled";

/// A layer, and a logger, that does nothing.
struct Noop;

impl<S: Subscriber> Layer<S> for Noop {}

impl log::Log for Noop {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &log::Record<'_>) {}

    fn flush(&self) {}
}

/// Publishes the event.
#[inline(always)]
fn log(seed: Seed) {
    let Event { seq, next, inverse, .. } = seed.event();
    tracing::info!(seq, next, inverse, "request handled");
}

/// Publishes an event that is below the level of every subscriber.
#[inline(always)]
fn log_disabled(seed: Seed) {
    let Event { seq, next, inverse, .. } = seed.event();
    tracing::debug!(seq, next, inverse, "request handled");
}

/// Reads a line of text.
fn read(bytes: &[u8]) -> Option<(usize, Event)> {
    let length = bytes.iter().position(|byte| *byte == b'\n')? + 1;
    let text = std::str::from_utf8(&bytes[..length]).unwrap_or_default();
    let number = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        rest.split(|digit: char| !digit.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    let words = (number(" seq="), number(" next="), number(" inverse="));
    let whole = text.contains(MESSAGE);
    let event = match words {
        (Some(seq), Some(next), Some(inverse)) if whole => Event { seq, next, inverse, last: 0 },
        _ => Event::from_bytes(&[]),
    };
    Some((length, event))
}

/// Reads lines of text that have no number, and numbers them.
fn count_lines() -> impl FnMut(&[u8]) -> Option<(usize, Event)> {
    let mut lines = 0..;
    move |bytes| {
        let length = bytes.iter().position(|byte| *byte == b'\n')? + 1;
        let whole = std::str::from_utf8(&bytes[..length]).is_ok_and(|text| text.contains(MESSAGE));
        let event = lines.next().filter(|_| whole).map_or(Event::from_bytes(&[]), Event::new);
        Some((length, event))
    }
}

/// Returns a bus whose records are written into a file as text, and its guard.
fn records(file: File) -> (Bus<Record>, Guard) {
    let bus = Bus::new();
    let writer = RecordWriter::new(Text::new(), file).capacity(CAPACITY);
    let guard = on_consumer(|| writer.start(&bus)).expect("a worker");
    (bus, guard)
}

/// Returns tracing-subscriber's formatter.
fn fmt_layer<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    fmt::layer().with_ansi(false).with_writer(writer)
}

/// Returns the contender with this subscriber, once in a process.
///
/// # Panics
/// If the process already has a subscriber.
#[must_use]
pub fn enabled(subscriber: Enabled) -> Box<dyn Cost> {
    let written = Written::default();
    let file = File::new(&written, read);
    match subscriber {
        Enabled::Noop => {
            Registry::default().with(Noop).init();
            Box::new(unread(log))
        }
        Enabled::Fmt => {
            Registry::default().with(fmt_layer(sink)).init();
            Box::new(unread(log))
        }
        Enabled::FmtAppender => {
            let builder = AppenderBuilder::default().buffered_lines_limit(CAPACITY);
            let (writer, guard) = on_consumer(|| builder.finish(file));
            Registry::default().with(fmt_layer(writer)).init();
            Box::new(written.after(guard, log))
        }
        Enabled::FmtNonBlocking => {
            let builder = NonBlockingBuilder::default().capacity(CAPACITY);
            let (writer, guard) = on_consumer(|| builder.build(file)).expect("a worker");
            Registry::default().with(fmt_layer(writer)).init();
            Box::new(written.after(guard, log))
        }
        Enabled::Layer | Enabled::LayerCoarse => {
            let (bus, guard) = records(file);
            let clock = if subscriber == Enabled::Layer { Clock::System } else { Clock::Coarse };
            Registry::default().with(layer(&bus).clock(clock).build()).init();
            Box::new(written.after(guard, log))
        }
    }
}

/// Returns the contender whose events are disabled with this subscriber, once in a process.
///
/// # Panics
/// If the process already has a subscriber.
#[must_use]
pub fn disabled(subscriber: Disabled) -> Box<dyn Cost> {
    let filtered = || fmt_layer(sink).with_filter(EnvFilter::new("info"));
    // A bus that has a sink, as the layer leaves out everything without one.
    let (bus, guard) = records(File::new(&Written::default(), read));
    match subscriber {
        Disabled::NoSubscriber => {}
        Disabled::Layer => Registry::default().with(layer(&bus).build()).init(),
        Disabled::Fmt => Registry::default().with(filtered()).init(),
        Disabled::LayerBesideFmt => Registry::default().with(filtered()).with(layer(&bus).build()).init(),
        Disabled::UnfilteredBesideFmt => Registry::default().with(filtered()).with(Noop).init(),
    }
    Box::new(unread(move |seed| {
        let _ = &guard;
        log_disabled(seed);
    }))
}

/// Returns the contender with this logger, once in a process.
///
/// # Panics
/// If the process already has a logger.
#[must_use]
pub fn logged(logger: Logged) -> Box<dyn Cost> {
    let log = |_: Seed| log::info!("request handled");
    if logger == Logged::Noop {
        log::set_boxed_logger(Box::new(Noop)).expect("the first logger");
        log::set_max_level(log::LevelFilter::Info);
        return Box::new(unread(log));
    }
    let written = Written::default();
    let (bus, guard) = records(File::new(&written, count_lines()));
    let clock = if logger == Logged::Logger { Clock::System } else { Clock::Coarse };
    buslane_tracing::logger(&bus, log::LevelFilter::Info).clock(clock).install().expect("the first logger");
    Box::new(written.after(guard, log))
}

/// Returns a contender whose events no consumer reads.
fn unread(log: impl FnMut(Seed)) -> impl Cost {
    Singly { receivers: 0, publish: log, drain: |_: &mut dyn FnMut(usize, Event)| {} }
}
