//! A plain model of a director: one list of everything that was sent, and for each member its place
//! in that list and its unacknowledged packets.

use super::flights::{Failure, Flight, Flights};
use std::collections::VecDeque;
use std::time::Duration;

/// The settings of a case, the same for all members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(super) history: u64,
    pub(super) packet: usize,
    /// The weight at which a packet is complete. The weight of an event is its number modulo 8.
    pub(super) bytes: Option<usize>,
    pub(super) in_flight: usize,
    pub(super) root_capacity: usize,
    pub(super) ack_timeout: Duration,
    pub(super) base: Duration,
    pub(super) longest: Duration,
    pub(super) attempts: Option<u32>,
}

/// One event, as a member gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) sequence: u64,
    /// The epoch of the sender.
    pub(super) from: Option<u64>,
    pub(super) event: u64,
}

/// One event, as it was sent.
#[derive(Clone, Copy, Debug)]
struct Envelope {
    from: Option<u64>,
    /// The number of the receiver; `None` for all but the sender.
    to: Option<u64>,
    event: u64,
    /// A clone of it panics.
    is_broken: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    State,
    Root,
    Events,
}

const KINDS: [Kind; 3] = [Kind::State, Kind::Root, Kind::Events];

/// The most root packets in a row while events wait.
const ROOT_ROW: u32 = 8;

/// What a member gets next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Packet { kind: Kind, id: u64, attempt: u32, lagged: u64, events: Vec<Sent> },
    Nothing,
    End,
}

/// Which attempt of which packet is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) epoch: u64,
    pub(super) kind: Kind,
    pub(super) id: u64,
    pub(super) attempt: u32,
}

/// A packet that was given up: its kind, id, attempts, and the events that were not acknowledged.
pub(super) type Letter = (Kind, u64, u32, Vec<u64>);

/// Why an acknowledgment is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    StaleEpoch,
    NotDelivered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Attached,
    Detached,
    Drained,
    Left,
}

/// The counters of one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) delivered: u64,
    pub(super) others: u64,
    pub(super) lost: u64,
    pub(super) given_up: u64,
    pub(super) clone_panics: u64,
    pub(super) root_offered: u64,
    pub(super) root_delivered: u64,
    pub(super) root_lost: u64,
    pub(super) root_given_up: u64,
    pub(super) packets: u64,
    pub(super) attempts: u64,
    pub(super) ack_timeouts: u64,
    pub(super) late_acks: u64,
    pub(super) refused_acks: u64,
    pub(super) dropped_tickets: u64,
    pub(super) node_panics: u64,
}

/// One member, through all its sessions.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) number: u64,
    pub(super) epoch: u64,
    pub(super) presence: Presence,
    /// Whether a node on a thread gets its packets.
    pub(super) has_thread: bool,
    /// Where it has joined, and the place of the next event that it reads.
    pub(super) begin: u64,
    pub(super) next: u64,
    lagged: u64,
    state: Flights,
    root: Flights,
    events: Flights,
    pub(super) inbox: VecDeque<Sent>,
    root_lagged: u64,
    root_row: u32,
    ids: u64,
    pub(super) counts: Counts,
}

impl Member {
    fn flights(&mut self, kind: Kind) -> &mut Flights {
        match kind {
            Kind::State => &mut self.state,
            Kind::Root => &mut self.root,
            Kind::Events => &mut self.events,
        }
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids - 1
    }

    fn end_session(&mut self, presence: Presence) {
        self.presence = presence;
        KINDS.into_iter().for_each(|kind| self.flights(kind).restart());
    }

    fn begin_session(&mut self, epoch: u64) {
        (self.presence, self.epoch, self.root_row) = (Presence::Attached, epoch, 0);
    }

    fn push_state(&mut self) {
        let id = self.id();
        self.state.push(id, 0, Vec::new());
    }

    /// Returns the number of events in packets that are not acknowledged.
    pub(super) fn in_flight(&self) -> u64 {
        self.events.pending()
    }

    /// Returns the number of root events in packets that are not acknowledged.
    pub(super) fn root_in_flight(&self) -> u64 {
        self.root.pending()
    }

    fn count_acked(&mut self, kind: Kind, acked: u64) {
        match kind {
            Kind::State => {}
            Kind::Root => self.counts.root_delivered += acked,
            Kind::Events => self.counts.delivered += acked,
        }
    }

