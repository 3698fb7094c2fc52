//! From one publisher to one consumer, by each call that publishes: `benches::stream`.

use crate::Bench;
use crate::report::Target;
use crate::stream::{rate, rates};
use benches::paired::{Contender, Series};
use benches::peer::{
    Crossbeam, Crossfire, CrossfireSpsc, EACH, Fanring, Flume, Kanal, NexusSpsc, Rapidfire, Rtrb, Std, Waits,
    Yring,
};
use benches::route::calls::refusing;
use benches::route::lanes::{ByBatch, ByBus, ByLocal, ByLossyBatch, ByPublisher, Called, Publish, Queues};
use benches::route::{Route, spinning, waiting};
use benches::stream;
use buslane::{Overflow, WaitStrategy};
use std::io;

const PUBLISHER: &str = "buslane Publisher::publish";
const LOCAL: &str = "buslane Bus::with_local";
const BUS: &str = "buslane Bus::publish";
const BATCH: &str = "buslane Publisher::publish_batch of 16, blocking";
/// Which events of a batch were refused is unknown, so they are not published again: only what was
/// handled counts.
const LOSSY_BATCH: &str = "buslane Publisher::publish_batch of 16, refusing, lossy";

const KINDS: [(&str, Overflow); 2] = [("blocking", Overflow::Block), ("refusing", Overflow::Refuse)];

/// Measures each call where the consumer spins, with one processor each.
pub(crate) fn pinned(bench: &mut Bench) -> io::Result<()> {
    fn one<R: Route>(name: &str, make: impl Fn() -> R + 'static) -> Contender {
        Contender::stream(name, move || stream::pinned(make()))
    }
    fn both<P: Publish>(name: &str, publish: P) -> [Contender; 2] {
        KINDS.map(|(kind, overflow)| {
            one(&format!("{name}, {kind}"), move || {
                Called::spinning(publish, Queues::Closure).overflow(overflow)
            })
        })
    }
    let mut contenders = Vec::from(both(PUBLISHER, ByPublisher));
    contenders.extend(both(LOCAL, ByLocal));
    contenders.extend(both(BUS, ByBus));
    contenders.extend([
        one(BATCH, || Called::waiting(ByBatch::<16>, Queues::Closure).wait(WaitStrategy::BusySpin)),
        one(LOSSY_BATCH, || Called::spinning(ByLossyBatch::<16>, Queues::Closure)),
        one("rtrb push", spinning::<Rtrb>),
        one("nexus-queue spsc push", spinning::<NexusSpsc>),
        one("yring push_and_flush", spinning::<Yring>),
        one("fanring try_send", spinning::<Fanring<EACH>>),
        one("crossfire spsc try_send", spinning::<CrossfireSpsc>),
        one("crossfire mpsc try_send", spinning::<Crossfire>),
        one("rapidfire try_send", spinning::<Rapidfire>),
        one("kanal try_send", spinning::<Kanal>),
        one("std try_send", spinning::<Std>),
        one("crossbeam-channel try_send", spinning::<Crossbeam>),
        Contender::stream("rtrb push_partial_slice of 16", stream::rtrb_in_slices::<16>),
        Contender::stream("yring, flush of 16", stream::yring_in_slices::<16>),
        Contender::stream("disruptor batch_publish of 16", stream::disruptor_in_slices::<16>),
    ]);
    let effort = &bench.effort;
    let series = Series::run(contenders, effort.rounds, effort.stream, &mut bench.ping);
    let title = "Stream by each call that publishes: one publisher, one queue, pinned, consumer spinning";
    let mut section = bench.report.section("publishing", title, series)?;
    let rows = rates(&section);
    section.figures("M events/s", &rows, rate);
    section.bars("M events/s", &rows, rate);
    section.figures("part that was not lost", &[format!("{LOSSY_BATCH}, handled")], |part| part);
    section.ratios("ratio of rates");
    let channels = ["crossfire mpsc", "rapidfire", "kanal", "std", "crossbeam-channel"];
    let channels = channels.map(|peer| format!("{peer} try_send"));
    for (kind, _) in KINDS {
        section.rates(&format!("{PUBLISHER}, {kind}"), "rtrb push", None);
        section.rates(&format!("{LOCAL}, {kind}"), "rtrb push", None);
        section.best(&format!("{BUS}, {kind}"), &channels, Some(Target::AtLeast(1.0)));
    }
    for peer in ["rtrb push_partial_slice of 16", "yring, flush of 16", "disruptor batch_publish of 16"] {
        section.rates(BATCH, peer, None);
    }
    section.rates(LOSSY_BATCH, BATCH, None);
    section.finish()
}

/// Measures each call with the default waiting, on any processor.
pub(crate) fn anywhere(bench: &mut Bench) -> io::Result<()> {
    fn one<R: Route>(name: &str, make: impl Fn() -> R + Send + Clone + 'static) -> Contender {
        Contender::stream_anywhere(name, make)
    }
    fn both<P: Publish>(name: &str, publish: P) -> [Contender; 2] {
        KINDS.map(|(kind, overflow)| {
            one(&format!("{name}, {kind}"), move || {
                Called::waiting(publish, Queues::Closure).overflow(overflow)
            })
        })
    }
    fn peer<P: Waits>(name: &str) -> [Contender; 2] {
        [one(&format!("{name} send"), waiting::<P>), one(&format!("{name} try_send"), refusing::<P>)]
    }
    let mut contenders = Vec::from(both(PUBLISHER, ByPublisher));
    contenders.extend(both(LOCAL, ByLocal));
    contenders.extend(both(BUS, ByBus));
    contenders.push(one(BATCH, || Called::waiting(ByBatch::<16>, Queues::Closure)));
    contenders.extend(peer::<Crossbeam>("crossbeam-channel"));
    contenders.extend(peer::<CrossfireSpsc>("crossfire spsc"));
    contenders.extend(peer::<Crossfire>("crossfire mpsc"));
    contenders.extend(peer::<Fanring<EACH>>("fanring"));
    contenders.extend(peer::<Rapidfire>("rapidfire"));
    contenders.extend(peer::<Kanal>("kanal"));
    contenders.extend(peer::<Std>("std"));
    contenders.extend(peer::<Flume>("flume"));
    let effort = &bench.effort;
    let series = Series::run(contenders, effort.rounds, effort.stream, &mut bench.ping);
    let title = "Stream by each call that publishes: one publisher, one queue, default waiting, not pinned";
    let mut section = bench.report.section("publishing-waiting", title, series)?;
    let rows = rates(&section);
    section.figures("M events/s", &rows, rate);
    section.bars("M events/s", &rows, rate);
    section.ratios("ratio of rates");
    for ((kind, _), call) in KINDS.into_iter().zip(["send", "try_send"]) {
        let all = [
            "crossbeam-channel",
            "crossfire spsc",
            "crossfire mpsc",
            "fanring",
            "rapidfire",
            "kanal",
            "std",
            "flume",
        ];
        let all = all.map(|peer| format!("{peer} {call}"));
        for ours in [PUBLISHER, LOCAL, BUS] {
            section.best(&format!("{ours}, {kind}"), &all, Some(Target::AtLeast(1.0)));
        }
    }
    section.finish()
}
