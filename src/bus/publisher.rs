//! The publishing handle of one thread.

use super::control::{Admission, PublisherSlot};
use super::delivery::Scene;
use super::handle::Handle;
use super::lanes::{Lanes, NEVER, Pushed};
use super::published::{Published, Tally};
use super::table::Table;
use super::{CLOSED, Core, local};
use crate::error::Closed;
use crate::mailbox::Patience;
use crate::panics::{discard, dispose, quietly};
use crate::stats::FlushReport;
use crate::sync::handoff::Parcel;
use crate::sync::membarrier::process_pair;
use crate::sync::{Ordering, cold_path};
use crate::time::Deadline;
use crate::wait::nesting::{Nesting, cloned};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The publishing handle of one thread: it owns a private lane into every sink of its bus that has lanes.
///
/// It can be sent to another thread, but not shared; cloning makes a publisher with lanes of its own. It keeps the bus
/// open.
///
/// # Guarantees
/// - **Progress**: wait-free into rings of its own, also right after a sink was added or removed: no lock, no read-modify-write
///   instruction, no system call but to wake a consumer that really sleeps. Lock-free with
///   [`Overflow::DropOldest`](crate::Overflow::DropOldest), and into queues and channels with several workers or receivers. It
///   waits for room where it is asked to ([`Overflow::Block`](crate::Overflow::Block), `BlockFor`, a
///   [gating](crate::journal::Subscription::gating) subscriber), for its turn, a few nanoseconds, in a [`Journal`](crate::Journal) or an
///   unbounded sink, and for sinks that do their work on the publishing thread.
/// - **Allocation**: none, and nothing is freed, apart from the event's own `Clone` and `Drop`. Every sink but the last
///   gets a clone. Sinks allocate where they say so: unbounded ones for their events, a direct one that fails or panics for
///   the text that is kept of it, and a [gating](crate::journal::Subscription::gating) subscriber costs each thread a record once.
///   Where publishers wait for room, 16 may do so at the same time for each sink, and the 17th
///   [allocates](crate::docs::memory).
/// - **Order**: sinks behind lanes get an event before the sinks that are called directly.
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
    /// What most publishes go through.
    lanes: Lanes<E>,
    /// The version of the list for which the table is made, if it is empty.
    seen_empty: u64,
    /// The version of the list for which the table is made.
    seen: u64,
    /// `None`, like the slot, in a publisher that goes through the shared lanes.
    table: Option<Box<Parcel<Table<E>>>>,
    slot: Option<Arc<PublisherSlot<E>>>,
    keeps_open: Option<Arc<Handle<E>>>,
    /// Whether it may wait for room; not, where its thread is ending.
    waits: bool,
    local: Local,
}

/// What a publisher is to the limit on those that threads keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Local {
    /// Not concerned.
    No,
    /// It goes through the shared lanes, and asks for lanes of its own after this many more events.
    Shared(u32),
    /// It has lanes, and is counted.
    Counted,
}

