//! From one publisher to one consumer, by each call that takes events: `benches::stream`.

use crate::Bench;
use crate::report::{Section, Target};
use crate::stream::{rate, rates};
use benches::paired::{Contender, Series};
use benches::peer::{
    ArrayQueue, AsyncBroadcast, Crossbeam, Crossfire, CrossfireSpsc, EACH, Fanring, Flume, Kanal, NexusSpsc,
    PhotonBounded, Rapidfire, Rtrb, Std, Thingbuf, TokioMpsc, Yring,
};
use benches::route::calls::{Async, Batch, Iter, Timeout, reading};
use benches::route::lanes::{ByPublisher, Called, Queues, Reads};
use benches::route::{Route, spinning, waiting};
use benches::stream;
use std::io;

/// The calls of a receiver, with the names of their rows.
const CALLS: [(&str, Reads); 7] = [
    ("buslane Receiver::recv", Reads::Recv),
    ("buslane Receiver::iter", Reads::Iter),
    ("buslane Receiver::try_recv", Reads::TryRecv),
    ("buslane Receiver::recv_timeout", Reads::RecvTimeout),
    ("buslane Receiver::recv_async", Reads::RecvAsync),
    ("buslane Receiver::recv_batch of 64", Reads::RecvBatch),
    ("buslane Receiver::drain_with", Reads::DrainWith),
];
const QUEUES: [(&str, Queues); 3] = [
    ("buslane Queue, closure", Queues::Closure),
    ("buslane Queue, handler", Queues::Handler),
    ("buslane Queue, sink", Queues::Sink),
];
/// The sink of `QUEUES` locks a mutex for each event; this one does not.
const UNLOCKED: &str = "buslane Queue, sink without a lock";

/// The calls that take one event.
fn is_single(index: usize) -> bool {
    index < 5
}

/// Writes the ratios that hold for both kinds of waiting.
fn own(section: &mut Section<'_>) {
    section.ratios("ratio of rates, among buslane's calls");
    section.rates("buslane Receiver::recv_batch of 64", "buslane Receiver::drain_with", at_least(0.9));
    section.rates("buslane Receiver::recv_async", "buslane Receiver::recv", at_least(0.7));
    section.rates("buslane Queue, handler", "buslane Queue, closure", None);
    section.rates("buslane Queue, sink", "buslane Queue, closure", None);
}

fn at_least(least: f64) -> Option<Target> {
    Some(Target::AtLeast(least))
}

/// Measures each call where both sides spin, with one processor each.
pub(crate) fn pinned(bench: &mut Bench) -> io::Result<()> {
    fn one<R: Route>(name: &str, make: impl Fn() -> R + 'static) -> Contender {
        Contender::stream(name, move || stream::pinned(make()))
    }
    let calls = CALLS.map(|(name, call)| one(name, move || Called::spinning(ByPublisher, call)));
    let queues = QUEUES.map(|(name, queue)| one(name, move || Called::spinning(ByPublisher, queue)));
    let mut contenders: Vec<Contender> = calls.into_iter().chain(queues).collect();
    contenders.push(Contender::stream(UNLOCKED, stream::sink));
    let mut singly = vec![
        one("rtrb pop", spinning::<Rtrb>),
        one("nexus-queue spsc pop", spinning::<NexusSpsc>),
        one("yring pop", spinning::<Yring>),
        one("photon-ring bounded try_recv", spinning::<PhotonBounded>),
        one("crossfire spsc try_recv", spinning::<CrossfireSpsc>),
        one("crossfire mpsc try_recv", spinning::<Crossfire>),
        one("fanring try_recv", spinning::<Fanring<EACH>>),
        one("rapidfire try_recv", spinning::<Rapidfire>),
        one("ArrayQueue pop", spinning::<ArrayQueue>),
        one("kanal try_recv", spinning::<Kanal>),
        one("std try_recv", spinning::<Std>),
        one("crossbeam-channel try_recv", spinning::<Crossbeam>),
        one("thingbuf try_recv", spinning::<Thingbuf>),
        one("flume try_recv", spinning::<Flume>),
        one("tokio mpsc try_recv", spinning::<TokioMpsc>),
    ];
    let mut in_batches = vec![
        Contender::stream("rtrb read_chunk", stream::rtrb_chunks),
        Contender::stream("yring prefetch, pop", stream::yring_windows),
        Contender::stream("fanring try_recv_batch_into", stream::fanring_batches),
        Contender::stream("photon-ring bounded recv_batch", stream::photon),
        Contender::stream("kanal drain_into", stream::kanal_drained),
    ];
    singly.extend(bench.native("reading/photon bounded"));
    in_batches.extend(bench.native("reading/photon batches"));
    let single_peers = names(&singly);
    let batch_peers = names(&in_batches);
    contenders.extend(singly);
    contenders.extend(in_batches);
    let effort = &bench.effort;
    let series = Series::run(contenders, effort.rounds, effort.stream, &mut bench.ping);
    let title = "Stream by each call that takes events: one publisher, pinned, both spinning, lossless";
    let mut section = bench.report.section("reading", title, series)?;
    let rows = rates(&section);
    section.figures("M events/s", &rows, rate);
    section.bars("M events/s", &rows, rate);
    section.ratios("ratio of rates, single events");
    for (_, (call, _)) in CALLS.iter().enumerate().filter(|(index, _)| is_single(*index)) {
        section.rates(call, "rtrb pop", at_least(0.9));
        section.best(call, &single_peers, None);
    }
    section.ratios("ratio of rates, several events");
    for call in [CALLS[5].0, CALLS[6].0, QUEUES[0].0, QUEUES[1].0, QUEUES[2].0, UNLOCKED] {
        section.best(call, &batch_peers, None);
    }
    own(&mut section);
    section.rates(UNLOCKED, QUEUES[0].0, None);
    section.finish()
}

