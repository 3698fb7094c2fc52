//! The shared record of one member: its packets, its root events, its counters, and its sessions.
//!
//! # Protocol
//! A member has at most one *session* at a time, named by its epoch. The reader of the session (a
//! worker thread, or the user of an outbox) owns the cursor. Everything else is under the lock of
//! the record, which is held for a few instructions. No user code runs under it: events, packets,
//! wakers and letters are carried out of it ([`Outcome`]).
//!
//! - S1: the reader takes the next packet, commits what it has read, and settles a packet only if
//!   the epoch is still its own. So of a replaced session nothing counts any more, and exactly one
//!   session hands packets out.
//! - S2: a new session takes its epoch first, and reads the committed position under the same lock.
//!   No other session commits after that. So the new cursor continues exactly there.
//! - S3: a member that leaves stores its last position under the lock, and a unicast looks at that
//!   under the lock after it was published. So a unicast to a member that leaves is counted by the
//!   member, or as an orphan, and never by both.
//! - S4: every change that the reader may wait for is followed by a ring of the [`Bell`]. A new
//!   session takes the bell over under the lock, so a change before that is seen by its first step.

use super::bell::Bell;
use super::common::Common;
use super::counts::Counts;
use super::envelope::Envelope;
use super::flight::{Failure, Flights, Outcome};
use super::key::{Epoch, PacketKey, PacketKind};
use super::packet::{PacketCore, PacketEvent};
use super::settings::Settings;
use super::ticket::{AckError, Desk, Verdict};
use crate::deadline::moment_after;
use crate::journal::OpenGate;
use crate::sync::{AtomicU64, CachePadded, Mutex, Ordering, lock};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

pub(super) struct Record<E: Clone + Send + Sync + 'static> {
    /// The address of unicasts. It stays the same through all sessions of the member.
    pub(super) number: u64,
    pub(super) name: Arc<str>,
    pub(super) common: Arc<Common<E>>,
    pub(super) bell: Arc<Bell>,
    /// The epoch of the session, 0 if there is none: a copy for publishers, which only load it. On a
    /// cache line of its own, since the reader writes the record all the time.
    current: CachePadded<AtomicU64>,
    pub(super) state: Mutex<RecordState<E>>,
}

/// Whether a member has a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Attached,
    Detached,
    /// The stream is closed, and the reader has drained it.
    Drained,
    Left,
}

pub(super) struct RecordState<E> {
    /// The settings of the session, or of the last one.
    pub(super) settings: Arc<Settings<E>>,
    pub(super) presence: Presence,
    /// The epoch of the session, or of the last one.
    pub(super) epoch: Epoch,
    pub(super) state: Flights<E>,
    pub(super) root: Flights<E>,
    pub(super) events: Flights<E>,
    /// Root events that are in no packet yet.
    pub(super) inbox: VecDeque<PacketEvent<E>>,
    /// Root events that were evicted since the last root packet.
    pub(super) root_lagged: u64,
    pub(super) root_row: u32,
    /// Where the member has joined.
    pub(super) begin: u64,
    /// The position after the last event that is in a packet or was passed.
    pub(super) next: u64,
    /// Positions that were lost since the last packet of events.
    pub(super) lagged: u64,
    /// The position at which the member has left.
    pub(super) end: u64,
    pub(super) next_packet: u64,
    /// The director is closed, and its deadline has passed.
    pub(super) is_aborted: bool,
    /// The worker threads of this member that have not ended, by their sessions: since when the node
    /// of each has been in a call.
    pub(super) workers: BTreeMap<Epoch, Option<Instant>>,
    /// How to release publishers that wait for a lossless session.
    pub(super) gate: Option<OpenGate<Envelope<E>>>,
    pub(super) counts: Counts,
    pub(super) last_error: Option<Arc<str>>,
}

impl<E> RecordState<E> {
    pub(super) fn new(epoch: Epoch, settings: Settings<E>) -> Self {
        Self {
            settings: Arc::new(settings),
            presence: Presence::Detached,
            epoch,
            state: Flights::endless(),
            root: Flights::new(),
            events: Flights::new(),
            inbox: VecDeque::new(),
            root_lagged: 0,
            root_row: 0,
            begin: 0,
            next: 0,
            lagged: 0,
            end: 0,
            next_packet: 0,
            is_aborted: false,
            workers: BTreeMap::new(),
            gate: None,
            counts: Counts::default(),
            last_error: None,
        }
    }

