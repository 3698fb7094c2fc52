//! The publishing handle of one thread.

use super::control::PublisherSlot;
use super::core::{BusHandle, CLOSED, Core};
use super::delivery::Scene;
use super::kept::Admission;
use super::lanes::{FastLanes, NEVER, Pushed};
use super::links::Links;
use super::quota;
use super::table::{Table, TableKind};
use super::tally::PublishTally;
use crate::error::{Closed, WriteError};
use crate::stats::{FlushReport, Published};
use crate::sync::handoff::Node;
use crate::sync::membarrier::{FencePair, process_pair};
use crate::sync::{MODEL, Ordering, cold_path};
use crate::time::Deadline;
use crate::wait::context::{UserCode, Wait, discard, discard_each, quietly};
use std::fmt;
use std::mem::needs_drop;
use std::sync::Arc;
use std::time::Duration;

/// The publishing handle of one thread, with a private lane into every sink that has lanes.
///
/// A publisher can be sent to another thread, but not shared. A clone has lanes of its own. A
/// publisher keeps the bus open. A publisher that is dropped leaves its lanes to the bus, which
/// [keeps some](crate::docs::memory#kept-lanes) for the next publishers.
///
/// # Guarantees
/// - **Progress**: a publish into private rings is wait-free, also right after a sink was added or
///   removed. It takes no lock, executes no read-modify-write instruction, and makes a system call
///   only to wake a parked consumer. The same holds for a [`Journal`](crate::Journal), but for two
///   read-modify-writes in each block of 64 events, while this publisher is its only writer. The
///   first publish of another writer then makes one or two system calls, which interrupt the
///   threads of the process. A publish is lock-free with
///   [`Overflow::DropOldest`](crate::Overflow::DropOldest), and into queues and channels with
///   several workers or receivers. A publish waits:
///   - for room, where the sink's policy is to wait ([`Overflow::Block`](crate::Overflow::Block),
///     `BlockFor`, a [gating](crate::journal::Subscription::gating) subscriber);
///   - for its turn, a few nanoseconds, in a [`Journal`](crate::Journal) or an unbounded sink;
///   - for sinks that do their work on the publishing thread.
/// - **Allocation**: a publish allocates and frees nothing, apart from the event's own `Clone` and
///   `Drop`. Every sink but the last gets a clone. Sinks allocate only where they document it:
///   - Unbounded sinks allocate for their events.
///   - A direct sink that fails or panics allocates the text of its error.
///   - A [gating](crate::journal::Subscription::gating) subscriber allocates a record once for each
///     thread.
///   - A sink with more than 16 publishers that wait for room at the same time
///     [allocates](crate::docs::memory) for the 17th.
///
///   A cached publisher of [`Bus::with_local`](crate::Bus::with_local) that has no lanes of its own
///   allocates where [`Bus::publish`](crate::Bus::publish) does.
/// - **Order**: sinks with lanes receive an event before direct sinks. Pushes that may wait for
///   room, and some of the events of a batch, follow after the direct sinks.
///
/// # Examples
/// ```
/// let bus = buslane::Bus::new();
/// let mut receiver = bus.subscribe_lossy(16)?;
/// let mut publisher = bus.publisher();
/// let published = publisher.publish("event")?;
/// assert_eq!((published.accepted, published.refused), (1, 0));
/// assert_eq!(receiver.recv()?, "event");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Publisher<E: Send + 'static> {
    core: Arc<Core<E>>,
    /// The fast lanes, which most publishes use.
    lanes: FastLanes<E>,
    /// The version of the list for which the table is made, if no sink is in it.
    seen_empty: u64,
    /// The version of the list for which the table is made, if its only sink is a journal.
    seen_biased: u64,
    /// The version of the list for which the table is made.
    seen: u64,
    /// All other links to sinks. `None`, like the slot, in a publisher that uses the shared lanes.
    table: Option<Box<Node<Table<E>>>>,
    slot: Option<Arc<PublisherSlot<E>>>,
    keeps_open: Option<Arc<BusHandle<E>>>,
    /// [`Deadline::NOW`] if the thread is ending, so that no publish waits for room. Otherwise
    /// [`Deadline::NEVER`].
    now_or_never: Deadline,
    local: Local,
}

/// The state of a publisher with respect to the limit on cached publishers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Local {
    /// Not limited, because it is not a cached publisher.
    No,
    /// Uses the shared lanes, and requests lanes of its own after this many more events.
    Shared(u32),
    /// Has lanes, and counts against the limit.
    Counted,
}

