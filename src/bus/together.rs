//! The delivery of one event into the shared lanes of several sinks.
//!
//! A claim in a shared lane is a locked instruction, which waits until all stores before it have
//! left the processor. A slot that the consumer has looked at is in the consumer's cache, and a
//! store to it waits for the cache line to come back. If each slot was written right after its
//! claim, the claim for the next sink would wait for that line, and the lines of several sinks would
//! come one after the other. So all positions are claimed first, and the slots are written after the
//! last claim, where nothing waits for them.
//!
//! # Invariants
//! - T1: between the first claim and the last write no user code runs, and nothing panics. Clones
//!   are made before; consumers are woken, and sinks without room are called, after.
//! - T2: a thread with claims waits for no other thread: a claim is lock-free, and a full or closed
//!   lane refuses it. So threads that claim in several lanes do not wait for each other.
//! - T3: each claim is filled. The clone for its lane, or the event, exists before the first claim.
//! - T4: a consumer is woken after its lane is filled, with a fence between the two. A consumer that
//!   parks after the wake-up finds the event.
//!
//! A publisher that is preempted between its claims and its writes delays the consumers of all these
//! lanes until it runs again, and other publishers find such a lane full when they have filled the
//! rest of it.

use super::core::Core;
use super::entry::SinkEntry;
use super::list::List;
use super::tally::PublishTally;
use crate::mailbox::shared_push::SharedPush;
use crate::sync::cold_path;
use crate::sync::current::Reading;
use crate::wait::context::{caught, cloned, discard};

/// The size of the largest event that is cloned in advance. A copy of a larger one takes longer than
/// the wait that it saves, and the clones would take much of the stack.
const LARGEST: usize = 256;

/// Returns the entries of a list of `N` sinks, if all have bounded shared lanes that are open.
///
/// A closed lane gets no clone, and an unbounded one has no claims.
#[inline(always)]
pub(super) fn together<E: Send + 'static, const N: usize>(list: &List<E>) -> Option<&[SinkEntry<E>; N]> {
    let entries: &[SinkEntry<E>; N] = list.newest().try_into().ok()?;
    let is_small = size_of::<E>() <= LARGEST && list.older().is_empty();
    let is_open = |entry: &SinkEntry<E>| entry.shared.as_ref().is_some_and(|shared| !shared.may_be_closed());
    (is_small && entries.iter().all(is_open)).then_some(entries)
}

impl<E: Clone + Send + 'static> Core<E> {
    /// Delivers the event in `place` to the last of these sinks, and a clone to each other one. If
    /// the last one refuses the event, it is still in `place`.
    ///
    /// # Panics
    /// If a clone panics: the sinks before it have received theirs.
    #[inline]
    pub(super) fn deliver_together<const N: usize>(
        &self,
        list: &Reading<List<E>>,
        entries: &[SinkEntry<E>; N],
        place: &mut Option<E>,
    ) -> PublishTally {
        let Some(event) = &*place else { return PublishTally::accepted(0) };
        let mut making = Making { core: self, list, entries, clones: [const { None }; N] };
        for clone in making.clones.iter_mut().take(N - 1) {
            *clone = Some(cloned(event));
        }
        let mut accepted = 0;
        // A sink that was removed in a clone is on no list any more.
        if self.front.list.is_newest(list) {
            let mut rooms = entries.each_ref().map(|entry| entry.shared.as_ref().and_then(SharedPush::claim));
            for (room, clone) in rooms.iter_mut().zip(&mut making.clones).take(N - 1) {
                if let Some(event) = clone.take_if(|_| room.is_some())
                    && let Some(room) = room.take()
                {
                    room.put(event);
                }
            }
            if let Some(room) = rooms[N - 1].take()
                && let Some(event) = place.take()
            {
                room.put(event);
            }
            for (index, entry) in entries.iter().enumerate() {
                let is_filled = if index == N - 1 { place.is_none() } else { making.clones[index].is_none() };
                if is_filled && let Some(shared) = &entry.shared {
                    shared.wake();
                    accepted += 1;
                }
            }
        }
        let mut tally = PublishTally::accepted(accepted);
        if accepted < N {
            cold_path();
            self.call_each(entries, &mut making.clones, place, &mut tally);
        }
        // Every clone is delivered.
        std::mem::forget(making);
        tally
    }

    /// Calls the sinks that did not get their event.
    #[inline(never)]
    fn call_each(
        &self,
        entries: &[SinkEntry<E>],
        clones: &mut [Option<E>],
        place: &mut Option<E>,
        tally: &mut PublishTally,
    ) {
        for (entry, clone) in entries.iter().zip(clones) {
            match clone.take() {
                Some(clone) if entry.info.is_closed() => discard(clone),
                Some(clone) => tally.count(self.deliver_clone_to_sink(entry, clone)),
                None => {}
            }
        }
        if place.is_some()
            && let Some(entry) = entries.last()
            && !entry.info.is_closed()
        {
            tally.count(self.deliver_to_sink(entry, place));
        }
    }
}

/// Clones that are being made. Those that exist are delivered if the next one panics.
struct Making<'a, E: Send + 'static, const N: usize> {
    core: &'a Core<E>,
    list: &'a Reading<List<E>>,
    entries: &'a [SinkEntry<E>; N],
    clones: [Option<E>; N],
}

impl<E: Send + 'static, const N: usize> Drop for Making<'_, E, N> {
    #[cold]
    fn drop(&mut self) {
        let mut tally = PublishTally::accepted(0);
        for (entry, clone) in self.entries.iter().zip(&mut self.clones) {
            if let Some(clone) = clone.take() {
                // A second panic, of a sink or of an event's drop, would end the process.
                let _ = caught(|| self.core.deliver_clone(self.list, entry, clone, &mut tally));
            }
        }
    }
}
