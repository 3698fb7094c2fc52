//! Peers with one worker of their own, as services use them for telemetry: `tracing-appender`'s
//! non-blocking writer, and `ticklog`.
//!
//! A publisher hands over the four words of an event: their 32 bytes, or a log line of four numbers.
//! The worker makes an event of them again, and calls the three listeners one after another. Both
//! peers drop what they have no room for. `tracing-appender` counts it; `ticklog` does not, and its
//! worker never sleeps.

use super::fan::{Share, Wanted};
use super::listener::{Heard, Keeper};
use super::{Ending, Opened, Parts, Tap, panicked};
use crate::json_lines::JsonLines;
use buslane::queue::Handler;
use demo_support::Failure;
use serde::Serialize;
use std::array;
use std::io::{self, Write};
use std::str;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use ticklog::__private::__configure_rt;
use ticklog::{Backpressure, Level, LogSink};
use tracing_appender::non_blocking::NonBlockingBuilder;

/// An event that four words contain.
pub(crate) trait Record: Clone + Serialize + Send + 'static {
    fn to_words(&self) -> [u64; 4];

    /// Returns the event of these words; `None` if no event has them.
    fn from_words(words: [u64; 4]) -> Option<Self>;
}

/// The three listeners, called by the worker of a peer. They end when the worker drops them.
struct Listeners<E: Record, H: Handler<E>> {
    aggregator: H,
    lines: JsonLines,
    keeper: Keeper<E>,
    /// The filter upstream of the alerts.
    is_alert: Wanted<E>,
    heard: [Heard; 3],
    /// The number of events since the last end of a batch.
    batch: u64,
    reports: Sender<[Heard; 3]>,
}

impl<E: Record, H: Handler<E>> Listeners<E, H> {
    /// Passes an event to the listeners; `None` if the words of a record are missing.
    fn hear(&mut self, words: Option<[u64; 4]>) {
        let [aggregate, file, alerts] = &mut self.heard;
        self.batch += 1;
        match words.and_then(E::from_words) {
            Some(event) => {
                aggregate.count(self.aggregator.handle(event.clone()));
                file.count(self.lines.handle(event.clone()));
                if (self.is_alert)(&event) {
                    alerts.count(self.keeper.handle(event));
                } else {
                    alerts.filtered += 1;
                }
            }
            None => {
                self.heard.iter_mut().for_each(|heard| heard.count(Err("the record is unreadable".into())))
            }
        }
    }

    fn end_of_batch(&mut self) {
        let [aggregate, file, alerts] = &mut self.heard;
        let batch = std::mem::take(&mut self.batch);
        aggregate.end_of_batch::<E>(&mut self.aggregator, batch);
        file.end_of_batch::<E>(&mut self.lines, batch);
        alerts.end_of_batch::<E>(&mut self.keeper, batch);
    }
}

impl<E: Record, H: Handler<E>> Drop for Listeners<E, H> {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let [aggregate, file, alerts] = &mut self.heard;
        aggregate.keep(self.aggregator.close());
        file.keep(Handler::<E>::close(&mut self.lines));
        alerts.keep(self.keeper.close());
        // A run that failed does not wait for its counters.
        let _ = self.reports.send(std::mem::take(&mut self.heard));
    }
}

/// Substitutes for the file of a writer and for the sink of a logger.
struct Files<E: Record, H: Handler<E>>(Listeners<E, H>);

impl<E: Record, H: Handler<E>> Write for Files<E, H> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.hear(words_of_bytes(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.end_of_batch();
        Ok(())
    }
}

impl<E: Record, H: Handler<E>> LogSink for Files<E, H> {
    fn accept(&mut self, line: &[u8], _level: Level) -> io::Result<()> {
        self.0.hear(words_of_line(line));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.end_of_batch();
        Ok(())
    }
}

fn to_bytes(words: [u64; 4]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.chunks_exact_mut(8).zip(words).for_each(|(bytes, word)| bytes.copy_from_slice(&word.to_le_bytes()));
    bytes
}

fn words_of_bytes(bytes: &[u8]) -> Option<[u64; 4]> {
    let bytes: &[u8; 32] = bytes.try_into().ok()?;
    let word = |index| array::from_fn(|byte| bytes[index * 8 + byte]);
    Some(array::from_fn(|index| u64::from_le_bytes(word(index))))
}

