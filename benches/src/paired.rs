//! Contenders interleaved in one process, and the ratios between them.
//!
//! A machine drifts: its clock, its neighbours, the distance between its processors. So each round samples every
//! contender once, one right after the other, alternately forwards and backwards; ratios are taken within a round, and
//! their median over the rounds is the figure. Each sample builds its contender anew, so that no lucky or unlucky
//! place in memory lasts.
//!
//! The ping between the two processors is measured before and after every sample. A sample during which it moved by
//! more than half is dropped, and so is a pair whose two samples saw pings that far apart.

use crate::cost::{self, Cost};
use crate::machine::Ping;
use crate::statistics::{Estimate, median};
use crate::stream::{self, Stream};
use std::fmt;
use std::time::Duration;

/// By how much a ping may move.
const STEADY: f64 = 1.5;
/// How many events are published before anything is timed, and for the first guess at what an event costs.
const WARM_UP: u64 = 20 * crate::CAPACITY as u64;
const MOST_EVENTS: u64 = 20_000_000;

/// Something to be sampled: builds a contender, publishes so many events through it, and returns nanoseconds for each.
pub struct Contender {
    name: &'static str,
    sample: Box<dyn FnMut(u64) -> f64>,
}

impl Contender {
    /// The cost of a publish: the median over the blocks of a sample.
    pub fn cost<C: Cost>(name: &'static str, make: impl Fn() -> C + 'static) -> Self {
        let sample = move |events| {
            let mut meter = cost::Meter::new(make());
            meter.time(WARM_UP);
            meter.typical(events)
        };
        Self { name, sample: Box::new(sample) }
    }

    /// The time between two events of a stream.
    pub fn stream<S: Stream>(name: &'static str, make: impl Fn() -> S + 'static) -> Self {
        let sample = move |events| {
            let mut meter = stream::Meter::new(make());
            meter.transfer(WARM_UP);
            let transferred = meter.transfer(events);
            transferred.elapsed.as_nanos() as f64 / transferred.handled as f64
        };
        Self { name, sample: Box::new(sample) }
    }
}

impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Contender").field(&self.name).finish()
    }
}

/// One sample that counts.
#[derive(Clone, Copy, Debug)]
struct Sample {
    nanoseconds: f64,
    ping: f64,
}

/// All samples of all contenders.
#[derive(Debug)]
pub struct Series {
    names: Vec<&'static str>,
    /// One row for each round; `None` where the sample was dropped.
    rounds: Vec<Vec<Option<Sample>>>,
}

impl Series {
    /// Samples all contenders in each of so many rounds, each sample about as long as `budget`.
    pub fn run(mut contenders: Vec<Contender>, rounds: usize, budget: Duration, ping: &mut Ping) -> Self {
        let events: Vec<u64> = contenders
            .iter_mut()
            .map(|contender| {
                let each = (contender.sample)(WARM_UP);
                ((budget.as_nanos() as f64 / each) as u64).clamp(WARM_UP, MOST_EVENTS)
            })
            .collect();
        let mut table = Vec::with_capacity(rounds);
        let mut before = ping.measure();
        for round in 0..rounds {
            let mut row = vec![None; contenders.len()];
            for step in 0..contenders.len() {
                let index = if round % 2 == 0 { step } else { contenders.len() - 1 - step };
                let nanoseconds = (contenders[index].sample)(events[index]);
                let after = ping.measure();
                if is_steady(&[before, after]) {
                    row[index] = Some(Sample { nanoseconds, ping: (before + after) / 2.0 });
                }
                before = after;
            }
            table.push(row);
        }
        Self { names: contenders.iter().map(|contender| contender.name).collect(), rounds: table }
    }

    /// The names of the contenders.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// How many samples were taken, and how many of them were dropped.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let samples = self.rounds.iter().flatten();
        (samples.clone().count(), samples.filter(|sample| sample.is_none()).count())
    }

    fn index(&self, name: &str) -> usize {
        let found = self.names.iter().position(|known| *known == name);
        found.unwrap_or_else(|| unreachable!("no contender is named {name}"))
    }

    /// The median ping around a contender's samples.
    #[must_use]
    pub fn ping(&self, name: &str) -> Option<f64> {
        let index = self.index(name);
        let mut pings: Vec<f64> = self.rounds.iter().filter_map(|row| Some(row[index]?.ping)).collect();
        (!pings.is_empty()).then(|| median(&mut pings))
    }

    /// An estimate of what `of` makes of the nanoseconds of these contenders, round by round; only of rounds in which
    /// they all count and saw about the same ping.
    pub fn estimate<const N: usize>(
        &self,
        names: [&str; N],
        of: impl Fn([f64; N]) -> f64,
    ) -> Option<Estimate> {
        let indices = names.map(|name| self.index(name));
        let values: Vec<f64> = self
            .rounds
            .iter()
            .filter_map(|row| {
                let samples: Vec<Sample> = indices.iter().filter_map(|index| row[*index]).collect();
                let samples: [Sample; N] = samples.try_into().ok()?;
                is_steady(&samples.map(|sample| sample.ping))
                    .then(|| of(samples.map(|sample| sample.nanoseconds)))
            })
            .collect();
        Estimate::of(&values)
    }
}

/// Whether these pings are within half of each other.
fn is_steady(pings: &[f64]) -> bool {
    let least = pings.iter().copied().fold(f64::INFINITY, f64::min);
    let most = pings.iter().copied().fold(0.0, f64::max);
    most <= least * STEADY
}

#[cfg(test)]
mod tests {
    use super::{Sample, Series, is_steady};

    #[test]
    fn a_ping_that_moves_by_half_still_counts() {
        assert!(is_steady(&[100.0, 150.0]) && !is_steady(&[100.0, 151.0]) && !is_steady(&[151.0, 100.0]));
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let sample = |nanoseconds, ping| Some(Sample { nanoseconds, ping });
        let series = Series {
            names: vec!["a", "b"],
            rounds: vec![
                vec![sample(2.0, 50.0), sample(1.0, 60.0)],
                vec![sample(20.0, 50.0), sample(10.0, 60.0)],
                // Dropped, and not to be compared.
                vec![None, sample(1.0, 50.0)],
                vec![sample(1.0, 200.0), sample(1.0, 50.0)],
            ],
        };
        let estimate = series.estimate(["a", "b"], |[a, b]| a / b);
        assert!(estimate.is_some_and(|ratio| (ratio.median, ratio.count) == (2.0, 2)));
        assert_eq!(series.counts(), (8, 1));
    }
}
