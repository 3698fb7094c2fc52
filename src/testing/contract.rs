//! The contract of a sink, clause by clause.

use super::clause::{
    EACH, WRITERS, balanced, broken, close, describe, ends, lane, require, write_from_threads,
};
use super::{Collect, GUARD, delivery};
use crate::error::WriteError;
use crate::sink::Sink;
use crate::sink::lane::Lanes;
use crate::stats::{FlushReport, SinkState, SinkStatus};
use crate::time::Deadline;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// Checks that a sink keeps the contract of [`Sink`].
///
/// It runs [`SinkContract::check`] with all clauses of [`SinkContract`].
///
/// `make` makes a fresh sink for each clause, and `event` makes the event for a number. The same
/// number makes equal events.
///
/// # Panics
/// If the sink breaks the contract, with the clause that it breaks.
///
/// # Examples
/// ```
/// use buslane::testing::assert_sink_contract;
/// assert_sink_contract(buslane::noop, |n| n);
/// assert_sink_contract(|| buslane::sink_fn(|text: &String| println!("{text}")), |n| n.to_string());
/// ```
///
/// A sink that still accepts events after its close breaks the contract:
/// ```should_panic
/// use buslane::{Sink, WriteError};
/// struct Forgetful;
/// impl Sink<u64> for Forgetful {
///     fn write(&self, _: u64) -> Result<(), WriteError<u64>> {
///         Ok(())
///     }
/// }
/// buslane::testing::assert_sink_contract(|| Forgetful, |n| n);
/// ```
#[track_caller]
pub fn assert_sink_contract<E, S>(make: impl Fn() -> S, event: impl Fn(u64) -> E)
where
    E: PartialEq + Send + 'static,
    S: Sink<E> + 'static,
{
    SinkContract::new().check(make, event);
}

/// The contract of [`Sink`], checked clause by clause, each on a fresh sink.
///
/// | clause | requirement |
/// |---|---|
/// | accepts | a fresh sink accepts an event, and does not report that it is closed |
/// | closes | a close returns, and so do a second close and two closes at once; each is done |
/// | stays closed | after a close, a write and a push into a lane made before or after it return `Closed` with the event |
/// | identity | the key stays the same when the sink moves into an `Arc` or a box; two sinks have different keys |
/// | controls | no control panics, whether the sink is fresh, used or closed |
/// | ledger | at rest the ledger balances |
/// | lanes | `has_lanes` agrees with `lane`; a lane accepts an event; after a lane is dropped, the ledger still counts its events |
/// | threads | four threads write at once; a sink with its own ledger counts as many events as were accepted |
///
/// [`check_delivery`](Self::check_delivery) adds what can be checked downstream of a combinator.
///
/// # Examples
/// ```
/// use buslane::SinkExt;
/// use buslane::testing::{Collect, SinkContract};
/// let contract = SinkContract::new();
/// contract.check(|| buslane::noop().filter(|_: &u64| true), |n| n);
/// contract.check_delivery(|inner: Collect<u64>| inner.filter(|_| true).queue(1024).unwrap(), |n| n, |n| [n]);
/// ```
#[must_use = "a contract does nothing until it is checked"]
#[derive(Clone, Copy, Debug)]
pub struct SinkContract {
    closes: bool,
    ordered: bool,
}

impl SinkContract {
    /// Returns a contract with all clauses.
    ///
    /// # Examples
    /// ```
    /// use buslane::{SinkExt, noop, testing::SinkContract};
    /// SinkContract::new().check(noop, |n| n);
    /// SinkContract::new().check(|| noop().map(|n: &u64| n + 1), |n| n);
    /// ```
    pub fn new() -> Self {
        Self { closes: true, ordered: true }
    }

    /// Leaves out the writes after a close, for a sink that has nothing to close.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, WriteError, testing::SinkContract};
    /// struct Forgetful;
    /// impl Sink<u64> for Forgetful {
    ///     fn write(&self, _: u64) -> Result<(), WriteError<u64>> {
    ///         Ok(())
    ///     }
    /// }
    /// SinkContract::new().stays_open().check(|| Forgetful, |n| n);
    /// ```
    pub fn stays_open(mut self) -> Self {
        self.closes = false;
        self
    }

    /// Leaves out the order of events, for a sink that gives it up (several workers).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, testing::{Collect, SinkContract}};
    /// let make = |inner: Collect<u64>| Queue::builder().workers(2).spawn_sink(inner).unwrap();
    /// SinkContract::new().unordered().check_delivery(make, |n| n, |n| [n]);
    /// ```
    pub fn unordered(mut self) -> Self {
        self.ordered = false;
        self
    }

