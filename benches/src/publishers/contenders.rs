//! The contenders.
#![expect(clippy::missing_panics_doc, reason = "a contender that fails ends the bench")]

use super::{Publishers, Read};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use buslane::Journal;
use buslane::journal::{Entry, Start};
use std::sync::{Mutex, PoisonError};
use tokio::sync::broadcast::error::TryRecvError;

const OPEN: &str = "the journal is open";
const SETTINGS: &str = "the settings are valid";

/// A contender; only the reader takes the lock.
struct Contender<P, R> {
    publish: P,
    reader: Mutex<R>,
}

impl<P, R> Contender<P, R> {
    fn new(publish: P, reader: R) -> Self {
        Self { publish, reader: Mutex::new(reader) }
    }
}

impl<P, R> Publishers for Contender<P, R>
where
    P: Fn(Event) + Send + Sync + 'static,
    R: FnMut() -> Option<Read> + Send + 'static,
{
    #[inline(always)]
    fn publish(&self, seed: Seed) {
        (self.publish)(seed.event());
    }

    fn drain(&self, see: &mut dyn FnMut(Read)) {
        let mut read = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(found) = read() {
            see(found);
        }
    }
}

fn reader(mut subscriber: buslane::Subscriber<Event>) -> impl FnMut() -> Option<Read> + Send {
    move || match subscriber.try_recv().ok()? {
        Entry::Event(_, event) => Some(Read::Event(event)),
        Entry::Lagged(events) => Some(Read::Lost(events)),
        other => unreachable!("nothing panics: {other:?}"),
    }
}

/// `Journal::publish`.
#[must_use]
pub fn journal() -> impl Publishers {
    let journal = Journal::new(CAPACITY).expect(SETTINGS);
    let subscriber = journal.subscribe(Start::Now).expect(SETTINGS);
    let publish = move |event| {
        journal.publish(event).expect(OPEN);
    };
    Contender::new(publish, reader(subscriber))
}

/// `JournalWriter::publish` with a lock around it: the alternative to the claim of a `Journal`.
#[must_use]
pub fn locked() -> impl Publishers {
    let (writer, feed) = Journal::single(CAPACITY).expect(SETTINGS);
    let subscriber = feed.subscribe(Start::Now).expect(SETTINGS);
    let writer = Mutex::new(writer);
    let publish = move |event| {
        writer.lock().unwrap_or_else(PoisonError::into_inner).publish(event).expect(OPEN);
    };
    Contender::new(publish, reader(subscriber))
}

/// `tokio::sync::broadcast`'s send.
#[must_use]
pub fn tokio() -> impl Publishers {
    let (sender, mut receiver) = tokio::sync::broadcast::channel::<Event>(CAPACITY);
    let publish = move |event| {
        sender.send(event).expect("there is a receiver");
    };
    Contender::new(publish, move || match receiver.try_recv() {
        Ok(event) => Some(Read::Event(event)),
        Err(TryRecvError::Lagged(events)) => Some(Read::Lost(events)),
        Err(_) => None,
    })
}

/// `photon-ring`'s broadcast ring for several publishers.
#[must_use]
pub fn photon() -> impl Publishers {
    let (publisher, subscribable) = photon_ring::channel_mpmc::<[u64; 4]>(CAPACITY);
    let mut subscriber = subscribable.subscribe();
    let publish = move |event: Event| publisher.publish(event.into());
    Contender::new(publish, move || match subscriber.try_recv() {
        Ok(words) => Some(Read::Event(words.into())),
        Err(photon_ring::TryRecvError::Lagged { skipped }) => Some(Read::Lost(skipped)),
        Err(photon_ring::TryRecvError::Empty) => None,
    })
}
