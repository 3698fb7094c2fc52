//! A channel: lanes, the shared lane, its reader, its end.

mod blocked;
mod ends;
mod eviction;
mod flush;
mod found;
mod runs;
mod tasks;

use buslane::error::RecvError;
use buslane::sink::lane::{Lane, Lanes};
use buslane::stats::Ledger;
use buslane::time::Deadline;
use buslane::{Channel, Receiver, Sink, WriteError};
use loom_tests::Tracked;
use loom_tests::channels::channel;

fn lane(channel: &Channel<Tracked>) -> Lane<Tracked> {
    channel.lane().expect("memory").expect("a channel gives out lanes")
}

/// Returns whether a write ended with `Ok`; checks that `Closed` returns the same event.
fn settled(outcome: Result<(), WriteError<Tracked>>, id: usize) -> bool {
    match outcome {
        Ok(()) => true,
        Err(WriteError::Closed(back)) => {
            assert_eq!(back.id(), id, "the event that comes back");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

fn push(lane: &mut Lane<Tracked>, value: Tracked) -> bool {
    let id = value.id();
    settled(lane.push(value, Deadline::NEVER), id)
}

fn write(channel: &Channel<Tracked>, value: Tracked) -> bool {
    let id = value.id();
    settled(channel.write(value), id)
}

/// Returns every remaining event, sorted, and the end of the stream.
fn rest(receiver: &mut Receiver<Tracked>) -> (Vec<usize>, RecvError) {
    let mut got = Vec::new();
    loop {
        match receiver.recv() {
            Ok(value) => got.push(value.id()),
            Err(end) => {
                got.sort_unstable();
                return (got, end);
            }
        }
    }
}

/// Returns the ledger, which balances.
fn books(channel: &Channel<Tracked>) -> Ledger {
    let ledger = channel.state().ledger;
    ledger.check().expect("the ledger balances");
    ledger
}
