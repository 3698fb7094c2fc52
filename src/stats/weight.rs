//! Ledgers of batches, counted in the events that the batches hold.
//!
//! A sink of batches counts batches. The batch upstream of it counts events, so it sends its
//! [`Weight`] downstream when it is made. Each stage that keeps batches, or accepts parts of them,
//! then keeps a second ledger, counted in events.

use super::counters::EntryCounters;
use super::disposition::{Disposition, LEVELS, Ledgers, Levels};
use super::ledger::{DropReason, Ledger};
use crate::sync::{AtomicU64, Ordering};
use std::any::{Any, TypeId};
use std::fmt;
use std::sync::{Arc, OnceLock};

type Weigh = Arc<dyn Fn(&dyn Any) -> u64 + Send + Sync>;

/// The number of events that one batch holds.
///
/// A [`Batch`](crate::sink::Batch) sends it to the sinks downstream, so that their ledgers count
/// events as well as batches.
#[derive(Clone)]
pub struct Weight {
    /// The type of the batch.
    container: TypeId,
    /// The type of the events.
    unit: TypeId,
    /// The depth of nested batches around the events, minus one.
    level: usize,
    weigh: Weigh,
}

impl Weight {
    /// Returns the weight of a `Vec<E>`, in events of type `E`.
    pub(crate) fn of_batch<E: 'static>() -> Self {
        let weigh: Weigh =
            Arc::new(|batch: &dyn Any| batch.downcast_ref::<Vec<E>>().map_or(1, |batch| batch.len() as u64));
        Self { container: TypeId::of::<Vec<E>>(), unit: TypeId::of::<E>(), level: 0, weigh }
    }

    /// Returns the weight of a `Vec<E>`, if this is the weight of an `E`.
    pub(crate) fn of_batches<E: 'static>(&self) -> Option<Self> {
        let inner = self.weigh.clone();
        let weigh = move |batch: &dyn Any| {
            let batch = batch.downcast_ref::<Vec<E>>();
            batch.map_or(1, |batch| batch.iter().map(|event| inner(event)).sum())
        };
        let container = TypeId::of::<Vec<E>>();
        let (unit, level) = (self.unit, self.level + 1);
        self.is_of::<E>().then(|| Self { container, unit, level, weigh: Arc::new(weigh) })
    }

    /// Returns `true` if this is the weight of an `E`.
    pub(crate) fn is_of<E: 'static>(&self) -> bool {
        self.container == TypeId::of::<E>()
    }

    /// Returns the weight of `event`.
    pub(crate) fn of<E: 'static>(&self, event: &E) -> u64 {
        (self.weigh)(event)
    }
}

impl fmt::Debug for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weight").field("level", &self.level).finish_non_exhaustive()
    }
}

/// The ledgers of one stage, counted in the events that its batches hold: one scale for each event
/// type. Empty if no batch is upstream.
#[derive(Default)]
pub(crate) struct Scales(OnceLock<Box<Scale>>);

struct Scale {
    weight: Weight,
    counters: EntryCounters,
    /// The events that this stage is handling.
    in_hand: AtomicU64,
    next: Scales,
}

