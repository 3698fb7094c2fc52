//! Taking one sink off a bus.

use super::Core;
use super::control::{Control, PublisherSlot};
use super::entry::{Entry, Shared, SinkId};
use crate::error::RemoveError;
use crate::panics::{dispose, dispose_each, foreign};
use crate::sink::lane::LaneSealer;
use crate::sink::signal::Signal;
use crate::sync::guarded::Listed;
use crate::sync::parking::Unparker;
use crate::sync::{MODEL, lock, spin_hint, thread};
use crate::wait::Deadline;
use crate::wait::linger::look_for_a_moment;
use crate::wait::nesting::{inside_delivery, is_worker};
use std::sync::Arc;
use std::time::Duration;

/// What a removal can say about the sink.
///
/// # Examples
/// A sink that takes another one off the bus does not wait for it:
/// ```
/// use buslane::{Bus, Removed, noop, sink_fn};
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
    /// Nothing of this bus is inside the sink, and nothing will be.
    Quiet,
    /// Asked for inside a delivery or on the worker of a queue, where nothing waits: no later publish reaches the sink, but one may still be inside.
    FromInside,
    /// The time was over: no later publish reaches the sink, but one is still inside.
    StillInside,
}

/// Waits a little longer each time.
pub(super) struct Pace(u32);

impl Pace {
    pub(super) fn new() -> Self {
        Self(0)
    }

    pub(super) fn wait(&mut self) {
        self.0 += 1;
        match self.0 {
            _ if MODEL => spin_hint(),
            0..=16 => spin_hint(),
            17..=32 => thread::yield_now(),
            _ => Unparker::current().park(Some(Duration::from_micros(100))),
        }
    }
}

/// Waits a few microseconds until all these publishers have taken their next tables; whether they have.
///
/// A publisher that has is through with the last one: what it put into lanes is there, it is in no call, and it will not look for
/// what is not in the next one. It comes by at its next publish. The heavy fence, which is the other way to be sure, interrupts
/// every thread of the process for about as long as this waits.
fn come_by<E: Send + 'static>(publishers: &[Arc<PublisherSlot<E>>], deadline: Deadline) -> bool {
    let have = || publishers.iter().all(|publisher| publisher.handoff.is_taken());
    have() || !deadline.is_over() && look_for_a_moment(|| have().then_some(())).is_some()
}

impl<E: Send + 'static> Core<E> {
    pub(super) fn remove(&self, id: SinkId, deadline: Deadline) -> Result<Removed, RemoveError> {
        let (mut entry, publishers, garbage) = {
            let mut control = lock(&self.control);
            if self.is_closed() {
                return Err(RemoveError::Unknown);
            }
            let at =
                control.entries.iter().position(|entry| entry.info.id == id).ok_or(RemoveError::Unknown)?;
            let entry = control.entries.remove(at);
            let plans = control.take_plans(|plan| plan == id);
            let mut garbage = self.changed(&mut control);
            garbage.plans = plans;
            (entry, control.slots(), garbage)
        };
        garbage.dispose();
        // A call in progress may wait for room that this thread is to make, if it is a worker.
        let inside = inside_delivery() || is_worker();
        self.shut_out(&[&entry], || come_by(&publishers, if inside { Deadline::NOW } else { deadline }));
        let removed = if inside { Removed::FromInside } else { self.wait_outside(&mut entry, deadline) };
        if removed != Removed::Quiet {
            lock(&self.control).leaving.push(entry);
        }
        self.sweep();
        Ok(removed)
    }

    /// Lets nothing more of this bus enter these sinks; what is inside goes on. `are_through` says whether no publisher will look for
    /// these sinks any more, and everything that they have done there is visible: then nobody has to be interrupted by a fence.
    pub(super) fn shut_out(&self, entries: &[&Entry<E>], are_through: impl FnOnce() -> bool) {
        let sealers: Vec<LaneSealer> = entries.iter().flat_map(|entry| entry.info.sealers()).collect();
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
            if let Some(sink) = Listed::take(&mut entry.listed, &self.domain) {
                dispose(sink);
                return Removed::Quiet;
            }
            if deadline.is_over() {
                return Removed::StillInside;
            }
            pause.wait();
        }
    }

    /// Takes sinks off the bus that have reported that they are closed, and lets go of those that are quiet by now.
    pub(super) fn purge(&self) {
        // A receiver that was dropped says so only when it is asked. Foreign code: outside the lock.
        for (info, sink) in self.sinks().0.iter() {
            let mut closed = false;
            if info.has_lanes && foreign(|| sink.signal(&mut Signal::IsClosed(&mut closed))).is_ok() && closed
            {
                info.mark_dead();
            }
        }
        let (dead, publishers, garbage) = {
            let mut control = lock(&self.control);
            if self.is_closed() || !control.entries.iter().any(|entry| entry.info.is_dead()) {
                (Vec::new(), Vec::new(), None)
            } else {
                let dead: Vec<Entry<E>> =
                    control.entries.extract_if(.., |entry| entry.info.is_dead()).collect();
                let gone = |id| dead.iter().any(|entry| entry.info.id == id);
                let plans = control.take_plans(gone);
                let mut garbage = self.changed(&mut control);
                garbage.plans = plans;
                (dead, control.slots(), Some(garbage))
            }
        };
        if let Some(garbage) = garbage {
            garbage.dispose();
        }
        if !dead.is_empty() {
            self.shut_out(&dead.iter().collect::<Vec<_>>(), || come_by(&publishers, Deadline::NOW));
            lock(&self.control).leaving.extend(dead);
        }
        self.sweep();
    }

    /// Lets go of removed sinks that nobody is inside any more, and of what publishers have given back.
    pub(super) fn sweep(&self) {
        // What is dropped is foreign: outside the lock. Lists first, since they may be what holds a sink.
        let (lists, tables) = {
            let mut control = lock(&self.control);
            (control.unread_lists(), control.returned_tables())
        };
        dispose_each(lists);
        dispose_each(tables);
        let quiet = lock(&self.control).quiet_sinks(self);
        dispose_each(quiet);
    }
}

impl<E: Send + 'static> Control<E> {
    /// Takes out the removed sinks that no publish is inside, together with their entries, which hold sealers of lanes.
    fn quiet_sinks(&mut self, core: &Core<E>) -> Vec<(Shared<E>, Entry<E>)> {
        let (mut quiet, mut left) = (Vec::new(), Vec::new());
        for mut entry in self.leaving.drain(..) {
            match Listed::take(&mut entry.listed, &core.domain) {
                Some(sink) => quiet.push((sink, entry)),
                None => left.push(entry),
            }
        }
        self.leaving = left;
        quiet
    }
}
