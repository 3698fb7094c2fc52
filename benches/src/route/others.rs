//! Routes of other crates that have their own consumer thread.

use super::{Consumer, Line, Route};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use disruptor::{BusySpin, Producer, Sequence, build_multi_producer, build_single_producer};
use std::io::{self, Write};
use tracing_appender::non_blocking::NonBlockingBuilder;

/// `disruptor` with one producer; both sides spin.
#[derive(Clone, Copy, Debug)]
pub struct Disruptor;

impl Route for Disruptor {
    fn open(
        self,
        publishers: usize,
        mut handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        assert_eq!(publishers, 1, "this peer has one producer");
        let mut producer = build_single_producer(CAPACITY, Event::default, BusySpin)
            .handle_events_with(move |event: &Event, _: Sequence, _: bool| handle(event))
            .build();
        let send = move |seed: Seed| producer.publish(|slot| *slot = seed.event());
        Line { senders: vec![send], consumer: Consumer::held(()) }
    }
}

/// `disruptor` for several producers; all spin.
#[derive(Clone, Copy, Debug)]
pub struct DisruptorMulti;

impl Route for DisruptorMulti {
    fn open(
        self,
        publishers: usize,
        mut handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        let producer = build_multi_producer(CAPACITY, Event::default, BusySpin)
            .handle_events_with(move |event: &Event, _: Sequence, _: bool| handle(event))
            .build();
        let senders = std::iter::repeat_n(producer, publishers)
            .map(|mut producer| move |seed: Seed| producer.publish(|slot| *slot = seed.event()));
        Line { senders: senders.collect(), consumer: Consumer::held(()) }
    }
}

/// `tracing-appender`'s non-blocking writer, as services use it for telemetry: each event is
/// written as its 32 bytes, and its worker writes them to a substitute for a file. It is configured
/// to be lossless.
#[derive(Clone, Copy, Debug)]
pub struct Appender;

/// A substitute for a file: handles the event whose bytes are written.
struct File<H>(H);

impl<H: FnMut(&Event)> Write for File<H> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(&Event::from_bytes(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Route for Appender {
    fn open(
        self,
        publishers: usize,
        handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        let builder = NonBlockingBuilder::default().buffered_lines_limit(CAPACITY).lossy(false);
        let (writer, guard) = builder.finish(File(handle));
        let senders = std::iter::repeat_n(writer, publishers).map(|mut writer| {
            move |seed: Seed| writer.write_all(&seed.event().to_bytes()).expect("the worker is alive")
        });
        Line { senders: senders.collect(), consumer: Consumer::held(guard) }
    }
}
