//! The settings of one member, and its start.

use super::base::Node;
use super::core::{DirectorCore, Reader, Session};
use super::error::JoinError;
use super::key::Epoch;
use super::member::Member;
use super::outbox::Outbox;
use super::record::Record;
use super::settings::{Settings, Weigh};
use super::worker::Worker;
use crate::error::SpawnError;
use crate::sync::thread;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The settings of one [`Member`]; those that are not set are the director's.
///
/// # Examples
/// ```
/// use buslane::director::{Delivery, Director, Packet};
/// use std::time::Duration;
/// let director = Director::<u32>::new()?;
/// let _bob = director
///     .member("bob")
///     .packet(16)
///     .linger(Duration::from_millis(5))
///     .in_flight(4)
///     .join(|packet: &Packet<u32>| {
///         assert!(packet.events().len() <= 16);
///         Delivery::Done
///     })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "settings do nothing until the member joins"]
pub struct MemberBuilder<'a, E: Clone + Send + Sync + 'static> {
    core: &'a Arc<DirectorCore<E>>,
    name: Arc<str>,
    settings: Settings<E>,
    /// Whether a setting was made, which a rejoin takes over.
    is_set: bool,
}

impl<'a, E: Clone + Send + Sync + 'static> MemberBuilder<'a, E> {
    pub(super) fn new(core: &'a Arc<DirectorCore<E>>, name: Arc<str>) -> Self {
        Self { core, name, settings: core.defaults.clone(), is_set: false }
    }

    fn set(mut self, set: impl FnOnce(&mut Settings<E>)) -> Self {
        set(&mut self.settings);
        self.is_set = true;
        self
    }

    /// Sets the most events of a packet. 0 is invalid.
    pub fn packet(self, events: usize) -> Self {
        self.set(|settings| settings.packet = events)
    }

    /// Sets the bytes with which a packet is complete: it ends with the event that reaches them.
    /// `weigh` returns the bytes of one event. 0 bytes are invalid.
    pub fn packet_bytes(self, bytes: usize, weigh: impl Fn(&E) -> usize + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.bytes = Some((bytes, Weigh::new(weigh))))
    }

    /// Sets how long a packet that is not full waits for more events, from its first one on.
    pub fn linger(self, linger: Duration) -> Self {
        self.set(|settings| settings.linger = linger)
    }

    /// Sets the most packets of events that may wait for their acknowledgement. 0 is invalid.
    ///
    /// A packet that is acknowledged before an earlier one counts until that one is acknowledged.
    pub fn in_flight(self, packets: usize) -> Self {
        self.set(|settings| settings.in_flight = packets)
    }

    /// Sets the time after which a packet that was not acknowledged is delivered again. Zero is
    /// invalid.
    pub fn ack_timeout(self, timeout: Duration) -> Self {
        self.set(|settings| settings.ack_timeout = timeout)
    }

    /// Sets the capacity of the inbox of root events. 0 is invalid.
    pub fn root_capacity(self, events: usize) -> Self {
        self.set(|settings| settings.root_capacity = events)
    }

    /// Makes publishers wait for this member while it is attached, so that it loses no event.
    ///
    /// A publisher waits at most a second, and is refused then. A lossless member that stalls stops
    /// every publisher.
    pub fn lossless(self) -> Self {
        self.set(|settings| settings.lossless = true)
    }

    /// Joins with a node, which a thread of its own calls: see
    /// [`Director::join`](super::Director::join).
    ///
    /// # Errors
    /// [`JoinError`] if the name is taken or empty, a setting is invalid, the director is closed, or
    /// the cursor or the thread cannot be made. The name is free then.
    pub fn join(self, node: impl Node<E> + 'static) -> Result<Member<E>, JoinError> {
        let session = self.core.join(self.name, self.settings, Reader::Worker)?;
        spawn(self.core, session, node, DirectorCore::forget)
    }

    /// Joins without a thread: see [`Director::join_manual`](super::Director::join_manual).
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    pub fn join_manual(self) -> Result<(Member<E>, Outbox<E>), JoinError> {
        let session = self.core.join(self.name, self.settings, Reader::Outbox)?;
        Ok(open(self.core, session))
    }

    /// Begins a new session of a member, with a node: see
    /// [`Director::rejoin`](super::Director::rejoin).
    ///
    /// # Errors
    /// [`JoinError`] if no member has the name, a setting is invalid, the director is closed, or the
    /// cursor or the thread cannot be made. The member is detached then.
    pub fn rejoin(self, node: impl Node<E> + 'static) -> Result<Member<E>, JoinError> {
        let settings = self.is_set.then_some(self.settings);
        let session = self.core.rejoin(&self.name, settings, Reader::Worker)?;
        spawn(self.core, session, node, DirectorCore::detach)
    }

    /// Begins a new session of a member, without a thread: see
    /// [`Director::rejoin_manual`](super::Director::rejoin_manual).
    ///
    /// # Errors
    /// As for [`rejoin`](Self::rejoin).
    pub fn rejoin_manual(self) -> Result<(Member<E>, Outbox<E>), JoinError> {
        let settings = self.is_set.then_some(self.settings);
        let session = self.core.rejoin(&self.name, settings, Reader::Outbox)?;
        Ok(open(self.core, session))
    }
}

/// Starts the worker of a session. If that fails, `undo` ends the session.
fn spawn<E: Clone + Send + Sync + 'static>(
    core: &Arc<DirectorCore<E>>,
    session: Session<E>,
    node: impl Node<E> + 'static,
    undo: impl FnOnce(&DirectorCore<E>, &Arc<Record<E>>, Epoch),
) -> Result<Member<E>, JoinError> {
    let Session { record, epoch, driver } = session;
    let worker = Worker::new(driver, node);
    if let Err(error) = thread::spawn_named(String::from("buslane-member"), move || worker.run()) {
        core.without_worker(&record, epoch);
        undo(core, &record, epoch);
        return Err(JoinError::Spawn(SpawnError::Thread(error)));
    }
    Ok(Member::new(core.clone(), record, epoch))
}

fn open<E: Clone + Send + Sync + 'static>(
    core: &Arc<DirectorCore<E>>,
    session: Session<E>,
) -> (Member<E>, Outbox<E>) {
    let Session { record, epoch, driver } = session;
    (Member::new(core.clone(), record, epoch), Outbox::new(driver))
}

impl<E: Clone + Send + Sync + 'static> fmt::Debug for MemberBuilder<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberBuilder")
            .field("name", &self.name)
            .field("packet", &self.settings.packet)
            .field("linger", &self.settings.linger)
            .field("in_flight", &self.settings.in_flight)
            .field("lossless", &self.settings.lossless)
            .finish_non_exhaustive()
    }
}
