//! Publishing one event or a batch into a journal with any number of publishers.

use super::core::{JournalCore, Refusal, drop_overwritten};
use super::entry::Sequence;
use super::gate::GateWaiter;
use crate::error::WriteError;
use crate::events::Events;
use crate::ring::blocks::{Claim, Claiming, SharedWriter};
use crate::sync::cold_path;
use crate::time::Deadline;
use crate::wait::context::discard_each;
use std::mem::needs_drop;

/// How a publisher claims the journal for one event.
pub(super) trait Turns<'w, E> {
    /// Waits for the claim; returns `None` when the journal is closed.
    fn claim(&mut self) -> Option<Claim<'w, E>>;
    /// Ends the claim after an event was written.
    fn release(&mut self, claim: Claim<'w, E>);
    /// Returns the writer, for claims at a gate.
    fn writer(&self) -> &'w SharedWriter<E>;
}

/// A handle to a journal: claims for each event.
impl<'w, E: Send + Sync> Turns<'w, E> for &'w SharedWriter<E> {
    #[inline(always)]
    fn claim(&mut self) -> Option<Claim<'w, E>> {
        SharedWriter::claim(self)
    }

    #[inline(always)]
    fn release(&mut self, claim: Claim<'w, E>) {
        drop(claim);
    }

    fn writer(&self) -> &'w SharedWriter<E> {
        self
    }
}

/// A lane: claims until it gets the bias.
impl<'w, E: Send + Sync> Turns<'w, E> for Claiming<'w, E> {
    #[inline(always)]
    fn claim(&mut self) -> Option<Claim<'w, E>> {
        Claiming::claim(self)
    }

    #[inline(always)]
    fn release(&mut self, claim: Claim<'w, E>) {
        Claiming::release(self, claim);
    }

    fn writer(&self) -> &'w SharedWriter<E> {
        Claiming::writer(self)
    }
}

/// Publishes one event. Any number of threads may call this at the same time.
#[inline]
pub(super) fn publish<'w, E: Send + Sync + 'static, T: Turns<'w, E>>(
    mut turns: T,
    shared: &JournalCore<E>,
    event: E,
    deadline: Deadline,
    waiter: Option<&GateWaiter>,
) -> Result<Sequence, WriteError<E>> {
    let Some(mut claim) = turns.claim() else { return Err(shared.refused(Refusal::Closed, event)) };
    let position = claim.position();
    match claim.put_within(event) {
        Ok(old) => {
            let stale = claim.take_stale();
            turns.release(claim);
            shared.published();
            drop_overwritten(old, stale);
            Ok(Sequence::new(position))
        }
        Err(event) => {
            cold_path();
            // In a separate function, so that the event stays in registers on the fast path: the
            // claim waits for earlier stores.
            publish_at_a_block(turns, claim, shared, &mut Some(event), deadline, waiter)
        }
    }
}

/// Publishes the event in `from`, which begins a block, where gating subscribers may block it.
#[cold]
#[inline(never)]
fn publish_at_a_block<'w, E: Send + Sync + 'static>(
    mut turns: impl Turns<'w, E>,
    mut claim: Claim<'w, E>,
    shared: &JournalCore<E>,
    from: &mut Option<E>,
    deadline: Deadline,
    waiter: Option<&GateWaiter>,
) -> Result<Sequence, WriteError<E>> {
    let position = claim.position();
    if shared.gates.bar(position, shared.capacity()) {
        // The wait holds no claim, so it delays no other publisher.
        drop(claim);
        return wait_at_a_gate(turns.writer(), shared, from, deadline, waiter);
    }
    let Some(event) = from.take() else { return Ok(Sequence::new(position)) };
    claim.begin_block(shared.time.stamp());
    let old = claim.put(event);
    let stale = claim.take_stale();
    turns.release(claim);
    shared.published();
    drop_overwritten(old, stale);
    Ok(Sequence::new(position))
}

/// Publishes the event in `from` as soon as there is room, at the tail of that time.
#[cold]
#[inline(never)]
fn wait_at_a_gate<E: Send + Sync + 'static>(
    writer: &SharedWriter<E>,
    shared: &JournalCore<E>,
    from: &mut Option<E>,
    deadline: Deadline,
    waiter: Option<&GateWaiter>,
) -> Result<Sequence, WriteError<E>> {
    let outcome = shared.wait_for_gates(deadline, waiter, &mut None, || {
        let mut claim = writer.claim().ok_or(Refusal::Closed)?;
        while let Some(event) = from.take() {
            let position = claim.position();
            match claim.put_within(event) {
                Ok(old) => {
                    let stale = claim.take_stale();
                    drop(claim);
                    shared.published();
                    return Ok(Some((position, old, stale)));
                }
                Err(back) => *from = Some(back),
            }
            if shared.gates.bar(position, shared.capacity()) {
                break;
            }
            claim.begin_block(shared.time.stamp());
        }
        Ok(None)
    });
    match (outcome, from.take()) {
        (Ok((position, old, stale)), _) => {
            drop_overwritten(old, stale);
            Ok(Sequence::new(position))
        }
        (Err(refusal), Some(event)) => Err(shared.refused(refusal, event)),
        (Err(_), None) => unreachable!("a failed attempt leaves the event in place"),
    }
}

/// Publishes a batch of events and returns the position of the first one.
pub(super) fn publish_batch<E: Send + Sync + 'static>(
    writer: &SharedWriter<E>,
    shared: &JournalCore<E>,
    events: impl Events<E>,
) -> Result<Sequence, WriteError<Vec<E>>> {
    /// Overwritten events, each dropped by itself after the claim has been released.
    struct Kept<E>(Vec<E>);
    impl<E> Drop for Kept<E> {
        fn drop(&mut self) {
            discard_each(self.0.drain(..));
        }
    }
    let mut events = events.owned();
    // Each publish takes out at most two events: the overwritten one, and a stale one that no
    // subscriber can read.
    let room = if needs_drop::<E>() { 2 * events.len() } else { 0 };
    let mut overwritten = Kept(Vec::with_capacity(room));
    let mut first = None;
    let mut next = events.next();
    // Writes events while there is room. Returns whether all events have been written, or `None` if
    // there was no room at all.
    let mut put = || {
        let mut claim = writer.claim().ok_or(Refusal::Closed)?;
        let claimed = claim.position();
        while let Some(event) = next.take() {
            match claim.put_within(event) {
                Ok(old) => {
                    overwritten.0.extend(old);
                    overwritten.0.extend(claim.take_stale());
                    next = events.next();
                }
                Err(back) => {
                    next = Some(back);
                    // If this publisher does not see the gate of a new subscriber, that subscriber
                    // must see the current tail.
                    claim.show();
                    if shared.gates.bar(claim.position(), shared.capacity()) {
                        break;
                    }
                    claim.begin_block(shared.time.stamp());
                }
            }
        }
        let is_stuck = next.is_some() && claim.position() == claimed;
        drop(claim);
        if is_stuck {
            return Ok(None);
        }
        shared.published();
        first.get_or_insert(claimed);
        Ok(Some(next.is_none()))
    };
    loop {
        let outcome = match put() {
            Ok(None) => shared.wait_for_gates(Deadline::NEVER, None, &mut None, &mut put),
            outcome => outcome.map(|is_done| is_done == Some(true)),
        };
        match outcome {
            Ok(true) => return Ok(Sequence::new(first.unwrap_or_default())),
            Ok(false) => {}
            Err(refusal) => {
                return Err(shared.refused_all(refusal, next.into_iter().chain(events).collect()));
            }
        }
    }
}
