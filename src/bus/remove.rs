//! Taking one sink off a bus.

use super::Bus;
use super::control::{Detached, Garbage, PublisherSlot};
use super::core::Core;
use super::entry::Entry;
use super::info::SinkRef;
use crate::error::RemoveError;
use crate::sink::lane::LaneSealer;
use crate::stats::SinkId;
use crate::sync::guarded::Listed;
use crate::sync::pace::Pace;
use crate::sync::{Ordering, lock};
use crate::time::Deadline;
use crate::wait::context::{caught, dispose, dispose_each, is_worker, must_not_wait, waits_are_deferred};
use crate::wait::linger::look_for_a_moment;
use std::sync::Arc;
use std::time::Duration;

impl<E: Send + 'static> Bus<E> {
    /// Takes a sink off the bus, and waits until nothing of this bus is inside it.
    ///
    /// What the sink accepted before is still handled. The sink is not closed (unless the bus held its last handle).
    /// Inside a delivery, and inside any other call of the bus into a sink, this does not wait ([`Removed::FromInside`]); nor in other
    /// user code that the bus runs, such as an event's `Clone` or `Drop`, nor on the worker of a queue. See
    /// [`docs::protocols`](crate::docs::protocols#user-code-waits-and-locks).
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// Inside are a publish, a flush until the sink has answered it, a snapshot, and every other call that the bus makes.
    ///
    /// It waits for every [`publish`](Self::publish) of the bus itself that is in progress, also for one that waits for room in another
    /// sink, or in this one ([`Overflow::Block`](crate::Overflow::Block), a [gating](crate::journal::Subscription::gating) subscriber): there, take
    /// [`remove_timeout`](Self::remove_timeout). Publishers with lanes of their own that wait for room in this sink are let go: the sink
    /// refuses the event, and counts it. Where they wait inside another bus, which is the sink, that takes up to a tenth of a second.
    ///
    /// An idle publisher keeps the lane's memory until it publishes next, or is dropped. It keeps no user code of the sink: closures
    /// and stages of its lanes are dropped here, like the sink, before this returns [`Removed::Quiet`].
    ///
    /// # Errors
    /// [`RemoveError::Unknown`] when no sink with this id is on the bus.
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

    /// As [`remove`](Self::remove), waiting so long at most; then [`Removed::StillInside`].
    ///
    /// # Errors
    /// As for [`remove`](Self::remove).
    ///
    /// # Examples
    /// A sink that does not return is off the bus all the same:
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

/// What a removal can say about the sink.
///
/// # Examples
/// A sink that takes another one off the bus does not wait for it:
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
    /// Nothing of this bus is inside the sink, and nothing will be: no publish, no flush, no snapshot, no other call.
    ///
    /// The bus has dropped the sink and all user code that came with it: the closures of filters and maps, and the stages of lanes, also
    /// where a publisher that is idle still has a lane. No destructor of these runs later. A queue or a channel that was on the bus
    /// lives on by itself, with its handler and its hooks; its memory goes when the last publisher that had a lane
    /// into it has published again or has gone.
    Quiet,
    /// Asked for inside a delivery, inside another call of a bus into a sink, or on the worker of a queue, where nothing waits: no later
    /// publish reaches the sink, but one may still be inside.
    FromInside,
    /// The time was over: no later publish reaches the sink, but one is still inside.
    StillInside,
}

/// The most changes that are handed over or counted before the control plane's lock is let go for other calls.
const SLICE: usize = 4096;
/// The most publishers whose returns one call of the control plane collects.
const RETURNS: usize = 64;

