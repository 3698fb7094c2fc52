//! The peers: publishers never wait, and listeners wait as their crate does by default.

use super::{Contender, Line, Listener, Reports};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use crate::peer::Waits;
use std::fmt;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::thread;
use std::time::Duration;
use ticklog::{Backpressure, FanOut, Level, LogSink};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tracing_appender::non_blocking::NonBlockingBuilder;

/// A channel for each listener; every publisher sends to all of them.
pub struct Channels<P>(PhantomData<fn() -> P>);

/// Returns the contender with a channel of this crate for each listener.
#[must_use]
pub fn channels<P: Waits>() -> Channels<P> {
    Channels(PhantomData)
}

impl<P> Clone for Channels<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Channels<P> {}

impl<P> fmt::Debug for Channels<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channels")
    }
}

impl<P: Waits> Contender for Channels<P> {
    fn open(self, count: usize, reports: Reports) -> Line<impl FnMut(Seed) -> u64 + Send + 'static> {
        let open = |mut listener: Listener| {
            let (sender, mut receiver) = P::open();
            thread::spawn(move || {
                while let Some(event) = P::recv(&mut receiver) {
                    listener.see(&event);
                }
            });
            sender
        };
        let first: Vec<P::Sender> = reports.listeners().map(open).collect();
        let sender = |_| {
            let mut senders: Vec<_> = first.iter().map(P::share).collect();
            move |seed: Seed| senders.iter_mut().map(|sender| u64::from(!P::try_send(sender, seed))).sum()
        };
        let senders = (0..count).map(sender).collect();
        Line::new(senders, reports, || None)
    }
}

/// `crossfire`, with a channel for each listener.
#[derive(Clone, Copy, Debug)]
pub struct Crossfire;

impl Contender for Crossfire {
    fn open(self, count: usize, reports: Reports) -> Line<impl FnMut(Seed) -> u64 + Send + 'static> {
        crossfire::detect_backoff_cfg();
        let open = |mut listener: Listener| {
            let (sender, receiver) = crossfire::mpsc::bounded_blocking::<Event>(CAPACITY);
            thread::spawn(move || {
                while let Ok(event) = receiver.recv() {
                    listener.see(&event);
                }
            });
            sender
        };
        let first: Vec<_> = reports.listeners().map(open).collect();
        let sender = |_| {
            let senders = first.clone();
            move |seed: Seed| {
                senders.iter().map(|sender| u64::from(sender.try_send(seed.event()).is_err())).sum()
            }
        };
        let senders = (0..count).map(sender).collect();
        Line::new(senders, reports, || None)
    }
}

/// `tokio::sync::broadcast`: one channel, and a receiver for each listener.
#[derive(Clone, Copy, Debug)]
pub struct Broadcast;

impl Contender for Broadcast {
    fn open(self, count: usize, reports: Reports) -> Line<impl FnMut(Seed) -> u64 + Send + 'static> {
        let (first, receiver) = broadcast::channel::<Event>(CAPACITY);
        for mut listener in reports.listeners() {
            let mut receiver = receiver.resubscribe();
            thread::spawn(move || {
                loop {
                    match receiver.blocking_recv() {
                        Ok(event) => listener.see(&event),
                        Err(RecvError::Lagged(events)) => listener.lag(events),
                        Err(RecvError::Closed) => break,
                    }
                }
            });
        }
        let sender = |_| {
            let sender = first.clone();
            move |seed: Seed| {
                sender.send(seed.event()).expect("there are receivers");
                0
            }
        };
        let senders = (0..count).map(sender).collect();
        Line::new(senders, reports, || None)
    }
}

/// `rtrb`: a ring from each publisher to each listener, which looks into its rings every 100 µs. It
/// has no waiting of its own.
#[derive(Clone, Copy, Debug)]
pub struct Polled;

/// The time that a listener sleeps when it has emptied its rings.
const NAP: Duration = Duration::from_micros(100);

