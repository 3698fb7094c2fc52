//! From one publisher to one consumer: `benches::stream`.

use crate::Bench;
use crate::apart::{self, NATIVE};
use crate::report::{Section, Target};
use benches::paired::{Contender, Series};
use benches::peer::{
    ArrayQueue, AsyncBroadcast, Crossbeam, Crossfire, CrossfireSpsc, EACH, Fanring, Flume, JonhooBus, Kanal,
    NexusMpsc, NexusSpsc, PhotonBounded, Rapidfire, Rtrb, Std, Thingbuf, TokioMpsc, Yring,
};
use benches::route::lanes::{Queued, Received};
use benches::route::others::{Appender, Disruptor, DisruptorMulti};
use benches::route::{Route, spinning, waiting as waits};
use benches::stream;
use std::io;

/// Converts the time per event to million events per second.
pub(crate) fn rate(nanoseconds: f64) -> f64 {
    1e3 / nanoseconds
}

/// Returns the names of rates, without those of shares.
pub(crate) fn rates(section: &Section<'_>) -> Vec<String> {
    section.names().into_iter().filter(|name| !name.ends_with(", handled")).collect()
}

/// Measures contenders that spin on both sides, with one processor each; and those that publish in
/// batches.
pub(crate) fn pinned(bench: &mut Bench) -> io::Result<()> {
    fn one<R: Route>(name: &str, make: impl Fn() -> R + 'static) -> Contender {
        Contender::stream(name, move || stream::pinned(make()))
    }
    let mut contenders = vec![
        one("buslane Queue", || Queued::SPINNING),
        Contender::stream("buslane Receiver::drain_with", stream::channel),
        Contender::stream("buslane Queue, publish_batch of 16", || {
            stream::queue_in_slices::<16>(Queued::SPINNING.wait)
        }),
        Contender::stream("ring::spsc", stream::ring),
        one("rtrb", spinning::<Rtrb>),
        Contender::stream("rtrb, chunks", stream::rtrb_chunks),
        Contender::stream("rtrb, slice of 16", stream::rtrb_in_slices::<16>),
        one("nexus-queue spsc", spinning::<NexusSpsc>),
        one("nexus-queue mpsc", spinning::<NexusMpsc>),
        one("yring", spinning::<Yring>),
        Contender::stream("yring, windows", stream::yring_windows),
        Contender::stream("yring, flush of 16", stream::yring_in_slices::<16>),
        one("fanring", spinning::<Fanring<EACH>>),
        Contender::stream("fanring, read in batches", stream::fanring_batches),
        one("crossfire spsc", spinning::<CrossfireSpsc>),
        one("crossfire mpsc", spinning::<Crossfire>),
        one("rapidfire", spinning::<Rapidfire>),
        one("disruptor", || Disruptor),
        Contender::stream("disruptor, batch of 16", stream::disruptor_in_slices::<16>),
        one("disruptor multi", || DisruptorMulti),
        one("photon-ring bounded", spinning::<PhotonBounded>),
        Contender::stream("photon-ring bounded, read in batches", stream::photon),
        one("kanal", spinning::<Kanal>),
        one("ArrayQueue", spinning::<ArrayQueue>),
        one("crossbeam-channel", spinning::<Crossbeam>),
        one("std", spinning::<Std>),
        one("flume", spinning::<Flume>),
        one("thingbuf", spinning::<Thingbuf>),
        one("tokio mpsc", spinning::<TokioMpsc>),
        one("async-broadcast", spinning::<AsyncBroadcast>),
        one("bus", spinning::<JonhooBus>),
        Contender::stream("tokio broadcast, lossy", stream::tokio),
    ];
    contenders.extend(apart::here("stream/ticklog"));
    let native = ["stream/photon bounded", "stream/photon batches"];
    contenders.extend(native.iter().filter_map(|key| bench.native(key)));
    let effort = &bench.effort;
    let series = Series::run(contenders, effort.rounds, effort.stream, &mut bench.ping);
    let title = "Stream: one publisher, one consumer, pinned, both spinning, lossless";
    let mut section = bench.report.section("stream", title, series)?;
    let (slices, singles): (Vec<_>, Vec<_>) =
        rates(&section).into_iter().partition(|name| name.contains(" of 16"));
    section.figures("single publish, M events/s", &singles, rate);
    section.figures("batch publish, M events/s", &slices, rate);
    section.figures("part that was not lost", &["tokio broadcast, lossy, handled"], |part| part);
    section.bars("M events/s", &[singles, slices].concat(), rate);
    section.ratios("ratio of rates");
    let at_least = |least| Some(Target::AtLeast(least));
    for (peer, target) in [
        ("disruptor", at_least(1.8)),
        ("rtrb", at_least(1.3)),
        ("rtrb, chunks", None),
        ("photon-ring bounded", at_least(2.5)),
        ("photon-ring bounded, read in batches", at_least(2.5)),
        ("nexus-queue spsc", at_least(1.2)),
        ("nexus-queue mpsc", None),
        ("yring", at_least(1.2)),
        ("yring, windows", at_least(1.2)),
        ("fanring", None),
        ("fanring, read in batches", None),
        ("crossfire spsc", at_least(1.2)),
        ("crossfire mpsc", None),
        ("rapidfire", None),
        ("kanal", at_least(4.0)),
        ("crossbeam-channel", at_least(8.0)),
        ("tokio broadcast, lossy", at_least(50.0)),
        ("ring::spsc", None),
        ("disruptor multi", None),
        ("std", None),
        ("flume", None),
        ("thingbuf", None),
        ("tokio mpsc", None),
        ("async-broadcast", None),
        ("bus", None),
    ] {
        section.rates("buslane Queue", peer, target);
    }
    let names = section.names();
    for peer in names.iter().filter(|name| name.starts_with(NATIVE) && !name.ends_with(", handled")) {
        section.rates("buslane Queue", peer, at_least(1.2));
    }
    section.rates("buslane Queue", "ticklog", None);
    section.rates("buslane Receiver::drain_with", "buslane Queue", None);
    section.ratios("ratio of rates, in batches");
    for peer in ["buslane Queue", "rtrb, slice of 16", "yring, flush of 16", "disruptor, batch of 16"] {
        section.rates("buslane Queue, publish_batch of 16", peer, None);
    }
    section.finish()
}

