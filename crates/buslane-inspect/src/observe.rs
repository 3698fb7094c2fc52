//! Frames made of the core's snapshots.

use crate::frame::{SinkFrame, SubscriberFrame};
use buslane::stats::{SinkId, SinkSnapshot, SubscriberState};
use std::time::Duration;

/// Returns whole milliseconds. Half a billion years fit.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the frame of a sink.
pub(crate) fn observed(sink: SinkSnapshot) -> SinkFrame {
    let state = sink.state;
    SinkFrame {
        id: number(sink.id),
        name: sink.name,
        kind: state.kind.to_string(),
        status: state.status,
        depth: state.depth,
        high_water: state.high_water,
        capacity: state.capacity,
        lanes: state.lanes as u64,
        ledger: state.ledger,
        last_error: state.last_error,
        backlog_ms: state.backlog_for.map(milliseconds),
        oldest_ms: state.oldest_for.map(milliseconds),
        in_handler_ms: state.in_handler_for.map(milliseconds),
        batches: state.batches,
        largest_batch: state.largest_batch,
        batch_ms_total: milliseconds(state.batch_time),
        retries: state.retries,
        subscribers: state.subscribers.into_iter().map(subscriber).collect(),
    }
}

fn subscriber(state: SubscriberState) -> SubscriberFrame {
    SubscriberFrame {
        id: state.number,
        name: state.name,
        next: state.next,
        behind: state.behind,
        gating: state.gating,
        ended: state.ended,
        ledger: state.ledger,
    }
}

/// Returns the number of an id, which is serialized as that number.
fn number(id: SinkId) -> u64 {
    // An id that is not a number would be a change of the core's format, which tests notice.
    serde_json::to_value(id).ok().and_then(|value| value.as_u64()).unwrap_or_default()
}
