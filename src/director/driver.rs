//! The next step of a session: what its reader does now. A worker thread and the user of an outbox
//! take the same steps.
//!
//! The order is: the state packet, and nothing beside it until it is acknowledged; then root events,
//! of which at most [`ROOT_ROW`] packets come in a row while events wait; then events. A root packet
//! that waits for a retry does not hold events up, and neither does a packet of events hold up root
//! events.

use super::cursor::Cursor;
use super::flight::Outcome;
use super::key::{Epoch, PacketKey, PacketKind};
use super::packet::{Packet, PacketCore, TicketSource};
use super::record::{Presence, Record, RecordState};
use super::registry::Registry;
use super::settings::Settings;
use super::ticket::{Desk, Ticket, Verdict};
use crate::deadline::moment_after;
use crate::sync::lock;
use crate::sync::parking::Unparker;
use crate::wait::{Sleeper, park_fenced};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// The most root packets in a row while events wait.
const ROOT_ROW: u32 = 8;

/// What the reader of a session does next.
pub(super) enum Step<E> {
    /// Hand out this packet.
    Deliver(Packet<E>),
    /// Wait for a ring, and for events of the stream if there is room for them.
    Wait { for_events: bool },
    /// The session is over: replaced, detached, left, aborted, or drained after a close.
    End,
}

enum Choice<E> {
    Deliver(PacketKind, Arc<PacketCore<E>>, u32),
    Fill,
    Wait { for_events: bool, until: Option<Instant> },
    End,
}

/// The reader's part of a session.
pub(super) struct Driver<E: Clone + Send + Sync + 'static> {
    pub(super) record: Arc<Record<E>>,
    pub(super) epoch: Epoch,
    cursor: Cursor<E>,
    registry: Arc<Registry<E>>,
    /// The settings of this session.
    settings: Arc<Settings<E>>,
    /// Whether the packets go to the user of an outbox.
    is_manual: bool,
}

