//! Publishing an event that is completed in its slot.
//!
//! A large event that is made on the stack is copied into its slot, and often once or twice before
//! that. Each copy reads what was just written in smaller pieces, so it waits until those stores have
//! left the processor's store buffer, and they wait for the cache lines of the slot before.
//!
//! # Invariant
//! - The event in its slot is seen by no consumer before it is complete: the tail passes it after that.
//!   If the list of sinks has changed meanwhile, the event leaves the slot and is published like any
//!   other.

use super::Publisher;
use crate::error::Closed;
use crate::stats::Published;
use crate::sync::{Ordering, cold_path};
use crate::wait::context::{UserCode, discard};

impl<E: Clone + Send + 'static> Publisher<E> {
    /// Publishes the event that `begin` returns, after `complete` has changed it in its slot. Both are
    /// called only if a sink is on the bus.
    ///
    /// This is for large events of which most publishes write a part, such as a record with
    /// [`InlineBytes`](crate::bus::InlineBytes): what `complete` writes is not copied again. That holds
    /// if the only sink on the bus is a queue or a channel with one consumer and without a filter, and
    /// its lane has room. In all other cases the event is completed on the stack, and then published as
    /// by [`publish_with`](Self::publish_with).
    ///
    /// No call of this crate waits inside `begin` and `complete`.
    ///
    /// # Errors
    /// [`Closed`] if the bus is closed and no sink accepted the event.
    ///
    /// # Panics
    /// Panics if `begin` or `complete` panics, and then publishes nothing. Otherwise the same as for
    /// [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// use buslane::Bus;
    /// use buslane::bus::InlineBytes;
    /// let bus = Bus::<InlineBytes<250>>::new();
    /// let mut receiver = bus.subscribe_lossy(16)?;
    /// let mut publisher = bus.publisher();
    /// let published = publisher.publish_in_place(InlineBytes::new, |text| {
    ///     assert!(text.append(b"written once"));
    /// })?;
    /// assert_eq!(published.accepted, 1);
    /// assert_eq!(*receiver.recv()?, *b"written once");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn publish_in_place(
        &mut self,
        begin: impl FnOnce() -> E,
        complete: impl FnOnce(&mut E),
    ) -> Result<Published, Closed<()>> {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`.
        let version = self.core.front.version.load(Ordering::Acquire);
        let Self { core, lanes, .. } = self;
        if version == lanes.seen
            && let Some((room, needs_fence)) = lanes.only_room()
        {
            // Both are user code, in which nothing waits.
            let user_code = UserCode::enter();
            let pushed = room.complete_and_look(begin(), |event| {
                complete(event);
                drop(user_code);
                // The callbacks may take long, and may have added a sink.
                // ORD(bus.version): Acquire, as above.
                core.front.version.load(Ordering::Acquire) == version
            });
            match pushed {
                Ok(attention) if attention | needs_fence == 0 => {
                    Ok(Published { accepted: 1, ..Published::default() })
                }
                Ok(_) => {
                    cold_path();
                    self.settle_in_place()
                }
                Err(event) => {
                    cold_path();
                    self.publish(event).map_err(|Closed(event)| closed(event))
                }
            }
        } else {
            self.publish_from_the_stack(begin, complete)
        }
    }

    /// Completes the event on the stack. A separate function, so that the callbacks are compiled into
    /// the other path by themselves.
    #[inline(never)]
    fn publish_from_the_stack(
        &mut self,
        begin: impl FnOnce() -> E,
        complete: impl FnOnce(&mut E),
    ) -> Result<Published, Closed<()>> {
        self.publish_with(|| {
            let mut event = begin();
            complete(&mut event);
            event
        })
    }

    /// After a push into the only lane: settles with a sealer, and wakes the consumer.
    #[cold]
    #[inline(never)]
    fn settle_in_place(&mut self) -> Result<Published, Closed<()>> {
        let mut back = None;
        let tally = self.settle_and_wake(1, &mut back);
        tally.or_closed(back, || self.core.is_closed()).map_err(|Closed(event)| closed(event))
    }
}

/// Drops an event that no sink accepted.
#[cold]
fn closed<E>(event: E) -> Closed<()> {
    discard(event);
    Closed(())
}
