//! Several publishers into one consumer: `benches::merge`.

use crate::report::{Section, Target};
use crate::{Bench, Effort, apart};
use benches::paired::{Contender, Series};
use benches::peer::{
    ArrayQueue, Crossbeam, Crossfire, EACH, Fanring, Flume, Kanal, NexusMpsc, Rapidfire, Std, TOGETHER,
    Thingbuf, TokioMpsc,
};
use benches::route::lanes::{ByBatch, ByBus, ByLocal, ByPublisher, Called, Queues, Reads};
use benches::route::others::{Appender, DisruptorMulti};
use benches::route::ticklog::Ticklog;
use benches::route::{Route, spinning, waiting};
use std::io;
use std::time::Duration;

const QUEUE: &str = "buslane Queue";
const TOGETHER_QUEUE: &str = "buslane Queue, 1024 together";
const RECEIVER: &str = "buslane Receiver::recv";
const BUS: &str = "buslane Bus::publish, Queue";
const BUS_RECEIVER: &str = "buslane Bus::publish, Receiver::recv";
/// The other calls.
const CALLS: [&str; 7] = [
    "buslane Receiver::iter",
    "buslane Receiver::try_recv",
    "buslane Receiver::recv_batch of 64",
    "buslane Receiver::drain_with",
    "buslane Receiver::recv_async",
    "buslane Bus::with_local, Queue",
    "buslane Publisher::publish_batch of 16, Queue",
];
/// The peers that "the best" refers to. Those without a word on their room have room for 1024 events
/// of all publishers.
const BEST_OF: [&str; 11] = [
    "crossbeam-channel",
    "kanal",
    "flume",
    "thingbuf",
    "std",
    "crossfire mpsc",
    "fanring, 1024 each",
    "fanring, 1024 together",
    "rapidfire, spinning",
    "nexus-queue mpsc, spinning",
    "disruptor multi",
];
/// The peers whose senders share a tail, as `Bus::publish` does.
const SHARED_TAIL: [&str; 9] = [
    "crossbeam-channel",
    "kanal",
    "flume",
    "thingbuf",
    "std",
    "crossfire mpsc",
    "rapidfire, spinning",
    "nexus-queue mpsc, spinning",
    "disruptor multi",
];
const OTHERS: [&str; 3] = ["rapidfire, blocked on", "tokio mpsc", "tracing-appender"];
const TICKLOG: &str = "ticklog";

/// The number of publishers, and the duration of a sample.
type Shape = (usize, Duration);

fn merge<R: Route>(name: &str, (count, time): Shape, make: impl Fn() -> R + 'static) -> Contender {
    Contender::merge(&format!("{name}, {count}"), count, time, make)
}

/// Returns the contenders with the default waiting.
fn waiting_ones(of: Shape) -> Vec<Contender> {
    vec![
        merge(QUEUE, of, || Called::waiting(ByPublisher, Queues::Closure)),
        merge(TOGETHER_QUEUE, of, || Called::waiting(ByPublisher, Queues::Closure).together()),
        merge(RECEIVER, of, || Called::waiting(ByPublisher, Reads::Recv)),
        merge(BUS, of, || Called::waiting(ByBus, Queues::Closure)),
        merge(BEST_OF[0], of, waiting::<Crossbeam>),
        merge(BEST_OF[1], of, waiting::<Kanal>),
        merge(BEST_OF[2], of, waiting::<Flume>),
        merge(BEST_OF[3], of, waiting::<Thingbuf>),
        merge(BEST_OF[4], of, waiting::<Std>),
        merge(BEST_OF[5], of, waiting::<Crossfire>),
        merge(BEST_OF[6], of, waiting::<Fanring<EACH>>),
        merge(BEST_OF[7], of, waiting::<Fanring<TOGETHER>>),
        merge(BEST_OF[8], of, spinning::<Rapidfire>),
        merge(BEST_OF[9], of, spinning::<NexusMpsc>),
        merge(BEST_OF[10], of, || DisruptorMulti),
        merge(OTHERS[0], of, waiting::<Rapidfire>),
        merge(OTHERS[1], of, waiting::<TokioMpsc>),
        merge(OTHERS[2], of, || Appender),
    ]
}

/// Returns `ticklog` for a process of its own.
pub(crate) fn only_ticklog(of: Shape) -> Contender {
    merge(TICKLOG, of, || Ticklog)
}

/// Returns `ticklog`, in processes of its own.
fn ticklog((count, time): Shape) -> Option<Contender> {
    apart::here(&format!("merge/ticklog/{count}/{}", time.as_millis()))
}

