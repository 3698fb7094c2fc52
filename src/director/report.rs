//! What a director reports of itself: snapshots, and the reports of a leave and a close.

use super::key::Epoch;
use super::record::{Presence, RecordState};
use crate::journal::Sequence;
use crate::stats::Finish;
use std::fmt;
use std::time::{Duration, Instant};

/// Whether a member has a session, and what it is doing.
///
/// # Examples
/// ```
/// use buslane::director::MemberStatus;
/// assert_eq!(MemberStatus::Detached.to_string(), "detached");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum MemberStatus {
    /// It has not acknowledged its state packet.
    Joining,
    /// It gets events.
    Attached,
    /// It has no session, and its cursor is kept.
    Detached,
    /// The director is closed, and the member has got everything.
    Drained,
    /// The director's close has reached its deadline.
    Aborted,
    /// It has left.
    Left,
}

impl fmt::Display for MemberStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Joining => "joining",
            Self::Attached => "attached",
            Self::Detached => "detached",
            Self::Drained => "drained",
            Self::Aborted => "aborted",
            Self::Left => "left",
        })
    }
}

/// The state and the counters of one member.
///
/// At rest [`is_balanced`](Self::is_balanced) holds: each position of the stream since the member
/// joined, and each root event that it was sent, is in exactly one counter.
///
/// # Examples
/// ```
/// use buslane::director::Director;
/// let director = Director::new()?;
/// let (bob, mut outbox) = director.join_manual("bob")?;
/// director.announce(1)?;
/// director.announce(2)?;
/// outbox.try_packet()?.ack()?; // the state
/// outbox.try_packet()?.ack()?;
/// director.announce(3)?;
/// let bob = bob.snapshot();
/// assert_eq!((bob.offered, bob.delivered, bob.unread), (3, 2, 1));
/// assert!(bob.is_balanced());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a snapshot only reads the counters of the member"]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MemberSnapshot {
    /// The name.
    pub name: String,
    /// The epoch of the session, or of the last one.
    pub epoch: Epoch,
    /// Whether the member has a session.
    pub status: MemberStatus,
    /// The position of the next event that the member reads.
    pub next: Sequence,
    /// Every event before this position was acknowledged, given up, lost, or not for this member.
    pub acked_through: Sequence,
    /// The positions of the stream since the member joined.
    pub offered: u64,
    /// The events that were acknowledged.
    pub delivered: u64,
    /// The events that were not for this member: its own, and unicasts to others.
    pub not_for_member: u64,
    /// The positions that were overwritten before the member read them.
    pub lost: u64,
    /// The events that were given up: dead letters.
    pub dead_letters: u64,
    /// The events whose clone panicked.
    pub panicked: u64,
    /// The events in packets that are not acknowledged.
    pub in_flight: u64,
    /// The positions that the member has not read.
    pub unread: u64,
    /// The root events that were sent to the member.
    pub root_offered: u64,
    /// The root events that were acknowledged.
    pub root_delivered: u64,
    /// The root events that were evicted by newer ones.
    pub root_lost: u64,
    /// The root events that were given up: dead letters.
    pub root_dead_letters: u64,
    /// The root events whose clone panicked.
    pub root_panicked: u64,
    /// The root events that are not acknowledged.
    pub root_pending: u64,
    /// The events in packets that were not acknowledged when the member had left. They are in flight
    /// in the report of the leave.
    pub discarded: u64,
    /// The root events that were not acknowledged when the member had left.
    pub root_discarded: u64,
    /// The packets that were handed out, each counted once.
    pub packets: u64,
    /// The attempts to deliver a packet.
    pub attempts: u64,
    /// The attempts that were made with the packet that has the most.
    pub attempts_in_flight: u32,
    /// The attempts to pull the state that failed. They are repeated without a limit.
    pub state_failures: u64,
    /// The panics of the node.
    pub node_panics: u64,
    /// The acknowledgements that did not come in time.
    pub ack_timeouts: u64,
    /// The acknowledgements of an attempt that was not the last one. They count.
    pub late_acks: u64,
    /// The acknowledgements that were refused: of an older epoch, or of what was not delivered.
    pub refused_acks: u64,
    /// The times that the last ticket of an attempt was dropped without a verdict.
    pub dropped_tickets: u64,
    /// How long the node has been in its present call.
    pub in_call_for: Option<Duration>,
    /// How long a node of an older session, which was replaced during a call, has been in that call.
    pub replaced_in_call_for: Option<Duration>,
    /// The text of the last error: of a rejection, or of a panic.
    pub last_error: Option<String>,
}

