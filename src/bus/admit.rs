//! Adding sinks to a bus, and registering publishers.

use super::Bus;
use super::control::{ControlState, Garbage, PublisherSlot, Registered};
use super::core::{Core, STEP};
use super::entry::{Reached, SinkEntry};
use super::info::{Info, SinkRef};
use super::kept::Admission;
use super::link::{Change, Link, Prepared, Room};
use super::links::Links;
use super::list::List;
use super::table::Table;
use crate::channel::{Channel, Receiver};
use crate::error::AddError;
use crate::mailbox::shared_push::SharedPush;
use crate::sink::Sink;
use crate::sink::control::validated;
use crate::sink::lane::{Internal, Lanes};
use crate::stats::SinkId;
use crate::sync::guarded::Listed;
use crate::sync::handoff::{Chain, Handoff, Node};
use crate::sync::{self, AtomicU64, MutexGuard, Ordering, lock};
use crate::wait::context::{Purpose, Quiet, UserCode, Visit, dispose, dispose_each, user_code};
use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;

impl<E: Send + 'static> Bus<E> {
    /// Adds a sink to the bus, named after the source location of this call.
    ///
    /// A sink that is already on the bus (two handles to one queue, two clones of one `Arc`) is not
    /// added again, and the call returns its id.
    ///
    /// # Errors
    /// [`AddError`] if the bus is closed, the sink is the bus itself, a setting of the sink is
    /// invalid, or a lane for one of the publishers cannot be made.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<u32>::new();
    /// let sink = std::sync::Arc::new(buslane::noop());
    /// let id = bus.add(sink.clone())?;
    /// assert_eq!(bus.add(sink)?, id);
    /// assert_eq!(bus.sink_count(), 1);
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    #[track_caller]
    pub fn add(&self, sink: impl Sink<E> + 'static) -> Result<SinkId, AddError> {
        let location = Location::caller();
        self.core().add(
            format!("{}:{}", location.file(), location.line()),
            location,
            Arc::new(Quiet::new(sink)),
        )
    }

    /// Adds a sink to the bus under a name, which snapshots and reports use.
    ///
    /// # Errors
    /// The same as for [`add`](Self::add).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Queue};
    /// let bus = Bus::new();
    /// bus.add_named("audit", Queue::builder().spawn(|n: u32| println!("{n}"))?)?;
    /// assert!(bus.snapshot().sink("audit").is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn add_named(&self, name: &str, sink: impl Sink<E> + 'static) -> Result<SinkId, AddError> {
        self.core().add(name.to_owned(), Location::caller(), Arc::new(Quiet::new(sink)))
    }

    /// Adds a channel that drops the newest event when it is full, and returns its receiver.
    ///
    /// Dropping the receiver unsubscribes.
    ///
    /// The channel is [`Channel::lossy`] with room for `capacity` events per publisher.
    /// [`Receiver::lost`] returns the number of events that were dropped because the channel was
    /// full; no hook is called for them. For other settings, make the channel with
    /// [`Channel::builder`] and [`add`](Self::add) it.
    ///
    /// # Errors
    /// The same as for [`add`](Self::add). [`AddError::Config`] if the capacity is invalid.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::new();
    /// let mut receiver = bus.subscribe_lossy(8)?;
    /// bus.publish(1)?;
    /// assert_eq!(receiver.recv()?, 1);
    /// drop(receiver);
    /// bus.publish(2)?;
    /// assert!(!bus.has_sinks());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn subscribe_lossy(&self, capacity: usize) -> Result<Receiver<E>, AddError> {
        let (channel, receiver) = Channel::lossy(capacity)?;
        self.add(channel)?;
        Ok(receiver)
    }

    /// Adds a channel that blocks publishers when it is full, and returns its receiver.
    ///
    /// Dropping the receiver unsubscribes.
    ///
    /// The channel is [`Channel::lossless`] with room for `capacity` events per publisher. A
    /// receiver that stalls blocks the publishers of the bus once the channel is full.
    ///
    /// # Errors
    /// The same as for [`add`](Self::add). [`AddError::Config`] if the capacity is invalid.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::new();
    /// let mut receiver = bus.subscribe_lossless(8)?;
    /// let reader = std::thread::spawn(move || receiver.iter().count());
    /// for n in 0..100 {
    ///     bus.publish(n)?; // waits for the reader when the channel is full
    /// }
    /// bus.close();
    /// assert_eq!(reader.join().unwrap(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn subscribe_lossless(&self, capacity: usize) -> Result<Receiver<E>, AddError> {
        let (channel, receiver) = Channel::lossless(capacity)?;
        self.add(channel)?;
        Ok(receiver)
    }
}

