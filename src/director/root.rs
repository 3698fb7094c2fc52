//! Root events: few and urgent, ahead of ordinary ones.

use super::core::DirectorCore;
use super::error::SendError;
use super::packet::PacketEvent;
use super::record::Record;
use crate::journal::Sequence;
use crate::sync::{Ordering, lock};
use crate::wait::context::{discard, user_code};
use std::fmt;
use std::sync::Arc;

/// Sends root events: they are delivered ahead of ordinary ones, in packets of their own.
///
/// Each member has an inbox for them, of
/// [`root_capacity`](super::DirectorBuilder::root_capacity) events. A full inbox evicts the oldest
/// event, which is counted and told in band. The cost of a broadcast grows with the number of
/// members.
///
/// Positions of root events count by themselves. All members get root events in one order.
///
/// # Examples
/// ```
/// use buslane::director::{Director, PacketKind};
/// let director = Director::new()?;
/// let (_bob, mut outbox) = director.join_manual("bob")?;
/// outbox.try_packet()?.ack()?; // the state
/// director.announce("ordinary")?;
/// director.root().broadcast("urgent")?;
/// let first = outbox.try_packet()?;
/// assert_eq!((first.kind(), first.events()[0].event), (PacketKind::Root, "urgent"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Root<'a, E: Clone + Send + Sync + 'static>(&'a DirectorCore<E>);

impl<'a, E: Clone + Send + Sync + 'static> Root<'a, E> {
    pub(super) fn new(core: &'a DirectorCore<E>) -> Self {
        Self(core)
    }

    /// Sends a root event to every member, and returns its position.
    ///
    /// # Errors
    /// [`SendError::Closed`] with the event, if the director is closed.
    ///
    /// A member whose clone of the event panics does not get it:
    /// [`root_panicked`](super::MemberSnapshot::root_panicked) counts it.
    pub fn broadcast(&self, event: E) -> Result<Sequence, SendError<E>> {
        if self.0.registry.with(|members| members.is_closed) {
            return Err(SendError::Closed(event));
        }
        let records = self.0.registry.all();
        // Clones are user code, so they are made before the lock is taken. The last member gets
        // the event itself. One whose clone panics gets none, and counts that.
        let mut events: Vec<Option<E>> =
            (1..records.len()).map(|_| user_code(|| event.clone()).ok()).collect();
        events.push(Some(event));
        // Without members nothing takes the event.
        let rest = if records.is_empty() { events.pop() } else { None };
        let (sequence, left) = self.push(records.iter().zip(events));
        discard(rest);
        self.0.common.discard_events(left);
        records.iter().for_each(|record| record.bell.ring());
        Ok(sequence)
    }

    /// Sends a root event to one member, and returns its position.
    ///
    /// # Errors
    /// [`SendError`] with the event, if the director is closed, or the receiver is no member.
    pub fn unicast(&self, to: &str, event: E) -> Result<Sequence, SendError<E>> {
        if self.0.registry.with(|members| members.is_closed) {
            return Err(SendError::Closed(event));
        }
        let Some(record) = self.0.registry.find(to) else {
            return Err(SendError::UnknownMember { name: to.to_owned(), event });
        };
        let (pushed, sequence) = {
            let mut next = lock(&self.0.root);
            let sequence = *next;
            let pushed = record.push_root(PacketEvent::new(sequence, 0, event));
            *next += u64::from(pushed.is_ok());
            (pushed, sequence)
        };
        record.bell.ring();
        match pushed {
            Ok(evicted) => {
                self.0.common.discard_events(evicted);
                Ok(Sequence::new(sequence))
            }
            Err(back) => Err(SendError::UnknownMember { name: to.to_owned(), event: back.event }),
        }
    }

    /// Puts an event into the inboxes, at one position. Returns the events to be dropped.
    fn push<'s>(
        &self,
        events: impl Iterator<Item = (&'s Arc<Record<E>>, Option<E>)>,
    ) -> (Sequence, Vec<PacketEvent<E>>)
    where
        E: 's,
    {
        let mut left = Vec::new();
        let mut next = lock(&self.0.root);
        let sequence = *next;
        for (record, event) in events {
            let Some(event) = event else {
                record.note_root_panic();
                continue;
            };
            match record.push_root(PacketEvent::new(sequence, 0, event)) {
                Ok(evicted) => left.extend(evicted),
                Err(back) => {
                    // Relaxed: the count publishes nothing.
                    self.0.common.orphans.fetch_add(1, Ordering::Relaxed);
                    left.push(back);
                }
            }
        }
        *next += 1;
        (Sequence::new(sequence), left)
    }
}

impl<E: Clone + Send + Sync + 'static> fmt::Debug for Root<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root")
    }
}
