//! Reading the shared lane of a mailbox with one consumer.
//!
//! No other thread takes events from the lane, so the reader checks several slots at once, and then
//! takes their events without a further check. While the backlog is short, it does not load the
//! position of the writers either: that would take the cache line from them, which the next write
//! then waits for.

use super::Reader;
use crate::mailbox::consume::{Consume, ConsumerTally};
use crate::mailbox::core::Mailbox;
use crate::mailbox::shared_lane::Find;
use crate::ring::mpmc::{Ring, SoleConsumer};
use crate::wait::list::Want;

/// The most events of a run. Their slots stay in the processor's cache between the check of the
/// stamps and the reads.
pub(super) const RUN: usize = 16;

impl<E: Send + 'static> Reader<E> {
    /// Passes at most `visit` events of the shared lane to `consume`.
    #[inline(never)]
    pub(super) fn scan_sole(
        mailbox: &Mailbox<E>,
        ring: &Ring<E>,
        by: &mut SoleConsumer,
        (visit, find): (usize, Find),
        consume: &mut impl Consume<E>,
    ) -> usize {
        let mut tally = ConsumerTally::open(mailbox, &mailbox.shared.progress);
        let mut count = 0;
        while count < visit {
            let most = RUN.min(visit - count).min(consume.room());
            let mut run = ring.run_for_sole(by, most);
            let found = run.len();
            if found == 0 {
                if find == Find::Written && ring.has_written() {
                    continue;
                }
                break;
            }
            if count == 0 {
                mailbox.consumer.saw_depth(run.depth(most));
            }
            while let Some((position, event)) = run.pop() {
                // The slot is free before the event is handled.
                mailbox.signals.blocked.notify_made(Want::SHARED_ROOM);
                tally.count(event, consume, move |progress| progress.advance_to(position + 1));
            }
            consume.batched(mailbox, found);
            count += found;
        }
        count
    }
}
