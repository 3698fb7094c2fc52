//! Removing sinks from a bus.

use super::Bus;
use super::control::{Detached, Garbage, PublisherSlot};
use super::core::Core;
use super::entry::SinkEntry;
use super::info::SinkRef;
use super::list::List;
use crate::error::RemoveError;
use crate::sink::lane::LaneSealer;
use crate::stats::SinkId;
use crate::sync::guarded::Listed;
use crate::sync::pace::Pace;
use crate::sync::swap::Replaced;
use crate::sync::{Ordering, lock};
use crate::time::Deadline;
use crate::wait::context::{caught, dispose, dispose_each, is_worker, must_not_wait, waits_are_deferred};
use crate::wait::linger::look_for_a_moment;
use std::sync::Arc;
use std::time::Duration;

impl<E: Send + 'static> Bus<E> {
    /// Removes a sink from the bus, and waits until no call of this bus is inside the sink.
    ///
    /// Events that the sink accepted before are still handled. The sink is not closed, unless the
    /// bus held its last handle.
    ///
    /// The removal does not wait ([`Removed::FromInside`]) in these places:
    ///
    /// - inside a delivery, and inside any other call of the bus into a sink;
    /// - in other user code that the bus runs, such as an event's `Clone` or `Drop`;
    /// - on the worker of a queue.
    ///
    /// See [`docs::protocols`](crate::docs::protocols#user-code-waits-and-locks). Elsewhere, a
    /// removal [blocks the thread](crate::docs::async_code), also in an async task. It may consume
    /// an `unpark` token that was meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// A removal waits for a publish, for a flush until the sink has answered it, for a snapshot,
    /// and for every other call of the bus into the sink.
    ///
    /// The removal waits for every [`publish`](Self::publish) in progress on the bus, also for a
    /// publish that waits for room in another sink, or in this one
    /// ([`Overflow::Block`](crate::Overflow::Block), a
    /// [gating](crate::journal::Subscription::gating) subscriber). For such sinks, use
    /// [`remove_timeout`](Self::remove_timeout).
    ///
    /// Publishers with lanes of their own that wait for room in this sink are released: the sink
    /// refuses the event, and counts it. If the sink is another bus and publishers wait inside it,
    /// the release takes up to a tenth of a second.
    ///
    /// An idle publisher keeps the memory of its lane until its next publish or its drop. It keeps
    /// no user code of the sink: closures and stages of its lanes are dropped here, like the sink,
    /// before this call returns [`Removed::Quiet`].
    ///
    /// # Errors
    /// [`RemoveError::Unknown`] if no sink with this id is on the bus.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<u32>::new();
    /// let id = bus.add(buslane::noop())?;
    /// assert_eq!(bus.remove(id), Ok(buslane::bus::Removed::Quiet));
    /// assert_eq!(bus.remove(id), Err(buslane::error::RemoveError::Unknown));
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    pub fn remove(&self, id: SinkId) -> Result<Removed, RemoveError> {
        self.core().remove(id, Deadline::NEVER)
    }

    /// Removes a sink like [`remove`](Self::remove), and waits for at most `limit`.
    ///
    /// If a call is still inside the sink then, the result is [`Removed::StillInside`].
    ///
    /// # Errors
    /// The same as for [`remove`](Self::remove).
    ///
    /// # Examples
    /// A sink that does not return is removed all the same:
    /// ```
    /// use buslane::{Bus, sink_fn};
    /// use buslane::bus::Removed;
    /// use std::{sync::{Mutex, mpsc::channel}, thread, time::Duration};
    /// let ((inside, entered), (gate, held)) = (channel(), channel::<()>());
    /// let held = Mutex::new(held);
    /// let bus = Bus::new();
    /// let id = bus.add(sink_fn(move |_: &u32| {
    ///     let _ = inside.send(());
    ///     drop(held.lock().map(|held| held.recv()));
    /// }))?;
    /// thread::scope(|scope| {
    ///     scope.spawn(|| bus.publish(1));
    ///     entered.recv().unwrap();
    ///     assert_eq!(bus.remove_timeout(id, Duration::from_millis(1)), Ok(Removed::StillInside));
    ///     drop(gate);
    /// });
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    pub fn remove_timeout(&self, id: SinkId, limit: Duration) -> Result<Removed, RemoveError> {
        self.core().remove(id, Deadline::after(limit))
    }
}

