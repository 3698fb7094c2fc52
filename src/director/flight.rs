//! The packets of one kind that a member has got and not acknowledged: a queue without threads and
//! without time of its own.
//!
//! # Invariants
//! - F1: packets are in the order of the stream. A packet is handed out only when each packet before
//!   it is acknowledged or waits for its acknowledgement.
//! - F2: when a packet is to be handed out again, so is each later one that is not acknowledged, after
//!   it (go-back-N). An acknowledged packet is never handed out again.
//! - F3: while a packet waits to be handed out again, no new one is read. One that was read when the
//!   other failed is handed out after it.
//! - F4: a packet is never changed. So a later attempt has the same number, events and boundaries.
//! - F5: an attempt's tickets are counted. The drop of the last one fails the packet, if the node has
//!   returned and no verdict came first.
//! - F6: an endless queue gives no packet up. That of the state is endless, since the member must not
//!   get events without the state.
//! - F7: the queue has at most as many packets as may be in flight, including those that were
//!   acknowledged before an earlier one. So one that is never acknowledged does not let it grow.

use super::packet::{PacketCore, PacketEvent};
use crate::deadline::moment_after;
use crate::journal::Sequence;
use crate::retry::{Attempt, AttemptError, Backoff, Next, RetryPolicy};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The state of one packet that was not removed from the queue yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// To be handed out.
    Ready,
    /// To be handed out after a failure, not before this time.
    Retrying(Instant),
    /// The node has it in a call.
    Delivering,
    /// Handed out, and to be acknowledged until this time.
    Pending(Instant),
    Acked,
}

struct Flight<E> {
    id: u64,
    /// The position of the last event.
    last: Option<Sequence>,
    /// `None` once it is acknowledged: its events need not be kept for its place in the order.
    packet: Option<Arc<PacketCore<E>>>,
    status: Status,
    /// The number of the last attempt, 0 before the first.
    attempt: u32,
    begun: Option<Instant>,
    /// The tickets of the last attempt.
    tickets: u32,
    /// Whether a dropped ticket was answered by an attempt at once.
    was_dropped: bool,
    /// The number of acknowledged events, all of which come before the others.
    acked: usize,
    /// The text of the last error.
    error: Option<Arc<str>>,
}

/// Why a packet failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The node or a ticket asked for a retry.
    Asked(Option<Duration>),
    /// The last ticket was dropped.
    Dropped,
    /// No acknowledgement came in time.
    TimedOut,
}

/// A packet that was given up.
pub(super) struct GivenUp<E> {
    pub(super) packet: Arc<PacketCore<E>>,
    pub(super) attempts: u32,
    /// The events before this one were acknowledged.
    pub(super) acked: usize,
    pub(super) error: Option<Arc<str>>,
}

/// What a change of the queue leaves to be done outside the lock.
pub(super) struct Outcome<E> {
    /// Packets that left the queue, to be dropped.
    pub(super) gone: Vec<Arc<PacketCore<E>>>,
    pub(super) given_up: Vec<GivenUp<E>>,
    /// The number of events that were acknowledged.
    pub(super) acked: u64,
    /// The number of attempts that failed.
    pub(super) failures: u64,
    /// The probes whose events were acknowledged.
    pub(super) probes: Vec<u64>,
}

impl<E> Outcome<E> {
    pub(super) fn new() -> Self {
        Self { gone: Vec::new(), given_up: Vec::new(), acked: 0, failures: 0, probes: Vec::new() }
    }
}

/// The error that a backoff gets to see.
#[derive(Debug)]
struct NotHandled;

impl fmt::Display for NotHandled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the node did not handle the packet")
    }
}

impl Error for NotHandled {}

impl<E> Flight<E> {
    /// Returns the events, none if the packet is acknowledged.
    fn events(&self) -> &[PacketEvent<E>] {
        self.packet.as_ref().map_or(&[], |packet| &packet.events)
    }

    fn is_waiting(&self) -> bool {
        matches!(self.status, Status::Ready | Status::Retrying(_))
    }
}

