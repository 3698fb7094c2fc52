//! The cost of a line of a log for the thread that logs it: `benches::cost::logging`.

use crate::report::Target;
use crate::{Bench, apart};
use benches::cost::logging::events::{Disabled, Enabled, Logged, disabled, enabled, logged};
use benches::cost::logging::lines::{Writer, base, writer};
use benches::paired::{Contender, Series};
use std::io;

const LINES: [(&str, Writer); 5] = [
    ("line, buslane non_blocking", Writer::NonBlocking),
    ("line, buslane non_blocking, order of arrival", Writer::Arrival),
    ("line, buslane non_blocking, shared lane", Writer::Shared),
    ("line, tracing-appender", Writer::Appender),
    ("line, tracing-appender, lossless", Writer::AppenderLossless),
];
const ENABLED: [(&str, Enabled); 6] = [
    ("event, registry and a layer that does nothing", Enabled::Noop),
    ("event, fmt into nothing", Enabled::Fmt),
    ("event, fmt and tracing-appender", Enabled::FmtAppender),
    ("event, fmt and buslane non_blocking", Enabled::FmtNonBlocking),
    ("event, buslane layer", Enabled::Layer),
    ("event, buslane layer, coarse clock", Enabled::LayerCoarse),
];
const DISABLED: [(&str, Disabled); 5] = [
    ("disabled, no subscriber", Disabled::NoSubscriber),
    ("disabled, buslane layer", Disabled::Layer),
    ("disabled, a filtered fmt", Disabled::Fmt),
    ("disabled, buslane layer beside a filtered fmt", Disabled::LayerBesideFmt),
    ("disabled, a layer without a filter beside a filtered fmt", Disabled::UnfilteredBesideFmt),
];
const LOGGED: [(&str, Logged); 3] = [
    ("log, a logger that does nothing", Logged::Noop),
    ("log, buslane logger", Logged::Logger),
    ("log, buslane logger, coarse clock", Logged::LoggerCoarse),
];

/// Makes the contender with this name, for a process of its own.
pub(crate) fn find(name: &str) -> Option<Contender> {
    if let Some(subscriber) = by_name(&ENABLED, name) {
        Some(Contender::cost(name, move || enabled(subscriber)))
    } else if let Some(subscriber) = by_name(&DISABLED, name) {
        Some(Contender::cost(name, move || disabled(subscriber)))
    } else {
        by_name(&LOGGED, name).map(|logger| Contender::cost(name, move || logged(logger)))
    }
}

fn by_name<T: Copy>(known: &[(&str, T)], name: &str) -> Option<T> {
    known.iter().find(|(known, _)| *known == name).map(|(_, found)| *found)
}

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let mut contenders = vec![Contender::cost("line, only made", base)];
    contenders.extend(LINES.map(|(name, which)| Contender::cost(name, move || writer(which))));
    let alone =
        [&ENABLED.map(|(name, _)| name)[..], &DISABLED.map(|(name, _)| name), &LOGGED.map(|(name, _)| name)];
    contenders.extend(alone.concat().into_iter().filter_map(|name| apart::here(&format!("logging/{name}"))));
    let effort = &bench.effort;
    let series = Series::run(contenders, effort.rounds, effort.cost, &mut bench.ping);
    let title = "Cost of a line of a log: one thread, worker awake, always room";
    let mut section = bench.report.section("logging", title, series)?;
    for (kind, unit) in [
        ("line, ", "line of 120 bytes, ns"),
        ("event, ", "event of tracing with three numbers and a message, ns"),
        ("disabled, ", "disabled event, ns"),
        ("log, ", "record of the `log` facade with a constant message, ns"),
    ] {
        let names: Vec<String> = section.names().into_iter().filter(|name| name.starts_with(kind)).collect();
        section.figures(unit, &names, |ns| ns);
    }
    let written: Vec<String> =
        section.names().into_iter().filter(|name| !name.starts_with("disabled")).collect();
    section.bars("ns", &written, |ns| ns);
    section.ratios("ratio of costs");
    let third = Some(Target::AtMost(0.333));
    section.ratio("line, buslane non_blocking", "line, tracing-appender", third);
    for ours in ["order of arrival", "shared lane"] {
        section.ratio(&format!("line, buslane non_blocking, {ours}"), "line, tracing-appender", third);
    }
    let fifth = Some(Target::AtMost(0.2));
    section.ratio("event, buslane layer, coarse clock", "event, fmt and tracing-appender", fifth);
    section.ratio("event, buslane layer", "event, fmt and tracing-appender", None);
    section.ratio("event, fmt and buslane non_blocking", "event, fmt and tracing-appender", None);
    section.ratio("disabled, buslane layer", "disabled, no subscriber", None);
    section.ratio("disabled, buslane layer beside a filtered fmt", "disabled, a filtered fmt", None);
    section.finish()
}
