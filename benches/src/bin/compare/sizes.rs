//! Events of other sizes: `benches::sizes`.

use crate::Bench;
use crate::report::Target;
use crate::stream::{rate, rates};
use benches::cost::moved;
use benches::event::Payload;
use benches::paired::{Contender, Series};
use benches::sizes::{
    Carrier, Crossbeam, Crossfire, Drained, Fanring, Kanal, Lane, NexusSpsc, Rapidfire, Rtrb, Std, TokioMpsc,
    Yring,
};
use benches::stream;
use std::io;
use std::sync::Arc;

const SIZES: [&str; 5] = ["64 B", "256 B", "1 KiB", "4 KiB", "Arc"];
const OURS: [&str; 2] = ["buslane Receiver::try_recv", "buslane Receiver::drain_with"];
const PEERS: [&str; 10] = [
    "rtrb",
    "nexus-queue spsc",
    "yring",
    "fanring",
    "crossfire spsc",
    "crossbeam-channel",
    "kanal",
    "rapidfire",
    "std",
    "tokio mpsc",
];

/// Makes a contender of one carrier with payloads of one size.
trait Make {
    fn contender<E: Payload, C: Carrier<E>>(&self, name: &str) -> Contender;
}

struct Publish;

impl Make for Publish {
    fn contender<E: Payload, C: Carrier<E>>(&self, name: &str) -> Contender {
        Contender::cost(name, moved::carried::<E, C>)
    }
}

struct Stream;

impl Make for Stream {
    fn contender<E: Payload, C: Carrier<E>>(&self, name: &str) -> Contender {
        Contender::stream(name, stream::sized::<E, C>)
    }
}

/// Returns every carrier with payloads of one size. `drained` adds the receiver that drains.
fn of_size<E: Payload>(make: &impl Make, size: &str, drained: bool) -> Vec<Contender> {
    let name = |contender: &str| format!("{contender}, {size}");
    let mut all = vec![
        make.contender::<E, Lane>(&name(OURS[0])),
        make.contender::<E, Rtrb>(&name(PEERS[0])),
        make.contender::<E, NexusSpsc>(&name(PEERS[1])),
        make.contender::<E, Yring>(&name(PEERS[2])),
        make.contender::<E, Fanring>(&name(PEERS[3])),
        make.contender::<E, Crossfire>(&name(PEERS[4])),
        make.contender::<E, Crossbeam>(&name(PEERS[5])),
        make.contender::<E, Kanal>(&name(PEERS[6])),
        make.contender::<E, Rapidfire>(&name(PEERS[7])),
        make.contender::<E, Std>(&name(PEERS[8])),
        make.contender::<E, TokioMpsc>(&name(PEERS[9])),
    ];
    if drained {
        all.push(make.contender::<E, Drained>(&name(OURS[1])));
    }
    all
}

fn contenders(make: &impl Make, drained: bool) -> Vec<Contender> {
    let mut all = of_size::<[u64; 8]>(make, SIZES[0], drained);
    all.extend(of_size::<[u64; 32]>(make, SIZES[1], drained));
    all.extend(of_size::<[u64; 128]>(make, SIZES[2], drained));
    all.extend(of_size::<[u64; 512]>(make, SIZES[3], drained));
    all.extend(of_size::<Arc<[u8]>>(make, SIZES[4], drained));
    all
}

fn peers(size: &str) -> Vec<String> {
    PEERS.iter().map(|peer| format!("{peer}, {size}")).collect()
}

/// Measures the cost of a publish of an event that is moved in.
pub(crate) fn publish(bench: &mut Bench) -> io::Result<()> {
    let effort = &bench.effort;
    let series = Series::run(contenders(&Publish, false), effort.rounds, effort.cost, &mut bench.ping);
    let title = "Publish cost by size: one thread, consumer awake, always room, the event is moved in";
    let mut section = bench.report.section("sizes-publish", title, series)?;
    let names = section.names();
    section.figures("Publisher::try_publish and its peers, ns", &names, |ns| ns);
    for size in SIZES {
        section.ratios("ratio of costs");
        for peer in peers(size) {
            section.ratio(&format!("{}, {size}", OURS[0]), &peer, None);
        }
    }
    section.finish()
}

/// Measures a stream where both sides spin.
pub(crate) fn streaming(bench: &mut Bench) -> io::Result<()> {
    let effort = &bench.effort;
    let series = Series::run(contenders(&Stream, true), effort.rounds, effort.stream, &mut bench.ping);
    let title = "Stream by size: one publisher, one consumer, pinned, both spinning, lossless";
    let mut section = bench.report.section("sizes-stream", title, series)?;
    let names = rates(&section);
    section.figures("M events/s", &names, rate);
    section.ratios("ratio of rates");
    for size in SIZES {
        for ours in OURS {
            section.best(&format!("{ours}, {size}"), &peers(size), Some(Target::AtLeast(1.0)));
        }
    }
    section.finish()
}