    pub(super) fn flights(&mut self, kind: PacketKind) -> &mut Flights<E> {
        match kind {
            PacketKind::State => &mut self.state,
            PacketKind::Root => &mut self.root,
            PacketKind::Events => &mut self.events,
        }
    }

    pub(super) fn all_flights(&mut self) -> [&mut Flights<E>; 3] {
        [&mut self.state, &mut self.root, &mut self.events]
    }

    /// Returns whether the session of this epoch may go on: S1.
    pub(super) fn is_session(&self, epoch: Epoch) -> bool {
        self.presence == Presence::Attached && self.epoch == epoch && !self.is_aborted
    }

    /// Returns the number of a new packet.
    pub(super) fn packet_id(&mut self) -> u64 {
        let id = self.next_packet;
        self.next_packet += 1;
        id
    }

    /// Ends the session, if there is one: tickets are stale from here on. Returns its gate, to be
    /// opened outside the lock: the reader may be in a call, and holds publishers back until then.
    pub(super) fn end_session(&mut self, presence: Presence) -> Option<OpenGate<Envelope<E>>> {
        self.presence = presence;
        self.all_flights().into_iter().for_each(Flights::restart);
        self.gate.take()
    }

    /// Returns the position of the first event that was not acknowledged, lost or passed.
    pub(super) fn acked_through(&self) -> u64 {
        self.events.first().map_or(self.next, |first| first.get().min(self.next))
    }
}