    /// Checks every clause on fresh sinks made by `make`, with events that `event` makes from
    /// numbers.
    ///
    /// The sink must have room for 256 events, or make room while events are written, because the
    /// check does not read any.
    ///
    /// # Panics
    /// If the sink breaks the contract, with the clause that it breaks.
    ///
    /// # Examples
    /// ```
    /// use buslane::testing::SinkContract;
    /// SinkContract::new().check(buslane::noop, |n| n);
    /// ```
    #[track_caller]
    pub fn check<E, S>(self, make: impl Fn() -> S, event: impl Fn(u64) -> E)
    where
        E: PartialEq + Send + 'static,
        S: Sink<E> + 'static,
    {
        accepts(&make(), &event);
        closes(&Arc::new(make()), event(0));
        closes_for_two(&Arc::new(make()));
        if self.closes {
            stays_closed(&Arc::new(make()), &event);
        }
        identity(make(), &make());
        controls(&Arc::new(make()), &event);
        lanes(&Arc::new(make()), &event);
        threads(&Arc::new(make()), &event);
    }

    /// Checks delivery through a combinator, which `make` puts upstream of a [`Collect`].
    ///
    /// Four threads write 64 events each, every second one through a lane if the sink has lanes.
    /// The check requires:
    ///
    /// - An accepted event arrives once, in the order of its writer, and before a flush ends; or
    ///   the ledger counts why it did not. (The ledger of a queue does not know of events that are
    ///   lost downstream of the queue.)
    /// - A refused event does not arrive.
    /// - A flush, an abort and a close reach the inner sink.
    /// - [`offer`](Sink::offer) returns what the inner sink's `offer` returned, if the event reached
    ///   the inner sink within the call. A sink that decides later returns
    ///   [`Pending`](crate::stats::Disposition::Pending). (This is not checked of a sink with a
    ///   queue, a bus or several inner sinks downstream.)
    ///
    /// `event` makes the event for a number. `numbers` returns the numbers in a value that arrives:
    /// `|n| [n]` if events pass unchanged, and `|batch| batch` for a combinator that makes batches
    /// of them.
    ///
    /// # Panics
    /// If the combinator breaks the contract, with the clause that it breaks.
    ///
    /// # Examples
    /// ```
    /// use buslane::SinkExt;
    /// use buslane::testing::{Collect, SinkContract};
    /// SinkContract::new().check_delivery(|inner: Collect<u64>| inner.queue(1024).unwrap(), |n| n, |n| [n]);
    /// ```
    #[track_caller]
    pub fn check_delivery<E, C, S, N>(
        self,
        make: impl Fn(Collect<C>) -> S,
        event: impl Fn(u64) -> E,
        numbers: impl Fn(C) -> N,
    ) where
        E: Send + 'static,
        C: Send + 'static,
        S: Sink<E> + 'static,
        N: IntoIterator<Item = u64>,
    {
        delivery::reaches(&make);
        delivery::arrives(self.ordered, &make, &event, &numbers);
        delivery::reports(&make, &event, &numbers);
    }
}

impl Default for SinkContract {
    fn default() -> Self {
        Self::new()
    }
}

#[track_caller]
fn accepts<E>(sink: &impl Sink<E>, event: &impl Fn(u64) -> E) {
    require(!sink.reports_closed(), "accepts", "a fresh sink reports that it is closed");
    if let Err(error) = sink.write(event(0)) {
        broken("accepts", format_args!("a fresh sink did not accept the first event: {error}"));
    }
}

#[track_caller]
fn closes<E: Send + 'static, S: Sink<E> + 'static>(sink: &Arc<S>, event: E) {
    let _ = sink.write(event);
    close(sink, "closes", "the first close");
    close(sink, "closes", "the second close");
}

#[track_caller]
fn closes_for_two<E: Send + 'static, S: Sink<E> + 'static>(sink: &Arc<S>) {
    let other = sink.clone();
    let second = thread::spawn(move || other.close_by(Deadline::after(GUARD / 2)));
    close(sink, "closes", "one of two closes at once");
    let second = ends("closes", "the other of two closes at once", move || second.join());
    require(second.is_ok(), "closes", "the other of two closes at once panicked");
}

#[track_caller]
fn stays_closed<E, S>(sink: &Arc<S>, event: &impl Fn(u64) -> E)
where
    E: PartialEq + Send + 'static,
    S: Sink<E> + 'static,
{
    const CLAUSE: &str = "stays closed";
    let mut ways = vec![lane(sink, CLAUSE)];
    close(sink, CLAUSE, "the close");
    require(sink.reports_closed(), CLAUSE, "`Sink::reports_closed` is false after the close");
    ways.push(lane(sink, CLAUSE));
    for n in 0..8 {
        refused(sink.write(event(n)), &event(n), "a write");
        for lane in ways.iter_mut().flatten() {
            refused(lane.offer(event(n), Deadline::NEVER).map(drop), &event(n), "a push into a lane");
        }
    }
    if sink.has_lanes() {
        let open = describe(sink).status == SinkStatus::Open;
        require(!open, CLAUSE, "the closed sink describes itself as open");
    }
}