fn names(contenders: &[Contender]) -> Vec<String> {
    contenders.iter().map(|contender| contender.name().to_owned()).collect()
}

/// Measures each call with the default waiting, on any processor.
pub(crate) fn anywhere(bench: &mut Bench) -> io::Result<()> {
    fn one<R: Route>(name: &str, make: impl Fn() -> R + Send + Clone + 'static) -> Contender {
        Contender::stream_anywhere(name, make)
    }
    let calls = CALLS.map(|(name, call)| one(name, move || Called::waiting(ByPublisher, call)));
    let queues = QUEUES.map(|(name, queue)| one(name, move || Called::waiting(ByPublisher, queue)));
    let kinds: [(&[&str], Vec<Contender>); 5] = [
        (
            &["buslane Receiver::recv", "buslane Receiver::try_recv"],
            vec![
                one("crossbeam-channel recv", waiting::<Crossbeam>),
                one("crossfire spsc recv", waiting::<CrossfireSpsc>),
                one("crossfire mpsc recv", waiting::<Crossfire>),
                one("fanring recv", waiting::<Fanring<EACH>>),
                one("kanal recv", waiting::<Kanal>),
                one("std recv", waiting::<Std>),
                one("thingbuf recv", waiting::<Thingbuf>),
                one("flume recv", waiting::<Flume>),
                one("tokio mpsc blocking_recv", waiting::<TokioMpsc>),
                one("async-broadcast recv_blocking", waiting::<AsyncBroadcast>),
            ],
        ),
        (
            &["buslane Receiver::iter"],
            vec![
                one("crossbeam-channel iter", reading::<Crossbeam, Iter>),
                one("fanring iter", reading::<Fanring<EACH>, Iter>),
                one("kanal, as an iterator", reading::<Kanal, Iter>),
                one("std iter", reading::<Std, Iter>),
                one("flume iter", reading::<Flume, Iter>),
            ],
        ),
        (
            &["buslane Receiver::recv_timeout"],
            vec![
                one("crossbeam-channel recv_timeout", reading::<Crossbeam, Timeout>),
                one("crossfire mpsc recv_timeout", reading::<Crossfire, Timeout>),
                one("fanring recv_timeout", reading::<Fanring<EACH>, Timeout>),
                one("kanal recv_timeout", reading::<Kanal, Timeout>),
                one("std recv_timeout", reading::<Std, Timeout>),
                one("thingbuf recv_timeout", reading::<Thingbuf, Timeout>),
                one("flume recv_timeout", reading::<Flume, Timeout>),
            ],
        ),
        (
            &["buslane Receiver::recv_async"],
            vec![
                one("async-broadcast recv, blocked on", reading::<AsyncBroadcast, Async>),
                one("crossfire mpsc async recv, blocked on", reading::<Crossfire, Async>),
                one("fanring recv_async, blocked on", reading::<Fanring<EACH>, Async>),
                one("kanal async recv, blocked on", reading::<Kanal, Async>),
                one("rapidfire recv, blocked on", reading::<Rapidfire, Async>),
                one("flume recv_async, blocked on", reading::<Flume, Async>),
                one("tokio mpsc recv, blocked on", reading::<TokioMpsc, Async>),
            ],
        ),
        (
            &[
                "buslane Receiver::recv_batch of 64",
                "buslane Receiver::drain_with",
                "buslane Queue, closure",
                "buslane Queue, handler",
                "buslane Queue, sink",
            ],
            vec![
                one("fanring recv_batch_into", reading::<Fanring<EACH>, Batch>),
                one("kanal recv, then drain_into", reading::<Kanal, Batch>),
                one("flume recv, then drain", reading::<Flume, Batch>),
                one("rapidfire recv_many, blocked on", reading::<Rapidfire, Batch>),
                one("tokio mpsc blocking_recv_many", reading::<TokioMpsc, Batch>),
            ],
        ),
    ];
    let mut contenders: Vec<Contender> = calls.into_iter().chain(queues).collect();
    let mut groups = Vec::new();
    for (ours, peers) in kinds {
        groups.push((ours, names(&peers)));
        contenders.extend(peers);
    }
    let effort = &bench.effort;
    let series = Series::run(contenders, effort.rounds, effort.stream, &mut bench.ping);
    let title = "Stream by each call that takes events: one publisher, default waiting, not pinned, lossless";
    let mut section = bench.report.section("reading-waiting", title, series)?;
    let rows = rates(&section);
    section.figures("M events/s", &rows, rate);
    section.bars("M events/s", &rows, rate);
    section.ratios("ratio of rates, to the peers' calls of the same kind");
    for (ours, peers) in groups {
        ours.iter().for_each(|call| section.best(call, &peers, at_least(1.3)));
    }
    own(&mut section);
    section.finish()
}