/// The packets of one kind that a member has not acknowledged.
pub(super) struct Flights<E> {
    queue: VecDeque<Flight<E>>,
    /// Whether a packet is handed out until it is acknowledged, whatever limits the backoff has.
    is_endless: bool,
}

impl<E> Flights<E> {
    /// Creates a queue whose packets are given up at the limits of the backoff.
    pub(super) const fn new() -> Self {
        Self { queue: VecDeque::new(), is_endless: false }
    }

    /// Creates a queue that gives no packet up.
    pub(super) const fn endless() -> Self {
        Self { queue: VecDeque::new(), is_endless: true }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns the number of events that are not acknowledged.
    pub(super) fn events(&self) -> u64 {
        let left = |flight: &Flight<E>| (flight.events().len() - flight.acked) as u64;
        self.queue.iter().filter(|flight| flight.status != Status::Acked).map(left).sum()
    }

    /// Returns the position of the first event that is not acknowledged.
    pub(super) fn first(&self) -> Option<Sequence> {
        let flight = self.queue.iter().find(|flight| flight.status != Status::Acked)?;
        Some(flight.events().get(flight.acked)?.sequence)
    }

    /// Returns the attempts of the packet that has the most.
    pub(super) fn attempts(&self) -> u32 {
        self.queue.iter().map(|flight| flight.attempt).max().unwrap_or(0)
    }

    /// Returns whether a new packet may join: F3 and F7.
    pub(super) fn has_room(&self, most: usize) -> bool {
        self.queue.len() < most && !self.queue.iter().any(Flight::is_waiting)
    }

    pub(super) fn push(&mut self, packet: Arc<PacketCore<E>>) {
        self.queue.push_back(Flight {
            id: packet.id,
            last: packet.events.last().map(|event| event.sequence),
            packet: Some(packet),
            status: Status::Ready,
            attempt: 0,
            begun: None,
            tickets: 0,
            was_dropped: false,
            acked: 0,
            error: None,
        });
    }

    /// Returns the index of the packet to hand out now: F1.
    pub(super) fn due(&self, now: Instant) -> Option<usize> {
        for (index, flight) in self.queue.iter().enumerate() {
            match flight.status {
                Status::Acked | Status::Pending(_) | Status::Delivering => {}
                Status::Ready => return Some(index),
                Status::Retrying(at) => return (at <= now).then_some(index),
            }
        }
        None
    }

    /// Returns the next time at which something is due.
    pub(super) fn next_moment(&self) -> Option<Instant> {
        let moment = |flight: &Flight<E>| match flight.status {
            Status::Retrying(at) | Status::Pending(at) => Some(at),
            Status::Ready | Status::Delivering | Status::Acked => None,
        };
        self.queue.iter().filter_map(moment).min()
    }

    /// Hands a packet out to a node, which has it until [`returned`](Self::returned), or to the user
    /// of an outbox, who has until `until` and holds one ticket.
    pub(super) fn hand_out(
        &mut self,
        index: usize,
        now: Instant,
        until: Option<Instant>,
    ) -> Option<(Arc<PacketCore<E>>, u32)> {
        let flight = self.queue.get_mut(index)?;
        flight.attempt = flight.attempt.saturating_add(1);
        flight.begun.get_or_insert(now);
        (flight.status, flight.tickets) = match until {
            None => (Status::Delivering, 0),
            Some(until) => (Status::Pending(until), 1),
        };
        Some((flight.packet.clone()?, flight.attempt))
    }

    fn find(&mut self, id: u64) -> Option<usize> {
        self.queue.iter().position(|flight| flight.id == id)
    }

    /// Returns whether `attempt` is the last one of a packet that is not acknowledged.
    pub(super) fn is_current(&self, id: u64, attempt: u32) -> bool {
        self.queue
            .iter()
            .any(|flight| flight.id == id && flight.attempt == attempt && flight.status != Status::Acked)
    }

    /// Acknowledges one packet. Returns `false` if it is not in the queue any more.
    pub(super) fn ack(&mut self, id: u64, outcome: &mut Outcome<E>) -> bool {
        let Some(index) = self.find(id) else { return false };
        let is_new = self.queue[index].status != Status::Acked;
        self.ack_events(index, usize::MAX, outcome);
        self.sweep();
        is_new
    }

    /// Acknowledges all events up to and including `sequence`, which is at most that of the last
    /// event of the packet `id`. Returns the last position of that packet if it is less.
    pub(super) fn ack_through(
        &mut self,
        id: u64,
        sequence: Sequence,
        outcome: &mut Outcome<E>,
    ) -> Result<bool, Option<Sequence>> {
        let Some(index) = self.find(id) else { return Ok(false) };
        let last = self.queue[index].last;
        if last.is_none_or(|last| sequence > last) {
            return Err(last);
        }
        for index in 0..=index {
            let events = self.queue[index].events();
            let count = events.partition_point(|event: &PacketEvent<E>| event.sequence <= sequence);
            self.ack_events(index, count, outcome);
        }
        self.sweep();
        Ok(true)
    }

    /// Acknowledges the first `count` events of a packet.
    fn ack_events(&mut self, index: usize, count: usize, outcome: &mut Outcome<E>) {
        let flight = &mut self.queue[index];
        let Some(packet) = &flight.packet else { return };
        let count = count.min(packet.events.len());
        if count > flight.acked {
            let through = packet.events[count - 1].sequence;
            let from = packet.events[flight.acked].sequence;
            let reached = packet.probes.iter().filter(|(at, _)| *at >= from && *at <= through);
            outcome.probes.extend(reached.map(|(_, probe)| *probe));
            outcome.acked += (count - flight.acked) as u64;
            flight.acked = count;
        }
        if flight.acked == packet.events.len() {
            // The count of events in flight ends with them.
            flight.status = Status::Acked;
            outcome.gone.extend(flight.packet.take());
        }
    }

    /// Takes out the acknowledged packets at the front. Others stay, so that the order is known.
    fn sweep(&mut self) {
        while self.queue.front().is_some_and(|flight| flight.status == Status::Acked) {
            self.queue.pop_front();
        }
    }

    /// The node has returned `Pending`: the packet waits for its tickets, or follows an earlier one
    /// that failed during the call (F2). Returns `false` if no ticket is left, and the packet fails.
    pub(super) fn returned(&mut self, id: u64, until: Instant) -> bool {
        let Some(index) = self.find(id) else { return true };
        let follows = self.queue.iter().take(index).any(Flight::is_waiting);
        let flight = &mut self.queue[index];
        if flight.status != Status::Delivering {
            return true;
        }
        if follows {
            flight.status = Status::Ready;
            return true;
        }
        flight.status = Status::Pending(until);
        flight.tickets > 0
    }

    pub(super) fn ticket_made(&mut self, id: u64, attempt: u32) {
        if let Some(flight) = self.current(id, attempt) {
            flight.tickets += 1;
        }
    }

    /// Returns whether the packet fails, since its last ticket was dropped: F5.
    pub(super) fn ticket_dropped(&mut self, id: u64, attempt: u32) -> bool {
        self.current(id, attempt).is_some_and(|flight| {
            flight.tickets = flight.tickets.saturating_sub(1);
            flight.tickets == 0 && matches!(flight.status, Status::Pending(_))
        })
    }

    fn current(&mut self, id: u64, attempt: u32) -> Option<&mut Flight<E>> {
        self.queue.iter_mut().find(|flight| flight.id == id && flight.attempt == attempt)
    }

    /// A packet has failed: it is handed out again, or given up.
    pub(super) fn fail(
        &mut self,
        id: u64,
        failure: Failure,
        now: Instant,
        backoff: &Backoff,
        outcome: &mut Outcome<E>,
    ) {
        let Some(index) = self.find(id) else { return };
        let flight = &mut self.queue[index];
        let handed_out = matches!(flight.status, Status::Delivering | Status::Pending(_));
        if !handed_out {
            return;
        }
        outcome.failures += 1;
        let elapsed = flight.begun.map_or(Duration::ZERO, |begun| now.saturating_duration_since(begun));
        let error = match failure {
            Failure::TimedOut => AttemptError::Timeout,
            Failure::Asked(_) | Failure::Dropped => AttemptError::Failed(&NotHandled),
        };
        let wait = match backoff.failure(&(), &Attempt::new(flight.attempt, elapsed, error)) {
            // F6.
            Next::GiveUp if self.is_endless => backoff.window(flight.attempt),
            Next::GiveUp => {
                self.give_up(index, outcome);
                return;
            }
            Next::Again => Duration::ZERO,
            Next::After(wait) => wait,
        };
        let wait = match failure {
            Failure::Asked(Some(asked)) => asked,
            // The timeout was the wait.
            Failure::TimedOut => Duration::ZERO,
            // A holder that drops each ticket at once must not make a hot loop.
            Failure::Dropped if !std::mem::replace(&mut flight.was_dropped, true) => Duration::ZERO,
            Failure::Asked(None) | Failure::Dropped => wait,
        };
        flight.status = Status::Retrying(moment_after(now, wait));
        self.go_back(index + 1);
    }

    /// Keeps the text of the last error of a packet.
    pub(super) fn note_error(&mut self, id: u64, text: &Arc<str>) {
        if let Some(flight) = self.queue.iter_mut().find(|flight| flight.id == id) {
            flight.error = Some(text.clone());
        }
    }

    /// A node can never handle a packet: it is given up at once. In an endless queue that is a
    /// failure like others: F6.
    pub(super) fn reject(&mut self, id: u64, now: Instant, backoff: &Backoff, outcome: &mut Outcome<E>) {
        if self.is_endless {
            self.fail(id, Failure::Asked(None), now, backoff, outcome);
            return;
        }
        let index = self.find(id).filter(|index| self.queue[*index].status != Status::Acked);
        if let Some(index) = index {
            self.give_up(index, outcome);
        }
    }

    fn give_up(&mut self, index: usize, outcome: &mut Outcome<E>) {
        let flight = self.queue.remove(index);
        outcome.given_up.extend(flight.and_then(|flight| {
            let Flight { packet, attempt: attempts, acked, error, .. } = flight;
            Some(GivenUp { packet: packet?, attempts, acked, error })
        }));
        self.sweep();
    }

    /// The packets from `index` on are handed out again: F2. One that a node has in a call is
    /// judged when it returns.
    fn go_back(&mut self, index: usize) {
        for flight in self.queue.iter_mut().skip(index) {
            if matches!(flight.status, Status::Pending(_)) {
                flight.status = Status::Ready;
            }
        }
    }

    /// Fails the packets whose acknowledgement is overdue. Returns their number.
    pub(super) fn expire(&mut self, now: Instant, backoff: &Backoff, outcome: &mut Outcome<E>) -> u64 {
        let mut expired = 0;
        loop {
            let is_overdue = |flight: &&Flight<E>| matches!(flight.status, Status::Pending(at) if at <= now);
            let Some(id) = self.queue.iter().find(is_overdue).map(|flight| flight.id) else {
                return expired;
            };
            expired += 1;
            self.fail(id, Failure::TimedOut, now, backoff, outcome);
        }
    }

    /// Ends the wait of packets that failed: they are due now.
    pub(super) fn hurry(&mut self) {
        for flight in &mut self.queue {
            if matches!(flight.status, Status::Retrying(_)) {
                flight.status = Status::Ready;
            }
        }
    }

    /// A new session begins: it gets every packet that is not acknowledged.
    pub(super) fn restart(&mut self) {
        for flight in &mut self.queue {
            if flight.status != Status::Acked {
                flight.status = Status::Ready;
                flight.tickets = 0;
            }
        }
    }

    /// Takes out all packets.
    pub(super) fn clear(&mut self) -> Vec<Arc<PacketCore<E>>> {
        self.queue.drain(..).filter_map(|flight| flight.packet).collect()
    }
}