impl Scales {
    /// Returns `true` if no batch is upstream.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.get().is_none()
    }

    /// Counts in this weight from now on, if it is the weight of an `E`. A scale lives as long as
    /// the stage, and there is one for each event type.
    pub(crate) fn add<E: 'static>(&self, weight: &Weight) {
        if !weight.is_of::<E>() {
            return;
        }
        let mut place = self;
        loop {
            let scale = place.0.get_or_init(|| {
                Box::new(Scale {
                    weight: weight.clone(),
                    counters: EntryCounters::shared(),
                    in_hand: AtomicU64::new(0),
                    next: Self::default(),
                })
            });
            if scale.weight.unit == weight.unit {
                return;
            }
            place = &scale.next;
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Scale> {
        std::iter::successors(self.0.get(), |scale| scale.next.0.get()).map(|scale| &**scale)
    }

    /// Returns the weights of an event, by level.
    pub(crate) fn levels<E: 'static>(&self, event: &E) -> Levels {
        let mut levels = Levels::default();
        for scale in self.iter().filter(|scale| scale.weight.level < LEVELS) {
            levels.set(scale.weight.level, scale.weight.of(event));
        }
        levels
    }

    /// Starts to handle an event. The outcome of the parts in `ended` is already known.
    pub(crate) fn load<E: 'static>(&self, event: &E, ended: &Levels) -> Load<'_> {
        self.take_in_hand(0, |scale| scale.weight.of(event) + ended.get(scale.weight.level))
    }

    /// Starts to handle events that are offered to the inner sink together, as a batch.
    pub(crate) fn load_batch<E: 'static>(&self, events: &[E]) -> Load<'_> {
        self.take_in_hand(1, |scale| weight_of(scale, events))
    }

    fn take_in_hand(&self, further: usize, weigh: impl Fn(&Scale) -> u64) -> Load<'_> {
        let weigh = |scale| {
            let weight = weigh(scale);
            scale.in_hand.fetch_add(weight, Ordering::Relaxed);
            Weighed { scale, weight, left: weight }
        };
        Load { weighed: self.iter().map(weigh).collect(), further }
    }

    /// Counts the outcome of an event.
    pub(crate) fn count<E: 'static>(&self, event: &E, disposition: Disposition) {
        for scale in self.iter() {
            scale.counters.disposed_of(disposition, scale.weight.of(event));
        }
    }

    /// Returns what became of all events of this type whose outcome was decided in this stage, or
    /// `None` if this stage has no scale for them.
    pub(crate) fn ended_here(&self, unit: TypeId) -> Option<Ledger> {
        let scale = self.iter().find(|scale| scale.weight.unit == unit)?;
        let mut ledger = Ledger::default();
        let passed = scale.counters.read_into(&mut ledger);
        ledger.delivered = ledger.delivered.saturating_sub(passed);
        ledger.accepted = ledger.accepted.saturating_sub(passed);
        Some(ledger)
    }

    /// Returns what became of all events of this type whose outcome was decided, here or
    /// downstream. No event is pending in this ledger. `None` if this stage has no scale for them,
    /// or if the sinks downstream count batches only.
    pub(crate) fn ended(&self, unit: TypeId, downstream: &Downstream) -> Option<Ledger> {
        let scale = self.iter().find(|scale| scale.weight.unit == unit)?;
        // Relaxed here and above: a count publishes nothing.
        let in_hand = scale.in_hand.load(Ordering::Relaxed);
        let mut ledger = Ledger::default();
        let passed = scale.counters.read_into(&mut ledger);
        match downstream.resolve(passed, in_hand) {
            Resolved::Delivered => {}
            Resolved::Ended { ended, .. } => {
                ledger.delivered = ledger.delivered.saturating_sub(passed);
                ledger.accepted = ledger.accepted.saturating_sub(passed);
                ledger += ended;
            }
            Resolved::Unweighed => return None,
        }
        Some(ledger)
    }
}

fn weight_of<E: 'static>(scale: &Scale, events: &[E]) -> u64 {
    events.iter().map(|event| scale.weight.of(event)).sum()
}

/// An event that a stage is handling, in each of its weights.
pub(crate) struct Load<'a> {
    weighed: Vec<Weighed<'a>>,
    /// The number of levels of batches that the inner sink sees around the event.
    further: usize,
}

struct Weighed<'a> {
    scale: &'a Scale,
    weight: u64,
    /// The weight that an inner sink gave back.
    left: u64,
}

impl Load<'_> {
    /// Records that an inner sink gave these events back, and accepted the rest.
    pub(crate) fn came_back<E: 'static>(&mut self, events: &[E]) {
        for weighed in &mut self.weighed {
            weighed.left = weight_of(weighed.scale, events).min(weighed.weight);
        }
    }

    /// Counts the events that did not come back as delivered. The rest is still in the stage.
    pub(crate) fn kept(self) {
        for Weighed { scale, weight, left } in &self.weighed {
            scale.counters.disposed_of(Disposition::Delivered, weight - left);
        }
    }

    /// Counts the events that did not come back as delivered, and the rest with this disposition.
    pub(crate) fn end(self, disposition: Disposition) {
        for Weighed { scale, weight, left } in &self.weighed {
            let counters = &scale.counters;
            match disposition {
                Disposition::Partly(parts) => {
                    let delivered = parts.levels().get(scale.weight.level + self.further).min(*weight);
                    counters.disposed_of(Disposition::Delivered, delivered);
                    counters.disposed_of(parts.rest(), weight - delivered);
                }
                disposition => {
                    counters.disposed_of(Disposition::Delivered, weight - left);
                    counters.disposed_of(disposition, *left);
                }
            }
        }
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        for weighed in &self.weighed {
            weighed.scale.in_hand.fetch_sub(weighed.weight, Ordering::Relaxed);
        }
    }
}

