//! The fast lanes while they are all there is to publish into: the publisher has them at hand, not in its table.
//!
//! A publish to lanes only is what most publishes are. Its cost is the loads between the publisher and the ring as much as the
//! stores into the ring, so the last lane, which is the only one more often than not, lies in the publisher itself, and the others
//! one pointer away. Whatever is not a plain push happens in the table, to which the lanes go back for it.

use super::published::Published;
use super::table::{Fast, Table};
use crate::panics::discard;
use crate::sync::membarrier::{FencePair, light_fence};
use crate::sync::{MODEL, cold_path};
use crate::wait::nesting::Nesting;
use std::mem::needs_drop;

/// A version that a bus never has: every publish that compares with it takes another path.
pub(super) const NEVER: u64 = u64::MAX;

/// Fast lanes without gates, borrowed from the table that holds nothing else.
///
/// # Invariant
/// - Either all lanes are here, `last` is one of them, and the table has none; or none is here, and `seen` is [`NEVER`].
pub(super) struct Lanes<E: Send + 'static> {
    /// The version of the list for which these lanes are all there is.
    pub(super) seen: u64,
    /// Not zero if what lanes say right behind a put does not count, because a full fence has to come between.
    attention: u64,
    last: Option<Fast<E>>,
    others: Vec<Fast<E>>,
}

/// What became of a push into all lanes.
pub(super) enum Pushed<E> {
    /// So many lanes took it.
    Done(usize),
    /// So many lanes took it, and one of them may have something to finish.
    Attention(usize),
    /// The first so many lanes took it, and the next has no room.
    Full(usize, E),
}

/// Finishes what was put into lanes when a clone of the event unwinds.
struct Finishing<'a, E: Send + 'static>(&'a mut Lanes<E>);

impl<E: Send + 'static> Drop for Finishing<'_, E> {
    fn drop(&mut self) {
        if self.0.needs_finish() {
            self.0.finish(discard);
        }
    }
}

impl<E: Send + 'static> Lanes<E> {
    pub(super) fn none() -> Self {
        Self { seen: NEVER, attention: 0, last: None, others: Vec::new() }
    }

    /// Takes the lanes from the table, if they are all there is in it.
    #[inline(always)]
    pub(super) fn borrow(&mut self, table: &mut Table<E>, version: u64) {
        // Every publish through the table ends here; few tables have nothing but fast lanes.
        if table.is_fast() && !table.fast.is_empty() {
            self.borrow_all(table, version);
        }
    }

    #[inline(never)]
    fn borrow_all(&mut self, table: &mut Table<E>, version: u64) {
        self.others = std::mem::take(&mut table.fast);
        self.last = self.others.pop();
        // In a model both pairs are the same fence, and the short path is to be seen there too.
        self.attention = u64::from(table.pair == FencePair::Symmetric && !MODEL);
        self.seen = version;
    }

    /// Puts the lanes back into their table, if they are here.
    #[inline(always)]
    pub(super) fn give_back(&mut self, table: &mut Table<E>) {
        if self.last.is_some() {
            self.give_back_all(table);
        }
    }

    #[inline(never)]
    fn give_back_all(&mut self, table: &mut Table<E>) {
        let Some(last) = self.last.take() else { return };
        self.seen = NEVER;
        // There is room: it is the table's own memory, and it held the last one, too.
        self.others.push(last);
        table.fast = std::mem::take(&mut self.others);
    }

    /// Behind a push that asked for it: the fence that the lanes need, and whether one of them has something to finish.
    pub(super) fn needs_finish(&self) -> bool {
        // ORD(spsc.fin), ORD(cell.state): light fence; pairs with the heavy ones of seals and of consumers that park.
        light_fence(if self.attention == 0 { FencePair::Asymmetric } else { FencePair::Symmetric });
        let last = self.last.as_ref().map_or(0, |fast| fast.lane.attention());
        self.others.iter().fold(last, |attention, fast| attention | fast.lane.attention()) != 0
    }

    /// The settling with sealers, the wake-ups. What was not accepted goes to `taken_back`; returns how many did not accept.
    #[cold]
    pub(super) fn finish(&mut self, mut taken_back: impl FnMut(E)) -> usize {
        self.others.iter_mut().chain(&mut self.last).map(|fast| fast.finish(&mut taken_back)).sum()
    }

    /// Whether a lane takes nothing any more.
    pub(super) fn any_dead(&self) -> bool {
        self.others.iter().chain(&self.last).any(|fast| fast.dead)
    }
}

impl<E: Clone + Send + 'static> Lanes<E> {
    /// Puts the event into every lane, and the last one gets it without a clone.
    #[inline(always)]
    pub(super) fn push(&mut self, event: E) -> Pushed<E> {
        let finishing = Finishing(self);
        let Lanes { attention, last: Some(last), others, .. } = &mut *finishing.0 else {
            cold_path();
            std::mem::forget(finishing);
            return Pushed::Full(0, event);
        };
        let mut attention = *attention;
        // This thread holds nothing that others wait for; but what owns something is cloned by user code, most of the time, and
        // in that nothing waits.
        let impatient = needs_drop::<E>().then(Nesting::impatient);
        for fast in others.iter_mut() {
            let Some(room) = fast.lane.room() else {
                cold_path();
                // Which one it is, is looked up here and not counted on the way.
                let full = std::ptr::from_ref(fast);
                let done = finishing.0.others.iter().take_while(|other| !std::ptr::eq(*other, full)).count();
                std::mem::forget(finishing);
                return Pushed::Full(done, event);
            };
            attention |= room.push_and_look(event.clone());
        }
        drop(impatient);
        let Some(room) = last.lane.room() else {
            cold_path();
            let done = others.len();
            std::mem::forget(finishing);
            return Pushed::Full(done, event);
        };
        attention |= room.push_and_look(event);
        let count = others.len() + 1;
        std::mem::forget(finishing);
        if attention == 0 { Pushed::Done(count) } else { Pushed::Attention(count) }
    }

    /// Puts a slice into every lane and shows it at once. `None` when that was not all; the lanes then know how far they are, for
    /// [`Table::go_on_with_batch`].
    pub(super) fn push_batch(&mut self, events: &[E]) -> Option<Published> {
        let finishing = Finishing(self);
        let Lanes { attention, last, others, .. } = &mut *finishing.0;
        let (mut attention, mut whole) = (*attention, true);
        let count = others.len() + 1;
        for fast in others.iter_mut().chain(last) {
            let impatient = needs_drop::<E>().then(Nesting::impatient);
            fast.batched = fast.lane.put_slice(events);
            drop(impatient);
            whole &= fast.batched == events.len();
            // ORD(spsc.fin), ORD(cell.state): light fence; pairs with the heavy ones of seals and of consumers that park.
            light_fence(FencePair::Asymmetric);
            attention |= fast.lane.attention();
        }
        std::mem::forget(finishing);
        (whole && attention == 0).then_some(Published::accepted(count * events.len()))
    }
}
