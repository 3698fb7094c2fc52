//! From one publisher to one consumer: `benches::stream`.

use crate::Bench;
use crate::report::{Section, Target};
use benches::paired::{Contender, Series};
use benches::peer::{
    ArrayQueue, AsyncBroadcast, Crossbeam, Flume, JonhooBus, Kanal, PhotonBounded, Rtrb, Std, Thingbuf,
    TokioMpsc,
};
use benches::route::lanes::{Queued, Received};
use benches::route::others::{Appender, Disruptor, DisruptorMulti};
use benches::route::{Route, spinning, waiting as waits};
use benches::stream;
use std::io;

/// Converts the time per event to million events per second.
fn rate(nanoseconds: f64) -> f64 {
    1e3 / nanoseconds
}

/// Returns the names of rates, without those of shares.
fn rates(section: &Section<'_>) -> Vec<String> {
    section.names().into_iter().filter(|name| !name.ends_with(", handled")).collect()
}

/// Measures contenders that spin on both sides, with one processor each; and those that publish in
/// batches.
pub(crate) fn pinned(bench: &mut Bench) -> io::Result<()> {
    fn one<R: Route>(name: &str, make: impl Fn() -> R + 'static) -> Contender {
        Contender::stream(name, move || stream::pinned(make()))
    }
    let contenders = vec![
        one("buslane", || Queued::SPINNING),
        Contender::stream("buslane channel", stream::channel),
        Contender::stream("buslane, batch of 16", || stream::queue_in_slices::<16>(Queued::SPINNING.wait)),
        Contender::stream("ring::spsc", stream::ring),
        one("rtrb", spinning::<Rtrb>),
        Contender::stream("rtrb, chunks", stream::rtrb_chunks),
        Contender::stream("rtrb, slice of 16", stream::rtrb_in_slices::<16>),
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
        section.rates("buslane", peer, target);
    }
    section.rates("buslane channel", "buslane", None);
    section.ratios("ratio of rates, in batches");
    for peer in ["buslane", "rtrb, slice of 16", "disruptor, batch of 16"] {
        section.rates("buslane, batch of 16", peer, None);
    }
    section.finish()
}

const PARKING: [&str; 9] = [
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
    let contenders = vec![
        Contender::stream_anywhere("buslane queue", || Queued::DEFAULT),
        Contender::stream_anywhere("buslane receiver", || Received::DEFAULT),
        Contender::stream_anywhere(PARKING[0], waits::<Crossbeam>),
        Contender::stream_anywhere(PARKING[1], waits::<Kanal>),
        Contender::stream_anywhere(PARKING[2], waits::<Flume>),
        Contender::stream_anywhere(PARKING[3], waits::<Std>),
        Contender::stream_anywhere(PARKING[4], waits::<Thingbuf>),
        Contender::stream_anywhere(PARKING[5], waits::<TokioMpsc>),
        Contender::stream_anywhere(PARKING[6], waits::<AsyncBroadcast>),
        Contender::stream_anywhere(PARKING[7], waits::<JonhooBus>),
        Contender::stream_anywhere(PARKING[8], || Appender),
    ];
    let effort = &bench.effort;
    let series = Series::run(contenders, effort.rounds, effort.stream, &mut bench.ping);
    let title = "Stream with the default waiting: one publisher, one consumer, not pinned, lossless";
    let mut section = bench.report.section("waiting", title, series)?;
    let names = rates(&section);
    section.figures("M events/s", &names, rate);
    section.bars("M events/s", &names, rate);
    for ours in ["buslane queue", "buslane receiver"] {
        section.ratios("ratio of rates");
        PARKING.iter().for_each(|peer| section.rates(ours, peer, Some(Target::AtLeast(1.0))));
    }
    section.finish()
}
