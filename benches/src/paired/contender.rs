//! What is sampled.

use crate::alone::{self, Subject};
use crate::churn::{self, Neighbours};
use crate::cost::{self, Cost, WARM_UP};
use crate::elsewhere::{self, Processors};
use crate::histogram::{self, PERCENTILES};
use crate::machine::anywhere;
use crate::members::{self, Members};
use crate::merge;
use crate::publishers::{self, Place, Publishers};
use crate::quota::Quota;
use crate::read::{self, Readers};
use crate::route::Route;
use crate::stream::{self, Stream};
use crate::tasks::{self, Tasks};
use crate::{latency, wake};
use hdrhistogram::Histogram;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The result of a sample: a figure under each of the contender's names, and its histograms.
pub(crate) struct Sampled {
    pub(crate) figures: Vec<f64>,
    pub(crate) histograms: Vec<Histogram<u64>>,
}

/// A contender for samples: builds it, sends a number of events through it, and returns a figure
/// under each name. Figures are nanoseconds per event, unless a constructor documents otherwise.
pub struct Contender {
    pub(super) names: Vec<String>,
    pub(super) histograms: Vec<String>,
    sample: Box<dyn FnMut(u64) -> Sampled>,
    /// The number of events of a sample; `None` if it follows from the duration of a sample.
    pub(super) events: Option<u64>,
}

impl Contender {
    pub(crate) fn new(
        names: Vec<String>,
        events: Option<u64>,
        mut sample: impl FnMut(u64) -> Vec<f64> + 'static,
    ) -> Self {
        let sample = move |events| Sampled { figures: sample(events), histograms: Vec::new() };
        Self { names, histograms: Vec::new(), sample: Box::new(sample), events }
    }

    /// Returns the name of the first figure.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.names[0]
    }

    /// Returns the same contender, sampled in a process of `program` that has these processors, and
    /// finds it by `key`.
    ///
    /// # Panics
    /// A sample panics if the process cannot be started, fails, or has another contender.
    #[must_use]
    pub fn elsewhere(self, program: PathBuf, processors: Processors, key: &str) -> Self {
        let (key, figures, histograms) = (key.to_owned(), self.names.len(), self.histograms.len());
        let sample = move |events| {
            let sampled = elsewhere::ask(&program, processors, &key, events);
            let same = sampled.figures.len() == figures && sampled.histograms.len() == histograms;
            assert!(same, "{}: another contender for {key}", program.display());
            sampled
        };
        Self { sample: Box::new(sample), ..self }
    }

    /// Samples it once.
    pub(crate) fn sample(&mut self, events: u64) -> Sampled {
        (self.sample)(events)
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
        publishers: usize,
        duration: Duration,
        make: impl Fn() -> R + 'static,
    ) -> Self {
        let names = vec![name.to_owned(), format!("{name}, cpu"), format!("{name}, share")];
        Self::new(names, Some(0), move |_| {
            let merged = merge::run(make(), publishers, duration);
            vec![merged.nanoseconds(), merged.cpu_nanoseconds(), merged.least_share()]
        })
    }

    /// Measures what [`merge`](Self::merge) does in a quota of one processor, in a process that has
    /// done nothing before; with `pause`, each publisher sleeps that long after each event. `name,
    /// throttled` is the number of periods per second in which the quota was used up, and `name,
    /// stopped` the time in nanoseconds of each second for which threads were stopped.
    ///
    /// # Panics
    /// A sample panics if there cannot be a quota: see [`Quota`].
    pub fn in_quota<R: Route>(
        name: &str,
        (publishers, pause): (usize, Option<Duration>),
        duration: Duration,
        make: impl Fn() -> R + 'static,
    ) -> Self {
        let others = ["cpu", "share", "throttled", "stopped"].map(|figure| format!("{name}, {figure}"));
        let names = std::iter::once(name.to_owned()).chain(others).collect();
        Self::new(names, Some(0), move |_| {
            let quota = Quota::one_processor().expect("there can be a quota");
            let before = quota.throttled().expect("the group has statistics");
            let merged = match pause {
                None => merge::run(make(), publishers, duration),
                Some(pause) => merge::paced(make(), publishers, pause, duration),
            };
            let throttled = quota.throttled().expect("the group has statistics") - before;
            let each_second = |figure: f64| figure / merged.elapsed.as_secs_f64();
            vec![
                merged.nanoseconds(),
                merged.cpu_nanoseconds(),
                merged.least_share(),
                each_second(throttled.periods as f64),
                each_second(throttled.time.as_nanos() as f64),
            ]
        })
    }

    /// Measures the time between two events of `tasks` asynchronous tasks on `workers` threads into
    /// one task, for `duration`; `name, cpu` is the processor time of all threads per event.
    #[must_use]
    pub fn tasks<T: Tasks>(name: &str, (tasks, workers): (usize, usize), duration: Duration) -> Self {
        let names = vec![name.to_owned(), format!("{name}, cpu")];
        Self::new(names, Some(0), move |_| {
            let merged = tasks::run::<T>(tasks, workers, duration);
            vec![merged.nanoseconds(), merged.cpu_nanoseconds()]
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

    /// Measures the time for one event to all of `members` members; `name, cpu` is the processor
    /// time of all threads for one event to one member. A sample has about `events` events to one
    /// member.
    #[must_use]
    pub fn members<M: Members>(name: &str, members: usize, events: u64) -> Self {
        let names = vec![format!("{name}/{members}"), format!("{name}/{members}, cpu")];
        Self::new(names, Some(0), move |_| {
            let carried = members::carry::<M>(members, events / members as u64);
            vec![carried.nanoseconds(), carried.cpu_nanoseconds()]
        })
    }

    /// Measures the cost of a broadcast whose members are all parked; `name, sleeps` is the number
    /// of sleeps of all threads per event.
    #[must_use]
    pub fn members_parked<M: Members>(name: &str, members: usize, events: u64) -> Self {
        let name = format!("{name}/{members}");
        Self::percentiles(vec![name.clone()], &[format!("{name}, sleeps")], move || {
            let paid = members::wake::<M>(members, events);
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
        Self::latency_beside_idle(name, 0, rate, duration, make)
    }

    /// Measures the same beside `idle` publishers that publish nothing.
    pub fn latency_beside_idle<R: Route>(
        name: &str,
        idle: usize,
        rate: u64,
        duration: Duration,
        make: impl Fn() -> R + 'static,
    ) -> Self {
        Self::percentiles(vec![name.to_owned()], &[format!("{name}, lost")], move || {
            let lateness = latency::beside_idle(make(), idle, rate, duration);
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
