//! The publishing handle of one thread.

use super::control::{Admission, PublisherSlot};
use super::delivery::Scene;
use super::handle::Handle;
use super::table::{Table, TableKind};
use super::{CLOSED, Core};
use crate::error::Closed;
use crate::inbox::Patience;
use crate::report::FlushReport;
use crate::sync::Ordering;
use crate::sync::handoff::Parcel;
use crate::sync::membarrier::process_pair;
use crate::wait::Deadline;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What became of a publish, counted in deliveries: one for each event and sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Deliveries that a sink accepted. What it then does with the event, its ledger tells.
    pub accepted: usize,
    /// Deliveries that a sink refused; the reasons are in its ledger.
    pub refused: usize,
}

impl Published {
    /// Counts one delivery.
    #[inline]
    pub(super) fn count(&mut self, accepted: bool) {
        if accepted {
            self.accepted += 1;
        } else {
            self.refused += 1;
        }
    }
}

/// A version that a bus never has: every publish that compares with it takes another path.
const NEVER: u64 = u64::MAX;

/// The publishing handle of one thread: it owns a private lane into every sink of its bus that has lanes.
///
/// It can be sent to another thread, but not shared; cloning makes a publisher with lanes of its own. It keeps the bus
/// open.
///
/// # Guarantees
/// - **Progress**: wait-free, but for sinks with [`Overflow::Block`](crate::Overflow::Block) and sinks that do their work
///   on the publishing thread. No lock, no read-modify-write instruction on a private lane, no system call but to wake a
///   consumer that really sleeps. Also right after a sink was added or removed.
/// - **Allocation**: none, and nothing is freed, apart from the event's own `Clone` and `Drop`. Every sink but the last
///   gets a clone.
/// - **Order**: sinks behind lanes get an event before the sinks that are called directly.
///
/// # Examples
/// ```
/// let bus = buslane::Bus::new();
/// let mut receiver = bus.subscribe(16)?;
/// let mut publisher = bus.publisher();
/// let published = publisher.publish("event")?;
/// assert_eq!((published.accepted, published.refused), (1, 0));
/// assert_eq!(receiver.recv()?, "event");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Publisher<E: Send + 'static> {
    /// The version of the list for which the table is made.
    seen: u64,
    /// The same, if the table holds one lane and nothing else: then this one comparison chooses the path.
    seen_one: u64,
    /// The same, if the table holds fast lanes and nothing else.
    seen_fast: u64,
    /// Which path a publish takes: the table's, kept here so that a publish to nobody needs nothing else.
    kind: TableKind,
    /// `None`, like the slot, in a publisher that goes through the shared lanes.
    table: Option<Box<Parcel<Table<E>>>>,
    core: Arc<Core<E>>,
    /// `None` in a publisher that goes through the shared lanes.
    slot: Option<Arc<PublisherSlot<E>>>,
    keeps_open: Option<Arc<Handle<E>>>,
}

impl<E: Send + 'static> Publisher<E> {
    pub(super) fn register(core: &Arc<Core<E>>, keeps_open: Option<Arc<Handle<E>>>) -> Self {
        match core.register() {
            Some(Admission { slot, table, seen }) => {
                let mut publisher = Self::shared(core);
                publisher.table = Some(table);
                publisher.slot = Some(slot);
                publisher.keeps_open = keeps_open;
                publisher.saw(seen);
                publisher
            }
            None => {
                let mut publisher = Self::shared(core);
                publisher.keeps_open = keeps_open;
                publisher
            }
        }
    }

    /// A publisher without lanes of its own.
    pub(super) fn shared(core: &Arc<Core<E>>) -> Self {
        Self {
            seen: NEVER,
            seen_one: NEVER,
            seen_fast: NEVER,
            kind: TableKind::General,
            table: None,
            core: core.clone(),
            slot: None,
            keeps_open: None,
        }
    }

    /// Takes note of what the table is like, which is the one for this version of the list.
    fn saw(&mut self, version: u64) {
        if let Some(table) = &self.table {
            self.seen = version;
            self.seen_one = if table.value.is_one() { version } else { NEVER };
            self.seen_fast = if table.value.is_fast() { version } else { NEVER };
            self.kind = table.value.kind;
        }
    }

    pub(super) fn core(&self) -> &Arc<Core<E>> {
        &self.core
    }

    /// The version word changed: takes the next table over. `false` when this publisher cannot use one: the bus is closed,
    /// or it goes through the shared lanes.
    #[cold]
    fn refresh(&mut self) -> bool {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`: the table is in its slot.
        let version = self.core.version.load(Ordering::Acquire);
        let Some(slot) = &self.slot else { return false };
        // A closed version is never recorded as seen, so every later publish comes here.
        if version & CLOSED != 0 {
            return false;
        }
        if let Some(table) = &mut self.table
            && let Some(mut next) = slot.handoff.take()
        {
            next.value.take_over(&mut table.value);
            slot.handoff.give_back(std::mem::replace(table, next));
        }
        self.saw(version);
        true
    }

    /// Whether the table serves for a publish now.
    #[inline(always)]
    fn is_current(&mut self) -> bool {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`.
        self.core.version.load(Ordering::Acquire) == self.seen || self.refresh()
    }

    /// Waits until everything that was published on the bus before this call has been handled by every sink.
    pub fn flush_timeout(&mut self, limit: Duration) -> FlushReport {
        self.core.flush(Deadline::after(limit))
    }
}

