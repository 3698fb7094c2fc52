//! How the clauses of the contract are checked: calls that must return, writes from several
//! threads, and the report of a broken clause.

use super::GUARD;
use crate::sink::Sink;
use crate::sink::lane::{Lane, Lanes};
use crate::stats::{CloseReport, Finish, SinkState};
use crate::sync::pace::Pace;
use crate::time::Deadline;
use crate::wait::context::caught;
use std::fmt;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

/// The number of threads that write at once.
pub(super) const WRITERS: u64 = 4;
/// The number of events that each of these threads writes.
pub(super) const EACH: u64 = 64;

/// Panics with the clause that the sink breaks.
#[track_caller]
pub(super) fn broken(clause: &str, how: impl fmt::Display) -> ! {
    panic!("the sink breaks its contract: {clause}: {how}")
}

#[track_caller]
pub(super) fn require(holds: bool, clause: &str, how: impl fmt::Display) {
    if !holds {
        broken(clause, how);
    }
}

/// Runs a call that may hang or panic on a separate thread, and reports either as a broken clause.
#[track_caller]
pub(super) fn ends<R: Send + 'static>(
    clause: &str,
    what: &str,
    body: impl FnOnce() -> R + Send + 'static,
) -> R {
    let (sender, result) = mpsc::channel();
    thread::spawn(move || drop(sender.send(caught(body))));
    match result.recv_timeout(GUARD) {
        Ok(Ok(result)) => result,
        Ok(Err(text)) => broken(clause, format_args!("{what} panicked: {text}")),
        Err(_) => broken(clause, format_args!("{what} did not return within {GUARD:?}")),
    }
}

/// Closes a sink that has nothing to wait for.
#[track_caller]
pub(super) fn close<E: 'static, S: Sink<E> + 'static>(sink: &Arc<S>, clause: &str, what: &str) {
    let closing = sink.clone();
    let report: CloseReport = ends(clause, what, move || closing.close_by(Deadline::after(GUARD / 2)));
    require(report.finish == Finish::Done, clause, format_args!("{what} was not done: {report}"));
}

pub(super) fn describe<E>(sink: &impl Sink<E>) -> SinkState {
    let mut state = SinkState::default();
    sink.describe(&mut state);
    state
}

#[track_caller]
pub(super) fn lane<E>(sink: &impl Sink<E>, clause: &str) -> Option<Lane<E>> {
    match sink.lane() {
        Ok(lane) => lane,
        Err(error) => broken(clause, format_args!("no lane is available: {error}")),
    }
}

/// Waits until the ledger balances, as it must at rest, because the consumer may still be handling
/// an event.
#[track_caller]
pub(super) fn balanced<E>(sink: &impl Sink<E>) -> SinkState {
    let begun = Instant::now();
    let mut pace = Pace::new();
    loop {
        let state = describe(sink);
        match state.ledger.check() {
            Ok(()) => return state,
            Err(imbalance) if begun.elapsed() > GUARD => broken("ledger", imbalance),
            Err(_) => pace.wait(),
        }
    }
}

/// Returns the index of the thread that wrote a number.
pub(super) fn writer_of(number: u64) -> u64 {
    number / EACH
}

/// Writes from four threads at once, every second one through a lane if the sink has lanes. Returns
/// the numbers of the events that were accepted.
#[track_caller]
pub(super) fn write_from_threads<E, S>(clause: &str, sink: &Arc<S>, event: &impl Fn(u64) -> E) -> Vec<u64>
where
    E: Send + 'static,
    S: Sink<E> + 'static,
{
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let events: Vec<(u64, E)> = (writer * EACH..(writer + 1) * EACH).map(|n| (n, event(n))).collect();
            let mut lane = if writer % 2 == 0 { lane(sink, clause) } else { None };
            let sink = sink.clone();
            thread::spawn(move || {
                let mut write = |event| match &mut lane {
                    Some(lane) => lane.offer(event, Deadline::NEVER).is_ok(),
                    None => sink.write(event).is_ok(),
                };
                events.into_iter().filter_map(|(n, event)| write(event).then_some(n)).collect::<Vec<_>>()
            })
        })
        .collect();
    let joined = ends(clause, "a write among those of four threads", move || {
        writers.into_iter().map(thread::JoinHandle::join).collect::<Result<Vec<_>, _>>().map_err(drop)
    });
    match joined {
        Ok(accepted) => accepted.concat(),
        Err(()) => broken(clause, "a write among those of four threads panicked"),
    }
}
