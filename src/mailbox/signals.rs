//! Where publishers and consumers of a mailbox wait for each other.

use super::dormant::ActiveGroups;
use crate::sync::CachePadded;
use crate::sync::membarrier::light_fence;
use crate::wait::crowd::Crowd;
use crate::wait::{WaitCell, WaitList};

/// The wait cell, the wait list and the crowd of a mailbox.
pub(crate) struct Signals {
    /// Where the one consumer parks.
    pub(crate) cell: CachePadded<WaitCell>,
    /// The publishers that wait for room, and the flushes and closes that wait for progress.
    pub(crate) blocked: WaitList,
    /// Where several consumers park. The cell then stays empty.
    pub(crate) crowd: Option<Crowd>,
    /// The groups with lanes that the one consumer has to poll again.
    pub(crate) active: ActiveGroups,
}

impl Signals {
    /// Wakes a consumer after a push into the shared lane, if no consumer is awake to see the
    /// event.
    #[inline]
    pub(super) fn wake(&self) {
        match &self.crowd {
            None => {
                // ORD(cell.state): light fence; pairs with the heavy one of a consumer that parks.
                self.cell.fence();
                self.cell.wake();
            }
            Some(crowd) => {
                // ORD(crowd.parked): light fence; pairs with the heavy one of a consumer that parks.
                light_fence(crowd.pair());
                crowd.wake_one();
            }
        }
    }

    /// Wakes each consumer that has to see the end, after a thread that is not a consumer may have
    /// taken the last event.
    pub(super) fn wake_at_end(&self) {
        match &self.crowd {
            None => self.wake(),
            Some(crowd) => crowd.wake_all(),
        }
    }

    /// Wakes a consumer, even a napping one, for a publisher that waits for room. Any consumer
    /// makes room.
    #[cold]
    pub(super) fn wake_for_room(&self) {
        match &self.crowd {
            None => self.cell.wake_now(),
            Some(crowd) => crowd.wake_one_now(),
        }
    }

    /// Wakes all consumers, even napping ones, for threads that wait for the consumers.
    #[cold]
    pub(crate) fn wake_now(&self) {
        match &self.crowd {
            None => self.cell.wake_now(),
            Some(crowd) => crowd.wake_all(),
        }
    }
}