#[track_caller]
fn refused<E: PartialEq>(outcome: Result<(), WriteError<E>>, event: &E, what: &str) {
    const CLAUSE: &str = "stays closed";
    match outcome {
        Ok(()) => broken(CLAUSE, format_args!("{what} after the close was accepted")),
        Err(WriteError::Closed(back)) => {
            require(back == *event, CLAUSE, format_args!("{what} after the close gave another event back"));
        }
        Err(error) => broken(CLAUSE, format_args!("{what} after the close is not `Closed`: {error}")),
    }
}

#[track_caller]
fn identity<E, S: Sink<E> + 'static>(sink: S, other: &S) {
    const CLAUSE: &str = "identity";
    let key = sink.key();
    require(key == sink.key(), CLAUSE, "two calls of `key` return different keys");
    require(key == Sink::<E>::key(&&sink), CLAUSE, "a reference to the sink has another key");
    require(key.is_none() || key != other.key(), CLAUSE, "two sinks have the same key");
    let boxed = Box::new(sink);
    require(key == boxed.key(), CLAUSE, "the key changes when the sink moves into a box");
    let shared = Arc::new(boxed);
    let again = shared.clone();
    require(Sink::<E>::key(&shared).is_some(), CLAUSE, "an `Arc` of the sink has no key");
    require(Sink::<E>::key(&shared) == again.key(), CLAUSE, "clones of one `Arc` have different keys");
    require(key.is_none() || key == Sink::<E>::key(&shared), CLAUSE, "an `Arc` of the sink has another key");
}

#[track_caller]
fn controls<E: Send + 'static, S: Sink<E> + 'static>(sink: &Arc<S>, event: &impl Fn(u64) -> E) {
    const CLAUSE: &str = "controls";
    every_control(sink, "fresh");
    let _ = sink.write(event(0));
    every_control(sink, "written to");
    let aborted = sink.clone();
    ends(CLAUSE, "an abort", move || aborted.abort_now());
    let closing = sink.clone();
    let _ = ends(CLAUSE, "a close after an abort", move || closing.close_by(Deadline::after(GUARD / 2)));
    every_control(sink, "closed");
    balanced(sink);
}

#[track_caller]
fn every_control<E: 'static, S: Sink<E> + 'static>(sink: &Arc<S>, state: &str) {
    let told = sink.clone();
    ends("controls", &format!("a control of a sink that is {state}"), move || {
        told.end_of_batch();
        told.tick(Instant::now());
        told.flush_by(Deadline::NOW, &mut FlushReport::default());
        told.reports_closed();
        told.describe(&mut SinkState::default());
    });
}

#[track_caller]
fn lanes<E: Send + 'static, S: Sink<E> + 'static>(sink: &Arc<S>, event: &impl Fn(u64) -> E) {
    const CLAUSE: &str = "lanes";
    let made = lane(sink, CLAUSE);
    let agrees = made.is_some() == sink.has_lanes();
    require(agrees, CLAUSE, format_args!("`has_lanes` is {}, and `lane` does not agree", sink.has_lanes()));
    let Some(mut made) = made else { return };
    for n in 0..8 {
        if let Err(error) = made.offer(event(n), Deadline::NEVER) {
            broken(CLAUSE, format_args!("a fresh lane did not accept event {n}: {error}"));
        }
    }
    drop(made);
    let ledger = balanced(sink).ledger;
    let counted = ledger.offered >= 8 && ledger.accepted >= 8;
    require(
        counted,
        CLAUSE,
        format_args!("8 events went through a lane that was dropped, and the ledger is {ledger}"),
    );
    close(sink, CLAUSE, "a close after a lane was dropped");
    balanced(sink);
}

#[track_caller]
fn threads<E: Send + 'static, S: Sink<E> + 'static>(sink: &Arc<S>, event: &impl Fn(u64) -> E) {
    const CLAUSE: &str = "threads";
    let accepted = write_from_threads(CLAUSE, sink, event).len() as u64;
    close(sink, CLAUSE, "a close after four threads wrote");
    let ledger = balanced(sink).ledger;
    // The caller counts the events of a sink without lanes. A sink with several inner sinks counts
    // an event for each of them.
    if sink.has_lanes() {
        let counted = ledger.accepted >= accepted && ledger.offered >= WRITERS * EACH;
        require(
            counted,
            CLAUSE,
            format_args!("{accepted} of {} events were accepted, and the ledger is {ledger}", WRITERS * EACH),
        );
    }
}
