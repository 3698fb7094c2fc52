//! The part of the contract that is checked downstream of a combinator.

use super::clause::{balanced, broken, close, ends, require, write_from_threads, writer_of};
use super::{Collect, GUARD};
use crate::sink::Sink;
use crate::sink::control::is_plain_chain;
use crate::sink::lane::Lanes;
use crate::stats::{Disposition, DropReason, FlushReport};
use crate::sync::pace::Pace;
use crate::time::Deadline;
use std::collections::HashSet;
use std::sync::Arc;

/// Checks that the controls reach the inner sink.
#[track_caller]
pub(super) fn reaches<E, C, S>(make: &impl Fn(Collect<C>) -> S)
where
    E: Send + 'static,
    C: Send + 'static,
    S: Sink<E> + 'static,
{
    const CLAUSE: &str = "forwards";
    let inner = Collect::new();
    let sink = Arc::new(make(inner.clone()));
    flush(&sink, CLAUSE);
    require(
        inner.flushes() > 0,
        CLAUSE,
        "a flush does not reach the inner sink (does the sink name it in `Sink::inner`?)",
    );
    close(&sink, CLAUSE, "the close");
    require(inner.is_closed(), CLAUSE, "a close does not reach the inner sink");

    let inner = Collect::new();
    let sink = Arc::new(make(inner.clone()));
    let aborted = sink.clone();
    ends(CLAUSE, "an abort", move || aborted.abort_now());
    // A queue that has drained may have closed the inner sink already, and does so on a separate
    // thread.
    let told = || inner.aborts() > 0 || inner.is_closed();
    let (deadline, mut pace) = (Deadline::after(GUARD / 6), Pace::new());
    while !told() && !deadline.has_passed() {
        pace.wait();
    }
    require(told(), CLAUSE, "an abort does not reach the inner sink");
}

#[track_caller]
fn flush<E: 'static, S: Sink<E> + 'static>(sink: &Arc<S>, clause: &str) {
    let flushed = sink.clone();
    let report = ends(clause, "the flush", move || {
        let mut report = FlushReport::default();
        flushed.flush_by(Deadline::after(GUARD / 2), &mut report);
        report
    });
    require(report.is_done(), clause, format_args!("the flush was not done: {report}"));
}

/// Checks that accepted events arrive, once and in order, or that the ledger counts why they did
/// not.
#[track_caller]
pub(super) fn arrives<E, C, S, N>(
    ordered: bool,
    make: &impl Fn(Collect<C>) -> S,
    event: &impl Fn(u64) -> E,
    numbers: &impl Fn(C) -> N,
) where
    E: Send + 'static,
    C: Send + 'static,
    S: Sink<E> + 'static,
    N: IntoIterator<Item = u64>,
{
    const CLAUSE: &str = "delivery";
    let inner = Collect::new();
    let sink = Arc::new(make(inner.clone()));
    let accepted: HashSet<u64> = write_from_threads(CLAUSE, &sink, event).into_iter().collect();
    flush(&sink, CLAUSE);
    let arrived: Vec<u64> = inner.taken().into_iter().flat_map(numbers).collect();
    close(&sink, CLAUSE, "the close");
    let late = inner.len();
    require(late == 0, CLAUSE, format_args!("{late} events arrived after the end of a flush"));
    let mut seen = HashSet::new();
    for number in &arrived {
        require(accepted.contains(number), CLAUSE, format_args!("event {number} was refused, but arrived"));
        require(seen.insert(*number), CLAUSE, format_args!("event {number} arrived twice"));
    }
    if ordered {
        in_order(&arrived);
    }
    let ledger = balanced(&*sink).ledger;
    let lost = (accepted.len() - arrived.len()) as u64;
    let known = ledger.filtered + ledger.dropped.total();
    if lost != known {
        broken(
            CLAUSE,
            format_args!("{lost} accepted events did not arrive, but the ledger counts {known}: {ledger}"),
        );
    }
}

/// Checks that the events of each writer arrived in the order in which it wrote them.
#[track_caller]
fn in_order(arrived: &[u64]) {
    let mut last = std::collections::HashMap::new();
    for number in arrived {
        if let Some(before) = last.insert(writer_of(*number), *number)
            && before > *number
        {
            broken(
                "delivery",
                format_args!("event {number} arrived after event {before} of the same writer"),
            );
        }
    }
}

/// Checks that `offer` returns what the inner sink reports of an event that it gets within the
/// call.
///
/// Only a plain chain is checked: otherwise the event may have more outcomes than that one.
#[track_caller]
pub(super) fn reports<E, C, S, N>(
    make: &impl Fn(Collect<C>) -> S,
    event: &impl Fn(u64) -> E,
    numbers: &impl Fn(C) -> N,
) where
    E: Send + 'static,
    C: Send + 'static,
    S: Sink<E> + 'static,
    N: IntoIterator<Item = u64>,
{
    const CLAUSE: &str = "offer";
    for reported in [Disposition::Dropped(DropReason::Full), Disposition::Filtered, Disposition::Pending] {
        let inner = Collect::reporting(reported);
        let sink = make(inner.clone());
        if sink.has_lanes() || !is_plain_chain(&sink) {
            return;
        }
        let events: Vec<(u64, E)> = (0..8).map(|n| (n, event(n))).collect();
        let offered = ends(CLAUSE, "an offer", move || {
            let mut offered = Vec::new();
            for (number, event) in events {
                let told = sink.offer(event).ok();
                offered.extend(told.zip(inner.taken_if_written_here()).map(|told| (number, told)));
            }
            offered
        });
        for (number, (told, arrived)) in offered {
            // A sink that makes batches of events decides for itself what became of each.
            let alone = arrived.into_iter().flat_map(numbers).eq([number]);
            let later = told == Disposition::Pending;
            require(
                !alone || later || told == reported,
                CLAUSE,
                format_args!(
                    "`offer` returned `{told}` for an event that was `{reported}` in the inner sink (does the sink \
                     return what the `offer` of that sink returns?)"
                ),
            );
        }
    }
}