/// The outcome of a removal.
///
/// # Examples
/// A sink that removes another sink does not wait for the removal:
/// ```
/// use buslane::{Bus, noop, sink_fn};
/// use buslane::bus::Removed;
/// let (sender, removed) = std::sync::mpsc::channel();
/// let bus = Bus::new();
/// let (id, other) = (bus.add(noop())?, bus.add(noop())?);
/// let weak = bus.downgrade();
/// bus.add(sink_fn(move |_: &u32| sender.send(weak.upgrade().map(|bus| bus.remove(id)))))?;
/// bus.publish(1)?;
/// assert_eq!(removed.recv()?, Some(Ok(Removed::FromInside)));
/// assert_eq!(bus.remove(other), Ok(Removed::Quiet));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removed {
    /// No call of this bus is inside the sink, and none will be: no publish, flush, snapshot or
    /// other call.
    ///
    /// The bus has dropped the sink and all user code that belongs to it: the closures of filters
    /// and maps, and the stages of lanes, also where an idle publisher still has a lane. No
    /// destructor of these runs later.
    ///
    /// A queue or a channel that was on the bus remains, with its handler and its hooks. Its memory
    /// is freed when the last publisher that had a lane into it has published again or was dropped.
    Quiet,
    /// The removal was requested where nothing waits: inside a delivery, inside another call of a
    /// bus into a sink, or on the worker of a queue. No later publish reaches the sink, but a call
    /// may still be inside.
    FromInside,
    /// The limit was reached. No later publish reaches the sink, but a call is still inside.
    StillInside,
}

/// The maximum number of changes that are handed over or counted before the control plane's lock is
/// released for other calls.
const SLICE: usize = 4096;
/// The maximum number of publishers whose returned changes one call of the control plane collects.
const RETURNS: usize = 64;

/// The number of replaced lists that are kept before they are worth a fence, if no removed sink
/// waits for them.
const RETIRED: usize = 8;

/// Waits a few microseconds until all publishers with a link to these sinks have applied the
/// changes of this version. Returns whether they have.
///
/// A publisher applies changes at its next publish, and no longer uses the sink after that: its
/// pushes are visible in the lane, it is in no call, and it has released its link. The alternative
/// is the heavy fence, which interrupts every thread of the process for about as long as this wait.
fn come_by<E: Send + 'static>(detached: &[Detached<E>], version: u64, deadline: Deadline) -> bool {
    let through = |slot: &Arc<PublisherSlot<E>>| slot.has_seen(version);
    let have = || detached.iter().flat_map(|detached| &detached.publishers).all(through);
    have() || !deadline.has_passed() && look_for_a_moment(|| have().then_some(())).is_some()
}