impl MemberSnapshot {
    pub(super) fn of<E>(name: &str, state: &RecordState<E>, tail: u64, now: Instant) -> Self {
        let counts = &state.counts;
        let status = match state.presence {
            Presence::Left => MemberStatus::Left,
            Presence::Drained => MemberStatus::Drained,
            _ if state.is_aborted => MemberStatus::Aborted,
            Presence::Detached => MemberStatus::Detached,
            Presence::Attached if !state.state.is_empty() => MemberStatus::Joining,
            Presence::Attached => MemberStatus::Attached,
        };
        let tail = tail.max(state.next);
        let lasts = |since: Instant| now.saturating_duration_since(since);
        let older = state.workers.iter().filter(|(epoch, _)| **epoch != state.epoch);
        Self {
            name: name.to_owned(),
            epoch: state.epoch,
            status,
            next: Sequence::new(state.next),
            acked_through: Sequence::new(state.acked_through()),
            offered: tail - state.begin,
            delivered: counts.delivered,
            not_for_member: counts.others,
            lost: counts.lost,
            dead_letters: counts.given_up,
            panicked: counts.clone_panics,
            in_flight: state.events.events(),
            unread: tail - state.next,
            root_offered: counts.root_offered,
            root_delivered: counts.root_delivered,
            root_lost: counts.root_lost,
            root_dead_letters: counts.root_given_up,
            root_panicked: counts.root_panicked,
            discarded: counts.discarded,
            root_discarded: counts.root_discarded,
            root_pending: state.inbox.len() as u64 + state.root.events(),
            packets: counts.packets,
            attempts: counts.attempts,
            attempts_in_flight: [&state.state, &state.root, &state.events]
                .map(|flights| flights.attempts())
                .into_iter()
                .max()
                .unwrap_or(0),
            state_failures: counts.state_failures,
            node_panics: counts.node_panics,
            ack_timeouts: counts.ack_timeouts,
            late_acks: counts.late_acks,
            refused_acks: counts.refused_acks,
            dropped_tickets: counts.dropped_tickets,
            in_call_for: state.workers.get(&state.epoch).copied().flatten().map(lasts),
            replaced_in_call_for: older.filter_map(|(_, in_call)| *in_call).min().map(lasts),
            last_error: state.last_error.as_deref().map(str::to_owned),
        }
    }

    /// Returns `true` if every position and every root event is in exactly one counter.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::Director;
    /// let director = Director::<u32>::new()?;
    /// let (bob, _outbox) = director.join_manual("bob")?;
    /// assert!(bob.snapshot().is_balanced());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let events = self.delivered
            + self.not_for_member
            + self.lost
            + self.dead_letters
            + self.panicked
            + self.in_flight
            + self.discarded
            + self.unread;
        let root = self.root_delivered
            + self.root_lost
            + self.root_dead_letters
            + self.root_panicked
            + self.root_pending
            + self.root_discarded;
        self.offered == events && self.root_offered == root
    }
}

impl fmt::Display for MemberSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, epoch, status, offered, delivered, not_for_member, .. } = self;
        write!(f, "{name} (epoch {epoch}, {status}): offered {offered} = delivered {delivered}")?;
        write!(f, " + not for member {not_for_member}")?;
        for (count, name) in [
            (self.lost, "lost"),
            (self.dead_letters, "dead letters"),
            (self.panicked, "panicked"),
            (self.in_flight, "in flight"),
            (self.discarded, "discarded"),
            (self.unread, "unread"),
        ] {
            if count > 0 {
                write!(f, " + {name} {count}")?;
            }
        }
        if self.root_offered > 0 {
            write!(f, "; root {} of {}", self.root_delivered, self.root_offered)?;
        }
        self.last_error.as_ref().map_or(Ok(()), |error| write!(f, "; last error: {error}"))
    }
}

