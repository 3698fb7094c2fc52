//! The effect of added and removed sinks on a publisher: `benches::churn`.

use crate::Bench;
use crate::report::Target;
use benches::churn::Neighbours;
use benches::paired::{Contender, Series};
use std::io;
use std::time::Duration;

const QUIET: &str = "quiet";
const RESTLESS: &str = "ten sinks come and go";

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let time = bench.effort.paced * 2;
    let contenders = vec![
        Contender::churn(QUIET, Neighbours::Quiet, time),
        Contender::churn(RESTLESS, Neighbours::Restless, time),
    ];
    let series = Series::run(contenders, bench.effort.rounds, Duration::ZERO, &mut bench.ping);
    let title =
        "100 000 events a second while ten ready-made sinks are added and removed 10 000 times a second";
    let mut section = bench.report.section("churn", title, series)?;
    section.percentiles("churn", "what the call takes", &[QUIET.into(), RESTLESS.into()], "");
    let due = [format!("{QUIET}, from due"), format!("{RESTLESS}, from due")];
    section.percentiles("churn-from-due", "from when it was due until the call returned", &due, "");
    section.figures("additions a second", &[format!("{RESTLESS}, changes")], |changes| changes);
    section.figures(
        "events dropped in a sample, without room",
        &[format!("{QUIET}, dropped"), format!("{RESTLESS}, dropped")],
        |dropped| dropped,
    );
    section.ratios("ratio of what the call takes");
    for (percentile, target) in
        [("p50", None), ("p99", None), ("p99.9", Some(Target::AtMost(2.0))), ("p99.99", None)]
    {
        section.ratio(&format!("{RESTLESS}, {percentile}"), &format!("{QUIET}, {percentile}"), target);
    }
    section.finish()
}
