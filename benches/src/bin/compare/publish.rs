//! The cost of a publish while there is room: `benches::cost`.

use crate::Bench;
use crate::report::Target;
use benches::cost;
use benches::paired::{Contender, Series};
use benches::peer::{
    ArrayQueue, AsyncBroadcast, BareRing, Crossbeam, Flume, Kanal, Rtrb, Std, Thingbuf, TokioMpsc,
};
use buslane::WaitStrategy;
use std::io;

const NAP: WaitStrategy = WaitStrategy::nap();

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let effort = &bench.effort;
    let series = Series::run(contenders(), effort.rounds, effort.cost, &mut bench.ping);
    let title = "Publish cost: one thread, consumer awake, always room";
    let mut section = bench.report.section("publish", title, series)?;
    let (slices, singles): (Vec<_>, Vec<_>) =
        section.names().into_iter().partition(|name| name.contains(" of 16"));
    section.figures("single publish, ns", &singles, |ns| ns);
    section.figures("batch publish, ns an event", &slices, |ns| ns);
    section.bars("ns an event", &[singles, slices].concat(), |ns| ns);

    section.ratios("ratio of costs");
    let at_most = |most| Some(Target::AtMost(most));
    section.row("no sink, ns, less the harness", ["buslane, no sink", "base"], |[ns, base]| ns - base, None);
    section.ratio("buslane", "rtrb", at_most(1.8));
    section.ratio("buslane", "tokio broadcast", at_most(0.2));
    section.ratio("buslane, 16 lanes", "crossbeam-channel, 16", at_most(0.333));
    section.ratio("buslane, filter", "tokio broadcast", at_most(0.5));
    section.ratio("buslane, with_local", "tokio broadcast", at_most(0.333));
    section.ratio("buslane, Bus::publish", "tokio broadcast", at_most(1.0));
    for peer in ["ring::spsc", "crossbeam-channel", "photon-ring", "disruptor", "tracing-appender"] {
        section.ratio("buslane", peer, None);
    }
    section.ratio("buslane, SpinPark", "rtrb", None);
    section.ratio("buslane, 16 lanes", "tokio broadcast, 16", None);
    for (label, many, further) in [
        ("each further lane of 2 / rtrb", "buslane, 2 lanes", 1.0),
        ("each further lane of 4 / rtrb", "buslane, 4 lanes", 3.0),
        ("each further lane of 16 / rtrb", "buslane, 16 lanes", 15.0),
    ] {
        let each = move |[many, one, rtrb]: [f64; 3]| (many - one) / further / rtrb;
        section.row(label, [many, "buslane", "rtrb"], each, None);
    }
    section.ratios("ratio of costs, in batches");
    for peer in ["buslane", "rtrb, slice of 16", "disruptor, batch of 16", "photon-ring, batch of 16"] {
        section.ratio("buslane, batch of 16", peer, None);
    }
    section.finish()
}

fn contenders() -> Vec<Contender> {
    let one = |name, wait| Contender::cost(name, move || cost::lanes(1, wait));
    let many = |name, channels| Contender::cost(name, move || cost::lanes(channels, NAP));
    vec![
        Contender::cost("base", cost::base),
        many("buslane, no sink", 0),
        one("buslane", NAP),
        one("buslane, SpinPark", WaitStrategy::SpinPark),
        many("buslane, 2 lanes", 2),
        many("buslane, 4 lanes", 4),
        many("buslane, 16 lanes", 16),
        Contender::cost("buslane, filter", cost::filtered),
        Contender::cost("buslane, with_local", cost::local),
        Contender::cost("buslane, Bus::publish", cost::bus_shared),
        Contender::cost("buslane, batch of 16", cost::lanes_in_slices::<16>),
        Contender::cost("ring::spsc", cost::peer::<BareRing>),
        Contender::cost("rtrb", cost::peer::<Rtrb>),
        Contender::cost("rtrb, slice of 16", cost::rtrb_in_slices::<16>),
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
