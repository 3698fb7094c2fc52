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

use crate::alone::{self, Subject};
use crate::churn::{self, Neighbours};
use crate::cost::{self, Cost, WARM_UP};
use crate::histogram::{self, PERCENTILES};
use crate::machine::{Ping, anywhere, placement};
use crate::merge::{self, Processors};
use crate::publishers::{self, Place, Publishers};
use crate::read::{self, Readers};
use crate::route::Route;
use crate::statistics::{Estimate, median};
use crate::stream::{self, Stream};
use crate::usage::Others;
use crate::{latency, wake};
use hdrhistogram::Histogram;
use std::fmt;
use std::time::Duration;

/// The allowed change of a ping, as a factor.
const STEADY: f64 = 1.5;
const MOST_EVENTS: u64 = 20_000_000;

/// The result of a sample: a figure under each of the contender's names, and its histograms.
struct Sampled {
    figures: Vec<f64>,
    histograms: Vec<Histogram<u64>>,
}

/// A contender for samples: builds it, sends a number of events through it, and returns a figure
/// under each name. Figures are nanoseconds per event, unless a constructor documents otherwise.
pub struct Contender {
    names: Vec<String>,
    histograms: Vec<String>,
    sample: Box<dyn FnMut(u64) -> Sampled>,
    /// The number of events of a sample; `None` if it follows from the duration of a sample.
    events: Option<u64>,
}

impl Contender {
    fn new(
        names: Vec<String>,
        events: Option<u64>,
        mut sample: impl FnMut(u64) -> Vec<f64> + 'static,
    ) -> Self {
        let sample = move |events| Sampled { figures: sample(events), histograms: Vec::new() };
        Self { names, histograms: Vec::new(), sample: Box::new(sample), events }
    }

    fn one(name: &str, mut sample: impl FnMut(u64) -> f64 + 'static) -> Self {
        Self::new(vec![name.to_owned()], None, move |events| vec![sample(events)])
    }

    /// Returns a contender with a histogram under each of these names, whose percentiles are
    /// figures under `name, p50` and so on, followed by other figures.
    pub(crate) fn percentiles(
        histograms: Vec<String>,
        others: &[String],
        mut sample: impl FnMut() -> (Vec<Histogram<u64>>, Vec<f64>) + 'static,
    ) -> Self {
        let of = |name: &String| PERCENTILES.map(|(percentile, _)| format!("{name}, {percentile}"));
        let names = histograms.iter().flat_map(of).chain(others.iter().cloned()).collect();
        let sample = move |_| {
            let (histograms, others) = sample();
            let of = |histogram| PERCENTILES.map(|(_, percentile)| histogram::at(histogram, percentile));
            let figures = histograms.iter().flat_map(of).chain(others).collect();
            Sampled { figures, histograms }
        };
        Self { names, histograms, sample: Box::new(sample), events: Some(0) }
    }

    /// Measures the cost of a publish: the median over the blocks of a sample.
    pub fn cost<C: Cost>(name: &str, make: impl Fn() -> C + 'static) -> Self {
        Self::one(name, move |events| cost::Meter::new(make()).sample(events))
    }

    /// Measures the cost of reading an event: the median over the blocks of a sample.
    pub fn read<R: Readers>(name: &str, make: impl Fn() -> R + 'static) -> Self {
        Self::one(name, move |events| {
            let mut meter = read::Meter::new(make());
            meter.time(WARM_UP);
            meter.typical(events)
        })
    }

    /// Measures the time between two events of a stream; `name, handled` is the fraction of events
    /// that were not lost.
    pub fn stream<S: Stream>(name: &str, make: impl Fn() -> S + 'static) -> Self {
        let names = vec![name.to_owned(), format!("{name}, handled")];
        Self::new(names, None, move |events| transfer(make(), events))
    }

    /// Measures a stream through a route, without any pinning.
    pub fn stream_anywhere<R: Route>(name: &str, make: impl Fn() -> R + Send + Clone + 'static) -> Self {
        let names = vec![name.to_owned(), format!("{name}, handled")];
        Self::new(names, None, move |events| {
            let make = make.clone();
            anywhere(move || transfer(stream::anywhere(make()), events))
        })
    }

    /// Measures the time between two events of several publishers into one consumer, for
    /// `duration`. `name, cpu` is the processor time of all threads per event; `name, share` is the
    /// ratio of the smallest count of a publisher to the greatest.
    pub fn merge<R: Route>(
        name: &str,
        (publishers, processors): (usize, Processors),
        duration: Duration,
        make: impl Fn() -> R + 'static,
    ) -> Self {
        let names = vec![name.to_owned(), format!("{name}, cpu"), format!("{name}, share")];
        Self::new(names, Some(0), move |_| {
            let merged = merge::run(make(), publishers, processors, duration);
            vec![merged.nanoseconds(), merged.cpu_nanoseconds(), merged.least_share()]
        })
    }

    /// Measures the cost of a publish whose consumer is parked; `name, sleeps` is the number of
    /// sleeps of all threads per event.
    pub fn asleep<R: Route>(name: &str, events: u64, make: impl Fn() -> R + 'static) -> Self {
        Self::percentiles(vec![name.to_owned()], &[format!("{name}, sleeps")], move || {
            let mut meter = stream::Meter::new(stream::pinned(make()));
            wake::run(&mut meter, events / 10);
            let paid = wake::run(&mut meter, events);
            (vec![paid.calls], vec![paid.sleeps])
        })
    }

