//! A combinator that converts each event.

use crate::error::{OutOfMemory, WriteError};
use crate::sink::control::ledgers_of;
use crate::sink::lane::{InnerLane, Internal, Lane, LaneWrite, Lanes};
use crate::sink::{Inner, Sink, SinkKey};
use crate::stats::{Counters, Disposition, DropReason, EntryCounters, Ledgers, Scales, SinkState, Weight};
use crate::sync::{AtomicBool, Ordering};
use crate::time::Deadline;
use crate::wait::context::{discard, user_code};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A sink that converts each event with a function and forwards the result.
///
/// Made by [`SinkExt::map`](crate::SinkExt::map).
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink, SinkExt};
/// let (channel, mut receiver) = Channel::<String>::lossy(8)?;
/// channel.map(|n: &u32| n.to_string()).write(7)?;
/// assert_eq!(receiver.recv()?, "7");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a map does nothing until it is written to or added to a bus"]
pub struct Map<T, E, S, F> {
    inner: S,
    mapping: Arc<Mapping<F>>,
    events: PhantomData<fn(T) -> E>,
}

struct Mapping<F> {
    convert: F,
    counters: Counters,
    /// If events are batches, of the same type before and after the conversion: the number of
    /// events in them.
    scales: Scales,
    /// Whether each converted batch held as many events as its original.
    same: Arc<AtomicBool>,
}

impl<T, E, S, F> Map<T, E, S, F> {
    pub(crate) fn new(inner: S, convert: F) -> Self {
        let (scales, same) = (Scales::default(), Arc::new(AtomicBool::new(true)));
        let mapping = Mapping { convert, counters: Counters::new(), scales, same };
        Self { inner, mapping: Arc::new(mapping), events: PhantomData }
    }
}

/// The disposition of an event whose conversion panicked.
const LOST: Disposition = Disposition::Dropped(DropReason::Panicked);

/// Converts an event. Returns `None` and counts the event if the function panics.
#[inline]
fn converted<T, E>(convert: &impl Fn(&T) -> E, event: &T, entry: &EntryCounters) -> Option<E> {
    let converted = user_code(|| convert(event)).ok();
    if converted.is_none() {
        entry.offered(1);
        entry.disposed(LOST);
    }
    converted
}

/// Drops the original event if the inner sink accepted the converted one, and returns it otherwise.
#[inline]
fn handed_on<T, E, R>(written: Result<R, WriteError<E>>, event: T) -> Result<R, WriteError<T>> {
    match written {
        Ok(taken) => {
            discard(event);
            Ok(taken)
        }
        Err(error) => Err(error.map_event(|converted| {
            discard(converted);
            event
        })),
    }
}

impl<T, E, S, F> Map<T, E, S, F>
where
    T: 'static,
    E: 'static,
    S: Sink<E>,
{
    /// Forwards a converted batch.
    #[cold]
    fn offer_batch(&self, batch: T, converted: E) -> Result<Disposition, WriteError<T>> {
        let scales = &self.mapping.scales;
        let same = scales.levels(&batch) == scales.levels(&converted);
        if !same {
            self.mapping.same.store(false, Ordering::Relaxed);
        }
        let answer = handed_on(self.inner.offer(converted), batch);
        // The parts of a different batch are not parts of this one.
        if same { answer } else { answer.map(Disposition::whole) }
    }
}

impl<T, E, S, F> Sink<T> for Map<T, E, S, F>
where
    T: Send + 'static,
    E: Send + 'static,
    S: Sink<E>,
    F: Fn(&T) -> E + Send + Sync + 'static,
{
    fn write(&self, event: T) -> Result<(), WriteError<T>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: T) -> Result<Disposition, WriteError<T>> {
        match converted(&self.mapping.convert, &event, self.mapping.counters.shared()) {
            // No upstream batch has the inner sink's type, so the parts of a disposition do not
            // apply here.
            Some(converted) if self.mapping.scales.is_empty() => {
                handed_on(self.inner.offer(converted), event).map(Disposition::whole)
            }
            Some(converted) => self.offer_batch(event, converted),
            None => {
                discard(event);
                Ok(LOST)
            }
        }
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.inner);
    }

    fn describe(&self, state: &mut SinkState) {
        self.inner.describe(state);
        self.mapping.counters.add_to(&mut state.ledger);
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<T>>, OutOfMemory> {
        Ok(self.inner.lane()?.map(|inner| {
            let entry = self.mapping.counters.for_publisher();
            Lane::staged(MapLane { inner, mapping: self.mapping.clone(), entry, events: PhantomData })
        }))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        self.inner.has_lanes()
    }

    fn add_ledgers(&self, list: &mut Ledgers, _: Internal) {
        list.extend_mapped(ledgers_of(&self.inner), &self.mapping.same);
    }

    // The downstream sinks count the events in their batches if these have the same type as the
    // upstream ones. The number of events in a batch of another type is unknown.
    fn weigh(&self, weight: &Weight, internal: Internal) {
        if weight.is_of::<T>() && weight.is_of::<E>() {
            self.mapping.scales.add::<T>(weight);
            self.inner.weigh(weight, internal);
        } else if weight.is_of::<T>() {
            self.mapping.same.store(false, Ordering::Relaxed);
        }
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.mapping))
    }
}

impl<T, E, S: fmt::Debug, F> fmt::Debug for Map<T, E, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("inner", &self.inner).finish_non_exhaustive()
    }
}

struct MapLane<T, E, F> {
    inner: Lane<E>,
    mapping: Arc<Mapping<F>>,
    entry: Arc<EntryCounters>,
    events: PhantomData<fn(T)>,
}

impl<T, E, F> LaneWrite<T> for MapLane<T, E, F>
where
    E: Send + 'static,
    F: Fn(&T) -> E + Send + Sync,
{
    fn offer(&mut self, event: T, deadline: Deadline) -> Result<Disposition, WriteError<T>> {
        match converted(&self.mapping.convert, &event, &self.entry) {
            Some(converted) => handed_on(self.inner.offer(converted, deadline), event),
            None => {
                discard(event);
                Ok(LOST)
            }
        }
    }

    fn inner(&self) -> Option<&dyn InnerLane> {
        Some(&self.inner)
    }

    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
        Some(&mut self.inner)
    }
}