/// Returns `buslane`'s other calls, with the default waiting.
fn calls(of: Shape) -> Vec<Contender> {
    vec![
        merge(BUS_RECEIVER, of, || Called::waiting(ByBus, Reads::Recv)),
        merge(CALLS[0], of, || Called::waiting(ByPublisher, Reads::Iter)),
        merge(CALLS[1], of, || Called::waiting(ByPublisher, Reads::TryRecv)),
        merge(CALLS[2], of, || Called::waiting(ByPublisher, Reads::RecvBatch)),
        merge(CALLS[3], of, || Called::waiting(ByPublisher, Reads::DrainWith)),
        merge(CALLS[4], of, || Called::waiting(ByPublisher, Reads::RecvAsync)),
        merge(CALLS[5], of, || Called::waiting(ByLocal, Queues::Closure)),
        merge(CALLS[6], of, || Called::waiting(ByBatch::<16>, Queues::Closure)),
    ]
}

/// The peers of the spinning section.
const SPINNING: [&str; 10] = [
    "crossbeam-channel",
    "kanal",
    "std",
    "ArrayQueue",
    "crossfire mpsc",
    "fanring, 1024 each",
    "fanring, 1024 together",
    "rapidfire",
    "nexus-queue mpsc",
    "disruptor multi",
];

/// Returns the contenders where no thread ever sleeps.
fn spinning_ones(of: Shape) -> Vec<Contender> {
    vec![
        merge(QUEUE, of, || Called::spinning(ByPublisher, Queues::Closure)),
        merge(TOGETHER_QUEUE, of, || Called::spinning(ByPublisher, Queues::Closure).together()),
        merge(RECEIVER, of, || Called::spinning(ByPublisher, Reads::Recv)),
        merge(BUS, of, || Called::spinning(ByBus, Queues::Closure)),
        merge(BUS_RECEIVER, of, || Called::spinning(ByBus, Reads::Recv)),
        merge(CALLS[0], of, || Called::spinning(ByPublisher, Reads::Iter)),
        merge(CALLS[1], of, || Called::spinning(ByPublisher, Reads::TryRecv)),
        merge(CALLS[2], of, || Called::spinning(ByPublisher, Reads::RecvBatch)),
        merge(CALLS[3], of, || Called::spinning(ByPublisher, Reads::DrainWith)),
        merge(CALLS[4], of, || Called::spinning(ByPublisher, Reads::RecvAsync)),
        merge(CALLS[5], of, || Called::spinning(ByLocal, Queues::Closure)),
        merge(SPINNING[0], of, spinning::<Crossbeam>),
        merge(SPINNING[1], of, spinning::<Kanal>),
        merge(SPINNING[2], of, spinning::<Std>),
        merge(SPINNING[3], of, spinning::<ArrayQueue>),
        merge(SPINNING[4], of, spinning::<Crossfire>),
        merge(SPINNING[5], of, spinning::<Fanring<EACH>>),
        merge(SPINNING[6], of, spinning::<Fanring<TOGETHER>>),
        merge(SPINNING[7], of, spinning::<Rapidfire>),
        merge(SPINNING[8], of, spinning::<NexusMpsc>),
        merge(SPINNING[9], of, || DisruptorMulti),
    ]
}

fn tables(section: &mut Section<'_>) {
    let names = section.names();
    let of =
        |end: &str| -> Vec<String> { names.iter().filter(|name| name.ends_with(end)).cloned().collect() };
    let (costs, shares) = (of(", cpu"), of(", share"));
    let rates: Vec<String> =
        names.iter().filter(|name| !costs.contains(name) && !shares.contains(name)).cloned().collect();
    let rate = |nanoseconds: f64| 1e3 / nanoseconds;
    section.figures("M events/s, handled", &rates, rate);
    section.bars("M events/s", &rates, rate);
    section.figures("processor time of all threads, ns an event", &costs, |ns| ns);
    section.figures("least publisher / greatest", &shares, |share| share);
}

/// Adds the ratio of rates to the best of the peers, round by round.
fn best(section: &mut Section<'_>, ours: &str, peers: &[&str], count: usize, target: Option<Target>) {
    let peers: Vec<String> = peers.iter().map(|peer| format!("{peer}, {count}")).collect();
    section.best(&format!("{ours}, {count}"), &peers, target);
}

fn each(section: &mut Section<'_>, count: usize) {
    for peer in BEST_OF.iter().chain(&OTHERS).chain([&TICKLOG]) {
        section.rates(&format!("{QUEUE}, {count}"), &format!("{peer}, {count}"), None);
    }
}

