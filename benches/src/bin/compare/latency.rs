//! The latency of events: `benches::latency`.

use crate::report::Target;
use crate::{Bench, apart};
use benches::paired::{Contender, Series};
use benches::peer::{
    BareRing, Crossbeam, Crossfire, CrossfireSpsc, EACH, Fanring, Flume, Kanal, NexusSpsc, PhotonBounded,
    Rapidfire, Rtrb, Std, Thingbuf, TokioBroadcast, Yring,
};
use benches::route::lanes::{Journaled, Queued, Received};
use benches::route::others::{Appender, Disruptor};
use benches::route::{spinning, waiting};
use buslane::WaitStrategy;
use std::io;
use std::time::Duration;

const RATES: [(u64, &str); 3] = [(10_000, "10 k/s"), (100_000, "100 k/s"), (1_000_000, "1 M/s")];

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let mut contenders = Vec::new();
    for (rate, label) in RATES {
        let name = |contender: &str| format!("{contender}, {label}");
        let time = bench.effort.paced;
        contenders.extend([
            Contender::latency(&name("buslane Queue"), rate, time, || Queued::SPINNING),
            Contender::latency(&name("buslane Receiver::recv"), rate, time, || Received {
                wait: WaitStrategy::BusySpin,
            }),
            Contender::latency(&name("buslane Journal"), rate, time, || Journaled::SPINNING),
            Contender::latency(&name("ring::spsc"), rate, time, spinning::<BareRing>),
            Contender::latency(&name("rtrb"), rate, time, spinning::<Rtrb>),
            Contender::latency(&name("nexus-queue spsc"), rate, time, spinning::<NexusSpsc>),
            Contender::latency(&name("yring"), rate, time, spinning::<Yring>),
            Contender::latency(&name("fanring"), rate, time, spinning::<Fanring<EACH>>),
            Contender::latency(&name("crossfire spsc"), rate, time, spinning::<CrossfireSpsc>),
            Contender::latency(&name("rapidfire"), rate, time, spinning::<Rapidfire>),
            Contender::latency(&name("photon-ring bounded"), rate, time, spinning::<PhotonBounded>),
            Contender::latency(&name("disruptor"), rate, time, || Disruptor),
            Contender::latency(&name("kanal"), rate, time, spinning::<Kanal>),
            Contender::latency(&name("crossbeam-channel"), rate, time, spinning::<Crossbeam>),
            Contender::latency(&name("tokio broadcast"), rate, time, spinning::<TokioBroadcast>),
            Contender::latency(&name("buslane Queue, Nap, waiting"), rate, time, || Queued::DEFAULT),
            Contender::latency(&name("buslane Receiver::recv, SpinPark, waiting"), rate, time, || {
                Received::DEFAULT
            }),
            Contender::latency(&name("buslane Journal, SpinPark, waiting"), rate, time, || {
                Journaled::DEFAULT
            }),
            Contender::latency(&name("crossfire spsc, waiting"), rate, time, waiting::<CrossfireSpsc>),
            Contender::latency(&name("crossfire mpsc, waiting"), rate, time, waiting::<Crossfire>),
            Contender::latency(&name("fanring, waiting"), rate, time, waiting::<Fanring<EACH>>),
            Contender::latency(&name("rapidfire, blocked on, waiting"), rate, time, waiting::<Rapidfire>),
            Contender::latency(&name("crossbeam-channel, waiting"), rate, time, waiting::<Crossbeam>),
            Contender::latency(&name("kanal, waiting"), rate, time, waiting::<Kanal>),
            Contender::latency(&name("flume, waiting"), rate, time, waiting::<Flume>),
            Contender::latency(&name("std, waiting"), rate, time, waiting::<Std>),
            Contender::latency(&name("thingbuf, waiting"), rate, time, waiting::<Thingbuf>),
            Contender::latency(&name("tokio broadcast, waiting"), rate, time, waiting::<TokioBroadcast>),
            Contender::latency(&name("tracing-appender, waiting"), rate, time, || Appender),
        ]);
        let millis = time.as_millis();
        // A slash separates the parts of a key.
        let end = format!("{rate}/{}/{millis}", label.replace('/', " per "));
        contenders.extend(apart::here(&format!("latency/ticklog/{end}")));
        contenders.extend(bench.native(&format!("latency/photon bounded/{end}")));
    }
    let series = Series::run(contenders, bench.effort.rounds, Duration::ZERO, &mut bench.ping);
    let title = "Latency one way, open loop: from when an event was to be sent until it is handled";
    let mut section = bench.report.section("latency", title, series)?;
    let names = section.names();
    let histograms = names.iter().filter_map(|name| name.strip_suffix(", p50")).map(String::from);
    let (waiting, spinning): (Vec<String>, Vec<String>) =
        histograms.partition(|name| name.contains("waiting"));
    for (file, label) in [("10k", RATES[0].1), ("100k", RATES[1].1), ("1m", RATES[2].1)] {
        for (kind, title, all) in
            [("spinning", "consumer spinning", &spinning), ("waiting", "default waiting", &waiting)]
        {
            let chosen: Vec<String> = all.iter().filter(|name| name.ends_with(label)).cloned().collect();
            section.percentiles(&format!("latency-{kind}-{file}"), &format!("{label}, {title}"), &chosen, "");
        }
    }
    let lost: Vec<String> =
        names.into_iter().filter(|name| name.contains("tokio") && name.ends_with("lost")).collect();
    section.figures("events lost in a sample", &lost, |lost| lost);
    section.ratios("ratio of p50, consumer spinning");
    for (_, label) in RATES {
        let name = |contender: &str| format!("{contender}, {label}, p50");
        for (peer, target) in [
            ("ring::spsc", 1.2),
            ("rtrb", 1.2),
            ("nexus-queue spsc", 1.2),
            ("photon-ring bounded", 1.2),
            ("disruptor", 1.2),
            ("crossbeam-channel", 0.25),
        ] {
            section.ratio(&name("buslane Queue"), &name(peer), Some(Target::AtMost(target)));
        }
    }
    section.finish()
}
