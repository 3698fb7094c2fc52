//! Type-erased control of sinks, for any type of event, and calls that catch the sink's panics.

use super::base::Sink;
use super::inner::{Caught, Inner, close_panicked};
use super::lane::Internal;
use crate::error::ConfigError;
use crate::stats::{CloseReport, FlushReport, Ledgers, SinkState, Weight};
use crate::time::Deadline;
use crate::wait::context::{caught, quietly, user_code};
use std::marker::PhantomData;
use std::time::Instant;

#[cfg(feature = "testing")]
pub(crate) use super::inner::is_plain_chain;
pub(crate) use super::inner::{
    Control, add_ledgers, describe, earlier, reports_closed, tick, validate, weigh,
};

impl Inner<'_> {
    /// Names an inner sink, whatever its event type is.
    ///
    /// # Examples
    /// A sink upstream of two others names both:
    /// ```
    /// use buslane::{Sink, WriteError, noop};
    /// use buslane::sink::{Inner, Noop};
    /// use buslane::stats::Disposition;
    /// use buslane::time::Deadline;
    /// struct Split { even: Noop<u64>, odd: Noop<u64> }
    /// impl Sink<u64> for Split {
    ///     fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
    ///         self.offer(event).map(drop)
    ///     }
    ///     fn offer(&self, event: u64) -> Result<Disposition, WriteError<u64>> {
    ///         if event % 2 == 0 { self.even.offer(event) } else { self.odd.offer(event) }
    ///     }
    ///     fn inner(&self, visit: &mut Inner<'_>) {
    ///         visit.sink(&self.even);
    ///         visit.sink(&self.odd);
    ///     }
    /// }
    /// let split = Split { even: noop(), odd: noop() };
    /// assert!(split.close_by(Deadline::NOW).is_done());
    /// assert!(split.even.reports_closed() && split.odd.reports_closed());
    /// ```
    pub fn sink<E>(&mut self, sink: &(impl Sink<E> + ?Sized)) {
        (self.visit)(&Erased { sink, events: PhantomData });
    }

    /// Names an inner sink whose panics are caught here: `panicked` gets their text, and the
    /// control continues as if the sink had nothing to report.
    pub(crate) fn caught<E>(&mut self, sink: &(impl Sink<E> + ?Sized), panicked: &dyn Fn(String)) {
        (self.visit)(&Caught { inner: &Erased { sink, events: PhantomData }, panicked });
    }
}

struct Erased<'a, E, S: ?Sized> {
    sink: &'a S,
    events: PhantomData<fn(E)>,
}

impl<E, S: Sink<E> + ?Sized> Control for Erased<'_, E, S> {
    fn has_lanes(&self) -> bool {
        self.sink.makes_lanes(Internal::TOKEN)
    }

    #[cfg(feature = "testing")]
    fn is_plain_chain(&self) -> bool {
        is_plain_chain(self.sink)
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        self.sink.close_by(deadline)
    }

    fn flush_by(&self, deadline: Deadline, report: &mut FlushReport) {
        self.sink.flush_by(deadline, report);
    }

    fn abort_now(&self) {
        self.sink.abort_now();
    }

    fn end_of_batch(&self) {
        self.sink.end_of_batch();
    }

    fn tick(&self, now: Instant) -> Option<Instant> {
        self.sink.tick(now)
    }

    fn reports_closed(&self) -> bool {
        self.sink.reports_closed()
    }

    fn describe(&self, state: &mut SinkState) {
        self.sink.describe(state);
    }

    fn ledgers(&self) -> Ledgers {
        let mut list = Ledgers::default();
        self.sink.add_ledgers(&mut list, Internal::TOKEN);
        list
    }

    fn weigh(&self, weight: &Weight) {
        self.sink.weigh(weight, Internal::TOKEN);
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.sink.validate()
    }
}

/// Closes a sink, and reports its panic as an error.
pub(crate) fn close_caught<E>(sink: &(impl Sink<E> + ?Sized), deadline: Deadline) -> CloseReport {
    caught(|| sink.close_by(deadline)).unwrap_or_else(|text| close_panicked(&text))
}

/// Returns the ledgers of a sink and of the sinks downstream.
pub(crate) fn ledgers_of<E>(sink: &(impl Sink<E> + ?Sized)) -> Ledgers {
    let mut list = Ledgers::default();
    quietly(|| sink.add_ledgers(&mut list, Internal::TOKEN));
    list
}

/// Checks the settings of a sink that is user code. A panic is caught and ignored: the first write
/// will panic again.
pub(crate) fn validated<E>(sink: &(impl Sink<E> + ?Sized)) -> Result<(), ConfigError> {
    user_code(|| sink.validate()).unwrap_or(Ok(()))
}