impl<E: Send + 'static> Publisher<E> {
    pub(super) fn register(core: &Arc<Core<E>>, keeps_open: Option<Arc<Handle<E>>>) -> Self {
        let mut publisher = Self::shared(core, true);
        publisher.keeps_open = keeps_open;
        publisher.get_lanes();
        publisher
    }

    /// The publisher that a thread keeps.
    pub(super) fn local(core: &Arc<Core<E>>) -> Self {
        let mut publisher = Self::shared(core, true);
        publisher.local = Local::Shared(local::EVENTS);
        publisher.get_counted_lanes(local::most().div_ceil(2));
        publisher
    }

    /// Gets lanes of its own; not on a bus that is closed.
    fn get_lanes(&mut self) {
        if let Some(Admission { slot, table, seen }) = self.core.register() {
            self.table = Some(table);
            self.slot = Some(slot);
            self.saw(seen);
        }
    }

    /// Gets lanes of its own if fewer than `most` cached publishers have some.
    fn get_counted_lanes(&mut self, most: usize) {
        if self.core.admit_local(most) {
            // Counted first: making lanes may unwind.
            self.local = Local::Counted;
            self.get_lanes();
        }
    }

    /// So many events went through the shared lanes.
    fn went_shared(&mut self, events: usize) {
        if let Local::Shared(left) = &mut self.local {
            *left = left.saturating_sub(u32::try_from(events).unwrap_or(u32::MAX));
            if *left == 0 {
                *left = local::EVENTS;
                // Making lanes is user code; the events have been delivered.
                quietly(|| self.get_counted_lanes(local::most()));
            }
        }
    }

    /// A publisher without lanes of its own.
    pub(super) fn shared(core: &Arc<Core<E>>, waits: bool) -> Self {
        Self {
            core: core.clone(),
            waits,
            lanes: Lanes::none(),
            seen_empty: NEVER,
            seen: NEVER,
            table: None,
            slot: None,
            keeps_open: None,
            local: Local::No,
        }
    }

    /// Takes note of what the table is like, which is the one for this version of the list.
    fn saw(&mut self, version: u64) {
        if let Some(table) = &mut self.table {
            self.seen = version;
            self.seen_empty = if table.value.is_empty() { version } else { NEVER };
            self.lanes.borrow(&mut table.value, version);
        }
    }

    /// Does what is not a plain push, with all lanes back in the table.
    fn in_table<R>(
        &mut self,
        f: impl FnOnce(&mut Table<E>, &Scene<'_, E>) -> R,
        patience: Patience,
    ) -> Option<R> {
        let Self { table, core, slot, lanes, seen, .. } = self;
        let table = &mut table.as_mut()?.value;
        lanes.give_back(table);
        // A publisher with a table has a slot.
        let hazard = slot.as_deref().map(|slot| &*slot.hazard);
        let result = f(table, &Scene { hazard, pair: process_pair(), hooks: &core.hooks, patience });
        // Whether or not they were lent: they are not, if user code unwound the last time, and then come back here.
        lanes.borrow(table, *seen);
        Some(result)
    }

    /// The version word changed: applies the changes. `false` when this publisher cannot use one: the bus is closed,
    /// or it goes through the shared lanes.
    #[cold]
    fn refresh(&mut self) -> bool {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`: the changes are handed over.
        let version = self.core.version.load(Ordering::Acquire);
        let Some(slot) = &self.slot else { return false };
        // A closed version is never recorded as seen, so every later publish comes here.
        if version & CLOSED != 0 {
            return false;
        }
        if let Some(table) = &mut self.table {
            self.lanes.give_back(&mut table.value);
            // Changes first: the table that has room for them was handed over before them.
            let changes = slot.changes.take();
            for mut next in slot.tables.take() {
                next.value.take_over(&mut table.value);
                slot.tables.give_back(std::mem::replace(table, next));
            }
            table.value.apply(changes.reversed());
            table.value.done().for_each(|change| slot.changes.give_back(change));
        }
        slot.saw(version);
        self.saw(version);
        true
    }

    /// Whether this version of the list is the one that the table is made for, or can be taken over.
    fn is_current(&mut self, version: u64) -> bool {
        version == self.seen || self.refresh()
    }

    /// Whether nobody would get an event; all that were to have one may be gone without a change of the list.
    fn is_empty(&self) -> bool {
        self.lanes.seen == NEVER && self.table.as_ref().is_some_and(|table| table.value.is_empty())
    }

    /// Waits until everything that was published on the bus before this call has been handled by every sink.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
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
        self.core.flush(Deadline::after(limit), true)
    }
}

impl<E: Clone + Send + 'static> Publisher<E> {
    /// Publishes an event: every sink on the bus gets it once.
    ///
    /// A sink without room does what its [`Overflow`](crate::Overflow) says; the others are not affected. [`Published`] says what
    /// each sink made of the event: accepted, dropped at once, or refused. What was dropped or refused is lost.
    ///
    /// # Errors
    /// [`Closed`] with the event when the bus is closed and no sink took it.
    ///
    /// # Panics
    /// When a clone of the event does, which every sink but the last gets, or its `Drop`. What was put into lanes until then is
    /// there, and consumers that sleep are woken; the other sinks do not get the event. The publisher stays usable. Panics of
    /// sinks are caught.
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
        self.publish_patiently(event, Patience::Wait)
    }

    /// Publishes an event without ever waiting for room: [`Overflow::Block`](crate::Overflow::Block) and
    /// [`Overflow::BlockFor`](crate::Overflow::BlockFor) act as [`Overflow::Refuse`](crate::Overflow::Refuse).
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    ///
    /// # Panics
    /// As for [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Channel, Overflow};
    /// let (channel, receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build()?;
    /// let bus = Bus::new();
    /// bus.add(channel)?;
    /// let mut publisher = bus.publisher();
    /// assert_eq!(publisher.try_publish(1)?.accepted, 1);
    /// assert_eq!(publisher.try_publish(2)?.refused, 1);
    /// # drop(receiver);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_publish(&mut self, event: E) -> Result<Published, Closed<E>> {
        self.publish_patiently(event, Patience::Now)
    }

    #[inline(always)]
    fn publish_patiently(&mut self, event: E, patience: Patience) -> Result<Published, Closed<E>> {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`.
        let version = self.core.version.load(Ordering::Acquire);
        if version == self.lanes.seen {
            match self.lanes.push(event) {
                Pushed::Done(accepted) => Ok(Published::accepted(accepted)),
                Pushed::Attention(count) => {
                    cold_path();
                    let mut back = None;
                    let tally = self.finish(count, &mut back);
                    Self::untaken(&self.core, tally, back)
                }
                Pushed::Full(done, event) => {
                    cold_path();
                    self.go_on(event, done, version, patience)
                }
            }
        } else if version == self.seen_empty {
            discard(event);
            Ok(Published::default())
        } else {
            cold_path();
            self.go_on(event, 0, version, patience)
        }
    }

    #[inline(always)]
    fn go_on(
        &mut self,
        event: E,
        done: usize,
        version: u64,
        patience: Patience,
    ) -> Result<Published, Closed<E>> {
        let mut place = Some(event);
        let tally = self.publish_slowly(&mut place, done, version, patience);
        Self::untaken(&self.core, tally, place)
    }

    /// Whatever is not a plain push into lanes. Takes the event by a place in memory that only this path sees, and leaves it there
    /// if nobody took it: so the fast path keeps the event in registers and does not copy its result.
    #[inline(never)]
    fn publish_slowly(
        &mut self,
        place: &mut Option<E>,
        done: usize,
        version: u64,
        patience: Patience,
    ) -> Tally {
        if self.is_current(version)
            && let Some(tally) = self.in_table(|table, scene| table.publish(place, done, scene), patience)
        {
            return tally;
        }
        self.publish_through_list(place, patience)
    }

    /// Without lanes of its own. Apart from the path through the table, which its frame would make longer.
    #[cold]
    #[inline(never)]
    fn publish_through_list(&mut self, place: &mut Option<E>, patience: Patience) -> Tally {
        let patience = if self.waits { patience } else { Patience::Now };
        let tally = self.core.publish_shared(place, patience);
        if !tally.is_untaken() {
            self.went_shared(1);
        }
        tally
    }

    /// Settles with sealers and wakes consumers, behind a push into so many lanes.
    #[inline(never)]
    fn finish(&mut self, count: usize, back: &mut Option<E>) -> Tally {
        let mut tally = Tally::accepted(count);
        if !self.lanes.needs_finish() {
            return tally;
        }
        cold_path();
        tally.take_back(self.lanes.finish(|event| *back = Some(event)));
        if self.lanes.any_dead() {
            self.in_table(|table, _| table.retire_dead(), Patience::Wait);
        }
        tally
    }

    /// Publishes the event in `place` on behalf of a bus in front, and leaves it there if all sinks refuse it.
    pub(super) fn publish_for(&mut self, place: &mut Option<E>, patience: Patience) -> Tally {
        let Some(event) = place.take() else { return Tally::accepted(0) };
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`.
        let version = self.core.version.load(Ordering::Acquire);
        let mut done = 0;
        if version != self.lanes.seen {
            *place = Some(event);
        } else {
            match self.lanes.push(event) {
                Pushed::Done(accepted) => return Tally::accepted(accepted),
                Pushed::Attention(count) => return self.finish(count, place),
                Pushed::Full(count, event) => {
                    done = count;
                    *place = Some(event);
                }
            }
        }
        self.publish_slowly(place, done, version, patience)
    }

    #[inline(always)]
    fn untaken(core: &Core<E>, tally: Tally, event: Option<E>) -> Result<Published, Closed<E>> {
        match event {
            Some(event) if tally.is_untaken() && core.is_closed() => Err(Closed(event)),
            untaken => {
                discard(untaken);
                Ok(tally.published())
            }
        }
    }

    /// Publishes what `make` makes, and calls it only if a sink is on the bus.
    ///
    /// Nothing of this crate waits inside `make`.
    ///
    /// # Errors
    /// [`Closed`] when the bus is closed and no sink took the event.
    ///
    /// # Panics
    /// When `make` does, and then nothing is published; else as for [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<String>::new();
    /// let mut publisher = bus.publisher();
    /// publisher.publish_with(|| unreachable!("nobody listens"))?;
    /// # Ok::<(), buslane::error::Closed<()>>(())
    /// ```
    #[inline]
    pub fn publish_with(&mut self, make: impl FnOnce() -> E) -> Result<Published, Closed<()>> {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`.
        let version = self.core.version.load(Ordering::Acquire);
        if version == self.seen_empty
            || version != self.lanes.seen && self.is_current(version) && self.is_empty()
        {
            return Ok(Published::default());
        }
        if self.core.is_closed() {
            return Err(Closed(()));
        }
        if self.table.is_none() && !self.core.has_sinks() {
            return Ok(Published::default());
        }
        let event = {
            // User code: nothing waits there.
            let _impatient = Nesting::impatient();
            make()
        };
        self.publish(event).map_err(|Closed(event)| {
            discard(event);
            Closed(())
        })
    }

    /// Publishes a slice of events in their order. Each lane shows its consumer all of them at once, as far as there is
    /// room; one fence and one look at each consumer serve all.
    ///
    /// Only clones enter the sinks. [`Published`] counts each event and sink.
    ///
    /// # Errors
    /// [`Closed`] when the bus is closed and no sink took any event.
    ///
    /// # Panics
    /// When a clone of an event does. What was put into lanes until then is there, and consumers that sleep are woken: some sinks
    /// may have more of the events than others. The publisher stays usable.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::new();
    /// let mut receiver = bus.subscribe_lossy(16)?;
    /// bus.publisher().publish_batch(&[1, 2, 3])?;
    /// assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_batch(&mut self, events: &[E]) -> Result<Published, Closed<()>> {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`.
        let version = self.core.version.load(Ordering::Acquire);
        let mut in_lanes = version == self.lanes.seen;
        if in_lanes && let Some(published) = self.lanes.push_batch(events) {
            return Ok(published);
        }
        let mut published = Published::default();
        let rest = |table: &mut Table<E>, scene: &Scene<'_, E>| {
            published = if std::mem::take(&mut in_lanes) {
                table.go_on_with_batch(events, scene)
            } else {
                table.publish_batch(events, scene)
            };
        };
        if !self.is_current(version) || self.in_table(rest, Patience::Wait).is_none() {
            let patience = if self.waits { Patience::Wait } else { Patience::Now };
            for event in events {
                if self.core.is_closed() {
                    break;
                }
                let mut place = Some(cloned(event));
                published += self.core.publish_shared(&mut place, patience).published();
                discard(place);
            }
            self.went_shared(events.len());
        }
        if published.is_untaken() && self.core.is_closed() { Err(Closed(())) } else { Ok(published) }
    }
}

