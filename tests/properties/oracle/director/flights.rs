//! The packets of one kind that a member of the model has got and not acknowledged.

use super::model::{Rules, Sent};
use std::time::Duration;

/// What is to happen to a packet next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Ready,
    /// To be handed out at this time.
    Retrying(Duration),
    /// A node has it in a call.
    InCall,
    /// To be acknowledged until this time.
    Pending(Duration),
    Acked,
}

/// A packet, which never changes, and how far its delivery is.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) id: u64,
    pub(super) lagged: u64,
    pub(super) events: Vec<Sent>,
    stage: Stage,
    pub(super) attempts: u32,
    begun: Option<Duration>,
    is_held: bool,
    was_dropped: bool,
    /// The number of events that are acknowledged, the first ones.
    pub(super) acked: usize,
}

impl Flight {
    /// Returns whether it is handed out and not acknowledged.
    fn is_out(&self) -> bool {
        matches!(self.stage, Stage::InCall | Stage::Pending(_))
    }
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Asked(Option<Duration>),
    Dropped,
    TimedOut,
}

/// The packets of one kind, in order.
#[derive(Debug, Default)]
pub(super) struct Flights {
    queue: Vec<Flight>,
    /// Whether no packet is given up: that of the state.
    is_endless: bool,
}

impl Flights {
    pub(super) fn endless() -> Self {
        Self { queue: Vec::new(), is_endless: true }
    }

    pub(super) fn push(&mut self, id: u64, lagged: u64, events: Vec<Sent>) {
        self.queue.push(Flight {
            id,
            lagged,
            events,
            stage: Stage::Ready,
            attempts: 0,
            begun: None,
            is_held: false,
            was_dropped: false,
            acked: 0,
        });
    }

    fn open(&self) -> impl Iterator<Item = &Flight> {
        self.queue.iter().filter(|flight| flight.stage != Stage::Acked)
    }

    /// Returns whether every packet is acknowledged.
    pub(super) fn is_done(&self) -> bool {
        self.open().next().is_none()
    }

    /// Returns the number of events that are not acknowledged.
    pub(super) fn pending(&self) -> u64 {
        self.open().map(|flight| (flight.events.len() - flight.acked) as u64).sum()
    }

    /// Returns whether a new packet may be filled: there are fewer than `most` from the first one on
    /// that is not acknowledged, and none waits to be handed out.
    pub(super) fn has_room(&self, most: usize) -> bool {
        self.queue.len() < most && self.open().all(|flight| flight.is_out())
    }

    /// Returns the packet to hand out. Those after one that waits for a retry wait, too.
    pub(super) fn due(&self, now: Duration) -> Option<usize> {
        let index = self.queue.iter().position(|f| matches!(f.stage, Stage::Ready | Stage::Retrying(_)))?;
        let is_due = match self.queue[index].stage {
            Stage::Retrying(at) => at <= now,
            _ => true,
        };
        is_due.then_some(index)
    }

    /// Hands a packet out: to a node, or to a holder that has to acknowledge it until a time.
    pub(super) fn hand_out(&mut self, index: usize, now: Duration, until: Option<Duration>) -> Flight {
        let flight = &mut self.queue[index];
        flight.attempts += 1;
        flight.begun.get_or_insert(now);
        flight.is_held = until.is_some();
        flight.stage = until.map_or(Stage::InCall, Stage::Pending);
        flight.clone()
    }

    /// A node has returned. The packet has a holder, or none and fails, unless it is to follow an
    /// earlier one that failed meanwhile. Returns whether it fails.
    pub(super) fn returned(&mut self, id: u64, until: Duration, is_held: bool) -> bool {
        let Some(index) = self.find(id) else { return !is_held };
        let follows =
            self.queue[..index].iter().any(|f| matches!(f.stage, Stage::Ready | Stage::Retrying(_)));
        let flight = &mut self.queue[index];
        if flight.stage == Stage::InCall {
            flight.stage = if follows { Stage::Ready } else { Stage::Pending(until) };
            flight.is_held = is_held;
        }
        !is_held && !follows
    }

    fn find(&mut self, id: u64) -> Option<usize> {
        self.queue.iter().position(|flight| flight.id == id)
    }

    /// Returns whether this is the last attempt of a packet that is not acknowledged.
    pub(super) fn is_current(&self, id: u64, attempt: u32) -> bool {
        self.open().any(|flight| flight.id == id && flight.attempts == attempt)
    }

    /// Acknowledges the first `count` events of a packet, and returns how many of them are new.
    fn ack_events(&mut self, index: usize, count: usize) -> u64 {
        let flight = &mut self.queue[index];
        if flight.stage == Stage::Acked {
            return 0;
        }
        let new = count.saturating_sub(flight.acked);
        flight.acked += new;
        if flight.acked == flight.events.len() {
            flight.stage = Stage::Acked;
        }
        new as u64
    }