    /// Measures the duration of two clock reads.
    #[must_use]
    pub fn clock(name: &str, events: u64) -> Self {
        Self::percentiles(vec![name.to_owned()], &[], move || (vec![wake::clock(events)], Vec::new()))
    }

    /// Measures the latency of events at `rate` events per second; `name, lost` is the number of
    /// lost events.
    pub fn latency<R: Route>(
        name: &str,
        rate: u64,
        duration: Duration,
        make: impl Fn() -> R + 'static,
    ) -> Self {
        Self::percentiles(vec![name.to_owned()], &[format!("{name}, lost")], move || {
            let lateness = latency::run(make(), rate, duration);
            (vec![lateness.histogram], vec![lateness.lost as f64])
        })
    }

    /// Measures the publisher's calls during adds and removals of sinks. `name, from due` has the
    /// times from when an event was due, `name, changes` the number of adds per second, and
    /// `name, dropped` the number of events without room.
    #[must_use]
    pub fn churn(name: &str, neighbours: Neighbours, duration: Duration) -> Self {
        let histograms = vec![name.to_owned(), format!("{name}, from due")];
        let others = [format!("{name}, changes"), format!("{name}, dropped")];
        Self::percentiles(histograms, &others, move || {
            let felt = churn::run(neighbours, duration);
            (vec![felt.calls, felt.responses], vec![felt.changes, felt.dropped as f64])
        })
    }

    /// Measures the cost of a publish in a separate process: for each number of receivers in
    /// sequence, under `name/receivers`. A sample has `blocks` blocks.
    pub fn alone(name: &str, subject: Subject, receivers: &[usize], blocks: u64) -> Self {
        let names = receivers.iter().map(|count| format!("{name}/{count}")).collect();
        let receivers = receivers.to_vec();
        Self::new(names, Some(blocks * cost::BLOCK), move |events| alone::ask(subject, &receivers, events))
    }

    /// Measures the time between two events of several publishers, for `duration`. `name, share` is
    /// the ratio of the smallest count of a publisher to the greatest, and `name, run` is the
    /// number of consecutive events of one publisher.
    pub fn publishers<P: Publishers>(
        name: &str,
        (count, place): (usize, Place),
        duration: Duration,
        make: impl Fn() -> P + 'static,
    ) -> Self {
        let names = vec![name.to_owned(), format!("{name}, share"), format!("{name}, run")];
        Self::new(names, Some(0), move |_| {
            let mut meter = publishers::Meter::new(make(), count, place);
            let race = meter.race_for(duration);
            vec![race.nanoseconds(), race.least_share(), race.run()]
        })
    }
}

/// Returns the time between two events, and the fraction of handled events.
fn transfer(stream: impl Stream, events: u64) -> Vec<f64> {
    let mut meter = stream::Meter::new(stream);
    meter.transfer(WARM_UP);
    let transferred = meter.transfer(events);
    let handled = transferred.handled as f64;
    vec![transferred.elapsed.as_nanos() as f64 / handled, handled / events as f64]
}

impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Contender").field(&self.names).finish()
    }
}

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
                    let each = (contender.sample)(WARM_UP).figures[0];
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
                let Sampled { figures, histograms } = (contenders[index].sample)(events[index]);
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
    fn values<const N: usize>(&self, names: [&str; N], of: impl Fn([f64; N]) -> f64) -> Vec<(f64, f64)> {
        let indices = names.map(|name| self.index(name));
        let rounds = self.rounds.iter().map(|row| indices.map(|index| row[index]));
        rounds
            .filter(|samples| is_steady(&samples.map(|sample| sample.ping())))
            .filter(|samples| samples.iter().all(Sample::is_steady))
            .map(|samples| (of(samples.map(|sample| sample.figure)), samples[0].ping()))
            .collect()
    }

    /// Returns an estimate of `of` for the figures of these names, round by round. Only rounds
    /// count in which all samples count and have about the same ping.
    pub fn estimate<const N: usize>(
        &self,
        names: [&str; N],
        of: impl Fn([f64; N]) -> f64,
    ) -> Option<Estimate> {
        Estimate::of(&self.values(names, of).into_iter().map(|(value, _)| value).collect::<Vec<f64>>())
    }

    /// Returns the same estimate for the rounds with this placement of the two processors.
    pub fn estimate_while<const N: usize>(
        &self,
        placed: &str,
        names: [&str; N],
        of: impl Fn([f64; N]) -> f64,
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
        let estimate = |estimate: Option<Estimate>| estimate.map(|ratio| (ratio.median, ratio.count));
        assert_eq!(estimate(series.estimate(["a", "b"], |[a, b]| a / b)), Some((2.0, 3)));
        assert_eq!(estimate(series.estimate_while("near", ["a", "b"], |[a, b]| a / b)), Some((2.0, 2)));
        assert_eq!(estimate(series.estimate_while("far", ["a", "b"], |[a, b]| a / b)), Some((3.0, 1)));
        assert_eq!(series.counts(), (10, 1));
    }
}
