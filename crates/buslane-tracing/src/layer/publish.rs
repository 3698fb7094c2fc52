//! What a layer makes of the events and spans that pass its filter, and where that goes.

use tracing_core::span::{Attributes, Record as Values};
use tracing_core::{Event, Metadata};

/// The bus was closed.
#[derive(Debug)]
pub struct BusClosed;

/// Makes events of a bus from the events and spans of tracing, and publishes them.
///
/// This trait is implemented by [`Records`](crate::Records) and [`Mapped`](crate::Mapped) only.
pub trait Publish: Sealed + Send + Sync + 'static {
    /// Publishes what is made of an event in the span `span`, or 0.
    #[doc(hidden)]
    fn event(&self, event: &Event<'_>, span: u64) -> Result<(), BusClosed>;

    /// Returns whether the layer has to follow the spans.
    #[doc(hidden)]
    fn has_spans(&self) -> bool {
        false
    }

    /// Publishes that a span began.
    #[doc(hidden)]
    fn new_span(&self, attributes: &Attributes<'_>, span: u64, parent: u64) -> Result<(), BusClosed> {
        let _ = (attributes, span, parent);
        Ok(())
    }

    /// Publishes that a span got more values.
    #[doc(hidden)]
    fn span_values(
        &self,
        metadata: &'static Metadata<'static>,
        values: &Values<'_>,
        span: u64,
    ) -> Result<(), BusClosed> {
        let _ = (metadata, values, span);
        Ok(())
    }

    /// Publishes that a span was closed.
    #[doc(hidden)]
    fn span_closed(&self, metadata: &'static Metadata<'static>, span: u64) -> Result<(), BusClosed> {
        let _ = (metadata, span);
        Ok(())
    }
}

/// Keeps [`Publish`] from being implemented outside of this crate.
#[doc(hidden)]
pub trait Sealed {}
