//! The handle of a member, and its right to publish.

use super::acks::{Acks, broadcast_acked};
use super::core::DirectorCore;
use super::envelope::Envelope;
use super::error::SendError;
use super::key::Epoch;
use super::publish::{refused, unicast};
use super::record::Record;
use super::report::{LeaveReport, MemberSnapshot};
use crate::deadline::{CLOSE_LIMIT, DROP_LIMIT};
use crate::journal::{BiasedWriter, Sequence};
use crate::sync::cold_path;
use crate::time::Deadline;
use crate::wait::context::{HandleDrop, may_wait_to_drop};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A member of a [`Director`](super::Director): one session, with the right to publish as this
/// member.
///
/// Dropping it leaves, and waits for at most half a second for a node that is in a call. To keep the
/// member's place without a session, [`detach`](Self::detach).
///
/// # Examples
/// ```
/// use buslane::director::{Delivery, Director, Packet};
/// let director = Director::new()?;
/// let print = |packet: &Packet<&str>| {
///     packet.events().iter().for_each(|event| println!("{} gets {}", packet.member(), event.event));
///     Delivery::Done
/// };
/// let mut alice = director.join("alice", print)?;
/// let _bob = director.join("bob", print)?;
/// alice.broadcast("to all but alice")?;
/// alice.unicast("bob", "to bob")?;
/// assert!(director.close().is_done());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a member leaves the director"]
pub struct Member<E: Clone + Send + Sync + 'static> {
    publisher: MemberPublisher<E>,
    /// Whether the drop has nothing to do.
    is_over: bool,
}

/// The right to publish as one session of a member: for a thread beside the one that has the
/// [`Member`].
///
/// It does not keep the session. When that is over, each publish is refused with
/// [`SendError::NotMember`].
///
/// # Examples
/// ```
/// use buslane::director::{Director, SendError};
/// let director = Director::new()?;
/// let (bob, _outbox) = director.join_manual("bob")?;
/// let mut publisher = bob.publisher();
/// publisher.broadcast(7)?;
/// drop(bob);
/// assert!(matches!(publisher.broadcast(8), Err(SendError::NotMember(8))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemberPublisher<E: Clone + Send + Sync + 'static> {
    writer: BiasedWriter<Envelope<E>>,
    record: Arc<Record<E>>,
    epoch: Epoch,
    core: Arc<DirectorCore<E>>,
}

impl<E: Clone + Send + Sync + 'static> MemberPublisher<E> {
    fn new(core: Arc<DirectorCore<E>>, record: Arc<Record<E>>, epoch: Epoch) -> Self {
        Self { writer: core.journal.biased_writer(), record, epoch, core }
    }

    /// Publishes an event to every member but this one, and returns its position.
    ///
    /// The cost does not depend on the number of members, apart from waking those that sleep. A
    /// later session of this member does get the event.
    ///
    /// # Errors
    /// [`SendError`] with the event, if the director is closed, the session is over, or a lossless
    /// member makes no room.
    #[inline(always)]
    pub fn broadcast(&mut self, event: E) -> Result<Sequence, SendError<E>> {
        if !self.record.is_current(self.epoch) {
            cold_path();
            return Err(self.not_member(&mut Some(event)));
        }
        self.writer.publish(Envelope::to_all(self.epoch.get(), event)).map_err(refused)
    }

    /// Takes the event in an `Option`, for the same reason as `BiasedWriter::publish_by_claim`.
    #[cold]
    #[inline(never)]
    fn not_member(&self, from: &mut Option<E>) -> SendError<E> {
        let Some(event) = from.take() else { unreachable!("the caller has an event") };
        if self.core.journal.feed().is_closed() {
            SendError::Closed(event)
        } else {
            SendError::NotMember(event)
        }
    }

    /// Publishes an event to one other member, and returns its position.
    ///
    /// Events of one sender arrive in their order, whether they were broadcast or unicast.
    ///
    /// # Errors
    /// [`SendError`] with the event: as for [`broadcast`](Self::broadcast), and if the receiver is no
    /// member, or this one.
    pub fn unicast(&mut self, to: &str, event: E) -> Result<Sequence, SendError<E>> {
        if !self.record.is_current(self.epoch) {
            return Err(self.not_member(&mut Some(event)));
        }
        let Self { writer, record, epoch, core } = self;
        unicast(core, (epoch.get(), Some(record)), to, event, |envelope| writer.publish(envelope))
    }

    /// Publishes an event to every member but this one, waits at most `limit` until they have
    /// acknowledged it, and returns which have.
    ///
    /// Members that are detached, leave, lose the event or give it up are missing. Inside a delivery
    /// this call does not wait.
    ///
    /// # Errors
    /// As for [`broadcast`](Self::broadcast).
    pub fn broadcast_acked(&mut self, event: E, limit: Duration) -> Result<Acks, SendError<E>> {
        if !self.record.is_current(self.epoch) {
            return Err(self.not_member(&mut Some(event)));
        }
        let Self { writer, record, epoch, core } = self;
        broadcast_acked(core, Some(record), limit, |probe| {
            writer.publish(Envelope::probed(epoch.get(), probe, event)).map_err(refused)
        })
    }

    /// Returns the name of the member.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Returns the epoch of the session.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// The clone publishes by itself: each thread has its own.
impl<E: Clone + Send + Sync + 'static> Clone for MemberPublisher<E> {
    fn clone(&self) -> Self {
        Self::new(self.core.clone(), self.record.clone(), self.epoch)
    }
}

