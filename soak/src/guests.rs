//! Every kind of sink that the bus is shared with.

mod chains;
mod channels;
mod journals;
mod queues;

use crate::event::{Event, Seen};
use crate::guest::{Guest, Mischief};
use buslane::{Bus, Overflow, WaitStrategy};
use std::time::Duration;

/// What every guest is made with.
pub(crate) struct Invitation<'a> {
    pub(crate) bus: &'a Bus<Event>,
    pub(crate) name: String,
    pub(crate) overflow: Overflow,
    pub(crate) wait: WaitStrategy,
    pub(crate) capacity: usize,
    /// For whatever else is left to chance.
    pub(crate) dice: u64,
    pub(crate) mischief: Mischief,
    pub(crate) seen: Seen,
}

type Invite = fn(&Invitation<'_>) -> Guest;

const KINDS: [(&str, Invite); 13] = [
    ("queue", queues::plain),
    ("filtered queue", queues::filtered),
    ("queue with workers", queues::workers),
    ("queue ordered by stream", queues::ordered),
    ("channel", channels::plain),
    ("filtered channel", channels::filtered),
    ("shared channel", channels::shared),
    ("direct sink", chains::direct),
    ("batch", chains::batch),
    ("retry", chains::backoff),
    ("breaker", chains::breaker),
    ("bus", chains::bus),
    ("journal", journals::journal),
];

/// Puts a sink of any kind on the bus.
pub(crate) fn any(bus: &Bus<Event>, random: &mut fastrand::Rng) -> Guest {
    let (kind, invite) = KINDS[random.usize(..KINDS.len())];
    let overflow = match random.u8(..6) {
        0 => Overflow::DropNewest,
        1 => Overflow::DropOldest,
        2 => Overflow::Refuse,
        3 => Overflow::Block,
        4 => Overflow::BlockFor(Duration::from_millis(2)),
        _ => Overflow::Close,
    };
    let wait = match random.u8(..4) {
        0 => WaitStrategy::SpinPark,
        1 => WaitStrategy::Park,
        2 => WaitStrategy::poll(),
        _ => WaitStrategy::nap(),
    };
    // Small ones overflow, and the largest hardly do. One that is cut off at once would be a guest for a moment only.
    let largest = if overflow == Overflow::Close { 14..15 } else { 0..12 };
    let capacity = (1 << random.u32(largest)) + random.usize(..3);
    invite(&Invitation {
        bus,
        name: format!("{kind} ({overflow:?}, {wait:?}, {capacity})"),
        overflow,
        wait,
        capacity,
        dice: random.u64(..),
        mischief: Mischief::default(),
        seen: Seen::default(),
    })
}
