//! Queues: the worker's thread reads.

use super::Invitation;
use crate::event::{Event, Follower};
use crate::guest::{Guest, books, check_books, check_close, state_of};
use crate::watch::{GUARD, fail, pauses};
use buslane::error::SpawnError;
use buslane::queue::QueueBuilder;
use buslane::{Overflow, Queue, Sink, SinkExt};
use std::sync::Arc;

fn builder(invitation: &Invitation<'_>) -> QueueBuilder<Event> {
    Queue::builder()
        .name("guest")
        .capacity(invitation.capacity)
        .overflow(invitation.overflow)
        .wait_strategy(invitation.wait)
}

/// Returns a worker's closure.
fn reader(invitation: &Invitation<'_>, gapless: bool) -> impl FnMut(Event) + Send + 'static {
    let mut follower = Follower::new(&invitation.name, gapless, &invitation.seen);
    let mischief = invitation.mischief.clone();
    move |event: Event| {
        follower.see(&event);
        mischief.act();
    }
}

/// Adds the queue, or a sink upstream of it, to the bus.
fn guest(
    invitation: &Invitation<'_>,
    queue: Result<Queue<Event>, SpawnError>,
    in_front: impl FnOnce(Queue<Event>) -> Arc<dyn Sink<Event>>,
) -> Guest {
    let Invitation { name, seen, .. } = invitation;
    let queue = queue.unwrap_or_else(|error| fail(&format!("{name}: {error}")));
    let sink = in_front(queue.clone());
    let (on_bus, name, seen) = (sink.clone(), name.clone(), seen.clone());
    Guest::add(invitation, on_bus, move || {
        let before = pauses();
        check_close(&name, &queue.close_timeout(GUARD), before);
        check_books(&name, || queue.state(), &seen);
        books(&name, || state_of(&sink));
    })
}

/// Returns whether the reader gets every event from its first one on.
fn is_gapless(invitation: &Invitation<'_>) -> bool {
    invitation.overflow == Overflow::Block
}

pub(super) fn plain(invitation: &Invitation<'_>) -> Guest {
    let queue = builder(invitation).spawn(reader(invitation, is_gapless(invitation)));
    guest(invitation, queue, |queue| Arc::new(queue))
}

pub(super) fn filtered(invitation: &Invitation<'_>) -> Guest {
    let queue = builder(invitation).spawn(reader(invitation, false));
    guest(invitation, queue, |queue| Arc::new(queue.filter(|event: &Event| !event.number.is_multiple_of(3))))
}

pub(super) fn workers(invitation: &Invitation<'_>) -> Guest {
    let queue = builder(invitation).workers(2).spawn_each(|_| reader(invitation, false));
    guest(invitation, queue, |queue| Arc::new(queue))
}

pub(super) fn ordered(invitation: &Invitation<'_>) -> Guest {
    let ordered = builder(invitation).workers(2).ordered_by(|event: &Event| event.stream);
    let queue = ordered.spawn_each(|_| reader(invitation, is_gapless(invitation)));
    guest(invitation, queue, |queue| Arc::new(queue))
}
