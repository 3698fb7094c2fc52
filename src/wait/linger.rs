//! Lingering: a consumer pauses so that it and a fast publisher work in batches.
//!
//! A consumer that keeps up with a flow of events loads a lane's tail after each of them. Every
//! load takes the cache line from the publisher. Then both need a transfer between processors for
//! each event, and run several times slower than either could. A consumer that pauses for a short
//! time finds many events at its next poll, and the publisher keeps its cache lines meanwhile.
//!
//! So a consumer that has drained its lanes lingers before it polls again. The length depends on
//! what it finds:
//!
//! - It grows while events arrive faster than one per step.
//! - It drops to zero once a poll finds nothing.
//! - It ends before a lane is expected to be more than a few eighths full.
//!
//! A single event is not delayed. With one processor no consumer lingers, since a publisher that
//! could add to the batch does not run meanwhile, or the pause takes from the publisher's quota.

use super::strategy::spin_looks;
use crate::deadline::Deadline;
use crate::sync::{MODEL, spin_hint, thread};
use std::sync::OnceLock;
use std::time::Instant;

/// About the time in which a cache line moves from one processor to another and back. One event per
/// step is the least flow at which lingering pays.
const STEP_NANOS: u128 = 60;
/// The longest linger, in steps: a microsecond.
const MOST_STEPS: u32 = 16;
/// About 1.5 µs: a fast consumer frees a few hundred slots meanwhile.
const FIRST_STEPS: u32 = 24;
/// The number of times that a publisher yields before it parks.
const TURNS: u32 = 8;
/// The same while room is made that others take.
const MOST_TURNS: u32 = 64;
/// The number of events in one poll from which a longer linger gains nothing.
const ENOUGH: usize = 128;

/// The length of a consumer's linger.
#[derive(Debug)]
pub(crate) struct Linger {
    steps: u32,
    /// The longest, in steps.
    most: u32,
}

impl Linger {
    pub(crate) fn new() -> Self {
        // Measured here rather than during the first events.
        let _ = spins_per_step();
        Self { steps: 0, most: if spin_looks() == 0 { 0 } else { MOST_STEPS } }
    }

    /// Lingers after the consumer has drained its lanes, if more events are to be expected.
    ///
    /// `events` is the number of events handled since the last call, and `capacity` that of a lane.
    #[inline]
    pub(crate) fn ran_dry(&mut self, events: usize, capacity: usize) {
        self.steps = Self::next(self.steps, events, capacity).min(self.most);
        spin(self.steps);
    }

    fn next(steps: u32, events: usize, capacity: usize) -> u32 {
        let enough = (capacity / 8).clamp(1, ENOUGH);
        if events >= 2 * enough {
            steps / 2
        } else if events >= enough {
            steps
        } else if events >= steps as usize {
            (2 * steps).clamp(1, MOST_STEPS)
        } else {
            steps / 2
        }
    }

    /// Records that a poll found nothing: the flow has ended.
    #[inline]
    pub(crate) fn found_nothing(&mut self) {
        self.steps = 0;
    }
}

/// Polls repeatedly, at intervals that double, for a few microseconds in total, and then yields a
/// few times until the deadline has passed. Returns `None` when no poll succeeded.
///
/// A publisher that waits for room polls like this before it parks. If it polled as often as
/// possible, it would contend with the consumer for the cache line of the consumer's position, and
/// push one event for each that is taken. Where both share a processor, a consumer that gets to run
/// makes room for many events, while a consumer that has to wake the publisher is interrupted for
/// each.
///
/// Many publishers may share the processors with one consumer, and take the room before this one runs.
/// While `made`, the position up to which room was made, moves from turn to turn, a further turn costs
/// less than a park and a wake-up for each of them.
pub(crate) fn look_ever_less<R>(
    deadline: Deadline,
    made: impl Fn() -> Option<u64>,
    mut look: impl FnMut() -> Option<R>,
) -> Option<R> {
    let spinning = look_between_spins(looks(), &mut look);
    let turns = if MODEL { 0 } else { MOST_TURNS };
    spinning.or_else(|| {
        let mut before = None;
        let mut moves = || {
            let now = made();
            now != std::mem::replace(&mut before, now)
        };
        // Other threads may run for milliseconds.
        (0..turns).take_while(|turn| (*turn < TURNS || moves()) && !deadline.has_passed()).find_map(|_| {
            thread::yield_now();
            look()
        })
    })
}