impl<E: Clone + Send + Sync + 'static> Driver<E> {
    pub(super) fn new(
        record: Arc<Record<E>>,
        epoch: Epoch,
        cursor: Cursor<E>,
        registry: Arc<Registry<E>>,
        is_manual: bool,
    ) -> Self {
        let settings = lock(&record.state).settings.clone();
        Self { record, epoch, cursor, registry, settings, is_manual }
    }

    /// Returns what to do now.
    ///
    /// It reads at most up to the end that the stream has after the first read, so a steady flow of
    /// events for other members does not hold the caller. It then returns a wait that ends at once.
    pub(super) fn step(&mut self) -> Step<E> {
        let (mut has_read, mut end) = (false, None);
        loop {
            // Whatever is rung for after this is found below, or rings again.
            self.record.bell.take(self.epoch);
            let now = self.record.common.timers.now();
            let mut outcome = Outcome::new();
            let choice = {
                let mut state = lock(&self.record.state);
                self.choose(&mut state, now, &mut outcome)
            };
            self.record.finish(self.epoch, outcome);
            match choice {
                Choice::Deliver(kind, core, attempt) => {
                    return Step::Deliver(self.packet(kind, core, attempt));
                }
                Choice::Fill => {
                    if has_read && !self.cursor.is_due(now, &self.settings) {
                        let stream = &self.cursor.subscriber;
                        let next = stream.next_sequence().get();
                        if *end.get_or_insert_with(|| next + stream.behind()) <= next {
                            return Step::Wait { for_events: true };
                        }
                    }
                    has_read = true;
                    self.cursor.fill(&self.settings);
                    self.cursor.note_opened(now);
                    self.commit(now);
                }
                Choice::Wait { for_events, until } => {
                    self.set_timer(until);
                    return Step::Wait { for_events };
                }
                Choice::End => {
                    self.set_timer(None);
                    return Step::End;
                }
            }
        }
    }

    fn set_timer(&self, at: Option<Instant>) {
        self.record.common.timers.set(self.epoch, &self.record.bell, at);
    }

    fn choose(&self, state: &mut RecordState<E>, now: Instant, outcome: &mut Outcome<E>) -> Choice<E> {
        let settings = &*self.settings;
        if !state.is_session(self.epoch) {
            return Choice::End;
        }
        for kind in [PacketKind::State, PacketKind::Root, PacketKind::Events] {
            let before = outcome.given_up.len();
            let expired = state.flights(kind).expire(now, &self.record.common.backoff, outcome);
            state.counts.ack_timeouts += expired;
            state.counts.state_failures += if kind == PacketKind::State { expired } else { 0 };
            state.counts.given_up(kind, &outcome.given_up[before..]);
        }
        if !state.state.is_empty() {
            return match state.state.due(now) {
                Some(index) => self.hand_out(state, PacketKind::State, index, now),
                None => Choice::Wait { for_events: false, until: state.state.next_moment() },
            };
        }
        let due = state.events.due(now);
        let has_room = state.events.has_room(settings.in_flight) && !self.cursor.has_ended_empty();
        let may_fill = has_room && (self.cursor.has_news() || self.cursor.is_due(now, settings));
        let has_root = state.root.due(now).is_some() || state.root.is_empty() && !state.inbox.is_empty();
        if has_root && (state.root_row < ROOT_ROW || !(due.is_some() || may_fill)) {
            state.root_row = state.root_row.saturating_add(1);
            let index = state.root.due(now).unwrap_or_else(|| self.pack_root(state));
            return self.hand_out(state, PacketKind::Root, index, now);
        }
        match due {
            Some(index) => {
                state.root_row = 0;
                return self.hand_out(state, PacketKind::Events, index, now);
            }
            None if may_fill => return Choice::Fill,
            None => {}
        }
        let is_drained = self.cursor.has_ended_empty()
            && state.events.is_empty()
            && state.root.is_empty()
            && state.inbox.is_empty();
        if is_drained {
            state.presence = Presence::Drained;
            return Choice::End;
        }
        let opened = self.cursor.opened.filter(|_| has_room);
        let lingers = opened.map(|opened| moment_after(opened, settings.linger));
        // A task is woken by each publish that finds it registered, so one that lingers is not
        // registered, and looks now and then. A thread naps before it parks, and costs publishers
        // nothing meanwhile. If publishers wait for the reader, it must not wait for a timer.
        let is_left_alone = self.is_manual && lingers.is_some() && !settings.lossless;
        let look = if is_left_alone { self.cursor.next_look(now, settings) } else { None };
        let moments = [state.root.next_moment(), state.events.next_moment(), lingers, look];
        Choice::Wait {
            for_events: has_room && !self.cursor.has_ended && !is_left_alone,
            until: moments.into_iter().flatten().min(),
        }
    }

    fn hand_out(
        &self,
        state: &mut RecordState<E>,
        kind: PacketKind,
        index: usize,
        now: Instant,
    ) -> Choice<E> {
        let until = self.is_manual.then(|| moment_after(now, self.settings.ack_timeout));
        let Some((core, attempt)) = state.flights(kind).hand_out(index, now, until) else {
            return Choice::Wait { for_events: false, until: None };
        };
        state.counts.packets += u64::from(attempt == 1);
        state.counts.attempts += 1;
        if let Some(in_call) = state.workers.get_mut(&self.epoch) {
            *in_call = Some(now);
        }
        Choice::Deliver(kind, core, attempt)
    }

    /// Moves root events into a packet, and returns its index.
    fn pack_root(&self, state: &mut RecordState<E>) -> usize {
        let count = state.inbox.len().min(self.settings.packet);
        let core = PacketCore {
            member: self.record.name.clone(),
            kind: PacketKind::Root,
            id: state.packet_id(),
            lagged: std::mem::take(&mut state.root_lagged),
            events: state.inbox.drain(..count).collect(),
            state_at: None,
            probes: Vec::new(),
        };
        state.root.push(Arc::new(core));
        0
    }

    /// Counts what the cursor has read, and puts a complete packet into the queue: S1.
    fn commit(&mut self, now: Instant) {
        let Self { record, cursor, epoch, settings, .. } = self;
        let is_due = cursor.is_due(now, settings);
        if !cursor.open.events.is_empty() && !is_due {
            // Root events do not wait for a packet that lingers.
            lock(&record.state).root_row = 0;
            return;
        }
        let position = cursor.position();
        let open = cursor.take();
        let lost = {
            let mut state = lock(&record.state);
            if !state.is_session(*epoch) {
                // The next session reads it again.
                Some(open)
            } else {
                state.counts.others += open.others;
                state.counts.lost += open.lost;
                state.counts.clone_panics += open.panicked;
                state.lagged += open.lost;
                state.next = position;
                if open.events.is_empty() {
                    // Nothing was for this member: it is the turn of root events.
                    state.root_row = 0;
                } else {
                    let core = PacketCore {
                        member: record.name.clone(),
                        kind: PacketKind::Events,
                        id: state.packet_id(),
                        lagged: std::mem::take(&mut state.lagged),
                        events: open.events,
                        state_at: None,
                        probes: open.probes,
                    };
                    state.events.push(Arc::new(core));
                }
                drop(state);
                for (from, to) in open.gaps {
                    record.common.probes.lost(record.number, from, to);
                }
                for probe in open.broken {
                    record.common.probes.resolve(probe, record.number, false);
                }
                None
            }
        };
        if let Some(open) = lost {
            record.common.discard_events(open.events);
        }
    }

    fn packet(&self, kind: PacketKind, core: Arc<PacketCore<E>>, attempt: u32) -> Packet<E> {
        // Read at each attempt: the members that a node asks for the state may be others by then.
        let roster = core.state_at.map(|next| self.registry.roster(next));
        let key = PacketKey { epoch: self.epoch, kind, id: core.id, attempt };
        let desk: Arc<dyn Desk> = self.record.clone();
        let ticket = if self.is_manual {
            TicketSource::Outbox(Ticket::counted(desk, key))
        } else {
            TicketSource::Node(Ticket::silent(desk, key))
        };
        Packet::new(core, roster, attempt, self.epoch, ticket)
    }

    /// A node has returned from its call with a packet.
    pub(super) fn returned(&self, packet: Packet<E>, verdict: Verdict) {
        let key = packet.key();
        // Refused if the session was replaced during the call.
        let _ = self.record.settle(key, verdict);
        // After the verdict, so that a snapshot without a call has its outcome.
        {
            let mut state = lock(&self.record.state);
            if let Some(in_call) = state.workers.get_mut(&self.epoch) {
                *in_call = None;
            }
        }
        self.record.common.discard_packets([packet.into_core()]);
    }

    /// Parks the calling thread until a ring, news of the stream, or the limit.
    pub(super) fn wait(&mut self, for_events: bool, limit: Option<Duration>) {
        let (bell, epoch) = (self.record.bell.clone(), self.epoch);
        let thread = Unparker::current();
        // B1.
        bell.enter(epoch, Sleeper::Thread(thread.clone()));
        if for_events {
            self.cursor.subscriber.wait_beside(&thread, limit, || bell.is_rung(epoch));
        } else if !bell.is_rung(epoch) {
            park_fenced(&thread, limit, true);
        }
        bell.leave(epoch);
    }

    /// Registers a task for a ring, and for news of the stream. Returns `true` if there is one
    /// already.
    pub(super) fn register(&mut self, for_events: bool, task: &Waker) -> bool {
        self.record.bell.enter(self.epoch, Sleeper::task(task));
        if for_events {
            self.cursor.subscriber.register(task);
        } else {
            self.cursor.subscriber.cancel();
        }
        self.record.bell.is_rung(self.epoch) || for_events && self.cursor.has_news()
    }

    /// Withdraws a registered task.
    pub(super) fn unregister(&mut self) {
        self.record.bell.leave(self.epoch);
        self.cursor.subscriber.cancel();
    }
}

impl<E: Clone + Send + Sync + 'static> Drop for Driver<E> {
    fn drop(&mut self) {
        self.set_timer(None);
        // The destructors of events are user code.
        let open = self.cursor.take();
        self.record.common.discard_events(open.events);
    }
}
