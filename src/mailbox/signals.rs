//! Where the two sides of a mailbox wait for each other.

use crate::sync::CachePadded;
use crate::sync::membarrier::light_fence;
use crate::wait::crowd::Crowd;
use crate::wait::{WaitCell, WaitList};

/// Where publishers and consumers wait for each other.
pub(crate) struct Signals {
    /// Where the one consumer parks.
    pub(crate) cell: CachePadded<WaitCell>,
    /// Publishers that wait for room, and flushes and closes that wait for progress.
    pub(crate) blocked: WaitList,
    /// Where the consumers park when there are several. The cell stays empty then.
    pub(crate) crowd: Option<Crowd>,
}

impl Signals {
    /// An event was put into the shared lane: wakes a consumer if none is awake to see it.
    #[inline]
    pub(super) fn wake(&self) {
        // ORD(cell.state), ORD(crowd.parked): light fence; pairs with the heavy one of a consumer that parks.
        light_fence(self.cell.pair());
        match &self.crowd {
            None => self.cell.wake(),
            Some(crowd) => crowd.wake_one(),
        }
    }

    /// The last event may be gone, and not by a consumer: wakes each thread that has to see that.
    pub(super) fn wake_at_end(&self) {
        match &self.crowd {
            None => self.wake(),
            Some(crowd) => crowd.wake_all(),
        }
    }

    /// Wakes a consumer also if it naps: for a publisher that waits for room, which any of them makes.
    #[cold]
    pub(super) fn wake_for_room(&self) {
        match &self.crowd {
            None => self.cell.wake_now(),
            Some(crowd) => crowd.wake_one_now(),
        }
    }

    /// Wakes all consumers, also those who nap: for those who wait for them.
    #[cold]
    pub(crate) fn wake_now(&self) {
        match &self.crowd {
            None => self.cell.wake_now(),
            Some(crowd) => crowd.wake_all(),
        }
    }
}
