//! A journal with one publisher and one subscriber, which spins.
//!
//! In the gated mode the publisher waits for the subscriber, and no event is lost. In the free mode
//! it overwrites unread events, and the subscriber counts them.

use super::{Counter, Report, Singly, Stream, spin};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use crate::route::Consumer;
use buslane::error::TryRecvError;
use buslane::journal::{Entry, JournalWriter};
use buslane::{Journal, Subscriber, WaitStrategy, WriteError};
use std::sync::Arc;

const OPEN: &str = "the journal is open";
const SETTINGS: &str = "the settings are valid";

fn journal(gating: bool) -> (JournalWriter<Event>, Subscriber<Event>) {
    let (writer, feed) = Journal::single(CAPACITY).expect(SETTINGS);
    let subscription = feed.subscription().wait_strategy(WaitStrategy::BusySpin);
    let subscription = if gating { subscription.gating() } else { subscription };
    (writer, subscription.subscribe().expect(SETTINGS))
}

/// Reads single events.
fn singly(report: &Arc<Report>, mut subscriber: Subscriber<Event>) -> Consumer {
    spin(report, move |counter| match subscriber.try_recv() {
        Ok(Entry::Event(_, event)) => {
            counter.see_next(&event);
            true
        }
        other => count(counter, &other),
    })
}

/// Reads slices in place.
fn in_batches(report: &Arc<Report>, mut subscriber: Subscriber<Event>) -> Consumer {
    spin(report, move |counter| match subscriber.try_recv_slice() {
        Ok(Entry::Event(_, events)) => {
            events.iter().for_each(|event| counter.see_next(event));
            true
        }
        other => count(counter, &other),
    })
}

/// Counts a result without an event, and returns whether it was a lag.
fn count<E>(counter: &mut Counter, read: &Result<Entry<E>, TryRecvError>) -> bool {
    let Ok(entry) = read else { return false };
    let Entry::Lagged(events) = entry else { unreachable!("nothing panics") };
    counter.miss(*events);
    true
}

/// Returns a publisher that tries again at once when the subscriber blocks it.
fn trying(mut writer: JournalWriter<Event>) -> impl FnMut(Seed) {
    move |seed| {
        while let Err(error) = writer.try_publish(seed.event()) {
            assert!(matches!(error, WriteError::Full(_)), "{OPEN}");
            std::hint::spin_loop();
        }
    }
}

/// Returns a publisher that parks when the subscriber blocks it.
fn waiting(mut writer: JournalWriter<Event>) -> impl FnMut(Seed) {
    move |seed| {
        writer.publish(seed.event()).expect(OPEN);
    }
}

/// Gated, single events.
#[must_use]
pub fn gated() -> impl Stream {
    let (report, (writer, subscriber)) = (Arc::default(), journal(true));
    let consumer = singly(&report, subscriber);
    Singly::new(trying(writer), report, Some(consumer))
}

/// Gated, in slices.
#[must_use]
pub fn gated_batches() -> impl Stream {
    let (report, (writer, subscriber)) = (Arc::default(), journal(true));
    let consumer = in_batches(&report, subscriber);
    Singly::new(trying(writer), report, Some(consumer))
}

/// Gated, in slices; the publisher parks.
#[must_use]
pub fn gated_parking() -> impl Stream {
    let (report, (writer, subscriber)) = (Arc::default(), journal(true));
    let consumer = in_batches(&report, subscriber);
    Singly::new(waiting(writer), report, Some(consumer))
}

/// Free, single events.
#[must_use]
pub fn free() -> impl Stream {
    let (report, (writer, subscriber)) = (Arc::default(), journal(false));
    let consumer = singly(&report, subscriber);
    Singly { lossy: true, ..Singly::new(waiting(writer), report, Some(consumer)) }
}

/// Free, in slices.
#[must_use]
pub fn free_batches() -> impl Stream {
    let (report, (writer, subscriber)) = (Arc::default(), journal(false));
    let consumer = in_batches(&report, subscriber);
    Singly { lossy: true, ..Singly::new(waiting(writer), report, Some(consumer)) }
}
