//! The handle of a director.

use super::base::Node;
use super::core::DirectorCore;
use super::envelope::{Envelope, OUTSIDE};
use super::error::{JoinError, SendError};
use super::join::MemberBuilder;
use super::member::Member;
use super::outbox::Outbox;
use super::publish::{refused, unicast};
use super::report::{DirectorReport, DirectorSnapshot, LeaveReport};
use super::root::Root;
use super::roster::Roster;
use crate::deadline::{CLOSE_LIMIT, DROP_LIMIT};
use crate::journal::Sequence;
use crate::time::Deadline;
use crate::wait::context::{HandleDrop, may_wait_to_drop};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A hub of named members that send each other events: broadcast to all but the sender, unicast,
/// and urgent root events, in packets that are acknowledged.
///
/// A clone is another handle to the same director. Dropping the last handle closes it, and waits for
/// at most half a second. Members do not keep it open.
///
/// # Guarantees
/// - **Order**: all members get events in one total order, and those of one sender in the order in
///   which they were sent.
/// - **Delivery**: at-least-once while the process lives. A packet that was not acknowledged is
///   delivered again, with the same number, the same events and the same positions. So a member
///   recognizes what it has already handled.
/// - **Loss**: the history bounds what a slow member may leave unread. What is overwritten is lost
///   for that member, and the next packet tells the exact number of positions. Root events have an
///   inbox of their own, with the same rule. No other event is lost without being counted.
/// - **Sender**: a broadcast reaches every member but the session that sent it. A later session of
///   the same member does get it.
/// - **Isolation**: a node that is slow, fails, panics or hangs delays neither a publisher nor
///   another member, unless it is [lossless](MemberBuilder::lossless). The waker of a polled
///   [`Outbox`] runs on the thread that publishes, or on that of the timers: one that blocks delays it.
/// - **Join**: a member gets every event that is published after `join` has returned, and none
///   twice. Its first packet is that of the state, and nothing is delivered before that one is
///   acknowledged.
/// - **Cost**: a broadcast is one publish into a [`Journal`](crate::Journal), whatever the number of
///   members. It wakes members that are parked, at most one of them by itself if they have threads.
///   A root event costs one push for each member.
/// - **Threads**: one for each member with a node, none for an [`Outbox`], and one for timers while
///   there are any.
///
/// # Examples
/// ```
/// use buslane::director::{Delivery, Director, Packet};
/// let director = Director::new()?;
/// let mut alice = director.join("alice", |_: &Packet<String>| Delivery::Done)?;
/// let _bob = director.join("bob", |packet: &Packet<String>| {
///     packet.events().iter().for_each(|event| println!("{}: {}", event.sequence, event.event));
///     Delivery::Done
/// })?;
/// alice.broadcast("set x = 1".to_owned())?;
/// director.announce("from outside".to_owned())?; // alice and bob get it
/// let report = director.close(); // drains, with a deadline
/// assert_eq!(report.member("bob").map(|bob| bob.member.delivered), Some(2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Director<E: Clone + Send + Sync + 'static>(Arc<Handle<E>>);

/// Closes the director when the last clone of the handle is dropped.
struct Handle<E: Clone + Send + Sync + 'static>(Arc<DirectorCore<E>>);

