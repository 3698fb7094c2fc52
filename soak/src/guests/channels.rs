//! Channels: separate threads read in every way, and some leave before the end.

use super::Invitation;
use super::need::BATCH;
use crate::event::{Event, Follower};
use crate::guest::{Guest, Mischief, books, check_books, state_of};
use crate::watch::fail;
use buslane::channel::{ChannelBuilder, SharedReceiver};
use buslane::error::{RecvTimeoutError, TryRecvError};
use buslane::{Channel, Overflow, Receiver, Sink, SinkExt};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

fn builder(invitation: &Invitation<'_>) -> ChannelBuilder<Event> {
    Channel::builder()
        .capacity(invitation.capacity)
        .overflow(invitation.overflow)
        .wait_strategy(invitation.wait)
}

/// Reads to the end of the stream, or leaves on request.
fn read(mut receiver: Receiver<Event>, mut follower: Follower, mischief: &Mischief, dice: u64) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut turn = dice;
    while !mischief.leaves() {
        turn = turn.wrapping_add(1);
        mischief.stand_still();
        match turn / 64 % 4 {
            0 => match receiver.recv_timeout(Duration::from_millis(5)) {
                Ok(event) => follower.see(&event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(_) => return,
            },
            1 => match receiver.try_recv() {
                Ok(event) => follower.see(&event),
                Err(TryRecvError::Empty) => thread::yield_now(),
                Err(_) => return,
            },
            2 => {
                receiver.drain_with(|event| follower.see(&event));
                thread::yield_now();
            }
            _ => match receiver.recv_timeout(Duration::from_millis(5)) {
                Ok(event) => {
                    follower.see(&event);
                    // Reads in batches, so that the number of events outside the channel is
                    // bounded.
                    for event in receiver.drain() {
                        batch.push(event);
                        if batch.len() == BATCH {
                            batch.drain(..).for_each(|event| follower.see(&event));
                        }
                    }
                    batch.drain(..).for_each(|event| follower.see(&event));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(_) => return,
            },
        }
    }
}

fn read_shared(mut receiver: SharedReceiver<Event>, mut follower: Follower, mischief: &Mischief) {
    while !mischief.leaves() {
        mischief.stand_still();
        match receiver.recv_timeout(Duration::from_millis(5)) {
            Ok(event) => follower.see(&event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(_) => return,
        }
    }
}

fn guest(
    invitation: &Invitation<'_>,
    channel: Channel<Event>,
    sink: Arc<dyn Sink<Event>>,
    readers: Vec<JoinHandle<()>>,
) -> Guest {
    let Invitation { name, seen, .. } = invitation;
    let (on_bus, name, seen) = (sink.clone(), name.clone(), seen.clone());
    Guest::add(invitation, on_bus, move || {
        channel.close();
        for reader in readers {
            if reader.join().is_err() {
                fail(&format!("{name}: a reader panicked"));
            }
        }
        check_books(&name, || channel.state(), &seen);
        books(&name, || state_of(&sink));
    })
}

fn single(
    invitation: &Invitation<'_>,
    gapless: bool,
    in_front: impl FnOnce(Channel<Event>) -> Arc<dyn Sink<Event>>,
) -> Guest {
    let built = builder(invitation).build();
    let (channel, receiver) = built.unwrap_or_else(|error| fail(&format!("{}: {error}", invitation.name)));
    let follower = Follower::new(&invitation.name, gapless, &invitation.seen);
    let (mischief, dice) = (invitation.mischief.clone(), invitation.dice);
    let reader = thread::spawn(move || read(receiver, follower, &mischief, dice));
    guest(invitation, channel.clone(), in_front(channel), vec![reader])
}

pub(super) fn plain(invitation: &Invitation<'_>) -> Guest {
    single(invitation, invitation.overflow == Overflow::Block, |channel| Arc::new(channel))
}

pub(super) fn filtered(invitation: &Invitation<'_>) -> Guest {
    single(invitation, false, |channel| {
        Arc::new(channel.filter(|event: &Event| !event.number.is_multiple_of(16)))
    })
}

pub(super) fn shared(invitation: &Invitation<'_>) -> Guest {
    let built = builder(invitation).build_shared();
    let (channel, receiver) = built.unwrap_or_else(|error| fail(&format!("{}: {error}", invitation.name)));
    let reader = |receiver: SharedReceiver<Event>| {
        let follower = Follower::new(&invitation.name, false, &invitation.seen);
        let mischief = invitation.mischief.clone();
        thread::spawn(move || read_shared(receiver, follower, &mischief))
    };
    let readers = vec![reader(receiver.clone()), reader(receiver)];
    guest(invitation, channel.clone(), Arc::new(channel), readers)
}
