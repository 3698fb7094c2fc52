//! Contenders interleaved in one process, and the ratios between them.
//!
//! A machine drifts: its clock, its neighbours, the distance between its processors. So each round samples every
//! contender once, one right after the other, alternately forwards and backwards; ratios are taken within a round, and
//! their median over the rounds is the figure. Each sample builds its contender anew, so that no lucky or unlucky
//! place in memory lasts.
//!
//! The ping between the two processors is measured before and after every sample. A sample during which it moved by
//! more than half is dropped, and so is a pair whose two samples saw pings that far apart.

use crate::alone::{self, Subject};
use crate::cost::{self, Cost, WARM_UP};
use crate::machine::Ping;
use crate::publishers::{self, Place, Publishers};
use crate::read::{self, Readers};
use crate::statistics::{Estimate, median};
use crate::stream::{self, Stream};
use std::fmt;
use std::time::Duration;

/// By how much a ping may move.
const STEADY: f64 = 1.5;
const MOST_EVENTS: u64 = 20_000_000;

/// Something to be sampled: builds a contender, sends so many events through it, and returns a figure under each name.
/// Figures are nanoseconds for an event, unless a constructor says otherwise.
pub struct Contender {
    names: Vec<String>,
    sample: Box<dyn FnMut(u64) -> Vec<f64>>,
    /// How many events make a sample; `None` when that follows from how long one may take.
    events: Option<u64>,
}

impl Contender {
    fn one(name: &str, mut sample: impl FnMut(u64) -> f64 + 'static) -> Self {
        let names = vec![name.to_owned()];
        Self { names, sample: Box::new(move |events| vec![sample(events)]), events: None }
    }

    /// The cost of a publish: the median over the blocks of a sample.
    pub fn cost<C: Cost>(name: &str, make: impl Fn() -> C + 'static) -> Self {
        Self::one(name, move |events| cost::Meter::new(make()).sample(events))
    }

    /// The cost of reading an event: the median over the blocks of a sample.
    pub fn read<R: Readers>(name: &str, make: impl Fn() -> R + 'static) -> Self {
        Self::one(name, move |events| {
            let mut meter = read::Meter::new(make());
            meter.time(WARM_UP);
            meter.typical(events)
        })
    }

    /// The time between two events of a stream.
    pub fn stream<S: Stream>(name: &str, make: impl Fn() -> S + 'static) -> Self {
        Self::one(name, move |events| {
            let mut meter = stream::Meter::new(make());
            meter.transfer(WARM_UP);
            let transferred = meter.transfer(events);
            transferred.elapsed.as_nanos() as f64 / transferred.handled as f64
        })
    }

    /// The cost of a publish, sampled in a process of its own: for each number of receivers, one after the other, under
    /// `name/receivers`. A sample is so many blocks.
    pub fn alone(name: &str, subject: Subject, receivers: &[usize], blocks: u64) -> Self {
        let names = receivers.iter().map(|count| format!("{name}/{count}")).collect();
        let receivers = receivers.to_vec();
        let sample = move |events| alone::ask(subject, &receivers, events);
        Self { names, sample: Box::new(sample), events: Some(blocks * cost::BLOCK) }
    }

    /// The time between two events of several publishers, for `duration`; under `name, share`, the part that the least
    /// of them got of what the greatest got, and under `name, run`, how many events of one publisher follow each other.
    pub fn publishers<P: Publishers>(
        name: &str,
        (count, place): (usize, Place),
        duration: Duration,
        make: impl Fn() -> P + 'static,
    ) -> Self {
        let names = vec![name.to_owned(), format!("{name}, share"), format!("{name}, run")];
        let sample = move |_| {
            let mut meter = publishers::Meter::new(make(), count, place);
            let race = meter.race_for(duration);
            vec![race.nanoseconds(), race.least_share(), race.run()]
        };
        Self { names, sample: Box::new(sample), events: Some(0) }
    }
}

impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Contender").field(&self.names).finish()
    }
}

/// One sample that counts.
#[derive(Clone, Copy, Debug)]
struct Sample {
    figure: f64,
    ping: f64,
}

/// All samples of all contenders.
#[derive(Debug)]
pub struct Series {
    names: Vec<String>,
    /// One row for each round; `None` where the sample was dropped.
    rounds: Vec<Vec<Option<Sample>>>,
}

impl Series {
    /// Samples all contenders in each of so many rounds, each sample about as long as `budget`.
    pub fn run(mut contenders: Vec<Contender>, rounds: usize, budget: Duration, ping: &mut Ping) -> Self {
        let events: Vec<u64> = contenders
            .iter_mut()
            .map(|contender| {
                contender.events.unwrap_or_else(|| {
                    let each = (contender.sample)(WARM_UP)[0];
                    ((budget.as_nanos() as f64 / each) as u64).clamp(WARM_UP, MOST_EVENTS)
                })
            })
            .collect();
        let mut table = Vec::with_capacity(rounds);
        let mut before = ping.measure();
        for round in 0..rounds {
            let mut row = vec![Vec::new(); contenders.len()];
            for step in 0..contenders.len() {
                let index = if round % 2 == 0 { step } else { contenders.len() - 1 - step };
                let figures = (contenders[index].sample)(events[index]);
                let after = ping.measure();
                let (steady, ping) = (is_steady(&[before, after]), (before + after) / 2.0);
                row[index] =
                    figures.into_iter().map(|figure| steady.then_some(Sample { figure, ping })).collect();
                before = after;
            }
            table.push(row.concat());
        }
        Self { names: contenders.into_iter().flat_map(|contender| contender.names).collect(), rounds: table }
    }

    /// The names of the contenders' figures.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// How many samples were taken, and how many of them were dropped.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let samples = self.rounds.iter().flatten();
        (samples.clone().count(), samples.filter(|sample| sample.is_none()).count())
    }

    fn index(&self, name: &str) -> usize {
        let found = self.names.iter().position(|known| known == name);
        found.unwrap_or_else(|| unreachable!("no contender is named {name}"))
    }

    /// The median ping around a contender's samples.
    #[must_use]
    pub fn ping(&self, name: &str) -> Option<f64> {
        let index = self.index(name);
        let mut pings: Vec<f64> = self.rounds.iter().filter_map(|row| Some(row[index]?.ping)).collect();
        (!pings.is_empty()).then(|| median(&mut pings))
    }

    /// An estimate of what `of` makes of the figures of these names, round by round; only of rounds in which they all
    /// count and saw about the same ping.
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
                is_steady(&samples.map(|sample| sample.ping)).then(|| of(samples.map(|sample| sample.figure)))
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
        let sample = |figure, ping| Some(Sample { figure, ping });
        let series = Series {
            names: vec!["a".into(), "b".into()],
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
