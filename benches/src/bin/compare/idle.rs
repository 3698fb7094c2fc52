//! The latency of one publisher's events beside idle publishers: `benches::latency`.

use crate::Bench;
use crate::report::Target;
use benches::paired::{Contender, Series};
use benches::peer::{EACH, Fanring};
use benches::route::lanes::{Queued, Received};
use benches::route::{Route, spinning};
use buslane::WaitStrategy;
use std::io;
use std::time::Duration;

const RATES: [(u64, &str); 3] = [(10_000, "10 k/s"), (100_000, "100 k/s"), (1_000_000, "1 M/s")];
const IDLE: usize = 1_000;
/// What is beside the publisher. The second one is the control: it shows what the measurement cannot
/// tell apart.
const BESIDE: [(usize, &str); 3] = [(0, "alone"), (0, "alone again"), (IDLE, "beside 1000 idle")];

const NAMES: [&str; 4] =
    ["buslane Queue", "buslane Receiver::recv", "buslane Receiver::recv, SpinPark, waiting", "fanring"];

/// Returns the contenders of one name at one rate.
fn contenders<R: Route>(
    name: &str,
    (rate, label): (u64, &str),
    time: Duration,
    make: impl Fn() -> R + Copy + 'static,
) -> [Contender; 3] {
    BESIDE.map(|(idle, beside)| {
        Contender::latency_beside_idle(&format!("{name}, {beside}, {label}"), idle, rate, time, make)
    })
}

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let rates = if bench.effort.quick { &RATES[1..2] } else { &RATES[..] };
    let (time, mut all) = (bench.effort.paced, Vec::new());
    for rate in rates {
        let spins = || Received { wait: WaitStrategy::BusySpin };
        all.extend(contenders(NAMES[0], *rate, time, || Queued::SPINNING));
        all.extend(contenders(NAMES[1], *rate, time, spins));
        all.extend(contenders(NAMES[2], *rate, time, || Received::DEFAULT));
        all.extend(contenders(NAMES[3], *rate, time, spinning::<Fanring<EACH>>));
    }
    let series = Series::run(all, bench.effort.rounds, Duration::ZERO, &mut bench.ping);
    let title = "Latency one way, open loop, of one publisher beside publishers that are idle";
    let mut section = bench.report.section("idle", title, series)?;
    section.line(format_args!(
        "\nEach idle publisher has published one event before, and keeps its lane. The consumer spins, unless \
         the row says otherwise."
    ));
    for (_, label) in rates {
        let names: Vec<String> = NAMES
            .iter()
            .flat_map(|name| BESIDE.map(|(_, beside)| format!("{name}, {beside}, {label}")))
            .collect();
        let file = format!("idle-{}", label.replace(' ', "").replace("/s", "").to_lowercase());
        section.percentiles(&file, label, &names, &format!(", {label}"));
    }
    section.ratios("ratio of p50 to the one that is alone");
    for (_, label) in rates {
        for name in NAMES {
            let p50 = |beside: &str| format!("{name}, {beside}, {label}, p50");
            section.ratio(&p50(BESIDE[1].1), &p50(BESIDE[0].1), None);
            let target = name.starts_with("buslane").then_some(Target::AtMost(1.1));
            section.ratio(&p50(BESIDE[2].1), &p50(BESIDE[0].1), target);
        }
    }
    section.finish()
}