impl Contender for Polled {
    fn open(self, count: usize, reports: Reports) -> Line<impl FnMut(Seed) -> u64 + Send + 'static> {
        let mut rings: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
        for listener in reports.listeners() {
            let mut consumers = Vec::new();
            for producers in &mut rings {
                let (producer, consumer) = rtrb::RingBuffer::<Event>::new(CAPACITY);
                producers.push(producer);
                consumers.push(consumer);
            }
            thread::spawn(move || poll(consumers, listener));
        }
        let sender = |mut producers: Vec<rtrb::Producer<Event>>| {
            move |seed: Seed| {
                let refused =
                    |producer: &mut rtrb::Producer<_>| u64::from(producer.push(seed.event()).is_err());
                producers.iter_mut().map(refused).sum()
            }
        };
        let senders = rings.into_iter().map(sender).collect();
        Line::new(senders, reports, || None)
    }
}

fn poll(mut consumers: Vec<rtrb::Consumer<Event>>, mut listener: Listener) {
    loop {
        // Before the last look, or events between the two would be missed.
        let ended = consumers.iter().all(rtrb::Consumer::is_abandoned);
        for consumer in &mut consumers {
            while let Ok(event) = consumer.pop() {
                listener.see(&event);
            }
        }
        if ended {
            return;
        }
        thread::sleep(NAP);
    }
}

/// `tracing-appender`'s non-blocking writer: one worker thread hands the 32 bytes of each event to
/// all listeners. Lossy, as it is by default.
#[derive(Clone, Copy, Debug)]
pub struct Appender;

/// A substitute for files: hands each event to all listeners.
struct Files(Vec<Listener>);

impl Write for Files {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let event = Event::from_bytes(bytes);
        self.0.iter_mut().for_each(|listener| listener.see(&event));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Contender for Appender {
    fn open(self, count: usize, reports: Reports) -> Line<impl FnMut(Seed) -> u64 + Send + 'static> {
        let listeners = reports.count() as u64;
        let builder = NonBlockingBuilder::default().buffered_lines_limit(CAPACITY).lossy(true);
        let (writer, guard) = builder.finish(Files(reports.listeners().collect()));
        let dropped = writer.error_counter();
        let senders = std::iter::repeat_n(writer, count).map(|mut writer| {
            move |seed: Seed| {
                writer.write_all(&seed.event().to_bytes()).expect("the worker is alive");
                0
            }
        });
        let senders = senders.collect();
        Line::new(senders, reports, move || {
            drop(guard);
            Some(dropped.dropped_lines() as u64 * listeners)
        })
    }
}

/// `ticklog`: each event is logged as its four words, and one worker thread hands the formatted
/// line to all listeners. There can be one per process.
#[derive(Clone, Copy, Debug)]
pub struct Ticklog;

// The settings that its `configure!` leaves to its calls: the defaults.
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

/// A listener as a sink of log lines.
struct Lines(Listener);

impl LogSink for Lines {
    fn accept(&mut self, line: &[u8], _level: Level) -> io::Result<()> {
        let text = std::str::from_utf8(line).unwrap_or_default();
        let mut words = text.split(' ').map(str::parse);
        let words: [u64; 4] = std::array::from_fn(|_| words.next().and_then(Result::ok).unwrap_or(u64::MAX));
        self.0.see(&words.into());
        Ok(())
    }
}

impl Contender for Ticklog {
    fn open(self, count: usize, reports: Reports) -> Line<impl FnMut(Seed) -> u64 + Send + 'static> {
        let fan_out = reports.listeners().fold(FanOut::new(), |sinks, listener| sinks.add(Lines(listener)));
        // What `configure!` calls: that macro can be used once in a crate.
        let configured = ticklog::__private::__configure_rt(Box::new(fan_out), 0, None, "{message}");
        let guard = configured.expect("there is one in this process");
        let sender = |_| {
            |seed: Seed| {
                let [seq, next, inverse, last]: [u64; 4] = seed.event().into();
                ticklog::info!("{} {} {} {}", seq, next, inverse, last);
                0
            }
        };
        let senders = (0..count).map(sender).collect();
        Line::new(senders, reports, move || {
            drop(guard);
            // It does not count what it drops.
            None
        })
        .uncounted()
    }
}
