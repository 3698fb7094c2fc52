//! Contenders interleaved in one process, and the ratios between them.
//!
//! A machine drifts: its clock, its neighbors, the distance between its processors. So each round
//! samples every contender once, one right after the other, alternately forward and backward;
//! ratios are taken within a round, and their median over the rounds is the figure. Each sample
//! builds its contender anew, so that no lucky or unlucky memory address lasts.
//!
//! The ping between the two processors is measured before and after every sample. A sample during
//! which it changed by more than half is dropped, and so is a pair of samples whose pings differ by
//! that much.

mod contender;

use crate::cost::WARM_UP;
use crate::histogram;
use crate::machine::{Ping, placement};
use crate::statistics::{Estimate, median};
use crate::usage::Others;
use hdrhistogram::Histogram;
use std::time::Duration;

pub use contender::Contender;
pub(crate) use contender::Sampled;

/// The allowed change of a ping, as a factor.
const STEADY: f64 = 1.5;
const MOST_EVENTS: u64 = 20_000_000;

/// One figure of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The measured value.
    pub figure: f64,
    /// The ping before the sample, and the ping after it.
    pub pings: [f64; 2],
}

impl Sample {
    /// Returns whether the two pings are about the same, so that the figure counts.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        is_steady(&self.pings)
    }

    /// Returns the mean of the two pings.
    #[must_use]
    pub fn ping(&self) -> f64 {
        f64::midpoint(self.pings[0], self.pings[1])
    }
}

/// All samples of all contenders.
#[derive(Debug)]
pub struct Series {
    names: Vec<String>,
    /// One row for each round.
    rounds: Vec<Vec<Sample>>,
    /// The histograms of all samples that count.
    histograms: Vec<(String, Histogram<u64>)>,
    others: Option<(f64, f64)>,
}

impl Series {
    /// Samples all contenders in each of `rounds` rounds, each sample about as long as `budget`.
    pub fn run(mut contenders: Vec<Contender>, rounds: usize, budget: Duration, ping: &mut Ping) -> Self {
        let events: Vec<u64> = contenders
            .iter_mut()
            .map(|contender| {
                contender.events.unwrap_or_else(|| {
                    let each = contender.sample(WARM_UP).figures[0];
                    ((budget.as_nanos() as f64 / each) as u64).clamp(WARM_UP, MOST_EVENTS)
                })
            })
            .collect();
        let mut kept: Vec<Vec<Histogram<u64>>> = contenders
            .iter()
            .map(|contender| contender.histograms.iter().map(|_| histogram::empty()).collect())
            .collect();
        let mut table = Vec::with_capacity(rounds);
        let others = Others::begin();
        let mut before = ping.measure();
        for round in 0..rounds {
            let mut row = vec![Vec::new(); contenders.len()];
            for step in 0..contenders.len() {
                let index = if round % 2 == 0 { step } else { contenders.len() - 1 - step };
                let Sampled { figures, histograms } = contenders[index].sample(events[index]);
                let after = ping.measure();
                let pings = [before, after];
                if is_steady(&pings) {
                    kept[index].iter_mut().zip(&histograms).for_each(|(kept, new)| histogram::add(kept, new));
                }
                row[index] = figures.into_iter().map(|figure| Sample { figure, pings }).collect();
                before = after;
            }
            table.push(row.concat());
        }
        let names = contenders.iter().flat_map(|contender| contender.names.clone()).collect();
        let histograms = contenders.into_iter().flat_map(|contender| contender.histograms);
        let histograms = histograms.zip(kept.into_iter().flatten()).collect();
        Self { names, rounds: table, histograms, others: others.and_then(Others::end) }
    }

    /// Returns the number of processors that other processes kept busy meanwhile, and the number
    /// that the host took away.
    #[must_use]
    pub fn others(&self) -> Option<(f64, f64)> {
        self.others
    }

    /// Returns the names of the contenders' figures.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// Returns all samples: the round, the name, and the measurement.
    pub fn samples(&self) -> impl Iterator<Item = (usize, &str, Sample)> {
        let named = |row| self.names.iter().map(String::as_str).zip(row);
        let rounds = self.rounds.iter().enumerate();
        rounds.flat_map(move |(round, row)| named(row).map(move |(name, sample)| (round, name, *sample)))
    }

    /// Returns the histograms of all samples that count.
    pub fn histograms(&self) -> impl Iterator<Item = (&str, &Histogram<u64>)> {
        self.histograms.iter().map(|(name, histogram)| (name.as_str(), histogram))
    }

