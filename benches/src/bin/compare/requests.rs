//! What telemetry costs the requests of a service: `benches::requests`.

use crate::Bench;
use crate::report::Target;
use benches::paired::{Contender, Series};
use benches::requests::Service;
use std::io;
use std::time::Duration;

/// The part of the processors' time that requests without telemetry use, in percent.
const LOAD: f64 = 60.0;
/// Requests without telemetry: what all others are compared with. The second one, in the middle of
/// a round, shows which difference the measurement itself makes.
const OFF: [&str; 2] = ["telemetry off", "telemetry off, again"];
const OURS: &str = "buslane";
/// Ours with naps that are longer than the default: fewer wake-ups beside the workers.
const RARER: (&str, &str) = ("buslane, naps of 500 µs", "buslane --wait nap:500us,10ms");
const PEERS: [(&str, &str); 8] = [
    ("rtrb polled each 100 µs", "rtrb"),
    ("crossbeam-channel", "crossbeam"),
    ("crossfire", "crossfire"),
    ("kanal", "kanal"),
    ("std", "std"),
    ("tokio broadcast", "tokio-broadcast"),
    ("tracing-appender", "tracing-appender"),
    ("ticklog", "ticklog"),
];

/// Returns the contenders in the order of a round: their names, and the names of their buses.
fn contenders(all: bool) -> Vec<(&'static str, &'static str)> {
    let [before, after] = OFF.map(|name| (name, "none"));
    let peers = if all { &PEERS[..] } else { &PEERS[..2] };
    // Ours is next to both of the baselines.
    [before, (OURS, "buslane"), after, RARER].into_iter().chain(peers.iter().copied()).collect()
}

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let Some(program) = bench.telemetry.clone() else {
        println!("\nThe section requests was skipped: it needs the program telemetry (--telemetry).");
        return Ok(());
    };
    // A p99 of 400 ms differed by up to five times between two samples without telemetry.
    let slice = Duration::from_millis(if bench.effort.quick { 250 } else { 2_000 });
    let service = Service::calibrate(&program, LOAD, slice)?;
    let contenders = contenders(!bench.effort.quick);
    let all = contenders.iter().map(|(name, bus)| Contender::requests(name, bus, &service)).collect();
    let series = Series::run(all, bench.effort.rounds, Duration::ZERO, &mut bench.ping);
    let title = "Requests of a service: one sample for each, three listeners, open loop, not pinned";
    let mut section = bench.report.section("requests", title, series)?;
    section.line(format_args!(
        "\n{:.0} requests per second in every slice of {slice:?}: without telemetry they use {LOAD} % of the \
         processors' time. 4 clients, 2 workers. A latency counts from when its request was due. Processor time \
         is for each request.",
        service.rate()
    ));
    let names = |figure: &str| -> Vec<String> {
        contenders.iter().map(|(name, _)| format!("{name}, {figure}")).collect()
    };
    for percentile in ["p50", "p99", "p99.9"] {
        section.figures("request latency, µs", &names(percentile), |ns| ns / 1e3);
    }
    let on = |figure: &str| -> Vec<String> {
        let on = contenders.iter().filter(|(_, bus)| *bus != "none");
        on.map(|(name, _)| format!("{name}, {figure}")).collect()
    };
    section.figures("a publish on its worker, ns", &on("publish"), |ns| ns);
    section.figures("processor time of the listeners, ns a request", &names("listeners"), |ns| ns);
    section.figures("processor time of the workers, ns a request", &names("workers"), |ns| ns);
    section.figures("processor time of the clients, ns a request", &names("clients"), |ns| ns);
    section.figures("lost deliveries, of a thousand requests", &on("lost"), |lost| lost);
    section.ratios("ratio of request latencies");
    for (percentile, most) in [("p50", Some(1.02)), ("p99", Some(1.05)), ("p99.9", None)] {
        let of = |name: &str| format!("{name}, {percentile}");
        section.ratio(&of(OFF[1]), &of(OFF[0]), None);
        for (name, bus) in contenders.iter().filter(|(_, bus)| *bus != "none") {
            let target = most.filter(|_| *bus == "buslane").map(Target::AtMost);
            let figures = [of(name), of(OFF[0]), of(OFF[1])];
            let ratio = |[on, first, second]: [f64; 3]| on / f64::midpoint(first, second);
            let label = format!("{} / {}", figures[0], OFF[0]);
            section.row(&label, figures.each_ref().map(String::as_str), ratio, target);
        }
    }
    section.finish()
}

#[cfg(test)]
mod tests {
    use super::{OFF, OURS, contenders};

    #[test]
    fn ours_is_next_to_both_baselines() {
        for all in [false, true] {
            let names: Vec<&str> = contenders(all).into_iter().map(|(name, _)| name).collect();
            assert_eq!(names[..3], [OFF[0], OURS, OFF[1]]);
        }
        assert_eq!((contenders(true).len(), contenders(false).len()), (12, 6));
    }
}