/// A director and its members, read at about the same time.
///
/// # Examples
/// ```
/// use buslane::director::Director;
/// let director = Director::new()?;
/// let _bob = director.join_manual("bob")?;
/// director.announce(7)?;
/// let snapshot = director.snapshot();
/// assert_eq!((snapshot.published, snapshot.members.len()), (1, 1));
/// assert_eq!(snapshot.member("bob").map(|bob| bob.unread), Some(1));
/// println!("{snapshot}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a snapshot only reads the counters of the director"]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DirectorSnapshot {
    /// The events that were published, without root events.
    pub published: u64,
    /// The position of the oldest event that is kept.
    pub oldest: Sequence,
    /// Whether the director is closed.
    pub is_closed: bool,
    /// The number of members that have left.
    pub left: u64,
    /// The unicasts and root events whose receiver left while they were sent.
    pub orphans: u64,
    /// The dead letters that their sink did not accept.
    pub letters_refused: u64,
    /// The members, in the order of their names.
    pub members: Vec<MemberSnapshot>,
}

impl DirectorSnapshot {
    /// Returns the member of this name.
    ///
    /// # Examples
    /// ```
    /// let director = buslane::director::Director::<u32>::new()?;
    /// assert!(director.snapshot().member("bob").is_none());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&MemberSnapshot> {
        self.members.iter().find(|member| member.name == name)
    }
}

impl fmt::Display for DirectorSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_closed { "closed" } else { "open" };
        write!(f, "director ({state}): {} events, {} members", self.published, self.members.len())?;
        self.members.iter().try_for_each(|member| write!(f, "\n  {member}"))
    }
}

/// What a member had got, and what it had not, at a leave or a close.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MemberReport {
    /// The events for this member that were not acknowledged. Unread positions that were
    /// overwritten count, too, and so do those that could not be looked at before the deadline: then
    /// it is an upper bound.
    pub undelivered: u64,
    /// The state and the counters.
    pub member: MemberSnapshot,
}

impl fmt::Display for MemberReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.member)?;
        if self.undelivered > 0 {
            write!(f, "; {} undelivered", self.undelivered)?;
        }
        Ok(())
    }
}

/// The outcome of a leave.
///
/// # Examples
/// ```
/// use buslane::director::Director;
/// let director = Director::new()?;
/// let (bob, _outbox) = director.join_manual("bob")?;
/// director.announce(7)?;
/// let report = bob.leave();
/// assert_eq!((report.was_member, report.member.undelivered), (true, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the report names the events that the member did not get"]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LeaveReport {
    /// How far the leave came. At the deadline the node has not returned from its call.
    pub finish: Finish,
    /// Whether this handle's session was the present one. If not, the member has left already or
    /// was replaced, and nothing was done.
    pub was_member: bool,
    /// What the member had got, and what it had not.
    pub member: MemberReport,
}

/// The outcome of a close.
///
/// # Examples
/// ```
/// use buslane::director::{Delivery, Director, Packet};
/// let director = Director::new()?;
/// let _bob = director.join("bob", |_: &Packet<u32>| Delivery::Done)?;
/// director.announce(7)?;
/// let report = director.close();
/// assert!(report.is_done());
/// assert_eq!(report.members[0].member.delivered, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a close that timed out left events undelivered"]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct DirectorReport {
    /// How far the close came. It is pending while an outbox is not drained by its user. It has timed
    /// out if a node has not returned from a call, also one of a
    /// [replaced session](MemberSnapshot::replaced_in_call_for).
    pub finish: Finish,
    /// The members, in the order of their names.
    pub members: Vec<MemberReport>,
}

impl DirectorReport {
    /// Returns `true` if every member has got everything, apart from what was lost and given up.
    ///
    /// # Examples
    /// ```
    /// assert!(buslane::director::DirectorReport::default().is_done());
    /// ```
    #[must_use]
    pub fn is_done(&self) -> bool {
        let is_rest = |report: &MemberReport| report.undelivered == 0 && report.member.root_pending == 0;
        self.finish == Finish::Done && self.members.iter().all(is_rest)
    }

    /// Returns the report of the member of this name.
    ///
    /// # Examples
    /// ```
    /// assert!(buslane::director::DirectorReport::default().member("bob").is_none());
    /// ```
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&MemberReport> {
        self.members.iter().find(|report| report.member.name == name)
    }
}

impl fmt::Display for DirectorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.finish)?;
        self.members.iter().try_for_each(|member| write!(f, "\n  {member}"))
    }
}