    /// Returns the number of samples, and the number of dropped ones.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let samples = self.rounds.iter().flatten();
        (samples.clone().count(), samples.filter(|sample| !sample.is_steady()).count())
    }

    /// Returns the number of samples that count while the two processors were near, and of those
    /// while they were far.
    #[must_use]
    pub fn placements(&self) -> (usize, usize) {
        let counting = self.rounds.iter().flatten().filter(|sample| sample.is_steady());
        let near = counting.clone().filter(|sample| placement(sample.ping()) == "near").count();
        (near, counting.count() - near)
    }

    /// Returns the median ping of the samples that count while the two processors were near, and of
    /// those while they were far; `None` where there are none.
    #[must_use]
    pub fn pings(&self) -> [Option<f64>; 2] {
        ["near", "far"].map(|placed| {
            let counting = self.rounds.iter().flatten().filter(|sample| sample.is_steady());
            let placed = counting.map(Sample::ping).filter(|ping| placement(*ping) == placed);
            let mut pings: Vec<f64> = placed.collect();
            (!pings.is_empty()).then(|| median(&mut pings))
        })
    }

    fn index(&self, name: &str) -> usize {
        let found = self.names.iter().position(|known| known == name);
        found.unwrap_or_else(|| unreachable!("no contender is named {name}"))
    }

    /// Returns the median ping around a contender's samples that count.
    #[must_use]
    pub fn ping(&self, name: &str) -> Option<f64> {
        let index = self.index(name);
        let samples = self.rounds.iter().map(|row| row[index]).filter(Sample::is_steady);
        let mut pings: Vec<f64> = samples.map(|sample| sample.ping()).collect();
        (!pings.is_empty()).then(|| median(&mut pings))
    }

    /// Returns the values of `of` for the figures of these names, round by round, with the ping.
    /// Only rounds count in which all samples count and have about the same ping.
    fn values(&self, names: &[&str], of: impl Fn(&[f64]) -> f64) -> Vec<(f64, f64)> {
        let indices: Vec<usize> = names.iter().map(|name| self.index(name)).collect();
        let of_round = |row: &Vec<Sample>| {
            let samples: Vec<Sample> = indices.iter().map(|index| row[*index]).collect();
            let pings: Vec<f64> = samples.iter().map(Sample::ping).collect();
            let counts = is_steady(&pings) && samples.iter().all(Sample::is_steady);
            let figures: Vec<f64> = samples.iter().map(|sample| sample.figure).collect();
            counts.then(|| (of(&figures), pings[0]))
        };
        self.rounds.iter().filter_map(of_round).collect()
    }

    /// Returns an estimate of `of` for the figures of these names, round by round. Only rounds
    /// count in which all samples count and have about the same ping.
    pub fn estimate(&self, names: &[&str], of: impl Fn(&[f64]) -> f64) -> Option<Estimate> {
        Estimate::of(&self.values(names, of).into_iter().map(|(value, _)| value).collect::<Vec<f64>>())
    }

    /// Returns the same estimate for the rounds with this placement of the two processors.
    pub fn estimate_while(
        &self,
        placed: &str,
        names: &[&str],
        of: impl Fn(&[f64]) -> f64,
    ) -> Option<Estimate> {
        let values = self.values(names, of).into_iter().filter(|(_, ping)| placement(*ping) == placed);
        Estimate::of(&values.map(|(value, _)| value).collect::<Vec<f64>>())
    }
}

/// Returns whether these pings are within half of each other.
fn is_steady(pings: &[f64]) -> bool {
    let least = pings.iter().copied().fold(f64::INFINITY, f64::min);
    let most = pings.iter().copied().fold(0.0, f64::max);
    most <= least * STEADY
}

#[cfg(test)]
mod tests {
    use super::{Estimate, Sample, Series, is_steady};

    #[test]
    fn ping_within_half_counts_as_steady() {
        assert!(is_steady(&[100.0, 150.0]) && !is_steady(&[100.0, 151.0]) && !is_steady(&[151.0, 100.0]));
    }

    #[test]
    fn ratios_pair_samples_of_one_round() {
        let sample = |figure, ping| Sample { figure, pings: [ping, ping] };
        let series = Series {
            names: vec!["a".into(), "b".into()],
            rounds: vec![
                vec![sample(2.0, 50.0), sample(1.0, 60.0)],
                vec![sample(20.0, 50.0), sample(10.0, 60.0)],
                vec![sample(9.0, 250.0), sample(3.0, 260.0)],
                // This sample is dropped, and must not be compared.
                vec![Sample { figure: 5.0, pings: [50.0, 250.0] }, sample(1.0, 50.0)],
                vec![sample(1.0, 200.0), sample(1.0, 50.0)],
            ],
            histograms: Vec::new(),
            others: None,
        };
        let ratio = |figures: &[f64]| figures[0] / figures[1];
        let estimate = |estimate: Option<Estimate>| estimate.map(|ratio| (ratio.median, ratio.count));
        assert_eq!(estimate(series.estimate(&["a", "b"], ratio)), Some((2.0, 3)));
        assert_eq!(estimate(series.estimate_while("near", &["a", "b"], ratio)), Some((2.0, 2)));
        assert_eq!(estimate(series.estimate_while("far", &["a", "b"], ratio)), Some((3.0, 1)));
        assert_eq!(series.counts(), (10, 1));
        assert_eq!(series.placements(), (6, 3));
        assert_eq!(series.pings(), [Some(50.0), Some(250.0)]);
    }
}
