//! Every kind of sink that a round adds to its bus.

mod chains;
mod channels;
mod journals;
mod need;
mod queues;

use crate::bound::{Account, Bound, Need};
use crate::event::{Event, Seen};
use crate::guest::{Guest, Mischief};
use crate::leak::Plant;
use buslane::{Bus, Overflow, WaitStrategy};
use std::time::Duration;

/// The settings of every guest.
pub(crate) struct Invitation<'a> {
    pub(crate) bus: &'a Bus<Event>,
    pub(crate) bound: &'a Bound,
    /// The account of this sink in the register.
    pub(crate) account: Account,
    pub(crate) plant: Plant,
    pub(crate) name: String,
    pub(crate) overflow: Overflow,
    pub(crate) wait: WaitStrategy,
    pub(crate) capacity: usize,
    /// A random number for all further choices.
    pub(crate) dice: u64,
    pub(crate) mischief: Mischief,
    pub(crate) seen: Seen,
}

type Invite = fn(&Invitation<'_>) -> Guest;
/// Returns the memory of a sink, by capacity and overflow policy.
type Needs = fn(usize, Overflow) -> Need;

const KINDS: [(&str, Invite, Needs); 13] = [
    ("queue", queues::plain, need::one_reader),
    ("filtered queue", queues::filtered, need::one_reader),
    ("queue with workers", queues::workers, need::two_readers),
    ("queue ordered by stream", queues::ordered, need::two_mailboxes),
    ("channel", channels::plain, need::batching),
    ("filtered channel", channels::filtered, need::batching),
    ("shared channel", channels::shared, need::two_readers),
    ("direct sink", chains::direct, need::direct),
    ("batch", chains::batch, need::batching),
    ("retry", chains::backoff, need::one_reader),
    ("breaker", chains::breaker, need::one_reader),
    ("bus", chains::bus, need::bus),
    ("journal", journals::journal, need::journal),
];

/// Adds a random sink to the bus.
pub(crate) fn any(bus: &Bus<Event>, bound: &Bound, plant: Plant, random: &mut fastrand::Rng) -> Guest {
    let (kind, invite, needs) = KINDS[random.usize(..KINDS.len())];
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
    // Small sinks overflow, and the largest hardly do. A sink that is disconnected at once would be
    // a guest for a very short time only.
    let largest = if overflow == Overflow::Close { 14..15 } else { 0..12 };
    let capacity = (1 << random.u32(largest)) + random.usize(..3);
    let name = format!("{kind} ({overflow:?}, {wait:?}, {capacity})");
    invite(&Invitation {
        bus,
        bound,
        account: bound.open(&name, needs(capacity, overflow)),
        plant,
        name,
        overflow,
        wait,
        capacity,
        dice: random.u64(..),
        mischief: Mischief::default(),
        seen: Seen::default(),
    })
}