/// The maximum number of sinks that an add or a registration checks for being closed. Each call
/// checks the sinks after those that the previous call checked.
const LOOKS: usize = 16;

/// Calls a sink, which is user code, in which nothing waits. A panic is passed on to the caller,
/// because the caller brought the sink.
fn ask<R>(call: impl FnOnce() -> R) -> R {
    let _user_code = UserCode::enter();
    call()
}

/// Lanes that were made for publishers. Lanes that no publisher receives are dropped when no lock
/// is held.
struct Made<E: Send + 'static>(BTreeMap<u64, Prepared<E>>);

impl<E: Send + 'static> Drop for Made<E> {
    fn drop(&mut self) {
        dispose_each(std::mem::take(&mut self.0).into_values());
    }
}

/// A publisher that is being registered: sinks have links to it, the control plane does not know it
/// yet.
struct Joining<'a, E: Send + 'static> {
    core: &'a Core<E>,
    id: u64,
    changes: Chain<Change<E>>,
    room: Room,
    /// The newest sink that was visited for a link.
    newest: SinkId,
}

impl<E: Send + 'static> Drop for Joining<'_, E> {
    fn drop(&mut self) {
        self.core.forget_publisher(self.id);
    }
}

impl<E: Send + 'static> Core<E> {
    pub(super) fn add(
        self: &Arc<Self>,
        name: String,
        location: &'static Location<'static>,
        sink: SinkRef<E>,
    ) -> Result<SinkId, AddError> {
        let key = ask(|| sink.key());
        if key == Some(self.key()) {
            return Err(AddError::Itself);
        }
        let shared = ask(|| sink.shared_access(Internal::TOKEN)).map(|access| access.0);
        validated(&*sink)?;
        self.purge(LOOKS);
        // The lanes that were made, by publisher. At least one call of `lane` or `has_lanes` shows
        // whether the sink has lanes.
        let mut lanes = Made(BTreeMap::new());
        let mut probe = None;
        let (id, info, garbage) = loop {
            let missing: Vec<u64> = {
                let mut control = lock(&self.control);
                if self.is_closed() {
                    return Err(AddError::Closed);
                }
                if let Some(known) = key.and_then(|key| control.keys.get(&key)) {
                    return Ok(*known);
                }
                let missing: Vec<u64> =
                    control.publishers.keys().filter(|id| !lanes.0.contains_key(id)).copied().collect();
                if missing.is_empty()
                    && let Some(has_lanes) = probe
                {
                    let id = SinkId(control.id());
                    let info = Info::new(id, name, location, key, has_lanes, self.any_closed.clone());
                    // A lane for a publisher that was dropped meanwhile is dropped below. That
                    // counts as a call into the sink, so a removal waits for it.
                    std::mem::forget(info.begin_call());
                    break (id, info.clone(), self.attach(&mut control, info, sink, shared, lanes));
                }
                missing
            };
            // This is user code, so it runs outside the lock.
            let _making = Visit::begin(self.address(), Purpose::MakeLanes);
            for publisher in missing {
                let lane = ask(|| sink.lane().map(Prepared::new))?;
                probe = Some(lane.has_lane());
                lanes.0.insert(publisher, lane);
            }
            if probe.is_none() {
                probe = Some(ask(|| sink.has_lanes()));
            }
        };
        self.release(garbage);
        info.end_call();
        Ok(id)
    }

    /// Hands the sink over to every publisher, and adds it to the list.
    fn attach(
        &self,
        control: &mut MutexGuard<'_, ControlState<E>>,
        info: Arc<Info>,
        sink: SinkRef<E>,
        shared: Option<SharedPush<E>>,
        mut lanes: Made<E>,
    ) -> Garbage<E> {
        let mut garbage = Garbage::new();
        let listed = sync::Arc::new(Listed::new(info.id.0, sink));
        let mut links = BTreeMap::new();
        for (publisher, lane) in std::mem::take(&mut lanes.0) {
            match control.publishers.get_mut(&publisher) {
                Some(registered) => {
                    let link = Link::new(&info, listed.guarded(), lane);
                    registered.hand_over(Change { info: info.clone(), link: link.clone() }, &mut garbage);
                    links.insert(publisher, link);
                }
                // The publisher was dropped meanwhile.
                None => garbage.lanes.extend(lane.into_lane()),
            }
        }
        if let Some(key) = info.key {
            control.keys.insert(key, info.id);
        }
        control.entries.push(SinkEntry { info, listed, reached: Reached::new(links), shared });
        self.changed(control, &mut garbage);
        garbage
    }

    /// Publishes the list and raises the version. Returns the version that contains the change. The
    /// caller [releases](Self::release) the garbage.
    pub(super) fn changed(
        &self,
        control: &mut MutexGuard<'_, ControlState<E>>,
        garbage: &mut Garbage<E>,
    ) -> u64 {
        // L1: they would not be current any longer.
        garbage.kept.append(&mut control.kept);
        let old = self.front.list.replace(control.entries.clone());
        control.retired.add(old);
        // Where a fence is needed, it is executed without the lock, and for several lists at once.
        if self.front.list.needs_no_fence() {
            let lists = control.retired.take_fresh();
            control.retired.fenced(lists);
            garbage.lists.extend(control.retired.unread());
        }
        // ORD(bus.version): AcqRel; Release pairs with the Acquire in `Publisher::publish`: a
        // publisher that sees the new version sees the changes that were handed over.
        self.front.version.fetch_add(STEP, Ordering::AcqRel) + STEP
    }

    /// Drops stale changes, one publisher's at a time, so that no other call waits long for the
    /// lock.
    pub(super) fn compact(&self) {
        loop {
            let mut garbage = Garbage::new();
            let mut control = lock(&self.control);
            let Some(publisher) = control.stale.pop_first() else { return };
            if let Some(registered) = control.publishers.get_mut(&publisher) {
                registered.compact(&mut garbage);
            }
            drop(control);
            drop(garbage);
        }
    }

    /// Registers a publisher, which gets kept links or new ones. Returns `None` if the bus is closed.
    pub(super) fn register(&self) -> Option<Admission<E>> {
        self.take_kept().or_else(|| self.register_new())
    }

    /// Registers a publisher with new links.
    fn register_new(&self) -> Option<Admission<E>> {
        self.purge(LOOKS);
        let id = lock(&self.control).id();
        let mut joining =
            Joining { core: self, id, changes: Chain::new(), room: Room::default(), newest: SinkId(0) };
        loop {
            let entries = {
                let mut control = lock(&self.control);
                if self.is_closed() {
                    return None;
                }
                if control.entries.last().is_none_or(|last| last.info.id <= joining.newest) {
                    break Some(self.join(&mut control, joining));
                }
                control.entries.clone()
            };
            joining.reach(entries);
        }
        .map(|(slot, changes, room, seen)| {
            let table = Node::new(Table::with_room(&room));
            Admission { slot, links: Links::new(table, changes.reversed()), seen }
        })
    }

    /// Registers a publisher that has a link to every sink. From then on, changes are handed over
    /// to it.
    fn join(
        &self,
        control: &mut MutexGuard<'_, ControlState<E>>,
        mut joining: Joining<'_, E>,
    ) -> (Arc<PublisherSlot<E>>, Chain<Change<E>>, Room, u64) {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`. Under the lock, no
        // change can occur between the table and this version.
        let seen = self.front.version.load(Ordering::Acquire);
        let slot = Arc::new(PublisherSlot {
            id: joining.id,
            changes: Handoff::new(),
            tables: Handoff::new(),
            seen: AtomicU64::new(seen),
            hazard: self.domain.register(),
        });
        let changes = std::mem::replace(&mut joining.changes, Chain::new());
        let (out, room) = (joining.room, joining.room);
        std::mem::forget(joining);
        let registered = Registered {
            slot: slot.clone(),
            pending: Vec::new(),
            stale: 0,
            returned: Chain::new(),
            out,
            room,
        };
        control.publishers.insert(slot.id, registered);
        (slot, changes, room, seen)
    }
}

impl<E: Send + 'static> Joining<'_, E> {
    /// Makes links to the sinks that are newer than `newest`.
    fn reach(&mut self, entries: List<E>) {
        let fresh: Vec<SinkId> = entries.after(self.newest).map(|entry| entry.info.id).collect();
        dispose(entries);
        let _making = Visit::begin(self.core.address(), Purpose::MakeLanes);
        for id in fresh {
            self.newest = id;
            // The attachment is held during the call, so that a removal waits for the call. A sink
            // that was removed needs no link.
            let Some(entry) = self.core.attachment(id) else { continue };
            // Without memory for a lane, the publisher uses the shared lane. The same holds if
            // making the lane panics: the panic of a sink must not reach this publisher.
            let lane = user_code(|| entry.listed.with(|sink| sink.lane()).map(Prepared::new));
            let lane = lane.ok().and_then(Result::ok).unwrap_or_else(|| Prepared::new(None));
            let link = Link::new(&entry.info, entry.listed.guarded(), lane);
            if entry.reached.add(self.id, &link) {
                *self.room.of(link.kind) += 1;
                self.changes.push(Node::new(Change { info: entry.info.clone(), link }));
            }
        }
    }
}
