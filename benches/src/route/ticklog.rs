//! `ticklog`, a logger for latency-critical code, as services use it for telemetry.
//!
//! An event is logged as its four words, with the time that `ticklog` adds. Its worker formats them
//! as text, and writes the text to a substitute for a file, which reads the words again. It is
//! configured to be lossless.
//!
//! - A process can configure it once. So a process opens this route once, and each sample has a
//!   process of its own: see [`elsewhere`](crate::elsewhere).
//! - Its buffer has 1 MiB for each thread, which cannot be changed.
//! - Its worker never sleeps.

use super::{Consumer, Line, Route};
use crate::event::{Event, Seed};
use std::io;
use std::str;
use ticklog::__private::__configure_rt;
use ticklog::{Backpressure, Level, LogSink};

// `ticklog::configure!` defines these two for code in the root of a program, and exports them without
// documentation: so a library defines them itself, and calls what that macro calls.
macro_rules! __ticklog_max_level {
    () => {
        Level::Info
    };
}
macro_rules! __ticklog_backpressure {
    () => {
        Backpressure::Block
    };
}

/// `ticklog`, once in a process.
#[derive(Clone, Copy, Debug)]
pub struct Ticklog;

/// A substitute for a file: handles the event whose text is written.
struct Lines<H>(H);

impl<H: FnMut(&Event) + Send + 'static> LogSink for Lines<H> {
    fn accept(&mut self, line: &[u8], _level: Level) -> io::Result<()> {
        (self.0)(&parse(line));
        Ok(())
    }
}

/// Returns the event of a line. For any other line, returns an event that is never published.
fn parse(line: &[u8]) -> Event {
    let mut words = str::from_utf8(line).unwrap_or_default().split(' ').map(str::parse);
    let words: [u64; 4] = std::array::from_fn(|_| words.next().and_then(Result::ok).unwrap_or(u64::MAX));
    words.into()
}

impl Route for Ticklog {
    fn open(
        self,
        publishers: usize,
        handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        let guard = __configure_rt(Box::new(Lines(handle)), 0, None, "{message}");
        let guard = guard.expect("a process opens this route once");
        let send = |seed: Seed| {
            let Event { seq, next, inverse, last } = seed.event();
            ticklog::info!("{} {} {} {}", seq, next, inverse, last);
        };
        Line { senders: vec![send; publishers], consumer: Consumer::held(guard) }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::event::Event;

    #[test]
    fn line_gives_its_event_back() {
        let [a, b, c, d]: [u64; 4] = Event::new(7).ending().into();
        assert_eq!(parse(format!("{a} {b} {c} {d}").as_bytes()), Event::new(7).ending());
        assert_eq!(parse(b"7 8").last, u64::MAX);
    }
}
