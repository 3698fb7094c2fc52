//! How the controls of a sink reach its inner sinks: a wrapper names these once, in [`Sink::inner`], and each control that the wrapper
//! does not override goes to all of them. A control that is added to [`Sink`] reaches them by its default, too.

use super::base::Sink;
use super::lane::{Internal, Lanes};
use crate::error::ConfigError;
use crate::stats::{CloseReport, FlushReport, Ledgers, SinkState, SinkStatus, Weight};
use crate::time::Deadline;
use crate::wait::context::{caught, quietly, user_code};
use crate::wait::errand::{close_together, flush_together};
use std::fmt;
use std::marker::PhantomData;
use std::time::Instant;

/// Visits the inner sinks of a sink. [`Sink::inner`] passes each of them to [`sink`](Self::sink).
///
/// # Examples
/// A wrapper that names its inner sink; every control reaches it:
/// ```
/// use buslane::{Channel, Sink, WriteError};
/// use buslane::sink::Inner;
/// struct Doubled<S>(S);
/// impl<S: Sink<u32>> Sink<u32> for Doubled<S> {
///     fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
///         self.0.write(event * 2).map_err(|error| error.map_event(|_| event))
///     }
///     fn inner(&self, visit: &mut Inner<'_>) {
///         visit.sink(&self.0);
///     }
/// }
/// let (channel, receiver) = Channel::lossy(8)?;
/// let doubled = Doubled(channel);
/// drop(receiver);
/// assert!(doubled.reports_closed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Inner<'a> {
    visit: &'a mut dyn FnMut(&dyn Control),
}

impl<'a> Inner<'a> {
    pub(crate) fn new(visit: &'a mut dyn FnMut(&dyn Control)) -> Self {
        Self { visit }
    }

    /// Names an inner sink, of any type of events.
    ///
    /// # Examples
    /// A sink in front of two others names both:
    /// ```
    /// use buslane::{Sink, WriteError, noop};
    /// use buslane::sink::{Inner, Noop};
    /// use buslane::time::Deadline;
    /// struct Split { even: Noop<u64>, odd: Noop<u64> }
    /// impl Sink<u64> for Split {
    ///     fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
    ///         if event % 2 == 0 { self.even.write(event) } else { self.odd.write(event) }
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

    /// Names an inner sink whose panics end here: `panicked` gets their text, and the control continues as if the sink had nothing to
    /// report.
    pub(crate) fn caught<E>(&mut self, sink: &(impl Sink<E> + ?Sized), panicked: &dyn Fn(String)) {
        (self.visit)(&Caught { inner: &Erased { sink, events: PhantomData }, panicked });
    }
}

impl fmt::Debug for Inner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inner")
    }
}

/// The controls of a sink, whatever its events are.
pub(crate) trait Control {
    fn has_lanes(&self) -> bool;
    fn close_by(&self, deadline: Deadline) -> CloseReport;
    fn flush_by(&self, deadline: Deadline, report: &mut FlushReport);
    fn abort_now(&self);
    fn end_of_batch(&self);
    fn tick(&self, now: Instant) -> Option<Instant>;
    fn reports_closed(&self) -> bool;
    fn describe(&self, state: &mut SinkState);
    fn ledgers(&self) -> Ledgers;
    fn weigh(&self, weight: &Weight);
    fn validate(&self) -> Result<(), ConfigError>;
}

struct Erased<'a, E, S: ?Sized> {
    sink: &'a S,
    events: PhantomData<fn(E)>,
}

impl<E, S: Sink<E> + ?Sized> Control for Erased<'_, E, S> {
    fn has_lanes(&self) -> bool {
        self.sink.has_lanes()
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

/// A sink whose panics end here.
struct Caught<'a> {
    inner: &'a dyn Control,
    panicked: &'a dyn Fn(String),
}

impl Caught<'_> {
    fn call<R>(&self, call: impl FnOnce() -> R) -> Option<R> {
        caught(call).map_err(|text| (self.panicked)(text)).ok()
    }
}

impl Control for Caught<'_> {
    fn has_lanes(&self) -> bool {
        self.call(|| self.inner.has_lanes()).unwrap_or(false)
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        caught(|| self.inner.close_by(deadline)).unwrap_or_else(|text| {
            let report = close_panicked(&text);
            (self.panicked)(text);
            report
        })
    }

    fn flush_by(&self, deadline: Deadline, report: &mut FlushReport) {
        if let Err(text) = caught(|| self.inner.flush_by(deadline, report)) {
            report.errors.push(format!("its flush panicked: {text}"));
            (self.panicked)(text);
        }
    }

    fn abort_now(&self) {
        self.call(|| self.inner.abort_now());
    }

    fn end_of_batch(&self) {
        self.call(|| self.inner.end_of_batch());
    }

    fn tick(&self, now: Instant) -> Option<Instant> {
        self.call(|| self.inner.tick(now)).flatten()
    }

    fn reports_closed(&self) -> bool {
        self.call(|| self.inner.reports_closed()).unwrap_or(false)
    }

    fn describe(&self, state: &mut SinkState) {
        self.call(|| self.inner.describe(state));
    }

    fn ledgers(&self) -> Ledgers {
        self.call(|| self.inner.ledgers()).unwrap_or_default()
    }

    fn weigh(&self, weight: &Weight) {
        self.call(|| self.inner.weigh(weight));
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.call(|| self.inner.validate()).unwrap_or(Ok(()))
    }
}

