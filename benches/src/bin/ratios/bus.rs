//! Publishers of a bus against the peers that a queue or a channel has.

use crate::Effort;
use crate::table::{absolute, head, ratios, row};
use benches::machine::Ping;
use benches::paired::{Contender, Series};
use benches::{cost, stream};
use buslane::WaitStrategy;

const NAP: WaitStrategy = WaitStrategy::nap();
const SPIN: WaitStrategy = WaitStrategy::BusySpin;

pub(crate) fn compare(effort: &Effort, ping: &mut Ping) {
    let series = Series::run(cost_contenders(), effort.rounds, effort.cost, ping);
    head("publish, one thread, always room", &series);
    absolute(&series, &series.names(), "ns", |ns| ns);
    cost_ratios(&series);

    let series = Series::run(stream_contenders(), effort.rounds, effort.stream, ping);
    head("stream, one publisher, one consumer", &series);
    absolute(&series, &series.names(), "M/s", |ns| 1e3 / ns);
    stream_ratios(&series);
}

fn cost_contenders() -> Vec<Contender> {
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
        Contender::cost("ring::spsc", cost::ring::<1>),
        Contender::cost("rtrb", cost::rtrb::<1>),
        Contender::cost("rtrb, slice of 16", cost::rtrb_in_slices::<16>),
        Contender::cost("photon-ring", || cost::photon(1)),
        Contender::cost("kanal", cost::kanal),
        Contender::cost("ArrayQueue", cost::array_queue),
        Contender::cost("crossbeam-channel", cost::crossbeam::<1>),
        Contender::cost("tokio broadcast", || cost::tokio(1)),
        Contender::cost("tokio broadcast, 16", || cost::tokio(16)),
    ]
}

fn cost_ratios(series: &Series) {
    let ratio = |label: &str, a, b| row(label, series.estimate([a, b], |[a, b]| a / b));
    ratios("ratio of costs");
    row("no sink, ns", series.estimate(["buslane, no sink"], |[ns]| ns));
    row(
        "no sink, ns, less the harness",
        series.estimate(["buslane, no sink", "base"], |[ns, base]| ns - base),
    );
    ratio("one lane / rtrb push", "buslane", "rtrb");
    ratio("one lane / bare ring", "buslane", "ring::spsc");
    ratio("one lane, SpinPark / rtrb push", "buslane, SpinPark", "rtrb");
    ratio("one lane / tokio broadcast", "buslane", "tokio broadcast");
    ratio("one lane / crossbeam-channel", "buslane", "crossbeam-channel");
    ratio("one lane / photon-ring", "buslane", "photon-ring");
    for (label, many, further) in [
        ("each further lane of 2 / rtrb push", "buslane, 2 lanes", 1.0),
        ("each further lane of 4 / rtrb push", "buslane, 4 lanes", 3.0),
        ("each further lane of 16 / rtrb push", "buslane, 16 lanes", 15.0),
    ] {
        let each =
            series.estimate([many, "buslane", "rtrb"], |[many, one, rtrb]| (many - one) / further / rtrb);
        row(label, each);
    }
    ratio("16 lanes / tokio broadcast to 16", "buslane, 16 lanes", "tokio broadcast, 16");
    ratio("filtered channel / tokio broadcast", "buslane, filter", "tokio broadcast");
    ratio("with_local / tokio broadcast", "buslane, with_local", "tokio broadcast");
    ratio("Bus::publish / tokio broadcast", "buslane, Bus::publish", "tokio broadcast");
    ratio("batch of 16 / one by one", "buslane, batch of 16", "buslane");
    ratio("batch of 16 / rtrb slice of 16", "buslane, batch of 16", "rtrb, slice of 16");
}

fn stream_contenders() -> Vec<Contender> {
    vec![
        Contender::stream("buslane", || stream::queue_trying(SPIN)),
        Contender::stream("buslane, Block", || stream::queue(SPIN)),
        Contender::stream("buslane, Nap, Block", || stream::queue(NAP)),
        Contender::stream("buslane channel", stream::channel),
        Contender::stream("buslane, batch of 16", || stream::queue_in_slices::<16>(SPIN)),
        Contender::stream("ring::spsc", stream::ring),
        Contender::stream("rtrb", stream::rtrb),
        Contender::stream("rtrb, chunks", stream::rtrb_chunks),
        Contender::stream("rtrb, slice of 16", stream::rtrb_in_slices::<16>),
        Contender::stream("disruptor", stream::disruptor),
        Contender::stream("disruptor, batch of 16", stream::disruptor_in_slices::<16>),
        Contender::stream("photon-ring bounded", stream::photon),
        Contender::stream("kanal", stream::kanal),
        Contender::stream("kanal, blocking", stream::kanal_blocking),
        Contender::stream("crossbeam-channel", stream::crossbeam),
        Contender::stream("crossbeam, blocking", stream::crossbeam_blocking),
        Contender::stream("tokio broadcast, lossy", stream::tokio),
    ]
}

fn stream_ratios(series: &Series) {
    ratios("ratio of rates");
    for (ours, peers) in [
        (
            "buslane",
            &[
                "ring::spsc",
                "rtrb",
                "rtrb, chunks",
                "disruptor",
                "photon-ring bounded",
                "kanal",
                "crossbeam-channel",
                "tokio broadcast, lossy",
            ][..],
        ),
        ("buslane, Block", &["buslane", "disruptor", "rtrb, chunks"][..]),
        ("buslane, Nap, Block", &["buslane", "kanal, blocking", "crossbeam, blocking"][..]),
        ("buslane channel", &["buslane"][..]),
        ("buslane, batch of 16", &["buslane", "rtrb, slice of 16", "disruptor, batch of 16"][..]),
    ] {
        for peer in peers {
            // Nanoseconds an event: the peer's over ours are our rate over the peer's.
            let rates = series.estimate([ours, peer], |[ours, peer]| peer / ours);
            row(&format!("{ours} / {peer}"), rates);
        }
    }
}
