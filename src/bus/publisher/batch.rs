//! Publishing a batch of events through a publisher's lanes.

use super::Publisher;
use crate::bus::delivery::Scene;
use crate::bus::lanes::FastLanes;
use crate::bus::table::Table;
use crate::error::Closed;
use crate::events::{Cloned, Events};
use crate::stats::Published;
use crate::sync::Ordering;
use crate::time::Deadline;
use crate::wait::context::{cloned, discard};

impl<E: Clone + Send + 'static> Publisher<E> {
    /// Publishes a batch of events in order.
    ///
    /// Each lane shows its consumer all events that fit at once. One fence, and one check of each
    /// consumer, serve the whole batch.
    ///
    /// The argument is a slice, an array or a vector, borrowed or owned: see [`Events`]. Only
    /// clones enter the sinks. [`Published`] counts every event at every sink.
    ///
    /// # Errors
    /// [`Closed`] if the bus is closed and no sink accepted any event. The error carries no events:
    /// only clones enter the sinks, and a sink may accept events that another sink refuses, so
    /// there is no single remainder to return. A journal takes the events themselves, and its
    /// [`publish_batch`](crate::Journal::publish_batch) returns the remainder in a
    /// [`WriteError`](crate::WriteError).
    ///
    /// # Panics
    /// Panics if a clone of an event panics. The lanes that already have events keep them, and
    /// parked consumers are woken: some sinks may have more of the events than others. The
    /// publisher stays usable.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::new();
    /// let mut receiver = bus.subscribe_lossy(16)?;
    /// bus.publisher().publish_batch(&[1, 2, 3])?;
    /// assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn publish_batch(&mut self, events: impl Events<E>) -> Result<Published, Closed<()>> {
        self.publish_slice(Cloned::new(events).events())
    }

    fn publish_slice(&mut self, events: &[E]) -> Result<Published, Closed<()>> {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`.
        let version = self.core.front.version.load(Ordering::Acquire);
        let mut in_lanes = version == self.lanes.seen;
        if in_lanes && let Some(tally) = self.lanes.push_batch(events) {
            return Ok(tally.published());
        }
        let rest = |table: &mut Table<E>, lanes: &mut FastLanes<E>, scene: &Scene<'_, E>| {
            if std::mem::take(&mut in_lanes) {
                table.publish_rest_of_batch(lanes, events, scene)
            } else {
                table.publish_batch(lanes, events, scene)
            }
        };
        let published = if self.is_current(version)
            && let Some(tally) = self.deliver(rest, &Deadline::NEVER)
        {
            tally.published()
        } else {
            self.publish_batch_through_list(events)
        };
        let is_untaken = published.accepted == 0 && published.dropped == 0;
        if is_untaken && self.core.is_closed() { Err(Closed(())) } else { Ok(published) }
    }

    /// Publishes a batch without lanes of its own.
    #[cold]
    fn publish_batch_through_list(&mut self, events: &[E]) -> Published {
        let mut published = Published::default();
        for event in events {
            if self.core.is_closed() {
                break;
            }
            let mut place = Some(cloned(event));
            published += self.core.publish_shared(&mut place, self.now_or_never).published();
            discard(place);
        }
        self.went_shared(events.len());
        published
    }
}