impl<E: Send + 'static> Core<E> {
    pub(super) fn remove(&self, id: SinkId, deadline: Deadline) -> Result<Removed, RemoveError> {
        let mut garbage = Garbage::new();
        let (detached, version) = {
            let mut control = lock(&self.control);
            if self.is_closed() {
                return Err(RemoveError::Unknown);
            }
            let detached = control.detach(id, &mut garbage).ok_or(RemoveError::Unknown)?;
            (detached, self.changed(&mut control, &mut garbage))
        };
        self.release(garbage);
        self.compact();
        // If this thread is a worker, a call in progress may wait for room that this thread makes.
        // A removal inside a call of the control plane into a sink would wait for that call.
        let inside = must_not_wait() || is_worker() || waits_are_deferred();
        let wait = if inside { Deadline::NOW } else { deadline };
        let mut entry = self.shut_out_detached(vec![detached], version, wait).remove(0);
        let removed = if inside { Removed::FromInside } else { self.wait_outside(&mut entry, deadline) };
        if removed != Removed::Quiet {
            lock(&self.control).leaving.push(entry);
        }
        self.sweep();
        Ok(removed)
    }

    /// Stops further calls of this bus from entering sinks that are off the list as of this
    /// version.
    fn shut_out_detached(
        &self,
        mut detached: Vec<Detached<E>>,
        version: u64,
        deadline: Deadline,
    ) -> Vec<SinkEntry<E>> {
        let sealers =
            detached.iter_mut().flat_map(|detached| std::mem::take(&mut detached.sealers)).collect();
        let entries: Vec<&SinkEntry<E>> = detached.iter().map(|detached| &detached.entry).collect();
        self.shut_out(&entries, sealers, || come_by(&detached, version, deadline));
        detached.into_iter().map(|detached| detached.entry).collect()
    }

    /// Stops further calls of this bus from entering these sinks, whose lanes have these sealers.
    /// Calls in progress continue. `are_through` returns whether no publisher will use these sinks
    /// any longer, and everything that publishers have done there is visible. Then no fence has to
    /// interrupt other threads.
    pub(super) fn shut_out(
        &self,
        entries: &[&SinkEntry<E>],
        sealers: Vec<LaneSealer>,
        are_through: impl FnOnce() -> bool,
    ) {
        LaneSealer::seal_all(&sealers, || {
            entries.iter().for_each(|entry| entry.listed.guarded().detach());
            if !are_through() {
                // ORD(spsc.fin): heavy fence; pairs with the light ones of publishers and of
                // `Consumer::refresh`.
                self.domain.fence();
            }
        });
        // Tasks that wait for room inside these sinks: see `Removal`.
        self.removals.notify();
    }

    /// Waits until no call is inside the sink, and drops the sink.
    fn wait_outside(&self, entry: &mut SinkEntry<E>, deadline: Deadline) -> Removed {
        let mut pause = Pace::new();
        loop {
            // Replaced lists that no thread reads any longer hold the entry too.
            dispose_each(self.unread_lists());
            // A lane that is being dropped may run user code of the sink, and so may the lane that
            // an idle publisher still has.
            if Listed::is_quiet(&mut entry.listed, &self.domain)
                && entry.reached.drop_user_code()
                && !entry.info.is_called()
                && let Some(sink) = Listed::take(&mut entry.listed, &self.domain)
            {
                dispose(sink);
                return Removed::Quiet;
            }
            if deadline.has_passed() {
                return Removed::StillInside;
            }
            pause.wait();
        }
    }

    /// Removes sinks that have reported that they are closed, and drops removed sinks that no call
    /// is inside. Checks at most `looks` sinks for being closed; each call checks the next sinks.
    pub(super) fn purge(&self, looks: usize) {
        // A dropped receiver is noticed only by this check. The check is user code: outside the
        // lock.
        for id in self.next_sinks(looks) {
            self.ask(id, |info, sink| {
                if info.has_lanes && caught(|| sink.reports_closed()) == Ok(true) {
                    info.mark_closed();
                }
            });
        }
        // ORD(info.any_closed): AcqRel; Acquire pairs with the Release in `Info::mark_closed`: the
        // mark of the closed sink is visible.
        if self.any_closed.load(Ordering::Relaxed) && self.any_closed.swap(false, Ordering::AcqRel) {
            let entries = lock(&self.control).entries.clone();
            let closed: Vec<SinkId> =
                entries.iter().filter(|entry| entry.info.is_closed()).map(|entry| entry.info.id).collect();
            dispose(entries);
            self.take_off(&closed);
        }
        self.sweep();
    }

    /// Removes sinks from the bus and waits for none of them. Works in slices, so that no other
    /// call waits long for the lock.
    fn take_off(&self, mut sinks: &[SinkId]) {
        while !sinks.is_empty() {
            let mut garbage = Garbage::new();
            let (detached, version) = {
                let mut control = lock(&self.control);
                if self.is_closed() {
                    return;
                }
                let slice = (SLICE / (control.publisher_count() + 1)).clamp(1, sinks.len());
                let (now, later) = sinks.split_at(slice);
                sinks = later;
                let detached: Vec<Detached<E>> =
                    now.iter().filter_map(|id| control.detach(*id, &mut garbage)).collect();
                (detached, self.changed(&mut control, &mut garbage))
            };
            self.release(garbage);
            self.compact();
            let entries = self.shut_out_detached(detached, version, Deadline::NOW);
            lock(&self.control).leaving.extend(entries);
        }
    }

    /// Returns the next sinks to check, at most `most`.
    fn next_sinks(&self, most: usize) -> Vec<SinkId> {
        let mut control = lock(&self.control);
        let entries = &control.entries;
        let next = entries.after(control.asked).chain(entries.iter()).take(most.min(entries.len()));
        let next: Vec<SinkId> = next.map(|entry| entry.info.id).collect();
        if let Some(last) = next.last() {
            control.asked = *last;
        }
        next
    }

    /// Removes and returns the replaced lists that no thread reads any longer, also those that were
    /// replaced just now.
    fn unread_lists(&self) -> Vec<Replaced<List<E>>> {
        let fresh = lock(&self.control).retired.take_fresh();
        if !fresh.is_empty() {
            // ORD(hazards.word): heavy fence, before `unread` loads the words.
            self.front.list.fence();
        }
        let mut control = lock(&self.control);
        control.retired.fenced(fresh);
        control.retired.unread()
    }

    /// Drops removed sinks that no call is inside any longer, and the tables and changes that
    /// publishers have returned.
    pub(super) fn sweep(&self) {
        // Destructors are user code, so they run outside the lock. Lists come first, because a list
        // may hold a sink.
        let mut garbage = Garbage::new();
        let (retired, leaving) = {
            let mut control = lock(&self.control);
            control.collect(RETURNS, SLICE, &mut garbage);
            (control.retired.unfenced(), std::mem::take(&mut control.leaving))
        };
        if !leaving.is_empty() || retired >= RETIRED {
            dispose_each(self.unread_lists());
        }
        drop(garbage);
        if leaving.is_empty() {
            return;
        }
        // Each check loads the hazard word of every publisher, so it runs outside the lock too.
        let mut quiet: Vec<(SinkRef<E>, SinkEntry<E>)> = Vec::new();
        let mut left = Vec::new();
        for mut entry in leaving {
            if Listed::is_quiet(&mut entry.listed, &self.domain) {
                entry.reached.drop_user_code();
            }
            match Listed::take(&mut entry.listed, &self.domain) {
                // The entry is dropped with its sink, because it holds sealers of lanes.
                Some(sink) => quiet.push((sink, entry)),
                None => left.push(entry),
            }
        }
        lock(&self.control).leaving.extend(left);
        dispose_each(quiet);
    }
}