fn close_panicked(text: &str) -> CloseReport {
    CloseReport::failed(format_args!("its close panicked: {text}"))
}

/// Closes a sink; its panic is an error like others.
pub(crate) fn close_caught<E>(sink: &(impl Sink<E> + ?Sized), deadline: Deadline) -> CloseReport {
    caught(|| sink.close_by(deadline)).unwrap_or_else(|text| close_panicked(&text))
}

/// The ledgers of a sink, and of the sinks downstream.
pub(crate) fn ledgers_of<E>(sink: &(impl Sink<E> + ?Sized)) -> Ledgers {
    let mut list = Ledgers::default();
    quietly(|| sink.add_ledgers(&mut list, Internal::TOKEN));
    list
}

/// The earlier of two moments at which a sink is to be called again.
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Calls `call` for each inner sink. Where there are several, the panic of one keeps the control from no other, and ends here; the
/// panic of the only one is the caller's, as if it had called that sink itself.
fn each<E>(sink: &(impl Sink<E> + ?Sized), mut call: impl FnMut(&dyn Control)) {
    if has_several(sink) {
        sink.inner(&mut Inner::new(&mut |inner| call(&Caught { inner, panicked: &drop })));
    } else {
        sink.inner(&mut Inner::new(&mut call));
    }
}

fn has_several<E>(sink: &(impl Sink<E> + ?Sized)) -> bool {
    let mut count = 0;
    sink.inner(&mut Inner::new(&mut |_| count += 1));
    count > 1
}

/// Calls `call` for each of several inner sinks, with its name. Those with lanes come first: such a sink is only told, and takes no time
/// from the others.
fn each_named<E>(sink: &(impl Sink<E> + ?Sized), mut call: impl FnMut(&str, &dyn Control)) {
    for with_lanes in [true, false] {
        let mut number = 0;
        each(sink, |inner| {
            number += 1;
            if inner.has_lanes() == with_lanes {
                call(&format!("sink {number}"), inner);
            }
        });
    }
}

// What each control does by default.

pub(crate) fn close_by<E>(sink: &(impl Sink<E> + ?Sized), deadline: Deadline) -> CloseReport {
    let mut report = CloseReport::done();
    if has_several(sink) {
        return close_together(deadline, || {
            each_named(sink, |name, inner| report.note(name, inner.close_by(deadline)));
            report
        });
    }
    each(sink, |inner| report = inner.close_by(deadline));
    report
}

pub(crate) fn flush_by<E>(sink: &(impl Sink<E> + ?Sized), deadline: Deadline, report: &mut FlushReport) {
    if has_several(sink) {
        return flush_together(deadline, report, |report| {
            each_named(sink, |name, inner| {
                let mut part = FlushReport::default();
                inner.flush_by(deadline, &mut part);
                report.note_part(name, part);
            });
        });
    }
    each(sink, |inner| inner.flush_by(deadline, report));
}

pub(crate) fn abort_now<E>(sink: &(impl Sink<E> + ?Sized)) {
    each(sink, |inner| inner.abort_now());
}

pub(crate) fn end_of_batch<E>(sink: &(impl Sink<E> + ?Sized)) {
    each(sink, |inner| inner.end_of_batch());
}

pub(crate) fn tick<E>(sink: &(impl Sink<E> + ?Sized), now: Instant) -> Option<Instant> {
    let mut next = None;
    each(sink, |inner| next = earlier(next, inner.tick(now)));
    next
}

/// A sink with several inner sinks accepts events as long as one of them does.
pub(crate) fn reports_closed<E>(sink: &(impl Sink<E> + ?Sized)) -> bool {
    let (mut any, mut all) = (false, true);
    each(sink, |inner| {
        any = true;
        all = all && inner.reports_closed();
    });
    any && all
}

/// The state of the one inner sink. Several inner sinks count each for itself, so the caller counts what enters here; their errors and
/// retries are shown.
pub(crate) fn describe<E>(sink: &(impl Sink<E> + ?Sized), state: &mut SinkState) {
    if !has_several(sink) {
        return each(sink, |inner| inner.describe(state));
    }
    each(sink, |inner| {
        let mut part = SinkState::default();
        inner.describe(&mut part);
        state.add_shown(part);
    });
    if sink.reports_closed() {
        state.status = SinkStatus::Closed;
    }
}

/// Where the chain branches into several inner sinks, their ledgers are shown, and decide nothing for the sinks upstream.
pub(crate) fn add_ledgers<E>(sink: &(impl Sink<E> + ?Sized), list: &mut Ledgers) {
    let several = has_several(sink);
    each(sink, |inner| {
        if several {
            list.extend_shown(inner.ledgers());
        } else {
            list.extend(inner.ledgers());
        }
    });
}

pub(crate) fn weigh<E>(sink: &(impl Sink<E> + ?Sized), weight: &Weight) {
    each(sink, |inner| inner.weigh(weight));
}

pub(crate) fn validate<E>(sink: &(impl Sink<E> + ?Sized)) -> Result<(), ConfigError> {
    let mut result = Ok(());
    each(sink, |inner| result = result.and_then(|()| inner.validate()));
    result
}

/// Checks the settings of a sink that is user code. A panic ends here: the first write will meet it again.
pub(crate) fn validated<E>(sink: &(impl Sink<E> + ?Sized)) -> Result<(), ConfigError> {
    user_code(|| sink.validate()).unwrap_or(Ok(()))
}
