//! The live feed: a journal that keeps the newest orders, and a subscriber for each client.
//!
//! A client that reads slowly delays neither the orders nor another client. It misses what the
//! journal no longer keeps, is told how many that were, and continues. A client that returns after the
//! service was started again is told that, since the orders that it missed are not counted anywhere.

use crate::orders::Order;
use axum::response::sse::Event;
use buslane::error::{AddError, BuildError, SubscribeError};
use buslane::journal::{Entry, Sequence, Start};
use buslane::stats::{Ledger, SinkState, Snapshot, SubscriberState};
use buslane::{Bus, Journal, Subscriber};
use futures_util::Stream;
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::SystemTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Publishes orders to the clients of the feed.
#[derive(Debug)]
pub(crate) struct Feed {
    bus: Bus<Order>,
    journal: Journal<Order>,
    /// Tells the sequences of this run of the process from those of an earlier one.
    run: u64,
    seats: Arc<Semaphore>,
    clients: AtomicU64,
    unpublished: AtomicU64,
    totals: Arc<Totals>,
}

/// What all clients together have read, when they have left.
#[derive(Debug, Default)]
struct Totals(Mutex<Readers>);

/// Clients that have left, and what they read.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Readers {
    pub(crate) clients: u64,
    /// Over all of them.
    pub(crate) ledger: Ledger,
}

/// Why a client gets no feed.
#[derive(Debug)]
pub(crate) enum NoFeed {
    TooManyClients,
    Start(SubscribeError),
}

impl Feed {
    /// Creates a feed that keeps the newest `history` orders, for `clients` clients at a time.
    pub(crate) fn new(history: usize, clients: u32) -> Result<Self, BuildError> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            bus: Bus::new(),
            journal: Journal::new(history)?,
            run: u64::try_from(since.as_micros()).unwrap_or(0),
            seats: Arc::new(Semaphore::new(clients as usize)),
            clients: AtomicU64::new(0),
            unpublished: AtomicU64::new(0),
            totals: Arc::default(),
        })
    }

    /// Puts the journal on the bus of the feed.
    pub(crate) fn register(&self) -> Result<(), AddError> {
        self.bus.add_named("feed", self.journal.clone()).map(drop)
    }

    /// Publishes an order. No client delays this.
    pub(crate) fn publish(&self, order: Order) {
        let published = self.bus.with_local(|publisher| publisher.publish(order));
        if !published.is_ok_and(|published| published.accepted == 1) {
            // The shutdown did not wait for this order any longer.
            self.unpublished.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Opens the feed for a client: after the event with its last id, or with the last few events.
    pub(crate) fn open(&self, last_id: Option<&str>, last: usize) -> Result<Client, NoFeed> {
        let seat = self.seats.clone().try_acquire_owned().map_err(|_| NoFeed::TooManyClients)?;
        let number = self.clients.fetch_add(1, Ordering::Relaxed) + 1;
        let subscription = self.journal.subscription().name(format!("client {number}"));
        let (start, restarted) = self.start(last_id, last);
        let subscriber = subscription.start(start).subscribe().map_err(NoFeed::Start)?;
        let (run, totals) = (self.run, self.totals.clone());
        Ok(Client { subscriber, run, restarted, ended: false, totals, _seat: seat })
    }

    /// Where a client begins, and whether its last event is one of another run.
    fn start(&self, last_id: Option<&str>, last: usize) -> (Start, bool) {
        let Some(last_id) = last_id else { return (Start::Last(last), false) };
        let id = last_id
            .split_once('-')
            .and_then(|(run, sequence)| Some((run.parse::<u64>().ok()?, sequence.parse::<u64>().ok()?)));
        match id {
            Some((run, sequence)) if run == self.run => (Start::At(Sequence::new(sequence).next()), false),
            // The history of an earlier run is gone, and how much of it the client missed is unknown: all
            // that this one keeps, after a message that says so.
            _ => (Start::Oldest, true),
        }
    }

    /// Ends the feed: each client reads what is left for it, and then its stream ends.
    pub(crate) fn close(&self) {
        self.journal.close();
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.bus.snapshot()
    }

    pub(crate) fn state(&self) -> SinkState {
        self.journal.state()
    }

    /// How many orders were not published, because the feed had ended.
    pub(crate) fn unpublished(&self) -> u64 {
        self.unpublished.load(Ordering::Relaxed)
    }

    /// The clients that have left, and what they read.
    pub(crate) fn readers(&self) -> Readers {
        *self.totals.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream of one client.
#[derive(Debug)]
pub(crate) struct Client {
    subscriber: Subscriber<Order>,
    run: u64,
    /// Whether the client is still to be told that its last event is one of another run.
    restarted: bool,
    ended: bool,
    totals: Arc<Totals>,
    _seat: OwnedSemaphorePermit,
}

impl Client {
    /// The message of an entry; `None` for one that this feed never has.
    fn message(&self, entry: Entry<Order>) -> Option<Event> {
        match entry {
            Entry::Event(sequence, order) => {
                let event = Event::default().event("order").id(format!("{}-{sequence}", self.run));
                // An order is always valid JSON.
                event.json_data(order).ok()
            }
            Entry::Lagged(missed) => Some(Event::default().event("lagged").data(missed.to_string())),
            _ => None,
        }
    }
}

impl Stream for Client {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.restarted) {
            let message = Event::default().event("restarted").data("orders of an earlier run may be missing");
            return Poll::Ready(Some(Ok(message)));
        }
        while !self.ended {
            match ready!(self.subscriber.poll_recv(context)) {
                Ok(entry) => {
                    if let Some(message) = self.message(entry) {
                        return Poll::Ready(Some(Ok(message)));
                    }
                }
                Err(_) => {
                    self.ended = true;
                    let next = self.subscriber.next_sequence().to_string();
                    return Poll::Ready(Some(Ok(Event::default().event("end").data(next))));
                }
            }
        }
        Poll::Ready(None)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let SubscriberState { ledger, .. } = self.subscriber.state();
        let mut totals = self.totals.0.lock().unwrap_or_else(PoisonError::into_inner);
        totals.clients += 1;
        totals.ledger += ledger;
    }
}