    fn count_given_up(&mut self, kind: Kind, flight: Flight) -> Letter {
        let left: Vec<_> = flight.events[flight.acked..].iter().map(|sent| sent.event).collect();
        match kind {
            Kind::State => {}
            Kind::Root => self.counts.root_given_up += left.len() as u64,
            Kind::Events => self.counts.given_up += left.len() as u64,
        }
        (kind, flight.id, flight.attempts, left)
    }
}

/// The model.
#[derive(Debug)]
pub(super) struct Model {
    rules: Rules,
    pub(super) now: Duration,
    stream: Vec<Envelope>,
    roots: u64,
    pub(super) is_closed: bool,
    pub(super) members: Vec<Member>,
    epochs: u64,
    pub(super) letters: Vec<Letter>,
    pub(super) orphans: u64,
}

impl Model {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            now: Duration::ZERO,
            stream: Vec::new(),
            roots: 0,
            is_closed: false,
            members: Vec::new(),
            epochs: 0,
            letters: Vec::new(),
            orphans: 0,
        }
    }

    /// Returns a time after which no wait for a retry is left: an asked one is at most 255 ms.
    pub(super) fn longest_wait(&self) -> Duration {
        self.rules.longest.max(Duration::from_millis(256))
    }

    pub(super) fn tail(&self) -> u64 {
        self.stream.len() as u64
    }

    /// The first event of the history.
    pub(super) fn oldest(&self) -> u64 {
        self.tail().saturating_sub(self.rules.history)
    }

    /// The first event that was not overwritten: the journal overwrites whole blocks.
    fn retained(&self) -> u64 {
        let block = 64.min(1 << self.rules.history.ilog2());
        let blocks = self.rules.history.div_ceil(block) + 1;
        self.tail().div_ceil(block).saturating_sub(blocks) * block
    }

    /// Returns the index of a member, out of those that have not left.
    pub(super) fn present(&self, number: usize) -> Option<usize> {
        let is_present = |index: &usize| self.members[*index].presence != Presence::Left;
        let present: Vec<_> = (0..self.members.len()).filter(is_present).collect();
        (!present.is_empty()).then(|| present[number % present.len()])
    }

    /// A member joins. Returns its index and its epoch.
    pub(super) fn join(&mut self) -> (usize, u64) {
        self.epochs += 1;
        let tail = self.tail();
        let mut member = Member {
            number: self.members.len() as u64 + 1,
            epoch: 0,
            presence: Presence::Detached,
            has_thread: false,
            begin: tail,
            next: tail,
            lagged: 0,
            state: Flights::endless(),
            root: Flights::default(),
            events: Flights::default(),
            inbox: VecDeque::new(),
            root_lagged: 0,
            root_row: 0,
            ids: 0,
            counts: Counts::default(),
        };
        member.begin_session(self.epochs);
        member.push_state();
        self.members.push(member);
        (self.members.len() - 1, self.epochs)
    }

    /// A member begins a new session, in place of the present one.
    pub(super) fn rejoin(&mut self, index: usize) -> u64 {
        self.epochs += 1;
        let (epoch, oldest) = (self.epochs, self.oldest());
        let member = &mut self.members[index];
        member.end_session(Presence::Detached);
        member.begin_session(epoch);
        if oldest > member.next && member.state.is_done() {
            member.push_state();
        }
        epoch
    }

    pub(super) fn detach(&mut self, index: usize) {
        if self.members[index].presence == Presence::Attached {
            self.members[index].end_session(Presence::Detached);
        }
    }

    /// A member leaves. Returns how many events for it were not acknowledged.
    pub(super) fn leave(&mut self, index: usize) -> u64 {
        let unread = self.unread(index);
        let member = &mut self.members[index];
        let undelivered = unread + member.in_flight();
        member.end_session(Presence::Left);
        undelivered
    }

    /// Returns the number of events for a member that are not in a packet yet. An overwritten event
    /// counts, for this member or not.
    pub(super) fn unread(&self, index: usize) -> u64 {
        let member = &self.members[index];
        let from = if member.next < self.retained() { self.oldest() } else { member.next };
        let lost = from - member.next;
        lost + (from..self.tail()).filter(|at| self.is_for(*at, member)).count() as u64
    }

    fn is_for(&self, at: u64, member: &Member) -> bool {
        let envelope = &self.stream[at as usize];
        match envelope.to {
            None => envelope.from != Some(member.epoch),
            Some(number) => number == member.number,
        }
    }

    /// Sends an event to all but the sender, or to one member.
    pub(super) fn send(&mut self, from: Option<u64>, to: Option<usize>, event: u64, is_broken: bool) {
        let to = to.map(|index| self.members[index].number);
        self.stream.push(Envelope { from, to, event, is_broken });
    }

    /// Sends a root event to all members, or to one.
    pub(super) fn send_root(&mut self, to: Option<usize>, event: u64) {
        let sent = Sent { sequence: self.roots, from: None, event };
        self.roots += 1;
        for (index, member) in self.members.iter_mut().enumerate() {
            let is_there = matches!(member.presence, Presence::Attached | Presence::Detached);
            if !is_there || to.is_some_and(|to| to != index) {
                continue;
            }
            member.counts.root_offered += 1;
            if member.inbox.len() == self.rules.root_capacity {
                member.inbox.pop_front();
                member.counts.root_lost += 1;
                member.root_lagged += 1;
            }
            member.inbox.push_back(sent);
        }
    }

    /// Returns what the session of a member gets now.
    pub(super) fn next(&mut self, index: usize) -> Next {
        let (rules, now) = (self.rules, self.now);
        if self.members[index].presence != Presence::Attached {
            return Next::End;
        }
        for kind in KINDS {
            while let Some(id) = self.members[index].flights(kind).overdue(now) {
                self.members[index].counts.ack_timeouts += 1;
                self.fail(index, kind, id, Failure::TimedOut);
            }
        }
        let member = &mut self.members[index];
        if !member.state.is_done() {
            return match member.state.due(now) {
                Some(at) => self.hand_out(index, Kind::State, at),
                None => Next::Nothing,
            };
        }
        let due = member.events.due(now);
        let has_news = member.next < self.stream.len() as u64;
        let may_fill = member.events.has_room(rules.in_flight) && has_news;
        let has_root = member.root.due(now).is_some() || (member.root.is_done() && !member.inbox.is_empty());
        if has_root && (member.root_row < ROOT_ROW || !(due.is_some() || may_fill)) {
            member.root_row += 1;
            if member.root.is_done() {
                let count = member.inbox.len().min(rules.packet);
                let events = member.inbox.drain(..count).collect();
                let (id, lagged) = (member.id(), std::mem::take(&mut member.root_lagged));
                member.root.push(id, lagged, events);
            }
            let at = member.root.due(now).expect("a packet is due");
            return self.hand_out(index, Kind::Root, at);
        }
        if let Some(at) = due {
            member.root_row = 0;
            return self.hand_out(index, Kind::Events, at);
        }
        if may_fill {
            self.fill(index);
            return self.next(index);
        }
        let member = &mut self.members[index];
        let is_drained = self.is_closed
            && !has_news
            && member.events.is_done()
            && member.root.is_done()
            && member.inbox.is_empty();
        if is_drained {
            member.presence = Presence::Drained;
            return Next::End;
        }
        Next::Nothing
    }

    /// Reads the stream until a packet is complete or the stream is dry.
    fn fill(&mut self, index: usize) {
        let (tail, retained, oldest) = (self.tail(), self.retained(), self.oldest());
        let (mut events, mut weight) = (Vec::new(), 0);
        let mut next = self.members[index].next;
        if next < retained {
            self.members[index].lagged += oldest - next;
            self.members[index].counts.lost += oldest - next;
            next = oldest;
        }
        while next < tail {
            let envelope = self.stream[next as usize];
            let is_for = self.is_for(next, &self.members[index]);
            let counts = &mut self.members[index].counts;
            let sequence = next;
            next += 1;
            if !is_for {
                counts.others += 1;
                continue;
            }
            if envelope.is_broken {
                counts.clone_panics += 1;
                continue;
            }
            events.push(Sent { sequence, from: envelope.from, event: envelope.event });
            weight += envelope.event as usize % 8;
            let is_heavy = self.rules.bytes.is_some_and(|most| weight >= most);
            if is_heavy || events.len() == self.rules.packet {
                break;
            }
        }
        let member = &mut self.members[index];
        member.next = next;
        if events.is_empty() {
            // Nothing was for this member: it is the turn of root events.
            member.root_row = 0;
        } else {
            let (id, lagged) = (member.id(), std::mem::take(&mut member.lagged));
            member.events.push(id, lagged, events);
        }
    }

    fn hand_out(&mut self, index: usize, kind: Kind, at: usize) -> Next {
        let now = self.now;
        let member = &mut self.members[index];
        let until = (!member.has_thread).then_some(now + self.rules.ack_timeout);
        let Flight { id, attempts, lagged, events, .. } = member.flights(kind).hand_out(at, now, until);
        member.counts.packets += u64::from(attempts == 1);
        member.counts.attempts += 1;
        Next::Packet { kind, id, attempt: attempts, lagged, events }
    }

    fn fail(&mut self, index: usize, kind: Kind, id: u64, failure: Failure) {
        let member = &mut self.members[index];
        if let Some(flight) = member.flights(kind).fail(id, failure, self.now, &self.rules) {
            let letter = member.count_given_up(kind, flight);
            self.letters.push(letter);
        }
    }

    /// Returns the member if the session of this packet may still settle it.
    fn session(&mut self, index: usize, key: Key) -> Result<&mut Member, Refused> {
        let member = &mut self.members[index];
        let is_there = matches!(member.presence, Presence::Attached | Presence::Drained);
        if is_there && member.epoch == key.epoch {
            return Ok(member);
        }
        member.counts.refused_acks += 1;
        Err(Refused::StaleEpoch)
    }

    pub(super) fn ack(&mut self, index: usize, key: Key) -> Result<(), Refused> {
        let member = self.session(index, key)?;
        let is_current = member.flights(key.kind).is_current(key.id, key.attempt);
        if let Some((was_open, acked)) = member.flights(key.kind).ack(key.id) {
            member.counts.late_acks += u64::from(was_open && !is_current);
            member.count_acked(key.kind, acked);
        }
        Ok(())
    }

    pub(super) fn ack_through(&mut self, index: usize, key: Key, sequence: u64) -> Result<(), Refused> {
        let member = self.session(index, key)?;
        let is_current = member.flights(key.kind).is_current(key.id, key.attempt);
        match member.flights(key.kind).ack_through(key.id, sequence) {
            Ok(None) => Ok(()),
            Ok(Some(acked)) => {
                member.counts.late_acks += u64::from(!is_current);
                member.count_acked(key.kind, acked);
                Ok(())
            }
            Err(()) => {
                member.counts.refused_acks += 1;
                Err(Refused::NotDelivered)
            }
        }
    }

    pub(super) fn retry(&mut self, index: usize, key: Key, wait: Option<Duration>) -> Result<(), Refused> {
        let member = self.session(index, key)?;
        if member.flights(key.kind).is_current(key.id, key.attempt) {
            self.fail(index, key.kind, key.id, Failure::Asked(wait));
        }
        Ok(())
    }

    pub(super) fn reject(&mut self, index: usize, key: Key) -> Result<(), Refused> {
        let (now, rules) = (self.now, self.rules);
        let member = self.session(index, key)?;
        if member.flights(key.kind).is_current(key.id, key.attempt)
            && let Some(flight) = member.flights(key.kind).reject(key.id, now, &rules)
        {
            let letter = member.count_given_up(key.kind, flight);
            self.letters.push(letter);
        }
        Ok(())
    }

    /// A node has panicked in a call.
    pub(super) fn panicked(&mut self, index: usize, key: Key) -> Result<(), Refused> {
        self.session(index, key)?.counts.node_panics += 1;
        self.retry(index, key, None)
    }

    /// A node has returned `Pending`, with or without a ticket.
    pub(super) fn returned(&mut self, index: usize, key: Key, is_held: bool) -> Result<(), Refused> {
        let until = self.now + self.rules.ack_timeout;
        let member = self.session(index, key)?;
        let flights = member.flights(key.kind);
        if flights.is_current(key.id, key.attempt) && flights.returned(key.id, until, is_held) {
            member.counts.dropped_tickets += 1;
            self.fail(index, key.kind, key.id, Failure::Dropped);
        }
        Ok(())
    }

    /// The holder of a packet has dropped it.
    pub(super) fn dropped(&mut self, index: usize, key: Key) {
        let member = &mut self.members[index];
        if member.presence != Presence::Attached || member.epoch != key.epoch {
            return;
        }
        if member.flights(key.kind).dropped(key.id, key.attempt) {
            member.counts.dropped_tickets += 1;
            self.fail(index, key.kind, key.id, Failure::Dropped);
        }
    }

    /// Ends the waits of a member for retries.
    pub(super) fn ready(&mut self, index: usize) {
        KINDS.into_iter().for_each(|kind| self.members[index].flights(kind).hurry());
    }
}