const PARKING: [&str; 13] = [
    "crossfire spsc",
    "crossfire mpsc",
    "fanring",
    "rapidfire, blocked on",
    "crossbeam-channel",
    "kanal",
    "flume",
    "std",
    "thingbuf",
    "tokio mpsc",
    "async-broadcast",
    "bus",
    "tracing-appender",
];

/// Measures contenders that wait by themselves, on any processor.
pub(crate) fn waiting(bench: &mut Bench) -> io::Result<()> {
    let mut contenders = vec![
        Contender::stream_anywhere("buslane Queue", || Queued::DEFAULT),
        Contender::stream_anywhere("buslane Receiver::recv", || Received::DEFAULT),
        Contender::stream_anywhere(PARKING[0], waits::<CrossfireSpsc>),
        Contender::stream_anywhere(PARKING[1], waits::<Crossfire>),
        Contender::stream_anywhere(PARKING[2], waits::<Fanring<EACH>>),
        Contender::stream_anywhere(PARKING[3], waits::<Rapidfire>),
        Contender::stream_anywhere(PARKING[4], waits::<Crossbeam>),
        Contender::stream_anywhere(PARKING[5], waits::<Kanal>),
        Contender::stream_anywhere(PARKING[6], waits::<Flume>),
        Contender::stream_anywhere(PARKING[7], waits::<Std>),
        Contender::stream_anywhere(PARKING[8], waits::<Thingbuf>),
        Contender::stream_anywhere(PARKING[9], waits::<TokioMpsc>),
        Contender::stream_anywhere(PARKING[10], waits::<AsyncBroadcast>),
        Contender::stream_anywhere(PARKING[11], waits::<JonhooBus>),
        Contender::stream_anywhere(PARKING[12], || Appender),
    ];
    contenders.extend(apart::here("waiting/ticklog"));
    let effort = &bench.effort;
    let series = Series::run(contenders, effort.rounds, effort.stream, &mut bench.ping);
    let title = "Stream with the default waiting: one publisher, one consumer, not pinned, lossless";
    let mut section = bench.report.section("waiting", title, series)?;
    let names = rates(&section);
    section.figures("M events/s", &names, rate);
    section.bars("M events/s", &names, rate);
    for ours in ["buslane Queue", "buslane Receiver::recv"] {
        section.ratios("ratio of rates");
        PARKING.iter().for_each(|peer| section.rates(ours, peer, Some(Target::AtLeast(1.0))));
    }
    section.finish()
}
