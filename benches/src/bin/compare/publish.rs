//! The cost of a publish while there is room: `benches::cost`.

use crate::apart::NATIVE;
use crate::report::Target;
use crate::{Bench, apart};
use benches::cost;
use benches::paired::{Contender, Series};
use benches::peer::{
    ArrayQueue, AsyncBroadcast, BareRing, Crossbeam, Crossfire, CrossfireSpsc, EACH, Fanring, Flume, Kanal,
    NexusMpsc, NexusSpsc, Rapidfire, Rtrb, Std, Thingbuf, TokioMpsc, Yring,
};
use buslane::WaitStrategy;
use std::io;

const NAP: WaitStrategy = WaitStrategy::nap();

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let mut contenders = contenders();
    contenders.extend(apart::here("publish/ticklog"));
    let native = ["publish/photon", "publish/photon bounded", "publish/photon batch"];
    contenders.extend(native.iter().filter_map(|key| bench.native(key)));
    let effort = &bench.effort;
    let series = Series::run(contenders, effort.rounds, effort.cost, &mut bench.ping);
    let title = "Publish cost: one thread, consumer awake, always room";
    let mut section = bench.report.section("publish", title, series)?;
    let (slices, singles): (Vec<_>, Vec<_>) =
        section.names().into_iter().partition(|name| name.contains(" of 16"));
    section.figures("single publish, ns", &singles, |ns| ns);
    section.figures("batch publish, ns an event", &slices, |ns| ns);
    section.bars("ns an event", &[singles, slices].concat(), |ns| ns);

    section.ratios("ratio of costs");
    let at_most = |most| Some(Target::AtMost(most));
    section.row(
        "no sink, ns, less the harness",
        ["buslane Publisher::publish, no sink", "base"],
        |[ns, base]| ns - base,
        None,
    );
    section.ratio("buslane Publisher::publish", "rtrb", at_most(1.8));
    section.ratio("buslane Publisher::publish", "tokio broadcast", at_most(0.2));
    section.ratio("buslane Publisher::publish, 16 lanes", "crossbeam-channel, 16", at_most(0.333));
    section.ratio("buslane Publisher::publish, filter", "tokio broadcast", at_most(0.5));
    section.ratio("buslane Bus::with_local", "tokio broadcast", at_most(0.333));
    section.ratio("buslane Bus::publish", "tokio broadcast", at_most(1.0));
    for peer in [
        "ring::spsc",
        "yring",
        "nexus-queue spsc",
        "fanring",
        "crossfire spsc",
        "crossfire mpsc",
        "rapidfire",
        "crossbeam-channel",
        "photon-ring",
        "disruptor",
        "tracing-appender",
    ] {
        section.ratio("buslane Publisher::publish", peer, None);
    }
    section.ratio("buslane Publisher::publish, SpinPark", "rtrb", None);
    let spin_park = "buslane Publisher::publish, SpinPark";
    section.row(&format!("{spin_park}, ns"), [spin_park], |[ns]| ns, at_most(3.0));
    section.ratio("buslane Publisher::publish, 16 lanes", "tokio broadcast, 16", None);
    for (label, many, further) in [
        ("each further lane of 2 / rtrb", "buslane Publisher::publish, 2 lanes", 1.0),
        ("each further lane of 4 / rtrb", "buslane Publisher::publish, 4 lanes", 3.0),
        ("each further lane of 16 / rtrb", "buslane Publisher::publish, 16 lanes", 15.0),
    ] {
        let each = move |[many, one, rtrb]: [f64; 3]| (many - one) / further / rtrb;
        section.row(label, [many, "buslane Publisher::publish", "rtrb"], each, None);
    }
    section.ratio("buslane Publisher::publish", "ticklog", None);
    if section.has(NATIVE) {
        section.ratio("buslane Publisher::publish", NATIVE, None);
    }
    section.ratios("ratio of costs, in batches");
    for peer in [
        "buslane Publisher::publish",
        "rtrb, slice of 16",
        "yring, flush of 16",
        "disruptor, batch of 16",
        "photon-ring, batch of 16",
    ] {
        section.ratio("buslane Publisher::publish_batch of 16", peer, None);
    }
    section.finish()
}

fn contenders() -> Vec<Contender> {
    let one = |name, wait| Contender::cost(name, move || cost::lanes(1, wait));
    let many = |name, channels| Contender::cost(name, move || cost::lanes(channels, NAP));
    vec![
        Contender::cost("base", cost::base),
        many("buslane Publisher::publish, no sink", 0),
        one("buslane Publisher::publish", NAP),
        one("buslane Publisher::publish, SpinPark", WaitStrategy::SpinPark),
        many("buslane Publisher::publish, 2 lanes", 2),
        many("buslane Publisher::publish, 4 lanes", 4),
        many("buslane Publisher::publish, 16 lanes", 16),
        Contender::cost("buslane Publisher::publish, filter", cost::filtered),
        Contender::cost("buslane Bus::with_local", cost::local),
        Contender::cost("buslane Bus::publish", || cost::bus_shared(1)),
        Contender::cost("buslane Publisher::publish_batch of 16", cost::lanes_in_slices::<16>),
        Contender::cost("ring::spsc", cost::peer::<BareRing>),
        Contender::cost("rtrb", cost::peer::<Rtrb>),
        Contender::cost("rtrb, slice of 16", cost::rtrb_in_slices::<16>),
        Contender::cost("nexus-queue spsc", cost::peer::<NexusSpsc>),
        Contender::cost("nexus-queue mpsc", cost::peer::<NexusMpsc>),
        Contender::cost("yring", cost::peer::<Yring>),
        Contender::cost("yring, flush of 16", cost::yring_in_slices::<16>),
        Contender::cost("fanring", cost::peer::<Fanring<EACH>>),
        Contender::cost("crossfire spsc", cost::peer::<CrossfireSpsc>),
        Contender::cost("crossfire mpsc", cost::peer::<Crossfire>),
        Contender::cost("rapidfire", cost::peer::<Rapidfire>),
        Contender::cost("disruptor", || cost::disruptor(1)),
        Contender::cost("disruptor, batch of 16", cost::disruptor_in_slices::<16>),
        Contender::cost("disruptor multi", cost::disruptor_multi),
        Contender::cost("photon-ring", || cost::photon(1)),
        Contender::cost("photon-ring, batch of 16", cost::photon_in_slices::<16>),
        Contender::cost("photon-ring bounded", || cost::photon_bounded(1)),
        Contender::cost("kanal", cost::peer::<Kanal>),
        Contender::cost("ArrayQueue", cost::peer::<ArrayQueue>),
        Contender::cost("crossbeam-channel", cost::peer::<Crossbeam>),
        Contender::cost("crossbeam-channel, 16", cost::peers::<Crossbeam, 16>),
        Contender::cost("std", cost::peer::<Std>),
        Contender::cost("flume", cost::peer::<Flume>),
        Contender::cost("thingbuf", cost::peer::<Thingbuf>),
        Contender::cost("tokio mpsc", cost::peer::<TokioMpsc>),
        Contender::cost("async-broadcast", cost::peer::<AsyncBroadcast>),
        Contender::cost("async-broadcast, 16", || cost::async_broadcast(16)),
        Contender::cost("bus", || cost::bus(1)),
        Contender::cost("bus, 16", || cost::bus(16)),
        Contender::cost("tokio broadcast", || cost::tokio(1)),
        Contender::cost("tokio broadcast, 16", || cost::tokio(16)),
        Contender::cost("tracing-appender", cost::appender),
    ]
}