/// What the sinks downstream of a stage report of the events that it passed on.
///
/// It is read before the stage's own counts. So events that are passed on between the two reads
/// cannot make the sinks downstream report more than the stage passed on.
#[derive(Default)]
pub(crate) struct Downstream {
    /// The downstream ledger, counted in batches.
    deferred: Ledger,
    /// Whether a downstream ledger without events means that none was passed on before it was read.
    defers_all: bool,
    /// The downstream ledger, counted in events, if the sinks count events.
    weighed: Option<Ledger>,
    /// The most batches of this stage that the sinks may have kept.
    at_most: u64,
}

/// What became of events that were passed on.
enum Resolved {
    /// It is only known that they were accepted.
    Delivered,
    /// The outcome of the events in `ended` is known, and the others are pending.
    Ended { ended: Ledger, pending: u64 },
    /// The sinks downstream count batches only.
    Unweighed,
}

impl Downstream {
    /// Reads the ledgers, and calls `at_most` afterward.
    pub(crate) fn read(ledgers: &Ledgers, unit: TypeId, at_most: impl FnOnce() -> u64) -> Self {
        let (deferred, weighed) = (ledgers.deferred(), ledgers.weighed(unit));
        Self { deferred, defers_all: ledgers.defer_all(), weighed, at_most: at_most() }
    }

    /// Returns what became of `passed` events, and of `in_hand` more that are being handled.
    fn resolve(&self, passed: u64, in_hand: u64) -> Resolved {
        let all = passed + in_hand;
        if all == 0 || self.deferred.accepted > self.at_most {
            return Resolved::Delivered;
        }
        if self.deferred.accepted == 0 {
            let ended = Ledger::default();
            return if self.defers_all {
                Resolved::Ended { ended, pending: all }
            } else {
                Resolved::Delivered
            };
        }
        let Some(mut ended) = self.weighed else { return Resolved::Unweighed };
        if ended.accepted > all {
            return Resolved::Delivered;
        }
        let mut pending = all - ended.accepted;
        // Only if the sinks downstream were read after they had got all batches.
        if in_hand == 0 && self.deferred.pending == 0 && self.deferred.accepted == self.at_most {
            // A reader that began before the scale existed took these events.
            ended.delivered += pending;
            ended.accepted += pending;
            pending = 0;
        }
        Resolved::Ended { ended, pending }
    }
}

impl Ledger {
    /// Replaces the counts of `passed` events, which count as delivered, and of `in_hand` more,
    /// which count as pending, by what the sinks downstream report of the batches that hold them.
    pub(crate) fn follow_batches(&mut self, passed: u64, in_hand: u64, downstream: &Downstream) {
        match downstream.resolve(passed, in_hand) {
            Resolved::Delivered => {}
            Resolved::Ended { ended, pending } => {
                self.delivered = self.delivered.saturating_sub(passed);
                self.pending = self.pending.saturating_sub(in_hand) + pending;
                *self += Self { accepted: 0, ..ended };
            }
            Resolved::Unweighed => {
                self.delivered = self.delivered.saturating_sub(passed);
                *downstream.deferred.only_fate(self) += passed;
            }
        }
    }

    /// Returns the term of `of` for the one outcome that all events of this ledger share: `pending`
    /// while some are pending, and `delivered` if the outcomes differ.
    fn only_fate<'a>(&self, of: &'a mut Self) -> &'a mut u64 {
        let all = self.accepted;
        if self.pending > 0 {
            return &mut of.pending;
        }
        let reasons = [
            (self.dropped.full, DropReason::Full),
            (self.dropped.evicted, DropReason::Evicted),
            (self.dropped.receiver_dropped, DropReason::ReceiverDropped),
            (self.dropped.aborted, DropReason::Aborted),
            (self.dropped.failed, DropReason::Failed),
            (self.dropped.panicked, DropReason::Panicked),
        ];
        match reasons.iter().find(|(count, _)| *count == all) {
            Some((_, reason)) => of.dropped.by(*reason),
            None if self.filtered == all => &mut of.filtered,
            None => &mut of.delivered,
        }
    }
}

impl EntryCounters {
    /// Counts the outcome of several accepted events.
    pub(crate) fn disposed_of(&self, disposition: Disposition, events: u64) {
        if events > 0 {
            self.count_disposed(disposition, events);
        }
    }
}