fn words_of_line(line: &[u8]) -> Option<[u64; 4]> {
    let words: Result<Vec<u64>, _> = str::from_utf8(line).ok()?.split(' ').map(str::parse).collect();
    words.ok()?.try_into().ok()
}

// `ticklog::configure!` defines these two where the logging macros do not find them, if they are in
// another module. They are its defaults.
macro_rules! __ticklog_max_level {
    () => {
        Level::Info
    };
}
macro_rules! __ticklog_backpressure {
    () => {
        Backpressure::Drop
    };
}

/// Ends a worker by its guard, after everything that was sent before, and completes what the listeners
/// counted.
fn end(
    guard: impl Sized + 'static,
    received: Receiver<[Heard; 3]>,
    complete: impl Fn(&mut Heard) + 'static,
) -> Ending {
    Box::new(move || -> Result<Vec<Heard>, Failure> {
        drop(guard);
        let mut heard = received.recv().map_err(|_| panicked())?;
        heard.iter_mut().for_each(complete);
        Ok(heard.into())
    })
}

/// The publishers' parts of a peer, its listeners, and where these report in the end.
type Split<E, H> = (Share<E>, usize, Files<E, H>, Receiver<[Heard; 3]>);

impl<E: Record, H: Handler<E>> Parts<E, H> {
    fn split(self, capacity: usize) -> Split<E, H> {
        let Self { aggregator, lines, keeper, share, workers, .. } = self;
        let (reports, received) = channel();
        let is_alert = share.is_alert.clone();
        let heard = [(); 3].map(|()| Heard::new(capacity));
        let listeners = Listeners { aggregator, lines, keeper, is_alert, heard, batch: 0, reports };
        (share, workers, Files(listeners), received)
    }

    /// One channel of lines, whose worker is the only listener.
    pub(super) fn appender(self) -> io::Result<Opened<E>> {
        let capacity = self.capacity;
        let (share, workers, files, received) = self.split(capacity);
        let builder = NonBlockingBuilder::default().buffered_lines_limit(capacity).lossy(true);
        let (writer, guard) = builder.finish(files);
        let lost = writer.error_counter();
        let tap = |_| {
            let mut writer = writer.clone();
            Tap::one(share.clone(), move |event: E| {
                // It is lossy, and so never fails.
                let _ = writer.write_all(&to_bytes(event.to_words()));
            })
        };
        let taps = (0..workers).map(tap).collect();
        Ok((taps, end(guard, received, move |heard| heard.dropped = lost.dropped_lines() as u64)))
    }

    /// A ring of records for each worker, and one thread that formats them and is the only listener.
    pub(super) fn logger(self) -> io::Result<Opened<E>> {
        // The room of its rings is in bytes, so the backlog in events means nothing.
        let (share, workers, files, received) = self.split(0);
        let guard = __configure_rt(Box::new(files), 0, None, "{message}").map_err(io::Error::other)?;
        let tap = |_| {
            Tap::one(share.clone(), |event: E| {
                let [first, second, third, fourth] = event.to_words();
                ticklog::info!("{} {} {} {}", first, second, third, fourth);
            })
        };
        let taps = (0..workers).map(tap).collect();
        Ok((taps, end(guard, received, |heard| heard.drops_uncounted = true)))
    }
}

#[cfg(test)]
mod tests {
    use super::{to_bytes, words_of_bytes, words_of_line};

    #[test]
    fn words_survive_their_way_as_bytes() {
        let words = [0, 1, u64::MAX, 0x0123_4567_89ab_cdef];
        assert_eq!(words_of_bytes(&to_bytes(words)), Some(words));
        assert_eq!(words_of_bytes(&[0; 31]), None);
    }

    #[test]
    fn words_survive_their_way_as_a_line() {
        assert_eq!(words_of_line(b"0 1 18446744073709551615 7"), Some([0, 1, u64::MAX, 7]));
        for line in [&b"0 1 2"[..], b"0 1 2 3 4", b"0 1 2 x", b""] {
            assert_eq!(words_of_line(line), None);
        }
    }
}
