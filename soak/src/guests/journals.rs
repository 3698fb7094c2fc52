//! Journals: subscribers that keep up, lag, stall, come back, and gate the publishers. All must see
//! one order.

use super::Invitation;
use super::need::COMPARED;
use crate::event::{Event, Follower, Seen};
use crate::guest::{Guest, Mischief, books};
use crate::watch::{fail, require};
use buslane::error::RecvTimeoutError;
use buslane::journal::{Entry, Feed, OnLag, Sequence, Start};
use buslane::{Journal, Subscriber, WaitStrategy};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Each subscriber compares one of this many events with the others.
const TOLD: u64 = 61;

/// The event at each position, as the first subscriber saw it.
#[derive(Clone, Default)]
struct Order(Arc<Mutex<BTreeMap<u64, (u64, u64)>>>);

impl Order {
    fn compare(&self, name: &str, place: Sequence, event: &Event) {
        if !place.get().is_multiple_of(TOLD) {
            return;
        }
        let mine = (event.stream, event.number);
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *places.entry(place.get()).or_insert(mine);
        require(first == mine, || {
            format!("{name}: at {place} one subscriber saw {first:?}, and another {mine:?}")
        });
        if places.len() > COMPARED {
            places.pop_first();
        }
    }
}

/// One subscriber that reads to the end of the journal.
struct Reader {
    name: String,
    feed: Feed<Event>,
    follower: Follower,
    order: Order,
    mischief: Mischief,
    gating: bool,
    on_lag: OnLag,
    wait: WaitStrategy,
}

impl Reader {
    fn subscribe(&self, start: Start) -> Subscriber<Event> {
        let subscription = self.feed.subscription().start(start).on_lag(self.on_lag).wait_strategy(self.wait);
        let subscription = if self.gating { subscription.gating() } else { subscription };
        subscription.subscribe().unwrap_or_else(|error| fail(&format!("{}: {error}", self.name)))
    }

    fn see(&mut self, place: Sequence, event: &Event) {
        self.order.compare(&self.name, place, event);
        self.follower.see(event);
    }

    /// Reads to the end, and returns the number of events reported as missed.
    fn read(mut self, mut subscriber: Subscriber<Event>, seen: &Seen) {
        let start = subscriber.next_sequence().get();
        let (mut next, mut missed, mut turn) = (start, 0, 0_u64);
        loop {
            turn += 1;
            self.mischief.stand_still();
            if turn.is_multiple_of(1_000) {
                // Drops the subscriber, and resumes at its position.
                let place = subscriber.next_sequence();
                self.check(&subscriber);
                drop(subscriber);
                subscriber = self.subscribe(Start::At(place));
            }
            if turn.is_multiple_of(3) {
                match subscriber.try_recv_slice() {
                    Ok(Entry::Event(place, events)) => {
                        require(place.get() == next, || format!("{}: {place} after {next}", self.name));
                        next += events.len() as u64;
                        for (place, event) in (place.get()..).zip(events) {
                            self.see(Sequence::new(place), event);
                        }
                        continue;
                    }
                    Ok(Entry::Lagged(events)) => {
                        next += events;
                        missed += events;
                        continue;
                    }
                    _ => {}
                }
            }
            match subscriber.recv_timeout(Duration::from_millis(5)) {
                Ok(Entry::Event(place, event)) => {
                    require(place.get() == next, || format!("{}: {place} after {next}", self.name));
                    next += 1;
                    self.see(place, &event);
                }
                Ok(Entry::Lagged(events)) => {
                    next += events;
                    missed += events;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(other) => fail(&format!("{}: {:?}", self.name, other.event().map(|event| event.number))),
                Err(_) => break,
            }
        }
        self.check(&subscriber);
        let end = self.feed.next().get();
        require(next == end && seen.count() + missed == end - start, || {
            format!("{}: from {start} to {end}: {} seen, {missed} missed", self.name, seen.count())
        });
    }

    fn check(&self, subscriber: &Subscriber<Event>) {
        if let Err(imbalance) = subscriber.state().ledger.check() {
            fail(&format!("{}: {imbalance}", self.name));
        }
    }
}

pub(super) fn journal(invitation: &Invitation<'_>) -> Guest {
    let Invitation { name, mischief, wait, .. } = invitation;
    let built = Journal::builder().capacity(invitation.capacity).gate_limit(Duration::from_millis(2)).build();
    let journal = built.unwrap_or_else(|error| fail(&format!("{name}: {error}")));
    let order = Order::default();
    let mut readers = Vec::new();
    for number in 0..3 {
        let seen = Seen::default();
        let reader = Reader {
            name: format!("{name}, subscriber {number}"),
            feed: journal.feed(),
            follower: Follower::new(name, false, &seen),
            order: order.clone(),
            // Only one subscriber stalls; the others see the events that it misses.
            mischief: if number == 0 { mischief.clone() } else { Mischief::default() },
            gating: number == 1 && invitation.dice.is_multiple_of(2),
            on_lag: if number == 2 { OnLag::Newest } else { OnLag::Oldest },
            wait: *wait,
        };
        let subscriber = reader.subscribe(Start::Oldest);
        readers.push(thread::spawn(move || reader.read(subscriber, &seen)));
    }
    let (on_bus, closing) = (journal.clone(), name.clone());
    Guest::add(invitation, on_bus, move || {
        journal.close();
        for reader in readers {
            if reader.join().is_err() {
                fail(&format!("{closing}: a subscriber panicked"));
            }
        }
        books(&closing, || journal.state());
    })
}
