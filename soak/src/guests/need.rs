//! The maximum memory of each kind of sink: the bounds in `docs::memory`, and the memory of the
//! soak's own readers.

use crate::bound::Need;
use crate::event::Event;
use buslane::Overflow;

/// An event in a slot, with the memory that it owns.
const EVENT: i64 = (size_of::<Event>() + Event::OWNED) as i64;
/// The stamp of a slot with several consumers, or with an evicting publisher.
const STAMP: i64 = 8;
/// The memory around the slots of a private lane, with its entry in the publisher's table.
const LANE: i64 = 4 << 10;
/// The memory around the slots of the shared lane, with the queue or channel and its entry in the
/// list of sinks.
const SINK: i64 = 6 << 10;
/// A reader's thread and its follower of streams.
const READER: i64 = 4 << 10;
/// The memory of a follower for a publisher: three streams, in a table that doubles when it is
/// full.
const STREAMS: i64 = 192;
/// The events of a reader's own batch: that of a [`batch`](super::chains), or of a channel's
/// reader.
pub(super) const BATCH: usize = 256;
/// The positions that the subscribers of a journal compare, in a tree that is half full.
pub(super) const COMPARED: usize = 4096;
const POSITION: i64 = 64;

fn ring(capacity: usize, stamped: bool) -> i64 {
    capacity.next_power_of_two() as i64 * (EVENT + if stamped { STAMP } else { 0 })
}

/// Returns the need of a mailbox with a shared lane, and one lane per publisher.
fn mailbox(capacity: usize, overflow: Overflow, readers: i64) -> Need {
    let stamped = readers > 1 || overflow == Overflow::DropOldest;
    Need {
        fixed: SINK + ring(capacity, true) + readers * READER,
        lane: LANE + ring(capacity, stamped) + readers * STREAMS,
    }
}

fn with(need: Need, fixed: i64, lane: i64) -> Need {
    Need { fixed: need.fixed + fixed, lane: need.lane + lane }
}

pub(super) fn one_reader(capacity: usize, overflow: Overflow) -> Need {
    mailbox(capacity, overflow, 1)
}

pub(super) fn two_readers(capacity: usize, overflow: Overflow) -> Need {
    mailbox(capacity, overflow, 2)
}

/// Returns the need of a mailbox per worker.
pub(super) fn two_mailboxes(capacity: usize, overflow: Overflow) -> Need {
    let one = mailbox(capacity, overflow, 1);
    with(one, one.fixed, one.lane)
}

/// Returns the need of a reader with its own batch: the events that it holds, and those that it has
/// forwarded.
pub(super) fn batching(capacity: usize, overflow: Overflow) -> Need {
    with(mailbox(capacity, overflow, 1), 2 * BATCH as i64 * EVENT, 0)
}

/// Returns the need of a sink that is called directly, with a table for each publisher that has not
/// published since.
pub(super) fn direct(_: usize, _: Overflow) -> Need {
    Need { fixed: 2 << 10, lane: (3 << 10) + STREAMS }
}

/// Returns the need of a bus with a queue, and a publisher of that bus per lane.
pub(super) fn bus(capacity: usize, overflow: Overflow) -> Need {
    with(mailbox(capacity, overflow, 1), 4 << 10, 1 << 10)
}

/// Returns the need of a journal: a third more than its events, and three subscribers, each with a
/// block.
pub(super) fn journal(capacity: usize, _: Overflow) -> Need {
    let block = 64 * EVENT * 5 / 4 + (2 << 10);
    let events = (capacity as i64 + 64) * EVENT * 4 / 3 + (10 << 10);
    let compared = COMPARED as i64 * POSITION;
    Need { fixed: SINK + events + compared + 3 * (block + READER), lane: LANE + 3 * STREAMS }
}