impl<E: Send + 'static> Publisher<E> {
    pub(super) fn register(core: &Arc<Core<E>>, keeps_open: Option<Arc<BusHandle<E>>>) -> Self {
        let mut publisher = Self::shared(core, Deadline::NEVER);
        publisher.keeps_open = keeps_open;
        publisher.get_lanes();
        publisher
    }

    /// Makes the cached publisher of a thread.
    pub(super) fn local(core: &Arc<Core<E>>) -> Self {
        let mut publisher = Self::shared(core, Deadline::NEVER);
        publisher.local = Local::Shared(quota::EVENTS);
        publisher.get_counted_lanes(quota::most().div_ceil(2));
        publisher
    }

    /// Registers the publisher and gives it lanes, unless the bus is closed.
    fn get_lanes(&mut self) {
        if let Some(Admission { slot, links, seen }) = self.core.register() {
            self.lanes = links.lanes;
            self.table = Some(links.table);
            self.slot = Some(slot);
            self.saw(seen);
        }
    }

    /// Gives the publisher lanes if fewer than `most` cached publishers have lanes.
    fn get_counted_lanes(&mut self, most: usize) {
        if self.core.admit_local(most) {
            // Counted first: making lanes may unwind.
            self.local = Local::Counted;
            self.get_lanes();
        }
    }

    /// Counts events that went through the shared lanes, and requests lanes when it is time to.
    fn went_shared(&mut self, events: usize) {
        if let Local::Shared(left) = &mut self.local {
            *left = left.saturating_sub(u32::try_from(events).unwrap_or(u32::MAX));
            if *left == 0 {
                *left = quota::EVENTS;
                // Making lanes is user code. A panic is caught, because the events have been
                // delivered.
                quietly(|| self.get_counted_lanes(quota::most()));
            }
        }
    }

    /// Makes a publisher without lanes of its own.
    pub(super) fn shared(core: &Arc<Core<E>>, now_or_never: Deadline) -> Self {
        Self {
            core: core.clone(),
            now_or_never,
            lanes: FastLanes::none(),
            seen_empty: NEVER,
            seen_biased: NEVER,
            seen: NEVER,
            table: None,
            slot: None,
            keeps_open: None,
            local: Local::No,
        }
    }

    /// Records that lanes and table are current for this version of the list, and which paths they
    /// allow.
    fn saw(&mut self, version: u64) {
        let Some(table) = &self.table else { return };
        let is_plain = table.value.kind == TableKind::Plain && !self.lanes.is_empty();
        self.seen = version;
        self.seen_empty = if self.is_empty() { version } else { NEVER };
        self.lanes.seen = if is_plain { version } else { NEVER };
        // A publisher that is alone in a journal has the asymmetric pair, so the fast path needs no
        // choice of fences. In a model, the asymmetric light fence is a full one, which serves both.
        let is_biased =
            table.value.kind == TableKind::Biased && (MODEL || process_pair() == FencePair::Asymmetric);
        self.seen_biased = if is_biased { version } else { NEVER };
    }

    /// Publishes an event into the only sink, a journal, unless it begins a block. Otherwise returns
    /// the event as an error.
    #[inline(always)]
    fn put_biased(&mut self, event: E) -> Result<(), E> {
        let (Some(table), Some(slot)) = (&mut self.table, &self.slot) else { return Err(event) };
        let (old, stale) = table.value.put_biased(event, &slot.hazard, FencePair::Asymmetric)?;
        if needs_drop::<E>() {
            discard_each(old.into_iter().chain(stale));
        }
        Ok(())
    }

    /// Runs a publish that is not a plain push into lanes. Returns `None` if the publisher has no
    /// lanes of its own.
    fn deliver<R>(
        &mut self,
        f: impl FnOnce(&mut Table<E>, &mut FastLanes<E>, &Scene<'_, E>) -> R,
        deadline: &Deadline,
    ) -> Option<R> {
        let Self { table, core, slot, lanes, .. } = self;
        let table = &mut table.as_mut()?.value;
        // A publisher with a table has a slot.
        let hazard = slot.as_deref().map(|slot| &*slot.hazard);
        Some(f(table, lanes, &Scene { hazard, pair: process_pair(), hooks: &core.hooks, deadline }))
    }

    /// Returns the context of a query that publishes nothing.
    fn scene<'a>(&'a self, deadline: &'a Deadline) -> Scene<'a, E> {
        let hazard = self.slot.as_deref().map(|slot| &*slot.hazard);
        Scene { hazard, pair: process_pair(), hooks: &self.core.hooks, deadline }
    }

    /// Applies the changes after the version word has changed. Returns `false` if the publisher
    /// cannot use its table: the bus is closed, or the publisher uses the shared lanes.
    #[cold]
    fn refresh(&mut self) -> bool {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`: the changes are
        // handed over.
        let version = self.core.front.version.load(Ordering::Acquire);
        let Some(slot) = &self.slot else { return false };
        // A closed version is never recorded as seen, so every later publish ends here.
        if version & CLOSED != 0 {
            return false;
        }
        if let Some(table) = &mut self.table {
            // Changes are taken first: the table that has room for them was handed over before
            // them.
            let changes = slot.changes.take();
            for mut next in slot.tables.take() {
                next.value.take_over(&mut table.value, &mut self.lanes);
                slot.tables.give_back(std::mem::replace(table, next));
            }
            table.value.apply(&mut self.lanes, changes.reversed());
            table.value.take_done().for_each(|change| slot.changes.give_back(change));
        }
        slot.saw(version);
        self.saw(version);
        true
    }

    /// Returns whether the table is made for this version of the list, or could be updated.
    fn is_current(&mut self, version: u64) -> bool {
        version == self.seen || self.refresh()
    }

    /// Returns whether no sink would get an event. All sinks may have closed without a change of
    /// the list.
    fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.table.as_ref().is_some_and(|table| table.value.is_empty())
    }

    /// Waits until every sink has handled the events that were published on the bus before this
    /// call.
    ///
    /// A flush [blocks the thread](crate::docs::async_code), also in an async task. It may consume
    /// an `unpark` token that was meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Queue};
    /// use std::time::Duration;
    /// let (sender, seen) = std::sync::mpsc::channel();
    /// let bus = Bus::new();
    /// bus.add(Queue::builder().spawn(move |n: u32| sender.send(n))?)?;
    /// let mut publisher = bus.publisher();
    /// publisher.publish(7)?;
    /// assert!(publisher.flush_timeout(Duration::from_secs(60)).is_done());
    /// assert_eq!(seen.try_recv()?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush_timeout(&mut self, limit: Duration) -> FlushReport {
        self.core.flush(Deadline::after(limit), Wait::Here)
    }
}

impl<E: Clone + Send + 'static> Publisher<E> {
    /// Publishes an event once to every sink on the bus.
    ///
    /// A full sink applies its [`Overflow`](crate::Overflow) policy; the other sinks are not
    /// affected. [`Published`] counts the sinks that accepted the event, dropped it at once, or
    /// refused it. A dropped or refused event is lost: [`publish_by`](Self::publish_by) returns an
    /// event that every sink refused.
    ///
    /// # Errors
    /// [`Closed`] with the event if the bus is closed and no sink accepted it.
    ///
    /// # Panics
    /// Panics if the event's `Clone` or `Drop` panics; every sink but the last gets a clone. The
    /// lanes that already have the event keep it, and parked consumers are woken. The other sinks
    /// do not get the event. The publisher stays usable. Panics of sinks are caught.
    ///
    /// # Examples
    /// ```
    /// use buslane::Bus;
    /// use buslane::error::Closed;
    /// let bus = Bus::new();
    /// let (mut one, mut other) = (bus.subscribe_lossy(8)?, bus.subscribe_lossy(8)?);
    /// let mut publisher = bus.publisher();
    /// assert_eq!(publisher.publish("event")?.accepted, 2);
    /// assert_eq!((one.recv()?, other.recv()?), ("event", "event"));
    /// assert!(bus.close().is_done());
    /// assert_eq!(publisher.publish("late"), Err(Closed("late")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn publish(&mut self, event: E) -> Result<Published, Closed<E>> {
        self.publish_until(event, &Deadline::NEVER, |core, tally, event| {
            tally.or_closed(event, || core.is_closed())
        })
    }

    /// Publishes an event without waiting for room, and returns the event if no sink accepted it.
    ///
    /// [`Overflow::Block`](crate::Overflow::Block) and
    /// [`Overflow::BlockFor`](crate::Overflow::BlockFor) act as
    /// [`Overflow::Refuse`](crate::Overflow::Refuse).
    ///
    /// # Errors
    /// [`WriteError`] with the event, and with the reason of the first sink, if every sink refused
    /// it. [`WriteError::Closed`] if the bus is closed. If at least one sink accepted the event, or
    /// dropped it at once, the result is [`Published`], which counts the refusals.
    ///
    /// # Panics
    /// The same as for [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Channel, Overflow, WriteError};
    /// let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build()?;
    /// let bus = Bus::new();
    /// bus.add(channel)?;
    /// let mut publisher = bus.publisher();
    /// assert!(publisher.try_publish(1)?.is_complete());
    /// let Err(WriteError::Full(back)) = publisher.try_publish(2) else { unreachable!() };
    /// assert_eq!(receiver.recv()?, 1); // makes room
    /// assert!(publisher.try_publish(back)?.is_complete());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_publish(&mut self, event: E) -> Result<Published, WriteError<E>> {
        self.publish_by(event, Deadline::NOW)
    }

    /// Publishes an event like [`try_publish`](Self::try_publish), but may wait for room until the
    /// deadline.
    ///
    /// It waits only where a sink's policy is to wait.
    ///
    /// With [`Deadline::NEVER`], this is a [`publish`](Self::publish) that returns the event if
    /// every sink refused it.
    ///
    /// # Errors
    /// The same as for [`try_publish`](Self::try_publish).
    ///
    /// # Panics
    /// The same as for [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// use buslane::time::Deadline;
    /// use buslane::{Bus, Channel, Overflow, WriteError};
    /// use std::time::Duration;
    /// let (channel, _receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build()?;
    /// let bus = Bus::new();
    /// bus.add(channel)?;
    /// let mut publisher = bus.publisher();
    /// let soon = Deadline::after(Duration::from_millis(1));
    /// assert!(publisher.publish_by("kept", soon)?.is_complete());
    /// assert!(matches!(publisher.publish_by("back", soon), Err(WriteError::Timeout("back"))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn publish_by(&mut self, event: E, deadline: Deadline) -> Result<Published, WriteError<E>> {
        self.publish_until(event, &deadline, |core, tally, event| {
            tally.or_refused(event, || core.is_closed())
        })
    }

    /// Publishes an event, and waits for room until the deadline where a sink's policy is to wait.
    /// `result` makes the return value from the tally, and from the event if no sink has it.
    #[inline(always)]
    pub(super) fn publish_until<R>(
        &mut self,
        event: E,
        deadline: &Deadline,
        result: impl FnOnce(&Core<E>, PublishTally, Option<E>) -> R,
    ) -> R {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`.
        let version = self.core.front.version.load(Ordering::Acquire);
        if version == self.lanes.seen {
            match self.lanes.push(event) {
                Pushed::Done(accepted) => result(&self.core, PublishTally::accepted(accepted), None),
                Pushed::Attention(count) => {
                    cold_path();
                    let mut back = None;
                    let tally = self.settle_and_wake(count, &mut back);
                    result(&self.core, tally, back)
                }
                Pushed::Full(done, event) => {
                    cold_path();
                    self.go_on(event, done, version, deadline, result)
                }
            }
        } else if version == self.seen_biased {
            match self.put_biased(event) {
                Ok(()) => result(&self.core, PublishTally::accepted(1), None),
                Err(event) => {
                    cold_path();
                    self.go_on(event, 0, version, deadline, result)
                }
            }
        } else if version == self.seen_empty {
            discard(event);
            result(&self.core, PublishTally::accepted(0), None)
        } else {
            cold_path();
            self.go_on(event, 0, version, deadline, result)
        }
    }

    /// Completes a publish that is not a plain push into lanes. The first `done` lanes already have
    /// the event.
    #[inline(always)]
    fn go_on<R>(
        &mut self,
        event: E,
        done: usize,
        version: u64,
        deadline: &Deadline,
        result: impl FnOnce(&Core<E>, PublishTally, Option<E>) -> R,
    ) -> R {
        let mut place = Some(event);
        let tally = self.publish_slowly(&mut place, done, version, deadline);
        result(&self.core, tally, place)
    }

    /// Publishes on every path other than a plain push into lanes. Takes the event from `place`,
    /// memory that only this path uses, and leaves it there if no sink accepts it. So the fast path
    /// keeps the event in registers and does not copy its result.
    #[inline(never)]
    fn publish_slowly(
        &mut self,
        place: &mut Option<E>,
        done: usize,
        version: u64,
        deadline: &Deadline,
    ) -> PublishTally {
        if self.is_current(version)
            && let Some(tally) =
                self.deliver(|table, lanes, scene| table.publish(lanes, place, done, scene), deadline)
        {
            return tally;
        }
        self.publish_through_list(place, deadline)
    }

    /// Publishes without lanes of its own. This is a separate function, because its stack frame
    /// would lengthen the path through the table.
    #[cold]
    #[inline(never)]
    fn publish_through_list(&mut self, place: &mut Option<E>, deadline: &Deadline) -> PublishTally {
        let tally = self.core.publish_shared(place, deadline.min(self.now_or_never));
        if !tally.is_untaken() {
            self.went_shared(1);
        }
        tally
    }

    /// After a push into `count` lanes: issues the fence, settles with sealers and wakes consumers.
    #[inline(never)]
    fn settle_and_wake(&mut self, count: usize, back: &mut Option<E>) -> PublishTally {
        let mut tally = PublishTally::accepted(count);
        if !self.lanes.fence_and_check() {
            return tally;
        }
        cold_path();
        tally.take_back(self.lanes.settle_and_wake(|event| *back = Some(event)));
        if self.lanes.any_closed()
            && let Some(table) = &mut self.table
        {
            table.value.retire_closed(&mut self.lanes);
        }
        tally
    }

    /// Publishes the event that `make` returns, and calls `make` only if a sink is on the bus.
    ///
    /// No call of this crate waits inside `make`.
    ///
    /// # Errors
    /// [`Closed`] if the bus is closed and no sink accepted the event.
    ///
    /// # Panics
    /// Panics if `make` panics, and then publishes nothing. Otherwise the same as for
    /// [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<String>::new();
    /// let mut publisher = bus.publisher();
    /// publisher.publish_with(|| unreachable!("no sink"))?;
    /// # Ok::<(), buslane::error::Closed<()>>(())
    /// ```
    #[inline]
    pub fn publish_with(&mut self, make: impl FnOnce() -> E) -> Result<Published, Closed<()>> {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`.
        let version = self.core.front.version.load(Ordering::Acquire);
        if version & CLOSED != 0 {
            return Err(Closed(()));
        }
        if version == self.seen_empty
            || version != self.lanes.seen && self.is_current(version) && self.is_empty()
            || self.table.is_none() && !self.core.has_sinks()
        {
            return Ok(Published::default());
        }
        let event = {
            // `make` is user code, in which nothing waits.
            let _user_code = UserCode::enter();
            make()
        };
        // This loads the version again, because `make` may take long and may have added a sink.
        self.publish(event).map_err(|Closed(event)| {
            discard(event);
            Closed(())
        })
    }
}

impl<E: Send + 'static> Clone for Publisher<E> {
    fn clone(&self) -> Self {
        // A clone keeps the bus open, also that of a cached publisher, which itself does not.
        let keeps_open = self.keeps_open.clone().or_else(|| self.core.handle.upgrade());
        Self::register(&self.core, keeps_open)
    }
}

impl<E: Send + 'static> Drop for Publisher<E> {
    fn drop(&mut self) {
        // A publisher with a table has a slot.
        if let (Some(slot), Some(table)) = (self.slot.take(), self.table.take()) {
            let lanes = std::mem::replace(&mut self.lanes, FastLanes::none());
            self.core.leave(Admission { slot, links: Links { lanes, table }, seen: self.seen });
        }
        if self.local == Local::Counted {
            self.core.local_gone();
        }
    }
}

impl<E: Send + 'static> fmt::Debug for Publisher<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("closed", &self.core.is_closed()).finish_non_exhaustive()
    }
}

// Last, so that the documentation of `Publisher` begins with its single publishes.
mod batch;
mod in_place;
pub(super) mod sending;
pub(super) mod waiting;

#[cfg(test)]
mod tests {
    use super::NEVER;
    use crate::Bus;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    struct Picky(bool);

    impl Clone for Picky {
        fn clone(&self) -> Self {
            assert!(self.0, "the clone panics");
            Self(true)
        }
    }

    #[test]
    fn clone_panic_leaves_the_lanes_to_the_fast_path() {
        let bus = Bus::new();
        let _receivers = [(); 3].map(|()| bus.subscribe_lossy(1).unwrap());
        let mut publisher = bus.publisher();
        let _ = publisher.publish(Picky(true)).unwrap();
        assert_ne!(publisher.lanes.seen, NEVER, "the fast path");
        // No lane has room, so the publish takes the slow path.
        assert!(catch_unwind(AssertUnwindSafe(|| publisher.publish(Picky(false)))).is_err());
        let _ = publisher.publish(Picky(true)).unwrap();
        assert_ne!(publisher.lanes.seen, NEVER, "the fast path again");
    }
}