impl<E: Send + 'static> Clone for Publisher<E> {
    fn clone(&self) -> Self {
        // Also the clone of a cached publisher, which does not, keeps the bus open.
        let keeps_open = self.keeps_open.clone().or_else(|| self.core.handle.upgrade());
        Self::register(&self.core, keeps_open)
    }
}

impl<E: Send + 'static> Drop for Publisher<E> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            // Lanes hold user code of the sinks, whose panics are not the publisher's. They are dropped first: as long as the bus
            // knows the publisher's ways, no removal reports a sink as quiet.
            if let Some(mut table) = self.table.take() {
                self.lanes.give_back(&mut table.value);
                table.value.dispose_entries();
                dispose(table);
            }
            self.core.unregister(&slot);
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

#[cfg(test)]
mod tests {
    use super::NEVER;
    use crate::Bus;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    struct Picky(bool);

    impl Clone for Picky {
        fn clone(&self) -> Self {
            assert!(self.0, "a clone");
            Self(true)
        }
    }

    #[test]
    fn lanes_are_at_hand_after_a_clone_panicked_on_the_slow_path() {
        let bus = Bus::new();
        let _receivers = [(); 3].map(|()| bus.subscribe_lossy(1).unwrap());
        let mut publisher = bus.publisher();
        let _ = publisher.publish(Picky(true)).unwrap();
        assert_ne!(publisher.lanes.seen, NEVER, "the short way");
        // No lane has room, so it goes the slow way.
        assert!(catch_unwind(AssertUnwindSafe(|| publisher.publish(Picky(false)))).is_err());
        let _ = publisher.publish(Picky(true)).unwrap();
        assert_ne!(publisher.lanes.seen, NEVER, "the short way again");
    }
}