    /// Acknowledges a packet. Returns the number of events that were not acknowledged before, or
    /// `None` if the packet is gone.
    pub(super) fn ack(&mut self, id: u64) -> Option<(bool, u64)> {
        let index = self.find(id)?;
        let was_open = self.queue[index].stage != Stage::Acked;
        let acked = self.ack_events(index, self.queue[index].events.len());
        self.sweep();
        Some((was_open, acked))
    }

    /// Acknowledges all events up to `sequence`. `Err` if the packet ends before it, `None` if the
    /// packet is gone.
    pub(super) fn ack_through(&mut self, id: u64, sequence: u64) -> Result<Option<u64>, ()> {
        let Some(index) = self.find(id) else { return Ok(None) };
        if self.queue[index].events.last().is_none_or(|last| last.sequence < sequence) {
            return Err(());
        }
        let mut acked = 0;
        for index in 0..=index {
            let count = self.queue[index].events.iter().filter(|event| event.sequence <= sequence).count();
            acked += self.ack_events(index, count);
        }
        self.sweep();
        Ok(Some(acked))
    }

    /// Forgets the acknowledged packets before the first other one.
    fn sweep(&mut self) {
        while self.queue.first().is_some_and(|flight| flight.stage == Stage::Acked) {
            self.queue.remove(0);
        }
    }

    /// The holder of an attempt has dropped it. Returns whether the packet fails.
    pub(super) fn dropped(&mut self, id: u64, attempt: u32) -> bool {
        let Some(index) = self.find(id) else { return false };
        let flight = &mut self.queue[index];
        let fails = flight.attempts == attempt && flight.is_held && matches!(flight.stage, Stage::Pending(_));
        flight.is_held &= flight.attempts != attempt;
        fails
    }

    /// A packet has failed. Returns it if it is given up.
    pub(super) fn fail(&mut self, id: u64, failure: Failure, now: Duration, rules: &Rules) -> Option<Flight> {
        let index = self.find(id)?;
        let flight = &mut self.queue[index];
        if !flight.is_out() {
            return None;
        }
        if !self.is_endless && rules.attempts.is_some_and(|most| flight.attempts >= most) {
            return Some(self.give_up(index));
        }
        let doublings = (flight.attempts - 1).min(20);
        let backoff = (rules.base * 2_u32.pow(doublings)).min(rules.longest);
        let wait = match failure {
            Failure::Asked(wait) => wait.unwrap_or(backoff),
            Failure::TimedOut => Duration::ZERO,
            Failure::Dropped if !flight.was_dropped => Duration::ZERO,
            Failure::Dropped => backoff,
        };
        flight.was_dropped |= failure == Failure::Dropped;
        flight.stage = Stage::Retrying(now + wait);
        self.go_back(index + 1);
        None
    }

    /// Gives a packet up, unless it is acknowledged or gone.
    pub(super) fn reject(&mut self, id: u64, now: Duration, rules: &Rules) -> Option<Flight> {
        if self.is_endless {
            return self.fail(id, Failure::Asked(None), now, rules);
        }
        let index = self.find(id)?;
        (self.queue[index].stage != Stage::Acked).then(|| self.give_up(index))
    }

    /// Those after it stay in the hands of the member.
    fn give_up(&mut self, index: usize) -> Flight {
        let flight = self.queue.remove(index);
        self.sweep();
        flight
    }

    /// Those that were handed out after a packet that failed are handed out again after it.
    fn go_back(&mut self, index: usize) {
        for flight in self.queue.iter_mut().skip(index) {
            if matches!(flight.stage, Stage::Pending(_)) {
                flight.stage = Stage::Ready;
            }
        }
    }

    /// Returns the first packet whose acknowledgment is overdue.
    pub(super) fn overdue(&self, now: Duration) -> Option<u64> {
        let is_overdue = |flight: &&Flight| matches!(flight.stage, Stage::Pending(at) if at <= now);
        self.queue.iter().find(is_overdue).map(|flight| flight.id)
    }

    /// Ends the waits for retries.
    pub(super) fn hurry(&mut self) {
        for flight in &mut self.queue {
            if matches!(flight.stage, Stage::Retrying(_)) {
                flight.stage = Stage::Ready;
            }
        }
    }

    /// A new session gets everything that is not acknowledged.
    pub(super) fn restart(&mut self) {
        for flight in &mut self.queue {
            if flight.stage != Stage::Acked {
                flight.stage = Stage::Ready;
                flight.is_held = false;
            }
        }
    }
}