impl<E: Clone + Send + Sync + 'static> fmt::Debug for MemberPublisher<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberPublisher")
            .field("name", &self.name())
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl<E: Clone + Send + Sync + 'static> Member<E> {
    pub(super) fn new(core: Arc<DirectorCore<E>>, record: Arc<Record<E>>, epoch: Epoch) -> Self {
        Self { publisher: MemberPublisher::new(core, record, epoch), is_over: false }
    }

    /// Publishes an event to every other member: see
    /// [`MemberPublisher::broadcast`].
    ///
    /// # Errors
    /// [`SendError`] with the event.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::Director;
    /// let director = Director::new()?;
    /// let (mut alice, _to_alice) = director.join_manual("alice")?;
    /// let (_bob, mut outbox) = director.join_manual("bob")?;
    /// let sequence = alice.broadcast(7)?;
    /// outbox.try_packet()?.ack()?; // the state
    /// let packet = outbox.try_packet()?;
    /// assert_eq!((packet.events()[0].sequence, packet.events()[0].event), (sequence, 7));
    /// assert_eq!(packet.events()[0].from, Some(alice.epoch()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn broadcast(&mut self, event: E) -> Result<Sequence, SendError<E>> {
        self.publisher.broadcast(event)
    }

    /// Publishes an event to one other member: see [`MemberPublisher::unicast`].
    ///
    /// # Errors
    /// [`SendError`] with the event.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::{Director, SendError};
    /// let director = Director::new()?;
    /// let (mut alice, _outbox) = director.join_manual("alice")?;
    /// assert!(matches!(alice.unicast("alice", 7), Err(SendError::SelfTarget(7))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unicast(&mut self, to: &str, event: E) -> Result<Sequence, SendError<E>> {
        self.publisher.unicast(to, event)
    }

    /// Publishes an event to every other member, and waits for their acknowledgements: see
    /// [`MemberPublisher::broadcast_acked`].
    ///
    /// # Errors
    /// [`SendError`] with the event.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::{Delivery, Director, Packet};
    /// use std::time::Duration;
    /// let director = Director::new()?;
    /// let (mut alice, _outbox) = director.join_manual("alice")?;
    /// let _bob = director.join("bob", |_: &Packet<u32>| Delivery::Done)?;
    /// let acks = alice.broadcast_acked(7, Duration::from_secs(60))?;
    /// assert_eq!((acks.acked, acks.missing), (vec![String::from("bob")], vec![]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn broadcast_acked(&mut self, event: E, limit: Duration) -> Result<Acks, SendError<E>> {
        self.publisher.broadcast_acked(event, limit)
    }

    /// Returns the right to publish as this session, for another thread.
    #[must_use]
    pub fn publisher(&self) -> MemberPublisher<E> {
        self.publisher.clone()
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.publisher.name()
    }

    /// Returns the epoch of the session.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.publisher.epoch
    }

    /// Returns `true` while this session is the present one of the member.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.publisher.record.is_current(self.publisher.epoch)
    }

    /// Returns the state and the counters of the member.
    pub fn snapshot(&self) -> MemberSnapshot {
        self.publisher.core.member(&self.publisher.record)
    }

    /// Leaves, and waits at most five seconds for a node that is in a call: see
    /// [`leave_timeout`](Self::leave_timeout).
    pub fn leave(self) -> LeaveReport {
        self.leave_timeout(CLOSE_LIMIT)
    }

    /// Leaves: the member is not in the roster any more, and gets no further packet.
    ///
    /// The call waits at most `limit` until the node has returned from a call, and was dropped. The
    /// report counts the events that the member did not get. Inside a delivery nothing waits.
    pub fn leave_timeout(mut self, limit: Duration) -> LeaveReport {
        self.is_over = true;
        let MemberPublisher { core, record, epoch, .. } = &self.publisher;
        core.leave(record, *epoch, Deadline::after(limit))
    }

    /// Ends the session, and keeps the member's place: its name, its cursor, and the packets that it
    /// has not acknowledged.
    ///
    /// [`rejoin`](super::Director::rejoin) continues there. Unicasts to the member are still
    /// accepted. Events that are overwritten meanwhile are lost, and told in band.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::Director;
    /// let director = Director::new()?;
    /// let (bob, mut outbox) = director.join_manual("bob")?;
    /// outbox.try_packet()?.ack()?; // the state
    /// bob.detach();
    /// director.announce(7)?;
    /// let (_bob, mut outbox) = director.rejoin_manual("bob")?;
    /// assert_eq!(outbox.try_packet()?.events()[0].event, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn detach(mut self) {
        self.is_over = true;
        let MemberPublisher { core, record, epoch, .. } = &self.publisher;
        core.detach(record, *epoch);
    }
}

impl<E: Clone + Send + Sync + 'static> Drop for Member<E> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let waits = !std::thread::panicking() && may_wait_to_drop();
        let MemberPublisher { core, record, epoch, .. } = &self.publisher;
        if waits {
            let dropping = HandleDrop::begin();
            core.leave_silently(record, *epoch, dropping.deadline().min(Deadline::after(DROP_LIMIT)));
        } else {
            core.leave_silently(record, *epoch, Deadline::NOW);
        }
    }
}

impl<E: Clone + Send + Sync + 'static> fmt::Debug for Member<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("name", &self.name())
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}