/// Polls a few times within about ten microseconds, without yielding, for a caller that can proceed
/// without success.
///
/// On one processor it does not poll, since no other thread can make progress meanwhile.
pub(crate) fn look_for_a_moment<R>(look: impl FnMut() -> Option<R>) -> Option<R> {
    look_between_spins(looks().min(1) * 3, look)
}

/// Polls `rounds` times, at intervals that double.
fn look_between_spins<R>(rounds: u32, mut look: impl FnMut() -> Option<R>) -> Option<R> {
    (0..rounds).find_map(|round| {
        spin(FIRST_STEPS << round);
        look()
    })
}

/// Returns the number of polls: 4 µs in total on two processors, 20 µs on more; none on one, where
/// no other thread makes progress meanwhile.
fn looks() -> u32 {
    match spin_looks() {
        0 => 0,
        1..=30 => 2,
        _ => 4,
    }
}

fn spin(steps: u32) {
    for _ in 0..steps * spins_per_step() {
        spin_hint();
    }
}

/// Returns the number of spin hints in a step. The duration of a hint differs by a factor of ten
/// between processors.
fn spins_per_step() -> u32 {
    if MODEL {
        return 0;
    }
    static SPINS: OnceLock<u32> = OnceLock::new();
    *SPINS.get_or_init(|| {
        const HINTS: u32 = 64;
        let times = (0..5).map(|_| {
            let start = Instant::now();
            (0..HINTS).for_each(|_| spin_hint());
            start.elapsed().as_nanos()
        });
        // The shortest: the others were interrupted.
        let nanos = times.min().unwrap_or(0).max(1);
        u32::try_from(STEP_NANOS * u128::from(HINTS) / nanos).unwrap_or(1).clamp(1, 64)
    })
}

#[cfg(test)]
mod tests {
    use super::{ENOUGH, Linger, MOST_STEPS, MOST_TURNS, TURNS, look_ever_less, looks};
    use crate::deadline::Deadline;
    use std::cell::Cell;

    /// Returns the steps after polls that found these numbers of events, in a lane of this
    /// capacity.
    fn after(looks: &[usize], capacity: usize) -> u32 {
        looks.iter().fold(0, |steps, events| Linger::next(steps, *events, capacity))
    }

    #[test]
    fn lingering_grows_with_events_per_step() {
        assert_eq!(after(&[1], 1024), 1);
        assert_eq!(after(&[1, 1], 1024), 2);
        assert_eq!(after(&[1, 3, 6, 12, 20, 40], 1024), MOST_STEPS);
    }

    #[test]
    fn lingering_shrinks_with_the_event_rate() {
        let fast = [1, 3, 6, 12, 20, 40];
        assert_eq!(after(&[&fast[..], &[2]].concat(), 1024), MOST_STEPS / 2);
        assert_eq!(after(&[&fast[..], &[2, 2, 1]].concat(), 1024), MOST_STEPS / 8);
    }

    #[test]
    fn empty_poll_ends_lingering() {
        let mut linger = Linger { steps: MOST_STEPS, most: MOST_STEPS };
        linger.found_nothing();
        assert_eq!(linger.steps, 0);
    }

    #[test]
    fn one_processor_allows_no_lingering() {
        let mut linger = Linger { steps: 0, most: 0 };
        for events in [1, 3, 6, 12, 20, 40] {
            linger.ran_dry(events, 1024);
            assert_eq!(linger.steps, 0);
        }
    }

    #[test]
    fn sufficient_poll_does_not_extend_lingering() {
        assert_eq!(after(&[1, ENOUGH, ENOUGH], 1024), 1);
        assert_eq!(after(&[1, 2, 4, 2 * ENOUGH], 1024), 2);
        // In a small lane a few events are enough.
        assert_eq!(after(&[1, 2, 2, 2], 16), 1);
    }

    /// Returns how often a wait polls that never finds room.
    fn polls(made: impl Fn(u64) -> u64) -> u32 {
        let polls = Cell::new(0);
        let outcome = look_ever_less(
            Deadline::NEVER,
            || Some(made(u64::from(polls.get()))),
            || {
                polls.set(polls.get() + 1);
                None::<()>
            },
        );
        assert_eq!(outcome, None);
        polls.get() - looks()
    }

    #[test]
    fn wait_ends_soon_where_no_room_is_made() {
        // The position is compared from the first turn on that depends on it.
        assert_eq!(polls(|_| 7), TURNS + 1);
    }

    #[test]
    fn wait_continues_while_others_take_the_room() {
        assert_eq!(polls(|poll| poll), MOST_TURNS);
    }
}
