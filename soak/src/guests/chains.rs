//! Sinks that are called directly, and sinks with combinators upstream: batches, retries, another
//! bus.

use super::Invitation;
use crate::clock::Jumping;
use crate::event::{Event, Follower};
use crate::guest::{Guest, books, check_books, check_close};
use crate::watch::{GUARD, fail, pauses, require};
use buslane::retry::{Backoff, Breaker, DeadLetter, RetryPolicy};
use buslane::{Bus, Queue, SinkExt, sink_fn};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A sink that is called on the publishing threads. Its last events may be in progress when it is
/// removed; no other event is missing.
pub(super) fn direct(invitation: &Invitation<'_>) -> Guest {
    let Invitation { name, mischief, seen, .. } = invitation;
    let follower = Mutex::new(Follower::new(name, false, seen));
    let trouble = mischief.clone();
    let sink = sink_fn(move |event: &Event| {
        // The lock is released before the panic.
        follower.lock().unwrap_or_else(PoisonError::into_inner).see(event);
        trouble.act();
    });
    Guest::add(invitation, sink, || {})
}

fn queue(invitation: &Invitation<'_>) -> buslane::queue::QueueBuilder<Event> {
    Queue::builder()
        .capacity(invitation.capacity)
        .overflow(invitation.overflow)
        .wait_strategy(invitation.wait)
}

pub(super) fn batch(invitation: &Invitation<'_>) -> Guest {
    let Invitation { name, mischief, seen, .. } = invitation;
    let follower = Mutex::new(Follower::new(name, false, seen));
    let (trouble, plant) = (mischief.clone(), invitation.plant);
    let collect = sink_fn(move |batch: &Vec<Event>| {
        plant.leak_batch(batch);
        let mut follower = follower.lock().unwrap_or_else(PoisonError::into_inner);
        batch.iter().for_each(|event| follower.see(event));
        trouble.stand_still();
    });
    let size = (invitation.dice % 40 + 1) as usize;
    let batch = collect.batch(size).age(Duration::from_millis(5));
    let queue = queue(invitation).spawn_sink(batch).unwrap_or_else(|error| fail(&format!("{name}: {error}")));
    let (on_bus, closing, seen) = (queue.clone(), name.clone(), seen.clone());
    Guest::add(invitation, on_bus, move || {
        let before = pauses();
        check_close(&closing, &queue.close_timeout(GUARD), before);
        check_books(&closing, || queue.state(), &seen);
    })
}

pub(super) fn backoff(invitation: &Invitation<'_>) -> Guest {
    let policy = Backoff::new(Duration::from_micros(50), Duration::from_millis(1)).max_attempts(3);
    retry(invitation, policy.seed(invitation.dice))
}

pub(super) fn breaker(invitation: &Invitation<'_>) -> Guest {
    let policy = Breaker::new(2, Duration::from_millis(1)).max_attempts(4);
    retry(invitation, policy.clock(Jumping::new()))
}

/// A sink that fails at some attempts, three in a row, and is retried by a clock that jumps,
/// downstream of a queue.
fn retry(invitation: &Invitation<'_>, policy: impl RetryPolicy<Event> + 'static) -> Guest {
    let Invitation { name, mischief, seen, .. } = invitation;
    let follower = Mutex::new(Follower::new(name, false, seen));
    let (trouble, attempts, letters) = (mischief.clone(), AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let fails = sink_fn(move |event: &Event| {
        if attempts.fetch_add(1, Ordering::Relaxed) % 64 > 60 {
            return Err("as requested");
        }
        follower.lock().unwrap_or_else(PoisonError::into_inner).see(event);
        trouble.stand_still();
        Ok(())
    });
    let given_up = letters.clone();
    let retry = fails.retry(policy).clock(Jumping::new()).dead_letters(sink_fn(
        move |_letter: &DeadLetter<Event>| {
            given_up.fetch_add(1, Ordering::Relaxed);
        },
    ));
    let queue = queue(invitation).spawn_sink(retry).unwrap_or_else(|error| fail(&format!("{name}: {error}")));
    let (on_bus, closing, seen) = (queue.clone(), name.clone(), seen.clone());
    Guest::add(invitation, on_bus, move || {
        let before = pauses();
        check_close(&closing, &queue.close_timeout(GUARD), before);
        let ledger = books(&closing, || queue.state());
        let (seen, letters) = (seen.count(), letters.load(Ordering::Relaxed));
        let handled = ledger.delivered + ledger.dropped.failed;
        require(handled == seen + letters && ledger.pending == 0, || {
            format!("{closing}: {seen} events were seen, and {letters} given up: {ledger}")
        });
    })
}

/// Another bus, with a queue on it.
pub(super) fn bus(invitation: &Invitation<'_>) -> Guest {
    let Invitation { name, mischief, seen, .. } = invitation;
    let inner = Bus::new();
    let mut follower = Follower::new(name, false, seen);
    let trouble = mischief.clone();
    let queue = queue(invitation).spawn(move |event: Event| {
        follower.see(&event);
        trouble.act();
    });
    let queue = queue.unwrap_or_else(|error| fail(&format!("{name}: {error}")));
    if let Err(error) = inner.add(queue.clone()) {
        fail(&format!("{name}: {error}"));
    }
    let (closing, seen) = (name.clone(), seen.clone());
    // Its bus drops a disconnected queue, and stays on the outer one.
    let cut_off = inner.downgrade();
    let cut_off = move || cut_off.upgrade().is_none_or(|inner| inner.snapshot().sinks.is_empty());
    Guest::add_with(invitation, inner.clone(), cut_off, move || {
        let before = pauses();
        check_close(&closing, &inner.close_timeout(GUARD), before);
        // A queue that overflowed and was disconnected is already detached, and drains its events.
        check_close(&closing, &queue.close_timeout(GUARD), before);
        check_books(&closing, || queue.state(), &seen);
    })
}
