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

/// Checks that a sink keeps to the contract of [`Sink`]; see [`SinkContract`], whose [`check`](SinkContract::check) this is.
///
/// `make` makes a fresh sink for each clause, and `event` the event of a number; the same number makes equal events.
///
/// # Panics
/// When the sink breaks the contract, with the clause that it breaks.
///
/// # Examples
/// ```
/// use buslane::testing::assert_sink_contract;
/// assert_sink_contract(buslane::noop, |n| n);
/// assert_sink_contract(|| buslane::sink_fn(|text: &String| println!("{text}")), |n| n.to_string());
/// ```
///
/// A sink that goes on taking events after its close breaks it:
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

/// The contract of [`Sink`], to be checked clause by clause, each on a fresh sink.
///
/// | clause | what it says |
/// |---|---|
/// | accepts | a fresh sink takes an event, and does not say that it is closed |
/// | closes | a close returns, a second one too, and two at once; each is done |
/// | stays closed | afterwards a write, or a push into a lane made before or after, is `Closed`, and the event comes back |
/// | identity | the key stays the same, wherever the sink lies, behind an `Arc` or a box; two sinks have different ones |
/// | controls | no control panics, open, used or closed |
/// | books | at rest the ledger balances |
/// | lanes | `has_lanes` agrees with `lane`; a lane takes an event; one that is dropped leaves nothing unaccounted |
/// | threads | four threads write at once; where the sink counts for itself, it counts as many as were accepted |
///
/// [`check_delivery`](Self::check_delivery) adds what can be seen from behind a combinator.
///
/// # Examples
/// ```
/// use buslane::SinkExt;
/// use buslane::testing::{Collect, SinkContract};
/// let contract = SinkContract::new();
/// contract.check(|| buslane::noop().filter(|_: &u64| true), |n| n);
/// contract.check_delivery(|behind: Collect<u64>| behind.filter(|_| true).queue(1024).unwrap(), |n| n, |n| [n]);
/// ```
#[must_use = "a contract does nothing until it is checked"]
#[derive(Clone, Copy, Debug)]
pub struct SinkContract {
    closes: bool,
    ordered: bool,
}

impl SinkContract {
    /// All clauses.
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

    /// For a sink that has nothing to close: what it does with events after its close is not looked at.
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

    /// For a sink that gives up the order of events (several workers): the order is not looked at.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, testing::{Collect, SinkContract}};
    /// let make = |behind: Collect<u64>| Queue::builder().workers(2).spawn_sink(behind).unwrap();
    /// SinkContract::new().unordered().check_delivery(make, |n| n, |n| [n]);
    /// ```
    pub fn unordered(mut self) -> Self {
        self.ordered = false;
        self
    }

    /// Checks every clause on fresh sinks made by `make`, with events made of numbers by `event`.
    ///
    /// The sink must have room for 256 events, or make it while it is written to: nobody reads.
    ///
    /// # Panics
    /// When the sink breaks the contract, with the clause that it breaks.
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

    /// Checks what can be seen from behind a combinator: `make` puts it in front of a [`Collect`].
    ///
    /// Four threads write 64 events each, through lanes where there are some. What was accepted arrives once, in the order of
    /// its writer, and by the end of a flush; or the ledger says where it went (that of a queue does not know what is lost
    /// behind it). What was refused does not arrive. A flush, an abort and a close reach the sink behind.
    ///
    /// `event` makes the event of a number; `numbers` says which numbers are in what arrives: `|n| [n]` where events pass as
    /// they are, `|batch| batch` for a combinator that makes batches of them.
    ///
    /// # Panics
    /// When the combinator breaks the contract, with the clause that it breaks.
    ///
    /// # Examples
    /// ```
    /// use buslane::SinkExt;
    /// use buslane::testing::{Collect, SinkContract};
    /// SinkContract::new().check_delivery(|behind: Collect<u64>| behind.queue(1024).unwrap(), |n| n, |n| [n]);
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
    }
}

impl Default for SinkContract {
    fn default() -> Self {
        Self::new()
    }
}

#[track_caller]
fn accepts<E>(sink: &impl Sink<E>, event: &impl Fn(u64) -> E) {
    require(!sink.reports_closed(), "accepts", "a fresh sink says that it is closed");
    if let Err(error) = sink.write(event(0)) {
        broken("accepts", format_args!("a fresh sink did not take the first event: {error}"));
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
    require(sink.reports_closed(), CLAUSE, "closed, it does not report so (`Sink::reports_closed`)");
    ways.push(lane(sink, CLAUSE));
    for n in 0..8 {
        refused(sink.write(event(n)), &event(n), "a write");
        for lane in ways.iter_mut().flatten() {
            refused(lane.offer(event(n), Deadline::NEVER).map(drop), &event(n), "a push into a lane");
        }
    }
    if sink.has_lanes() {
        let open = describe(sink).status == SinkStatus::Open;
        require(!open, CLAUSE, "closed, it describes itself as open");
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
        Err(error) => broken(CLAUSE, format_args!("{what} after the close is no `Closed`: {error}")),
    }
}

#[track_caller]
fn identity<E, S: Sink<E> + 'static>(sink: S, other: &S) {
    const CLAUSE: &str = "identity";
    let key = sink.key();
    require(key == sink.key(), CLAUSE, "asked twice, it gives two keys");
    require(key == Sink::<E>::key(&&sink), CLAUSE, "a reference to it has another key");
    require(key.is_none() || key != other.key(), CLAUSE, "two sinks have one key");
    let boxed = Box::new(sink);
    require(key == boxed.key(), CLAUSE, "it has another key when it is moved into a box");
    let shared = Arc::new(boxed);
    let again = shared.clone();
    require(Sink::<E>::key(&shared).is_some(), CLAUSE, "an `Arc` around it has no key");
    require(Sink::<E>::key(&shared) == again.key(), CLAUSE, "clones of an `Arc` around it have two keys");
    require(key.is_none() || key == Sink::<E>::key(&shared), CLAUSE, "an `Arc` around it has another key");
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
    require(agrees, CLAUSE, format_args!("`has_lanes` is {}, and `lane` differs", sink.has_lanes()));
    let Some(mut made) = made else { return };
    for n in 0..8 {
        if let Err(error) = made.offer(event(n), Deadline::NEVER) {
            broken(CLAUSE, format_args!("a fresh lane did not take event {n}: {error}"));
        }
    }
    drop(made);
    let ledger = balanced(sink).ledger;
    let counted = ledger.offered >= 8 && ledger.accepted >= 8;
    require(
        counted,
        CLAUSE,
        format_args!("eight events went through a lane that is gone, and its books say {ledger}"),
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
    // Others are counted by whoever calls them. One that has several sinks behind it counts an event for each.
    if sink.has_lanes() {
        let counted = ledger.accepted >= accepted && ledger.offered >= WRITERS * EACH;
        require(
            counted,
            CLAUSE,
            format_args!("{accepted} of {} were accepted, and its books say {ledger}", WRITERS * EACH),
        );
    }
}
