//! The cost of a publish whose consumer is parked: `benches::wake`.

use crate::report::Target;
use crate::{Bench, apart};
use benches::paired::{Contender, Series};
use benches::peer::{
    AsyncBroadcast, Crossbeam, Crossfire, CrossfireSpsc, EACH, Fanring, Flume, JonhooBus, Kanal, Rapidfire,
    Std, Thingbuf, TokioBroadcast, TokioMpsc,
};
use benches::route::lanes::{Queued, Received};
use benches::route::others::Appender;
use benches::route::waiting;
use buslane::WaitStrategy;
use std::io;
use std::time::Duration;

/// The peers that wake their consumer.
const PEERS: [&str; 13] = [
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
    "tokio broadcast",
    "async-broadcast",
    "bus",
];

/// Returns our cost divided by the lowest cost of the peers whose consumer was parked: a consumer
/// that spins all the time needs no wake-up. The figures are ours, then those of the peers, then
/// how often each of them slept per event.
fn best(figures: [f64; 1 + 2 * PEERS.len()]) -> f64 {
    let (peers, sleeps) = figures[1..].split_at(PEERS.len());
    let asleep = peers.iter().zip(sleeps).filter(|(_, sleeps)| **sleeps >= 0.5);
    figures[0] / asleep.map(|(cost, _)| *cost).fold(f64::INFINITY, f64::min)
}

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let events = bench.effort.wakes;
    let mut contenders = vec![
        Contender::clock("two readings of the clock", events),
        Contender::asleep("buslane Queue, Nap", events, || Queued::DEFAULT),
        Contender::asleep("buslane Queue, Poll", events, || Queued::waiting(WaitStrategy::poll())),
        Contender::asleep("buslane Queue, SpinPark", events, || Queued::waiting(WaitStrategy::SpinPark)),
        Contender::asleep("buslane Receiver::recv, SpinPark", events, || Received::DEFAULT),
        Contender::asleep(PEERS[0], events, waiting::<CrossfireSpsc>),
        Contender::asleep(PEERS[1], events, waiting::<Crossfire>),
        Contender::asleep(PEERS[2], events, waiting::<Fanring<EACH>>),
        Contender::asleep(PEERS[3], events, waiting::<Rapidfire>),
        Contender::asleep(PEERS[4], events, waiting::<Crossbeam>),
        Contender::asleep(PEERS[5], events, waiting::<Kanal>),
        Contender::asleep(PEERS[6], events, waiting::<Flume>),
        Contender::asleep(PEERS[7], events, waiting::<Std>),
        Contender::asleep(PEERS[8], events, waiting::<Thingbuf>),
        Contender::asleep(PEERS[9], events, waiting::<TokioMpsc>),
        Contender::asleep(PEERS[10], events, waiting::<TokioBroadcast>),
        Contender::asleep(PEERS[11], events, waiting::<AsyncBroadcast>),
        Contender::asleep(PEERS[12], events, waiting::<JonhooBus>),
        Contender::asleep("tracing-appender", events, || Appender),
    ];
    contenders.extend(apart::here(&format!("asleep/ticklog/{events}")));
    let series = Series::run(contenders, bench.effort.rounds, Duration::ZERO, &mut bench.ping);
    let title = "Publisher's cost with a consumer that has had nothing to do for 100 µs";
    let mut section = bench.report.section("asleep", title, series)?;
    let names = section.names();
    let sleeps: Vec<String> = names.iter().filter(|name| name.ends_with(", sleeps")).cloned().collect();
    let histograms: Vec<String> =
        names.iter().filter_map(|name| name.strip_suffix(", p50")).map(String::from).collect();
    section.percentiles("asleep", "what the call takes", &histograms, "");
    section.figures("sleeps of all threads for an event", &sleeps, |sleeps| sleeps);
    section.ratios("p50, and p99 in nanoseconds less the clock's p50");
    for ours in ["buslane Queue, SpinPark", "buslane Receiver::recv, SpinPark"] {
        let ours = format!("{ours}, p50");
        let peers = PEERS.map(|peer| format!("{peer}, p50"));
        let sleeps = PEERS.map(|peer| format!("{peer}, sleeps"));
        let names = std::iter::once(&ours).chain(&peers).chain(&sleeps).map(String::as_str);
        let names: [&str; 1 + 2 * PEERS.len()] = std::array::from_fn({
            let names: Vec<&str> = names.collect();
            move |index| names[index]
        });
        let label = format!("{ours} / the best whose consumer sleeps");
        section.row(&label, names, best, Some(Target::AtMost(1.0)));
        peers.iter().for_each(|peer| section.ratio(&ours, peer, None));
    }
    for ours in ["buslane Queue, Poll", "buslane Queue, Nap"] {
        let ours = format!("{ours}, p99");
        let less = |[ns, clock]: [f64; 2]| ns - clock;
        section.row(&ours, [&ours, "two readings of the clock, p50"], less, Some(Target::AtMost(100.0)));
    }
    section.finish()
}
