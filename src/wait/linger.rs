//! Falling back a little behind a fast publisher, so that both sides work in batches.
//!
//! A consumer that keeps up with a flow of events looks at a lane's tail after each of them. Every look takes the line
//! away from the publisher, which then needs a transfer between processors for each event, and so does the consumer: both
//! crawl at the pace of single transfers, several times slower than either could work. A consumer that looks away for a
//! moment finds many events in one look, and the publisher keeps its lines meanwhile.
//!
//! So a consumer that has run the lanes dry lingers before it looks again. How long follows from what it finds: longer
//! while events come faster than one a step, not at all once a look finds nothing, and never so long that a lane should
//! get more than a few eighths full. An event that comes alone waits for nobody.

use super::strategy::spin_looks;
use crate::deadline::Deadline;
use crate::sync::{MODEL, spin_hint, thread};
use std::sync::OnceLock;
use std::time::Instant;

/// About the time in which a line goes from one processor to another and back. An event a step is the least flow at which
/// looking away pays.
const STEP_NANOS: u128 = 60;
/// The longest linger, in steps: a microsecond.
const MOST_STEPS: u32 = 16;
/// About 1.5 µs: a consumer that is fast frees a few hundred slots meanwhile.
const FIRST_STEPS: u32 = 24;
/// How often a publisher lets others run before it parks.
const TURNS: u32 = 8;
/// So many events in one look are enough: longer lingering gains nothing.
const ENOUGH: usize = 128;

/// How long a consumer lingers.
#[derive(Debug, Default)]
pub(crate) struct Linger {
    steps: u32,
}

impl Linger {
    pub(crate) fn new() -> Self {
        // Measured here rather than amid the first events.
        let _ = spins_per_step();
        Self::default()
    }

    /// The consumer has run the lanes dry, and handled so many events since it did so last. Waits a moment if more are to be
    /// expected. `capacity` is that of a lane.
    #[inline]
    pub(crate) fn ran_dry(&mut self, events: usize, capacity: usize) {
        self.steps = Self::next(self.steps, events, capacity);
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

    /// A look found nothing: the flow has ended.
    #[inline]
    pub(crate) fn found_nothing(&mut self) {
        self.steps = 0;
    }
}

/// Looks again and again, each time after twice as long as before, for a few microseconds in all, and then lets others run a
/// few times until the deadline is over; `None` when that was not enough.
///
/// A publisher that waits for room looks like this before it parks: one that looked as often as it could would fight the consumer
/// for the line that says how far that is, and get in one event for each that comes out. And where both share a processor, a
/// consumer that is let run makes room for many events, while one that has to wake the publisher is interrupted for each.
pub(crate) fn look_ever_less<R>(deadline: Deadline, mut look: impl FnMut() -> Option<R>) -> Option<R> {
    let spinning = look_between_spins(looks(), &mut look);
    let turns = if MODEL { 0 } else { TURNS };
    spinning.or_else(|| {
        // Others may run for milliseconds.
        (0..turns).take_while(|_| !deadline.is_over()).find_map(|_| {
            thread::yield_now();
            look()
        })
    })
}

/// Looks a few times within about ten microseconds, and lets nobody else run: for whoever can do without what it looks for, at a
/// price like that. On one processor, nothing changes while we look.
pub(crate) fn look_for_a_moment<R>(look: impl FnMut() -> Option<R>) -> Option<R> {
    look_between_spins(looks().min(1) * 3, look)
}

/// Each time after twice as long as before.
fn look_between_spins<R>(rounds: u32, mut look: impl FnMut() -> Option<R>) -> Option<R> {
    (0..rounds).find_map(|round| {
        spin(FIRST_STEPS << round);
        look()
    })
}

/// 4 µs in all on two processors, 20 µs on more; on one, nothing changes while we look.
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

/// How many spin hints make a step. The length of one differs by a factor of ten between processors.
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
    use super::{ENOUGH, Linger, MOST_STEPS};

    /// The steps after a look that found so many events each time, in a lane of this capacity.
    fn after(looks: &[usize], capacity: usize) -> u32 {
        looks.iter().fold(0, |steps, events| Linger::next(steps, *events, capacity))
    }

    #[test]
    fn lingering_grows_while_events_come_faster_than_one_a_step() {
        assert_eq!(after(&[1], 1024), 1);
        assert_eq!(after(&[1, 1], 1024), 2);
        assert_eq!(after(&[1, 3, 6, 12, 20, 40], 1024), MOST_STEPS);
    }

    #[test]
    fn lingering_shrinks_when_the_flow_does() {
        let fast = [1, 3, 6, 12, 20, 40];
        assert_eq!(after(&[&fast[..], &[2]].concat(), 1024), MOST_STEPS / 2);
        assert_eq!(after(&[&fast[..], &[2, 2, 1]].concat(), 1024), MOST_STEPS / 8);
    }

    #[test]
    fn a_look_that_finds_nothing_ends_it() {
        let mut linger = Linger { steps: MOST_STEPS };
        linger.found_nothing();
        assert_eq!(linger.steps, 0);
    }

    #[test]
    fn a_look_that_finds_enough_makes_it_no_longer() {
        assert_eq!(after(&[1, ENOUGH, ENOUGH], 1024), 1);
        assert_eq!(after(&[1, 2, 4, 2 * ENOUGH], 1024), 2);
        // In a small lane little is enough.
        assert_eq!(after(&[1, 2, 2, 2], 16), 1);
    }
}
