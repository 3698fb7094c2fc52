//! Records of events and spans, published on a bus of records.

use super::publish::{BusClosed, Publish, Sealed};
use crate::clock::Clock;
use crate::record::encoder::Encoder;
use crate::record::spill::Budget;
use crate::record::{Kind, Record};
use crate::thread;
use buslane::Bus;
use std::fmt;
use std::sync::Arc;
use tracing_core::span::{Attributes, Record as Values};
use tracing_core::{Event, Metadata};

/// Makes a [`Record`] of each event and of each step in the life of a span. Made by
/// [`layer`](crate::layer).
pub struct Records<const N: usize> {
    pub(crate) bus: Bus<Record<N>>,
    pub(crate) clock: Clock,
    pub(crate) has_spans: bool,
    pub(crate) budget: Arc<Budget>,
}

impl<const N: usize> Records<N> {
    /// Publishes the record that `fill` completes. Nothing is made if the bus has no sink.
    #[inline]
    fn publish(
        &self,
        kind: Kind,
        metadata: &'static Metadata<'static>,
        span: u64,
        fill: impl Fn(&mut Record<N>, &Arc<Budget>),
    ) -> Result<(), BusClosed> {
        // Neither has more than two words of its own: see `thread::publish_in_place`.
        let (begin, rest) = (move || Record::new(kind, metadata), &(span, fill));
        let complete = move |record: &mut Record<N>| {
            let (span, fill) = rest;
            record.set_stamp(self.clock.now(), thread::number_and_sequence());
            record.set_span(*span);
            fill(record, &self.budget);
        };
        let published = thread::publish_in_place(&self.bus, begin, complete);
        published.map_or(Err(BusClosed), |_counted_by_the_sinks| Ok(()))
    }
}

impl<const N: usize> Sealed for Records<N> {}

impl<const N: usize> Publish for Records<N> {
    #[inline]
    fn event(&self, event: &Event<'_>, span: u64) -> Result<(), BusClosed> {
        self.publish(Kind::Event, event.metadata(), span, |record, budget| {
            let mut encoder = Encoder::new(record, budget);
            event.record(&mut encoder);
            encoder.finish();
        })
    }

    fn has_spans(&self) -> bool {
        self.has_spans
    }

    fn new_span(&self, attributes: &Attributes<'_>, span: u64, parent: u64) -> Result<(), BusClosed> {
        self.publish(Kind::NewSpan, attributes.metadata(), span, |record, budget| {
            record.set_parent(parent);
            let mut encoder = Encoder::new(record, budget);
            attributes.record(&mut encoder);
            encoder.finish();
        })
    }

    fn span_values(
        &self,
        metadata: &'static Metadata<'static>,
        values: &Values<'_>,
        span: u64,
    ) -> Result<(), BusClosed> {
        self.publish(Kind::SpanValues, metadata, span, |record, budget| {
            let mut encoder = Encoder::new(record, budget);
            values.record(&mut encoder);
            encoder.finish();
        })
    }

    fn span_closed(&self, metadata: &'static Metadata<'static>, span: u64) -> Result<(), BusClosed> {
        self.publish(Kind::SpanClosed, metadata, span, |_, _| {})
    }
}

impl<const N: usize> fmt::Debug for Records<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("bus", &self.bus)
            .field("clock", &self.clock)
            .field("has_spans", &self.has_spans)
            .field("budget", &self.budget)
            .finish()
    }
}
