//! A member's cursor in the journal: it reads the stream and fills packets.
//!
//! The cursor belongs to the reader of the outbox. What it has read counts only when the reader
//! commits it to the record, so a session that ends in between loses nothing: the next one reads from
//! the committed position.

use super::envelope::Envelope;
use super::packet::PacketEvent;
use super::settings::Settings;
use crate::deadline::moment_after;
use crate::error::TryRecvError;
use crate::journal::{Entry, Sequence, Subscriber};
use crate::wait::context::cloned;
use std::mem::needs_drop;
use std::time::{Duration, Instant};

/// The most positions that one fill reads, so that other work has its turn in a steady flow.
const READ_AT_ONCE: u64 = 4096;

/// The shortest wait between two looks at the stream while a packet lingers.
const SHORTEST_LOOK: Duration = Duration::from_millis(1);

pub(super) struct Cursor<E: Clone + Send + Sync + 'static> {
    pub(super) subscriber: Subscriber<Envelope<E>>,
    number: u64,
    epoch: u64,
    /// The packet that is being filled.
    pub(super) open: Open<E>,
    /// When the first event of the open packet was read, if it may wait for more.
    pub(super) opened: Option<Instant>,
    bytes: usize,
    /// Whether the open packet is complete.
    is_sealed: bool,
    /// Positions that were lost after the open packet.
    lost_after: u64,
    /// Whether the stream has ended.
    pub(super) has_ended: bool,
}

/// What was read and not committed.
pub(super) struct Open<E> {
    pub(super) events: Vec<PacketEvent<E>>,
    pub(super) probes: Vec<(Sequence, u64)>,
    /// Events for other members.
    pub(super) others: u64,
    /// Positions lost before the first event.
    pub(super) lost: u64,
    /// Where they were: each gap from its first position up to, but not including, the other.
    pub(super) gaps: Vec<(u64, u64)>,
    /// The probes of events whose clone panicked.
    pub(super) broken: Vec<u64>,
    /// Events whose clone panicked.
    pub(super) panicked: u64,
}

impl<E> Open<E> {
    fn new() -> Self {
        Self {
            events: Vec::new(),
            probes: Vec::new(),
            others: 0,
            lost: 0,
            gaps: Vec::new(),
            broken: Vec::new(),
            panicked: 0,
        }
    }

    /// Positions up to `end` were lost before the first event.
    fn lose(&mut self, count: u64, end: u64) {
        if count > 0 {
            self.lost += count;
            self.gaps.push((end - count, end));
        }
    }
}