impl<E: Clone + Send + 'static> Publisher<E> {
    /// Publishes an event: every sink on the bus gets it once.
    ///
    /// A sink without room does what its [`Overflow`](crate::Overflow) says; the others are not affected.
    ///
    /// # Errors
    /// [`Closed`] with the event when the bus is closed and no sink took it.
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
        let mut event = event;
        if version == self.seen_one {
            let Self { table, core, .. } = self;
            if let Some(table) = table {
                let untaken = |published, event| Self::untaken(core, published, event);
                match table.value.publish_to_one(event, untaken) {
                    Ok(outcome) => return outcome,
                    Err(back) => event = back,
                }
            }
        }
        if version == self.seen_fast {
            let Self { table, core, slot, .. } = self;
            if let Some(table) = table {
                let scene = || Self::scene(core, slot.as_ref(), patience);
                let untaken = |published, event| Self::untaken(core, published, event);
                return table.value.through_lanes(event, scene, untaken);
            }
        }
        if version != self.seen && !self.refresh() {
            return Self::elsewhere(&self.core, event, patience);
        }
        if self.kind == TableKind::Empty {
            return Ok(Published::default());
        }
        let Self { kind, table, core, slot, .. } = self;
        let Some(table) = table else { return Self::elsewhere(core, event, patience) };
        let scene = Self::scene(core, slot.as_ref(), patience);
        table.value.publish(*kind, event, &scene, |published, event| Self::untaken(core, published, event))
    }

    /// What the general path of a publish needs to know. A publisher that is current has a slot.
    fn scene<'a>(
        core: &'a Core<E>,
        slot: Option<&'a Arc<PublisherSlot<E>>>,
        patience: Patience,
    ) -> Scene<'a, E> {
        let hazard = slot.map(|slot| &*slot.hazard);
        Scene { hazard, pair: process_pair(), hooks: &core.hooks, patience }
    }

    #[inline(always)]
    fn elsewhere(core: &Core<E>, event: E, patience: Patience) -> Result<Published, Closed<E>> {
        let mut place = Some(event);
        let published = Self::publish_elsewhere(core, &mut place, patience);
        Self::untaken(core, published, place)
    }

    /// Through the shared lanes. Takes the event by a place, and leaves it there if nobody took it, for the same reason as
    /// [`Table`]'s paths do.
    #[cold]
    #[inline(never)]
    fn publish_elsewhere(core: &Core<E>, place: &mut Option<E>, patience: Patience) -> Published {
        let Some(event) = place.take() else { return Published::default() };
        match core.publish_shared(event, patience) {
            Ok(published) => published,
            Err(Closed(event)) => {
                *place = Some(event);
                Published { accepted: 0, refused: 1 }
            }
        }
    }

    #[inline(always)]
    fn untaken(core: &Core<E>, published: Published, event: Option<E>) -> Result<Published, Closed<E>> {
        match event {
            Some(event) if published.accepted == 0 && published.refused > 0 && core.is_closed() => {
                Err(Closed(event))
            }
            _ => Ok(published),
        }
    }

    /// Publishes what `make` makes, and calls it only if a sink is on the bus.
    ///
    /// # Errors
    /// [`Closed`] when the bus is closed and no sink took the event.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<String>::new();
    /// let mut publisher = bus.publisher();
    /// publisher.publish_with(|| unreachable!("nobody listens"))?;
    /// # Ok::<(), buslane::Closed<()>>(())
    /// ```
    #[inline]
    pub fn publish_with(&mut self, make: impl FnOnce() -> E) -> Result<Published, Closed<()>> {
        if self.is_current() && self.table.as_ref().is_some_and(|table| table.value.is_empty()) {
            return Ok(Published::default());
        }
        if self.core.is_closed() {
            return Err(Closed(()));
        }
        if self.table.is_none() && !self.core.has_sinks() {
            return Ok(Published::default());
        }
        self.publish(make()).map_err(|_| Closed(()))
    }

    /// Publishes a slice of events in their order. Each lane shows its consumer all of them at once, as far as there is
    /// room; one fence and one look at each consumer serve all.
    ///
    /// Only clones enter the sinks. [`Published`] counts each event and sink.
    ///
    /// # Errors
    /// [`Closed`] when the bus is closed and no sink took any event.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::new();
    /// let mut receiver = bus.subscribe(16)?;
    /// bus.publisher().publish_batch(&[1, 2, 3])?;
    /// assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_batch(&mut self, events: &[E]) -> Result<Published, Closed<()>> {
        let mut published = Published::default();
        if self.is_current()
            && let Some(table) = &mut self.table
        {
            let scene = Self::scene(&self.core, self.slot.as_ref(), Patience::Wait);
            published = table.value.publish_batch(events, &scene);
        } else {
            for event in events {
                match self.core.publish_shared(event.clone(), Patience::Wait) {
                    Ok(one) => {
                        published.accepted += one.accepted;
                        published.refused += one.refused;
                    }
                    Err(Closed(_)) => break,
                }
            }
        }
        if published.accepted == 0 && self.core.is_closed() { Err(Closed(())) } else { Ok(published) }
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
            self.core.unregister(&slot);
        }
    }
}

impl<E: Send + 'static> fmt::Debug for Publisher<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("closed", &self.core.is_closed()).finish_non_exhaustive()
    }
}