impl<E: Clone + Send + Sync + 'static> Record<E> {
    pub(super) fn new(
        number: u64,
        name: Arc<str>,
        settings: Settings<E>,
        common: Arc<Common<E>>,
        epoch: Epoch,
    ) -> Self {
        Self {
            number,
            name,
            common,
            bell: Arc::new(Bell::new(epoch)),
            current: CachePadded::new(AtomicU64::new(0)),
            state: Mutex::new(RecordState::new(epoch, settings)),
        }
    }

    /// Returns whether this epoch is that of the present session, for a publisher.
    #[inline]
    pub(super) fn is_current(&self, epoch: Epoch) -> bool {
        // Relaxed: a publisher that races with the end of its session may still publish.
        self.current.load(Ordering::Relaxed) == epoch.get()
    }

    pub(super) fn set_current(&self, epoch: Option<Epoch>) {
        self.current.store(epoch.map_or(0, Epoch::get), Ordering::Relaxed);
    }

    /// Finishes a change outside the lock: letters, probes, destructors.
    pub(super) fn finish(&self, epoch: Epoch, outcome: Outcome<E>) {
        let Outcome { gone, given_up, acked: _, failures: _, probes } = outcome;
        for probe in probes {
            self.common.probes.resolve(probe, self.number, true);
        }
        for given_up in given_up {
            for (_, probe) in &given_up.packet.probes {
                self.common.probes.resolve(*probe, self.number, false);
            }
            self.common.write_letter(epoch, given_up);
        }
        self.common.discard_packets(gone);
    }

    /// Puts a root event into the inbox. Returns it if the member has left, and what it evicts. The
    /// caller rings the bell afterwards.
    pub(super) fn push_root(&self, event: PacketEvent<E>) -> Result<Option<PacketEvent<E>>, PacketEvent<E>> {
        let evicted = {
            let mut state = lock(&self.state);
            if matches!(state.presence, Presence::Left | Presence::Drained) || state.is_aborted {
                return Err(event);
            }
            state.counts.root_offered += 1;
            let is_full = state.inbox.len() >= state.settings.root_capacity;
            let evicted = if is_full { state.inbox.pop_front() } else { None };
            if evicted.is_some() {
                state.counts.root_lost += 1;
                state.root_lagged += 1;
            }
            state.inbox.push_back(event);
            evicted
        };
        Ok(evicted)
    }

    /// Counts a root event whose clone for this member panicked.
    pub(super) fn note_root_panic(&self) {
        let mut state = lock(&self.state);
        state.counts.root_offered += 1;
        state.counts.root_panicked += 1;
    }

    /// Settles a packet by the reader's verdict or by a ticket.
    fn settle_as(&self, key: PacketKey, verdict: Verdict) -> Result<(), AckError> {
        let now = self.common.timers.now();
        let mut outcome = Outcome::new();
        let result = {
            let mut guard = lock(&self.state);
            let state = &mut *guard;
            if state.epoch != key.epoch || !matches!(state.presence, Presence::Attached | Presence::Drained) {
                state.counts.refused_acks += 1;
                return Err(AckError::StaleEpoch { epoch: key.epoch });
            }
            if matches!(verdict, Verdict::Panicked(_)) {
                state.counts.node_panics += 1;
            }
            let backoff = &self.common.backoff;
            let is_current = state.flights(key.kind).is_current(key.id, key.attempt);
            let result = match verdict {
                Verdict::Acked => {
                    let is_new = state.flights(key.kind).ack(key.id, &mut outcome);
                    state.counts.late_acks += u64::from(is_new && !is_current);
                    Ok(())
                }
                Verdict::AckedThrough(sequence) => {
                    match state.flights(key.kind).ack_through(key.id, sequence, &mut outcome) {
                        Ok(is_known) => {
                            state.counts.late_acks += u64::from(is_known && !is_current);
                            Ok(())
                        }
                        Err(last) => {
                            state.counts.refused_acks += 1;
                            Err(AckError::NotDelivered { asked: sequence, last })
                        }
                    }
                }
                // Only the last attempt can fail.
                _ if !is_current => Ok(()),
                Verdict::Failed(wait) => {
                    let failure = Failure::Asked(wait);
                    state.flights(key.kind).fail(key.id, failure, now, backoff, &mut outcome);
                    Ok(())
                }
                Verdict::Panicked(text) => {
                    let text = Arc::from(text);
                    state.flights(key.kind).note_error(key.id, &text);
                    state.last_error = Some(text);
                    let failure = Failure::Asked(None);
                    state.flights(key.kind).fail(key.id, failure, now, backoff, &mut outcome);
                    Ok(())
                }
                Verdict::Rejected(text) => {
                    let text = Arc::from(text);
                    state.flights(key.kind).note_error(key.id, &text);
                    state.last_error = Some(text);
                    state.flights(key.kind).reject(key.id, now, backoff, &mut outcome);
                    Ok(())
                }
                Verdict::Pending => {
                    let until = moment_after(now, state.settings.ack_timeout);
                    if !state.flights(key.kind).returned(key.id, until) {
                        state.counts.dropped_tickets += 1;
                        state.flights(key.kind).fail(key.id, Failure::Dropped, now, backoff, &mut outcome);
                    }
                    Ok(())
                }
            };
            state.counts.add(key.kind, &outcome);
            result
        };
        self.finish(key.epoch, outcome);
        self.bell.ring();
        result
    }

    /// Takes the packets and root events of a member that has left out of the record, and drops
    /// them outside the lock.
    pub(super) fn discard_all(&self) {
        let (packets, inbox): (Vec<Arc<PacketCore<E>>>, _) = {
            let mut state = lock(&self.state);
            state.counts.discarded += state.events.events();
            state.counts.root_discarded += state.root.events() + state.inbox.len() as u64;
            let packets = state.all_flights().into_iter().flat_map(Flights::clear).collect();
            (packets, std::mem::take(&mut state.inbox))
        };
        self.common.discard_packets(packets);
        self.common.discard_events(inbox);
    }
}

impl<E: Clone + Send + Sync + 'static> Desk for Record<E> {
    fn settle(&self, key: PacketKey, verdict: Verdict) -> Result<(), AckError> {
        self.settle_as(key, verdict)
    }

    fn ticket_made(&self, key: PacketKey) {
        let mut state = lock(&self.state);
        if state.epoch == key.epoch {
            state.flights(key.kind).ticket_made(key.id, key.attempt);
        }
    }

    fn ticket_dropped(&self, key: PacketKey) {
        let now = self.common.timers.now();
        let mut outcome = Outcome::new();
        {
            let mut guard = lock(&self.state);
            let state = &mut *guard;
            let is_over = state.epoch != key.epoch || state.presence != Presence::Attached;
            if is_over || !state.flights(key.kind).ticket_dropped(key.id, key.attempt) {
                return;
            }
            state.counts.dropped_tickets += 1;
            let backoff = &self.common.backoff;
            state.flights(key.kind).fail(key.id, Failure::Dropped, now, backoff, &mut outcome);
            state.counts.add(key.kind, &outcome);
        }
        self.finish(key.epoch, outcome);
        self.bell.ring();
    }
}

impl<E: Clone + Send + Sync + 'static> Drop for Record<E> {
    fn drop(&mut self) {
        // The destructors of events are user code.
        self.discard_all();
    }
}