impl<E: Clone + Send + Sync + 'static> Director<E> {
    pub(super) fn of(core: DirectorCore<E>) -> Self {
        Self(Arc::new(Handle(Arc::new(core))))
    }

    fn core(&self) -> &Arc<DirectorCore<E>> {
        &self.0.0
    }

    /// Makes a member, whose node a thread of its own calls.
    ///
    /// # Errors
    /// [`JoinError`] if the name is taken or empty, the director is closed, or the cursor or the
    /// thread cannot be made.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::{Delivery, Director, JoinError, Packet};
    /// let director = Director::new()?;
    /// let _bob = director.join("bob", |_: &Packet<u32>| Delivery::Done)?;
    /// let twice = director.join("bob", |_: &Packet<u32>| Delivery::Done);
    /// assert!(matches!(twice, Err(JoinError::AlreadyMember { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join(
        &self,
        name: impl Into<Arc<str>>,
        node: impl Node<E> + 'static,
    ) -> Result<Member<E>, JoinError> {
        self.member(name).join(node)
    }

    /// Makes a member without a thread, and returns the outbox from which its packets are taken.
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    ///
    /// # Examples
    /// ```
    /// use buslane::director::Director;
    /// let director = Director::<u32>::new()?;
    /// let members: Result<Vec<_>, _> =
    ///     (0..1000).map(|n| director.join_manual(format!("member {n}"))).collect(); // and no thread
    /// assert_eq!(members?.len(), 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_manual(&self, name: impl Into<Arc<str>>) -> Result<(Member<E>, Outbox<E>), JoinError> {
        self.member(name).join_manual()
    }

    /// Begins a new session of a member, with another node.
    ///
    /// The session continues where the last one was: it gets each packet that was not acknowledged
    /// again, and then the events after it. If they were overwritten meanwhile, the member first
    /// gets a [state](super::PacketKind::State) packet, and learns how many it has lost.
    ///
    /// If the member has a session, that one is over from now on: its handle may not publish, its
    /// tickets are refused, and it gets no further packet. Its node is dropped when it returns from
    /// a call in which it may be.
    ///
    /// # Errors
    /// [`JoinError`] if no member has the name, the director is closed, or the cursor or the thread
    /// cannot be made. In the last two cases the member is detached.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::{Delivery, Director, Packet};
    /// let director = Director::new()?;
    /// let old = director.join("bob", |_: &Packet<u32>| Delivery::Retry(None))?;
    /// director.announce(7)?;
    /// let new = director.rejoin("bob", |_: &Packet<u32>| Delivery::Done)?;
    /// assert!(new.is_current() && !old.is_current());
    /// assert!(director.close().is_done());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rejoin(&self, name: &str, node: impl Node<E> + 'static) -> Result<Member<E>, JoinError> {
        self.member(name).rejoin(node)
    }

    /// Begins a new session of a member without a thread: see [`rejoin`](Self::rejoin).
    ///
    /// # Errors
    /// As for [`rejoin`](Self::rejoin).
    pub fn rejoin_manual(&self, name: &str) -> Result<(Member<E>, Outbox<E>), JoinError> {
        self.member(name).rejoin_manual()
    }

    /// Returns the settings of a member that is to join or rejoin.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::Director;
    /// let director = Director::<u32>::new()?;
    /// let (_bob, _outbox) = director.member("bob").in_flight(8).join_manual()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn member(&self, name: impl Into<Arc<str>>) -> MemberBuilder<'_, E> {
        MemberBuilder::new(self.core(), name.into())
    }

    /// Publishes an event from outside to every member, and returns its position.
    ///
    /// # Errors
    /// [`SendError`] with the event, if the director is closed, or a lossless member makes no room.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::{Director, SendError};
    /// let director = Director::new()?;
    /// assert_eq!(director.announce(7)?.get(), 0);
    /// director.close();
    /// assert!(matches!(director.announce(8), Err(SendError::Closed(8))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn announce(&self, event: E) -> Result<Sequence, SendError<E>> {
        self.core().journal.publish(Envelope::to_all(OUTSIDE, event)).map_err(refused)
    }

    /// Publishes an event from outside to one member, and returns its position.
    ///
    /// # Errors
    /// As for [`announce`](Self::announce), and if the receiver is no member.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::Director;
    /// let director = Director::new()?;
    /// let (_bob, mut outbox) = director.join_manual("bob")?;
    /// director.unicast("bob", 7)?;
    /// outbox.try_packet()?.ack()?; // the state
    /// assert_eq!(outbox.try_packet()?.events()[0].event, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unicast(&self, to: &str, event: E) -> Result<Sequence, SendError<E>> {
        let core = self.core();
        unicast(core, (OUTSIDE, None), to, event, |envelope| core.journal.publish(envelope))
    }

    /// Returns the sender of root events.
    ///
    /// # Examples
    /// ```
    /// let director = buslane::director::Director::new()?;
    /// assert_eq!(director.root().broadcast(7)?.get(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn root(&self) -> Root<'_, E> {
        Root::new(self.core())
    }

    /// Ends the wait of a member before its next attempt: what it waited for is there again.
    /// Returns `false` if no member has the name.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::Director;
    /// use std::time::Duration;
    /// let director = Director::<u32>::new()?;
    /// let (_bob, mut outbox) = director.join_manual("bob")?;
    /// outbox.try_packet()?.retry_after(Duration::from_secs(3600))?;
    /// assert!(outbox.try_packet().is_err());
    /// assert!(director.ready("bob"));
    /// assert_eq!(outbox.try_packet()?.attempt(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ready(&self, name: &str) -> bool {
        let record = self.core().registry.find(name);
        if let Some(record) = &record {
            self.core().ready(record);
        }
        record.is_some()
    }

    /// Takes a member out of the list, also one that is detached, as if it had
    /// [left](super::Member::leave) itself. Returns `None` if no member has the name.
    ///
    /// Waits at most five seconds for a node that is in a call, and inside a delivery not at all.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::Director;
    /// let director = Director::new()?;
    /// let (bob, _outbox) = director.join_manual("bob")?;
    /// bob.detach();
    /// director.announce(7)?;
    /// assert_eq!(director.remove("bob").map(|report| report.member.undelivered), Some(1));
    /// assert!(director.roster().members.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove(&self, name: &str) -> Option<LeaveReport> {
        self.core().remove(name, Deadline::after(CLOSE_LIMIT))
    }

    /// Returns the members, in the order of their names.
    #[must_use]
    pub fn roster(&self) -> Roster {
        self.core().registry.roster(self.core().common.feed.next().get())
    }

    /// Returns the state and the counters of the director and its members.
    pub fn snapshot(&self) -> DirectorSnapshot {
        self.core().snapshot()
    }

    /// Closes the director, and waits at most five seconds until each node has got everything: see
    /// [`close_timeout`](Self::close_timeout).
    pub fn close(&self) -> DirectorReport {
        self.close_timeout(CLOSE_LIMIT)
    }

    /// Closes the director: nothing is published any more, and each node gets what is left.
    ///
    /// At the deadline the attempts end, also the wait for a retry. A node that does not return from
    /// a call is abandoned, and [reported](super::MemberSnapshot::in_call_for). One of a replaced
    /// session does no harm to the session that has replaced it. Outboxes are not waited for: what is
    /// left in them stays readable. Every call returns a report of its time.
    /// Inside a delivery nothing waits ([`Finish::Pending`](crate::stats::Finish::Pending)).
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::{Delivery, Director, Packet};
    /// use buslane::stats::Finish;
    /// use std::time::Duration;
    /// let director = Director::new()?;
    /// let _down = director.join("down", |_: &Packet<u32>| Delivery::Retry(Some(Duration::from_secs(3600))))?;
    /// director.announce(7)?;
    /// let report = director.close_timeout(Duration::from_millis(10));
    /// assert_eq!(report.finish, Finish::TimedOut);
    /// assert_eq!(report.member("down").map(|down| down.undelivered), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close_timeout(&self, limit: Duration) -> DirectorReport {
        self.core().close(Deadline::after(limit))
    }
}

impl<E: Clone + Send + Sync + 'static> Clone for Director<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Clone + Send + Sync + 'static> fmt::Debug for Director<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Director").field("roster", &self.roster()).finish_non_exhaustive()
    }
}

impl<E: Clone + Send + Sync + 'static> Drop for Handle<E> {
    fn drop(&mut self) {
        let waits = !std::thread::panicking() && may_wait_to_drop();
        if waits {
            let dropping = HandleDrop::begin();
            self.0.close_silently(dropping.deadline().min(Deadline::after(DROP_LIMIT)));
        } else {
            self.0.close_silently(Deadline::NOW);
        }
    }
}
