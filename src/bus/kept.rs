//! Links that outlive their publisher: a dropped publisher leaves its links to the next one.
//!
//! Making a publisher means making a lane into every sink, which allocates and touches the memory of
//! all rings. A program that makes a publisher for one task, or one request, would pay
//! that each time. So the bus keeps the links of a few dropped publishers on a stack, and a new
//! publisher takes the top of it: the links whose memory was used last. Neither costs a publish
//! anything.
//!
//! | thread | steps |
//! |---|---|
//! | a publisher is dropped | under the control plane's lock: check that its version is that of the bus, take it out of the map of publishers, push its links |
//! | a publisher is made | under the lock: pop links, put them into the map · outside: check that the lanes are nearly empty and open |
//! | add, remove, purge, close | under the lock: change the version, take all kept links · outside: drop them, as their publishers would have |
//!
//! # Invariants
//! - L1: kept links are current, so a publisher that takes them needs no change. A push checks the
//!   version under the lock under which it changes, and each change takes all kept links. So no
//!   thread has to bring kept links up to date, a removed sink is in none of them, and an idle
//!   program that changes its sinks keeps no memory for former publishers.
//! - L2: kept links have no user: they are pushed by the publisher that owned them, whose last
//!   publish and whose last call into a sink are over. The sinks still know the links. So a seal, a
//!   flush, a removal and a snapshot treat their lanes as those of an idle publisher.
//! - L3: one thread at a time writes into a lane and counts in it. The lock hands the lanes over: what
//!   the former publisher wrote, its tail and its counters, happens before the new publisher's
//!   first write. So both may use plain stores.
//!
//! Events of the former publisher may still wait in a lane; those of the new one follow them. See
//! [`Reuse`] for how many may wait, and for the order of a thread that has used the shared lane.

use super::control::{Garbage, Kept, PublisherSlot};
use super::core::Core;
use super::links::Links;
use crate::mailbox::lane::Reuse;
use crate::sync::{Ordering, lock};
use crate::wait::context::{dispose, dispose_each};
use std::collections::VecDeque;
use std::sync::Arc;

/// The default of [`BusBuilder::kept_publishers`](super::BusBuilder::kept_publishers).
pub(super) const KEPT: usize = 16;

/// How many kept links a new publisher checks. Upstream of a consumer that stalls all of them may be
/// unusable, and then further checks only delay it.
const CHECKS: usize = 4;

/// What a publisher has: its links, the slot in which it gets changes, and the version of the list
/// that the links describe completely.
pub(super) struct Admission<E: Send + 'static> {
    pub(super) slot: Arc<PublisherSlot<E>>,
    pub(super) links: Links<E>,
    pub(super) seen: u64,
}

impl<E: Send + 'static> Core<E> {
    /// Ends a publisher that has these links. Keeps them for the next publisher, or drops them.
    pub(super) fn leave(&self, mut admission: Admission<E>) {
        if self.most_kept > 0 && admission.links.rest(&admission.slot.hazard) {
            match self.keep(admission, VecDeque::push_back) {
                None => return,
                Some(back) => admission = back,
            }
        }
        // The lanes are dropped first: while the bus knows the publisher's links, no removal reports
        // a sink as quiet.
        admission.links.dispose();
        let slot = admission.slot;
        let gone = lock(&self.control).publishers.remove(&slot.id);
        dispose_each(gone);
        self.forget(&slot);
    }

    /// Keeps links, at the end of the stack that `push` chooses. Returns them if the list has
    /// changed, or the bus was closed.
    fn keep(
        &self,
        admission: Admission<E>,
        push: impl FnOnce(&mut VecDeque<Kept<E>>, Kept<E>),
    ) -> Option<Admission<E>> {
        let Admission { slot, links, seen } = admission;
        let mut garbage = Garbage::new();
        {
            let mut control = lock(&self.control);
            // Relaxed: L1: the version changes under this lock.
            let is_current = self.front.version.load(Ordering::Relaxed) == seen;
            let registered = if is_current { control.publishers.remove(&slot.id) } else { None };
            let Some(mut registered) = registered else { return Some(Admission { slot, links, seen }) };
            registered.settle(&mut garbage);
            if control.kept.len() == self.most_kept {
                // The links that were not used for the longest time.
                garbage.kept.extend(control.kept.pop_front());
            }
            push(&mut control.kept, Kept { registered, links });
        }
        self.release(garbage);
        None
    }

    /// Takes kept links for a new publisher, which is registered then. Returns `None` if it has to
    /// make links.
    pub(super) fn take_kept(&self) -> Option<Admission<E>> {
        for _ in 0..CHECKS {
            // Relaxed: a hint. The registration of a publisher removes closed sinks from the bus.
            if self.any_closed.load(Ordering::Relaxed) {
                return None;
            }
            let (mut admission, are_leaving) = {
                let mut control = lock(&self.control);
                let Kept { registered, links } = control.kept.pop_back()?;
                let slot = registered.slot.clone();
                control.publishers.insert(slot.id, registered);
                // Relaxed: L1: the version changes under this lock.
                let seen = self.front.version.load(Ordering::Relaxed);
                (Admission { slot, links, seen }, !control.leaving.is_empty())
            };
            match admission.links.reuse() {
                Reuse::Now => {
                    if are_leaving {
                        self.sweep();
                    }
                    return Some(admission);
                }
                // The publisher in between has not published. Its links go to the other end, where
                // they are dropped first.
                Reuse::Later => {
                    if let Some(back) = self.keep(admission, VecDeque::push_front) {
                        self.leave(back);
                    }
                }
                Reuse::Never => self.leave(admission),
            }
        }
        None
    }

    /// Drops what left the control plane's state. Called without the lock.
    pub(super) fn release(&self, mut garbage: Garbage<E>) {
        for Kept { registered, links } in garbage.kept.drain(..) {
            let slot = registered.slot.clone();
            // In this order, as in `leave`.
            links.dispose();
            dispose(registered);
            self.forget(&slot);
        }
        drop(garbage);
    }

    /// Forgets a publisher that is no longer registered: its links, and its hazard word.
    fn forget(&self, slot: &PublisherSlot<E>) {
        self.forget_publisher(slot.id);
        self.domain.forget(&slot.hazard);
    }

    /// Removes the links of a publisher that is not registered, or no longer registered. Sinks that
    /// are added later have no link to it.
    pub(super) fn forget_publisher(&self, publisher: u64) {
        let entries = lock(&self.control).entries.clone();
        for entry in entries.iter() {
            dispose(entry.reached.forget(publisher));
        }
        dispose(entries);
    }
}
