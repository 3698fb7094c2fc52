//! The layer for tracing-subscriber, which publishes on a bus.

mod builder;
mod current;
pub(crate) mod decisions;
pub(crate) mod levels;
mod mapped;
mod publish;
mod records;

pub use builder::{LayerBuilder, LevelsError, layer, map};
pub use levels::Levels;
pub use mapped::Mapped;
pub use publish::Publish;
pub use records::Records;

pub(crate) use builder::targets_from_env;

use crate::losses::Counters;
use crate::output::to_stderr;
use crate::thread;
use publish::BusClosed;
use std::fmt;
use std::sync::Arc;
use tracing_core::span::{Attributes, Id, Record as Values};
use tracing_core::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// A layer that publishes events and spans on a bus, made by [`LayerBuilder::build`] together with
/// its filter.
///
/// It never waits for a sink, unless a sink of the bus has an overflow policy that does. It stores
/// nothing in the spans of the registry. An event that is logged while the same thread makes or
/// publishes another one (from a `Debug` implementation, or from a sink that is called directly) is
/// suppressed and counted, and so is one from a worker of this crate.
pub struct BusLayer<P> {
    publish: P,
    levels: Levels,
    counters: Arc<Counters>,
    /// Tells the spans that this layer sees on a thread from those that other layers see.
    number: u32,
}

impl<P: Publish> BusLayer<P> {
    fn new(publish: P, levels: Levels, counters: Arc<Counters>) -> Self {
        Self { publish, levels, counters, number: current::new_layer() }
    }

    /// Returns the levels, which can be changed while the program runs.
    pub fn levels(&self) -> Levels {
        self.levels.clone()
    }

    /// Returns how many events and steps of spans were suppressed, because their thread was making
    /// another one or is a worker of this crate.
    pub fn suppressed(&self) -> u64 {
        self.counters.reentrant()
    }

    /// Returns how many events and steps of spans were lost because the bus was closed.
    pub fn late(&self) -> u64 {
        self.counters.late()
    }

    /// Publishes, unless this thread is mute.
    #[inline]
    fn publish(&self, publish: impl FnOnce(&P) -> Result<(), BusClosed>) {
        let Some(_mute) = thread::mute() else { return self.counters.add_reentrant() };
        if publish(&self.publish).is_err() {
            count_late(&self.counters);
        }
    }

    /// Returns the id of the span around an event, or of the parent of a span.
    #[inline]
    fn parent<S>(&self, is_contextual: bool, explicit: Option<&Id>, context: &Context<'_, S>) -> u64
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if is_contextual {
            current::span(self.number)
        } else {
            // A span that the filter has disabled is none.
            explicit.and_then(|id| context.span(id)).map_or(0, |span| span.id().into_u64())
        }
    }

    fn metadata<S>(id: &Id, context: &Context<'_, S>) -> Option<&'static Metadata<'static>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        // The registry's guard is dropped before any value is visited: a `Debug` implementation may
        // open a span.
        context.span(id).map(|span| span.metadata())
    }
}

/// Counts an event that came after the close of its bus, and reports the first one.
#[cold]
pub(crate) fn count_late(counters: &Counters) {
    if counters.add_late() {
        to_stderr(format_args!(
            "an event came after the bus was closed, and is lost: keep the guard until the end of the program"
        ));
    }
}

impl<const N: usize> BusLayer<Records<N>> {
    /// Returns how many records were cut: they did not fit inline, and
    /// [`spill_limit`](LayerBuilder::spill_limit) was reached.
    pub fn truncated(&self) -> u64 {
        self.publish.budget.truncated()
    }
}

impl<S, P> Layer<S> for BusLayer<P>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    P: Publish,
{
    #[inline]
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // The filter has allowed it; but its bits may be those of another event, if events are
        // nested or an answer of a filter was cached.
        if self.levels.allow(event.metadata()) {
            let has_spans = self.publish.has_spans();
            let parent =
                if has_spans { self.parent(event.is_contextual(), event.parent(), &context) } else { 0 };
            self.publish(|publish| publish.event(event, parent));
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if self.publish.has_spans() && self.levels.allow(attributes.metadata()) {
            let parent = self.parent(attributes.is_contextual(), attributes.parent(), &context);
            self.publish(|publish| publish.new_span(attributes, id.into_u64(), parent));
        }
    }

    fn on_record(&self, id: &Id, values: &Values<'_>, context: Context<'_, S>) {
        if self.publish.has_spans()
            && let Some(metadata) = Self::metadata(id, &context)
        {
            self.publish(|publish| publish.span_values(metadata, values, id.into_u64()));
        }
    }

    #[inline]
    fn on_enter(&self, id: &Id, _context: Context<'_, S>) {
        if self.publish.has_spans() {
            current::enter(self.number, id.into_u64());
        }
    }

    #[inline]
    fn on_exit(&self, id: &Id, _context: Context<'_, S>) {
        if self.publish.has_spans() {
            current::exit(self.number, id.into_u64());
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if self.publish.has_spans()
            && let Some(metadata) = Self::metadata(&id, &context)
        {
            self.publish(|publish| publish.span_closed(metadata, id.into_u64()));
        }
    }
}

impl<P: fmt::Debug> fmt::Debug for BusLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { publish, levels, counters, number: _ } = self;
        f.debug_struct("BusLayer")
            .field("publish", publish)
            .field("levels", levels)
            .field("counters", counters)
            .finish_non_exhaustive()
    }
}
