//! How a control of a sink reaches its inner sinks. A wrapper names them once, in
//! [`Sink::inner`](crate::Sink::inner), and each control that the wrapper does not override goes to
//! all of them. The default of a control that is added to the trait later reaches them, too.

use crate::error::ConfigError;
use crate::stats::{CloseReport, FlushReport, Ledgers, SinkState, SinkStatus, Weight};
use crate::time::Deadline;
use crate::wait::context::caught;
use crate::wait::errand::{close_together, flush_together};
use std::fmt;
use std::time::Instant;

/// A visitor of the inner sinks of a sink.
///
/// [`Sink::inner`](crate::Sink::inner) passes each of them to [`sink`](Self::sink).
///
/// # Examples
/// A wrapper that names its inner sink, so that every control reaches it:
/// ```
/// use buslane::{Channel, Sink, WriteError};
/// use buslane::sink::Inner;
/// use buslane::stats::Disposition;
/// struct Doubled<S>(S);
/// impl<S: Sink<u32>> Sink<u32> for Doubled<S> {
///     fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
///         self.offer(event).map(drop)
///     }
///     fn offer(&self, event: u32) -> Result<Disposition, WriteError<u32>> {
///         self.0.offer(event * 2).map_err(|error| error.map_event(|_| event))
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
    pub(super) visit: &'a mut dyn FnMut(&dyn Control),
}

impl<'a> Inner<'a> {
    pub(crate) fn new(visit: &'a mut dyn FnMut(&dyn Control)) -> Self {
        Self { visit }
    }
}

impl fmt::Debug for Inner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inner")
    }
}

/// The controls of a sink, whatever its event type is.
pub(crate) trait Control {
    fn has_lanes(&self) -> bool;
    #[cfg(feature = "testing")]
    fn is_plain_chain(&self) -> bool;
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

/// A sink whose panics are caught here.
pub(super) struct Caught<'a> {
    pub(super) inner: &'a dyn Control,
    pub(super) panicked: &'a dyn Fn(String),
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

    #[cfg(feature = "testing")]
    fn is_plain_chain(&self) -> bool {
        self.call(|| self.inner.is_plain_chain()).unwrap_or(false)
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

pub(super) fn close_panicked(text: &str) -> CloseReport {
    CloseReport::failed(format_args!("its close panicked: {text}"))
}

/// The part of a sink that the defaults of its controls need. Every [`Sink`](crate::Sink)
/// implements it.
pub(crate) trait Wraps<E> {
    /// As [`Sink::inner`](crate::Sink::inner).
    fn each_inner(&self, visit: &mut Inner<'_>);

    /// As [`Sink::reports_closed`](crate::Sink::reports_closed).
    fn is_reported_closed(&self) -> bool;
}

/// Returns the earlier of two times at which a sink has to be called again.
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Calls `call` for each inner sink.
///
/// If there are several, the panic of one is caught here, and the control still reaches the others.
/// The panic of an only inner sink propagates to the caller, as if the caller had called that sink
/// itself.
fn each<E>(sink: &(impl Wraps<E> + ?Sized), mut call: impl FnMut(&dyn Control)) {
    if has_several(sink) {
        sink.each_inner(&mut Inner::new(&mut |inner| call(&Caught { inner, panicked: &drop })));
    } else {
        sink.each_inner(&mut Inner::new(&mut call));
    }
}

fn has_several<E>(sink: &(impl Wraps<E> + ?Sized)) -> bool {
    let mut count = 0;
    sink.each_inner(&mut Inner::new(&mut |_| count += 1));
    count > 1
}

/// Returns whether each sink downstream has at most one inner sink, and none of them has lanes: no
/// queue, no bus and no tee. An event that goes down such a chain has one outcome.
#[cfg(feature = "testing")]
pub(crate) fn is_plain_chain<E>(sink: &(impl Wraps<E> + ?Sized)) -> bool {
    let (mut count, mut plain) = (0, true);
    each(sink, |inner| {
        count += 1;
        plain = plain && !inner.has_lanes() && inner.is_plain_chain();
    });
    plain && count <= 1
}

/// Calls `call` for each of several inner sinks, with its name. Sinks with lanes come first: a call
/// to them only starts the work, so it takes no time from the others.
fn each_named<E>(sink: &(impl Wraps<E> + ?Sized), mut call: impl FnMut(&str, &dyn Control)) {
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

// The default of each control.

pub(crate) fn close_by<E>(sink: &(impl Wraps<E> + ?Sized), deadline: Deadline) -> CloseReport {
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

pub(crate) fn flush_by<E>(sink: &(impl Wraps<E> + ?Sized), deadline: Deadline, report: &mut FlushReport) {
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

pub(crate) fn abort_now<E>(sink: &(impl Wraps<E> + ?Sized)) {
    each(sink, |inner| inner.abort_now());
}

pub(crate) fn end_of_batch<E>(sink: &(impl Wraps<E> + ?Sized)) {
    each(sink, |inner| inner.end_of_batch());
}

pub(crate) fn tick<E>(sink: &(impl Wraps<E> + ?Sized), now: Instant) -> Option<Instant> {
    let mut next = None;
    each(sink, |inner| next = earlier(next, inner.tick(now)));
    next
}

/// A sink with several inner sinks accepts events while one of them does.
pub(crate) fn reports_closed<E>(sink: &(impl Wraps<E> + ?Sized)) -> bool {
    let (mut any, mut all) = (false, true);
    each(sink, |inner| {
        any = true;
        all = all && inner.reports_closed();
    });
    any && all
}

/// Fills in the state of the one inner sink.
///
/// Several inner sinks count each for itself, so the caller counts the events that enter this sink,
/// and the state shows only their errors and retries.
pub(crate) fn describe<E>(sink: &(impl Wraps<E> + ?Sized), state: &mut SinkState) {
    if !has_several(sink) {
        return each(sink, |inner| inner.describe(state));
    }
    each(sink, |inner| {
        let mut part = SinkState::default();
        inner.describe(&mut part);
        state.add_shown(part);
    });
    if sink.is_reported_closed() {
        state.status = SinkStatus::Drained;
    }
}

/// Adds the ledgers of the inner sinks. If there are several, the chain branches here: their
/// ledgers are shown, and do not change how the sinks upstream count.
pub(crate) fn add_ledgers<E>(sink: &(impl Wraps<E> + ?Sized), list: &mut Ledgers) {
    let several = has_several(sink);
    each(sink, |inner| {
        if several {
            list.extend_shown(inner.ledgers());
        } else {
            list.extend(inner.ledgers());
        }
    });
}

pub(crate) fn weigh<E>(sink: &(impl Wraps<E> + ?Sized), weight: &Weight) {
    each(sink, |inner| inner.weigh(weight));
}

pub(crate) fn validate<E>(sink: &(impl Wraps<E> + ?Sized)) -> Result<(), ConfigError> {
    let mut result = Ok(());
    each(sink, |inner| result = result.and_then(|()| inner.validate()));
    result
}