fn measure(bench: &mut Bench, counts: &[usize], contenders: impl Fn(Shape) -> Vec<Contender>) -> Series {
    let Effort { rounds, merge, .. } = bench.effort;
    let all = counts.iter().flat_map(|count| contenders((*count, merge))).collect();
    Series::run(all, rounds, Duration::ZERO, &mut bench.ping)
}

/// Writes the ratios to the best peers for each number of publishers.
fn to_the_best(section: &mut Section<'_>, counts: &[usize], peers: &[&str], shared: &[&str]) {
    let at_least = |least| Some(Target::AtLeast(least));
    for count in counts {
        section.ratios("ratio of rates");
        for ours in [QUEUE, TOGETHER_QUEUE, RECEIVER, CALLS[0], CALLS[1]] {
            best(section, ours, peers, *count, at_least(1.3));
        }
        for ours in [BUS, BUS_RECEIVER] {
            best(section, ours, shared, *count, at_least(if *count == 1 { 1.0 } else { 1.3 }));
        }
    }
}

/// Measures each number of publishers with the default waiting.
pub(crate) fn few(bench: &mut Bench) -> io::Result<()> {
    let counts = bench.publishers.clone();
    let series = measure(bench, &counts, |of| {
        waiting_ones(of).into_iter().chain(calls(of)).chain(ticklog(of)).collect()
    });
    let title = "Several publishers into one consumer: default waiting, not pinned, lossless";
    let mut section = bench.report.section("publishers", title, series)?;
    tables(&mut section);
    to_the_best(&mut section, &counts, &BEST_OF, &SHARED_TAIL);
    for count in counts {
        section.ratios("ratio of rates");
        each(&mut section, count);
    }
    section.finish()
}

/// Measures each number of publishers where no thread ever sleeps.
pub(crate) fn spin(bench: &mut Bench) -> io::Result<()> {
    let counts = bench.publishers.clone();
    let series = measure(bench, &counts, spinning_ones);
    let title = "Several publishers into one consumer: all spinning, not pinned, lossless";
    let mut section = bench.report.section("publishers-spinning", title, series)?;
    tables(&mut section);
    let shared: Vec<&str> = SPINNING.into_iter().filter(|peer| !peer.starts_with("fanring")).collect();
    to_the_best(&mut section, &counts, &SPINNING, &shared);
    section.finish()
}

/// Measures two, four and eight threads, including the consumer's.
pub(crate) fn many(bench: &mut Bench) -> io::Result<()> {
    let series = measure(bench, &[1, 3, 7], |of| waiting_ones(of).into_iter().chain(ticklog(of)).collect());
    let title = "2, 4 and 8 threads: 1, 3 and 7 publishers into one consumer, default waiting, not pinned";
    let mut section = bench.report.section("oversubscription", title, series)?;
    tables(&mut section);
    for count in [1, 3, 7] {
        section.ratios("ratio of rates");
        best(&mut section, QUEUE, &BEST_OF, count, None);
        each(&mut section, count);
    }
    section.ratios("ratio of processor time");
    for count in [1, 3, 7] {
        for peer in BEST_OF {
            section.ratio(&format!("{QUEUE}, {count}, cpu"), &format!("{peer}, {count}, cpu"), None);
        }
    }
    section.finish()
}

/// Makes the contender of the section `one-processor` with this name.
pub(crate) fn find_on_one(name: &str, of: Shape) -> Option<Contender> {
    waiting_ones(of).into_iter().chain([only_ticklog(of)]).find(|contender| contender.name() == name)
}

/// Measures processes that were started with one processor.
pub(crate) fn on_one(bench: &mut Bench) -> io::Result<()> {
    let series = measure(bench, &[1, 4], |of| {
        let (count, millis) = (of.0, of.1.as_millis());
        let all = waiting_ones(of).into_iter().chain([only_ticklog(of)]);
        all.filter_map(|contender| {
            apart::on_one(&format!("one-processor/{}/{count}/{millis}", contender.name()))
        })
        .collect()
    });
    let title = "1 and 4 publishers into one consumer, in a process with one processor, default waiting";
    let mut section = bench.report.section("one-processor", title, series)?;
    tables(&mut section);
    for count in [1, 4] {
        section.ratios("ratio of rates");
        best(&mut section, QUEUE, &BEST_OF, count, None);
        best(&mut section, RECEIVER, &BEST_OF, count, None);
        each(&mut section, count);
    }
    section.finish()
}