/// Waits a few microseconds until all these publishers have applied the changes of this version; whether they have.
///
/// A publisher that has is through with the sink: what it put into a lane is there, it is in no call, and it will not look for
/// what it has let go of. It does so at its next publish. The heavy fence, which is the other way to be sure, interrupts
/// every thread of the process for about as long as this waits.
fn come_by<E: Send + 'static>(detached: &[Detached<E>], version: u64, deadline: Deadline) -> bool {
    let through = |slot: &Arc<PublisherSlot<E>>| slot.has_seen(version);
    let have = || detached.iter().flat_map(|detached| &detached.publishers).all(through);
    have() || !deadline.is_over() && look_for_a_moment(|| have().then_some(())).is_some()
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
        drop(garbage);
        self.compact();
        // A call in progress may wait for room that this thread is to make, if it is a worker. A call of the control plane into a
        // sink counts as well: a removal in there would wait for the call.
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

    /// Lets nothing more of this bus enter sinks that are off the list as of this version.
    fn shut_out_detached(
        &self,
        mut detached: Vec<Detached<E>>,
        version: u64,
        deadline: Deadline,
    ) -> Vec<Entry<E>> {
        let sealers =
            detached.iter_mut().flat_map(|detached| std::mem::take(&mut detached.sealers)).collect();
        let entries: Vec<&Entry<E>> = detached.iter().map(|detached| &detached.entry).collect();
        self.shut_out(&entries, sealers, || come_by(&detached, version, deadline));
        detached.into_iter().map(|detached| detached.entry).collect()
    }

    /// Lets nothing more of this bus enter these sinks, whose lanes have these sealers; calls in progress continue. `are_through` says
    /// whether no publisher will look for these sinks any more, and everything that they have done there is visible: then no
    /// thread has to be interrupted by a fence.
    pub(super) fn shut_out(
        &self,
        entries: &[&Entry<E>],
        sealers: Vec<LaneSealer>,
        are_through: impl FnOnce() -> bool,
    ) {
        LaneSealer::seal_all(&sealers, || {
            entries.iter().for_each(|entry| entry.listed.guarded().detach());
            if !are_through() {
                // ORD(spsc.fin): heavy fence; pairs with the light ones of publishers and of `Consumer::refresh`.
                self.domain.fence();
            }
        });
    }

    /// Waits until nobody is inside the sink, and lets go of it.
    fn wait_outside(&self, entry: &mut Entry<E>, deadline: Deadline) -> Removed {
        let mut pause = Pace::new();
        loop {
            // Lists that nobody reads any more hold the entry too.
            let unread = lock(&self.control).unread_lists();
            dispose_each(unread);
            // A lane that is going is user code of the sink, too, and so is what an idle publisher still has of one.
            if Listed::is_quiet(&mut entry.listed, &self.domain)
                && entry.reached.drop_user_code()
                && !entry.info.is_called()
                && let Some(sink) = Listed::take(&mut entry.listed, &self.domain)
            {
                dispose(sink);
                return Removed::Quiet;
            }
            if deadline.is_over() {
                return Removed::StillInside;
            }
            pause.wait();
        }
    }

    /// Takes sinks off the bus that have reported that they are closed, and lets go of those that are quiet by now. Asks at most so
    /// many sinks; each call asks the next ones.
    pub(super) fn purge(&self, looks: usize) {
        // A receiver that was dropped says so only when it is asked. User code: outside the lock.
        for id in self.next_sinks(looks) {
            self.ask(id, |info, sink| {
                if info.has_lanes && caught(|| sink.reports_closed()) == Ok(true) {
                    info.mark_dead();
                }
            });
        }
        // ORD(info.deaths): AcqRel; Acquire pairs with the Release in `Info::mark_dead`: the mark is visible.
        if self.deaths.load(Ordering::Relaxed) && self.deaths.swap(false, Ordering::AcqRel) {
            let entries = lock(&self.control).entries.clone();
            let dead: Vec<SinkId> =
                entries.iter().filter(|entry| entry.info.is_dead()).map(|entry| entry.info.id).collect();
            dispose(entries);
            self.take_off(&dead);
        }
        self.sweep();
    }

    /// Takes sinks off the bus and waits for none of them. In slices, so that no other call waits long for the lock.
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
            drop(garbage);
            self.compact();
            let entries = self.shut_out_detached(detached, version, Deadline::NOW);
            lock(&self.control).leaving.extend(entries);
        }
    }

    /// The next sinks to be asked, at most `most`.
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

    /// Lets go of removed sinks that nobody is inside any more, and of what publishers have given back.
    pub(super) fn sweep(&self) {
        // What is dropped is user code: outside the lock. Lists first, since they may be what holds a sink.
        let mut garbage = Garbage::new();
        let (lists, leaving) = {
            let mut control = lock(&self.control);
            control.collect(RETURNS, SLICE, &mut garbage);
            (control.unread_lists(), std::mem::take(&mut control.leaving))
        };
        dispose_each(lists);
        drop(garbage);
        if leaving.is_empty() {
            return;
        }
        // Each asks every publisher's hazard word: outside the lock, too.
        let mut quiet: Vec<(SinkRef<E>, Entry<E>)> = Vec::new();
        let mut left = Vec::new();
        for mut entry in leaving {
            if Listed::is_quiet(&mut entry.listed, &self.domain) {
                entry.reached.drop_user_code();
            }
            match Listed::take(&mut entry.listed, &self.domain) {
                // What is known of a sink goes with it: that holds sealers of lanes.
                Some(sink) => quiet.push((sink, entry)),
                None => left.push(entry),
            }
        }
        lock(&self.control).leaving.extend(left);
        dispose_each(quiet);
    }
}