impl<E: Clone + Send + Sync + 'static> Cursor<E> {
    pub(super) fn new(subscriber: Subscriber<Envelope<E>>, number: u64, epoch: u64) -> Self {
        Self {
            subscriber,
            number,
            epoch,
            open: Open::new(),
            opened: None,
            bytes: 0,
            is_sealed: false,
            lost_after: 0,
            has_ended: false,
        }
    }

    /// Returns whether reading would find something.
    pub(super) fn has_news(&self) -> bool {
        !self.has_ended && self.subscriber.has_news()
    }

    /// Returns whether the stream has ended and everything that was read was taken.
    pub(super) fn has_ended_empty(&self) -> bool {
        self.has_ended && self.open.events.is_empty()
    }

    /// Returns whether the open packet is to be handed out at `now`.
    pub(super) fn is_due(&self, now: Instant, settings: &Settings<E>) -> bool {
        let lingers = |opened: Instant| now.saturating_duration_since(opened) < settings.linger;
        !self.open.events.is_empty()
            && (self.is_sealed || self.has_ended || !self.opened.is_some_and(lingers))
    }

    /// Returns the position after what was read.
    pub(super) fn position(&self) -> u64 {
        self.subscriber.next_sequence().get() - self.lost_after
    }

    /// Reads until the packet is complete or the stream is dry.
    pub(super) fn fill(&mut self, settings: &Settings<E>) {
        let begin = self.subscriber.next_sequence().get();
        let (number, epoch) = (self.number, self.epoch);
        if self.open.events.is_empty() {
            let unread = self.subscriber.behind().min(settings.packet as u64);
            // What cannot be allocated here is asked for again, event by event.
            let _ = self.open.events.try_reserve_exact(unread as usize);
        }
        while !self.is_sealed && self.subscriber.next_sequence().get() - begin < READ_AT_ONCE {
            let weigh = settings.bytes.as_ref().map(|(_, weigh)| weigh);
            let mut probe = None;
            let read = self.subscriber.try_recv_with(|envelope| {
                // The clone and the weighing are user code. Nothing is locked here.
                envelope.is_for(number, epoch).then(|| {
                    // Noted before them, since they may panic.
                    probe = envelope.probe();
                    let bytes = weigh.map_or(0, |weigh| weigh.call(&envelope.event));
                    (envelope.from, copied(&envelope.event), bytes)
                })
            });
            match read {
                Ok(Entry::Event(sequence, Some((from, event, bytes)))) => {
                    self.open.probes.extend(probe.map(|probe| (sequence, probe)));
                    self.open.events.push(PacketEvent::new(sequence.get(), from, event));
                    self.bytes = self.bytes.saturating_add(bytes);
                    let is_heavy = settings.bytes.as_ref().is_some_and(|(most, _)| self.bytes >= *most);
                    self.is_sealed = is_heavy || self.open.events.len() >= settings.packet;
                }
                Ok(Entry::Event(_, None)) => self.open.others += 1,
                Ok(Entry::Lagged(count)) if self.open.events.is_empty() => {
                    self.open.lose(count, self.subscriber.next_sequence().get());
                }
                Ok(Entry::Lagged(count)) => {
                    // The gap comes before the next packet.
                    self.lost_after = count;
                    self.is_sealed = true;
                }
                Ok(Entry::Panicked(_)) => {
                    self.open.panicked += 1;
                    self.open.broken.extend(probe);
                }
                Err(TryRecvError::Closed | TryRecvError::Overflowed) => {
                    self.has_ended = true;
                    return;
                }
                Err(TryRecvError::Empty) => return,
            }
        }
    }

    /// Begins the linger of the open packet, if it has an event.
    pub(super) fn note_opened(&mut self, now: Instant) {
        if !self.open.events.is_empty() {
            self.opened.get_or_insert(now);
        }
    }

    /// Returns when to look at the stream again, if the open packet lingers and no publish tells of its
    /// events: when as many have come as were read, if they come as before. So few looks are enough
    /// for a long linger, and what was not read stays less than a packet.
    pub(super) fn next_look(&self, now: Instant, settings: &Settings<E>) -> Option<Instant> {
        let elapsed = now.saturating_duration_since(self.opened?);
        let first = self.open.events.first()?.sequence.get();
        // Events for others are read, too.
        let packets = self.position().saturating_sub(first).div_ceil(settings.packet as u64).max(1);
        let wait = elapsed / u32::try_from(packets).unwrap_or(u32::MAX);
        Some(moment_after(now, wait.max(SHORTEST_LOOK)))
    }

    /// Takes what was read, and begins a new packet.
    pub(super) fn take(&mut self) -> Open<E> {
        let open = std::mem::replace(&mut self.open, Open::new());
        let lost = std::mem::take(&mut self.lost_after);
        self.open.lose(lost, self.subscriber.next_sequence().get());
        self.opened = None;
        self.bytes = 0;
        self.is_sealed = false;
        open
    }
}

/// Clones an event, which is user code. The clone of an event without a destructor is assumed to be
/// a mere copy, as a journal does.
#[inline]
fn copied<E: Clone>(event: &E) -> E {
    if needs_drop::<E>() { cloned(event) } else { event.clone() }
}
