//! Finished lines, written with `io::Write`.

use super::File;
use crate::CAPACITY;
use crate::cost::appender::Written;
use crate::cost::{Cost, Singly};
use crate::event::{Event, Seed};
use crate::machine::on_consumer;
use buslane_tracing::{LineOrder, NonBlockingBuilder};
use std::hint::black_box;
use std::io::Write;
use tracing_appender::non_blocking::NonBlockingBuilder as AppenderBuilder;

/// The length of a line.
const LENGTH: usize = 120;

/// The 32 bytes of the event, and a text.
#[inline(always)]
fn line(seed: Seed) -> [u8; LENGTH] {
    let mut line = [b'.'; LENGTH];
    line[..32].copy_from_slice(&seed.event().to_bytes());
    line[LENGTH - 1] = b'\n';
    line
}

fn read(bytes: &[u8]) -> Option<(usize, Event)> {
    let line = bytes.get(..LENGTH)?;
    let text = &line[32..LENGTH - 1];
    let whole = text.iter().all(|byte| *byte == b'.') && line[LENGTH - 1] == b'\n';
    Some((LENGTH, Event::from_bytes(if whole { &line[..32] } else { &[] })))
}

/// A writer of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// `buslane_tracing::non_blocking`, with its defaults.
    NonBlocking,
    /// The same without a clock: the order of arrival.
    Arrival,
    /// The same with one lane for all threads, and without a clock.
    Shared,
    /// `tracing_appender::non_blocking`, which drops lines that find no room, as by default.
    Appender,
    /// The same, but waiting for room.
    AppenderLossless,
}

/// Returns the contender that makes the lines, and writes them nowhere.
#[must_use]
pub fn base() -> impl Cost {
    Singly {
        receivers: 0,
        publish: |seed: Seed| {
            black_box(line(seed));
        },
        drain: |_: &mut dyn FnMut(usize, Event)| {},
    }
}

/// Returns a writer of lines.
///
/// # Panics
/// If the worker cannot be started.
#[must_use]
pub fn writer(writer: Writer) -> Box<dyn Cost> {
    let builder = || NonBlockingBuilder::default().capacity(CAPACITY);
    match writer {
        Writer::NonBlocking => ours(builder()),
        Writer::Arrival => ours(builder().order(LineOrder::Arrival)),
        Writer::Shared => ours(builder().order(LineOrder::Arrival).private_lanes(false)),
        Writer::Appender => appender(true),
        Writer::AppenderLossless => appender(false),
    }
}

fn ours(builder: NonBlockingBuilder) -> Box<dyn Cost> {
    let written = Written::default();
    let file = File::new(&written, read);
    let (mut writer, guard) = on_consumer(|| builder.build(file)).expect("a worker");
    Box::new(written.after(guard, move |seed| writer.write_all(&line(seed)).expect("the log is open")))
}

fn appender(lossy: bool) -> Box<dyn Cost> {
    let written = Written::default();
    let file = File::new(&written, read);
    let builder = AppenderBuilder::default().buffered_lines_limit(CAPACITY).lossy(lossy);
    let (mut writer, guard) = on_consumer(|| builder.finish(file));
    Box::new(written.after(guard, move |seed| writer.write_all(&line(seed)).expect("the worker is alive")))
}
