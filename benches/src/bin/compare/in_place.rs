//! Single publishes in the middle of requests: `benches::in_place`.

use crate::Bench;
use crate::report::{Section, Target};
use benches::in_place::alone::Alone;
use benches::in_place::{Contender, Shape, Slice, Source, Timer, contenders, peers, run};
use benches::paired::{self, Series};
use benches::peer::{Crossbeam, Kanal, Std};
use std::io;
use std::time::Duration;

/// The duration of all slices of a contender in one row.
const TOTAL: Duration = Duration::from_millis(2_100);

const PUBLISHER: &str = "buslane Publisher, Queue";
const SHARED: &str = "buslane Bus::publish, Queue";
const POLLED: &str = "rtrb polled each 100 µs";
/// The peers that wake a listener.
const WAKING: [&str; 6] =
    ["crossbeam-channel", "crossfire", "kanal", "std", "tokio broadcast", "tracing-appender"];
const NAMES: [&str; 13] = [
    PUBLISHER,
    "buslane Publisher, Channel",
    SHARED,
    "buslane with_local, Queue",
    "buslane Publisher, Journal",
    WAKING[0],
    WAKING[1],
    WAKING[2],
    WAKING[3],
    WAKING[4],
    POLLED,
    "ticklog",
    WAKING[5],
];

/// Publishers, listeners, and microseconds between two events.
type Row = (usize, usize, u64);

/// The first row: the goal for `Bus::publish` is set for it.
const FIRST: Row = (1, 3, 20);

/// Returns all rows, or the first one.
fn rows(all: bool) -> Vec<Row> {
    if !all {
        return vec![FIRST];
    }
    let listeners = |publishers| [3, 1, 8].map(|listeners| (publishers, listeners));
    let shapes = [1, 4].into_iter().flat_map(listeners);
    shapes
        .flat_map(|(publishers, listeners)| [20, 2, 200].map(|micros| (publishers, listeners, micros)))
        .collect()
}

/// Returns the text of a row.
fn text((publishers, listeners, micros): Row) -> String {
    let s = |count| if count == 1 { "" } else { "s" };
    format!("{publishers} publisher{}, {listeners} listener{}, {micros} µs", s(publishers), s(listeners))
}

/// Returns the contender of this name in a row.
fn contender(name: &str, row: Row, slice: Duration) -> paired::Contender {
    let (publishers, listeners, micros) = row;
    let shape = Shape { publishers, listeners, interval: Duration::from_micros(micros), slice };
    fn of(contender: impl Contender, shape: Shape) -> Box<dyn FnMut() -> Slice> {
        Box::new(move || run(contender, shape))
    }
    let sample: Box<dyn FnMut() -> Slice> = match name {
        PUBLISHER => of(contenders::Queued, shape),
        SHARED => of(contenders::Shared, shape),
        "buslane Publisher, Channel" => of(contenders::Channels, shape),
        "buslane with_local, Queue" => of(contenders::Local, shape),
        "buslane Publisher, Journal" => of(contenders::Journaled, shape),
        "crossbeam-channel" => of(peers::channels::<Crossbeam>(), shape),
        "kanal" => of(peers::channels::<Kanal>(), shape),
        "std" => of(peers::channels::<Std>(), shape),
        "crossfire" => of(peers::Crossfire, shape),
        "tokio broadcast" => of(peers::Broadcast, shape),
        POLLED => of(peers::Polled, shape),
        "ticklog" => Box::new(move || Alone::Ticklog.ask(shape)),
        "tracing-appender" => Box::new(move || Alone::Appender.ask(shape)),
        other => unreachable!("no contender is named {other}"),
    };
    paired::Contender::in_place(&format!("{name}, {}", text(row)), sample)
}

pub(crate) fn run_section(bench: &mut Bench) -> io::Result<()> {
    let all = !bench.effort.quick;
    let slice = TOTAL / u32::try_from(bench.effort.rounds).unwrap_or(u32::MAX);
    let rows = rows(all);
    let contenders = rows.iter().flat_map(|row| NAMES.map(|name| contender(name, *row, slice))).collect();
    let series = Series::run(contenders, bench.effort.rounds, Duration::ZERO, &mut bench.ping);
    let title = "In place: the duration of a publish in the middle of a request";
    let mut section = bench.report.section("in-place", title, series)?;
    let timer = Timer::get();
    let source = match timer.source() {
        Source::Counter => "the processor's time stamp counter",
        Source::Clock => "the system's clock",
    };
    section.line(format_args!(
        "\nSingle calls, timed by {source}, less the {:.0} ns of the timer itself; {} slices of {slice:?} for \
         each contender, interleaved. Median over the slices of each slice's percentile; in parentheses p99.9 \
         of all slices together. Besides: processor time of all threads but the publishers', for each event. \
         Lost: deliveries of a thousand. Preempted: the slices in which a publisher was preempted or slept; \
         none is left out.",
        timer.cost(),
        bench.effort.rounds,
    ));
    for row in &rows {
        let text = text(*row);
        write_row(&mut section, &text, row.0 == 1);
        let file = if *row == FIRST { "in-place".to_owned() } else { file_name(*row) };
        let names = NAMES.map(|name| format!("{name}, {text}"));
        section.percentiles(&file, &format!("single calls, {text}"), &names, &format!(", {text}"));
        write_ratios(&mut section, row, &text);
    }
    section.finish()
}

fn file_name((publishers, listeners, micros): Row) -> String {
    format!("in-place-{publishers}-{listeners}-{micros}us")
}

/// Writes the table of a row.
fn write_row(section: &mut Section<'_>, text: &str, is_one: bool) {
    section.line(format_args!(
        "\n| {text} | p50, ns | p99, ns | p99.9, ns | besides, µs | lost, ‰ | preempted | interval, µs | ping, ns \
         |\n|---|---:|---:|---:|---:|---:|---:|---:|---|"
    ));
    for label in NAMES {
        let name = format!("{label}, {text}");
        let median = |figure: &str| section.median(&format!("{name}, {figure}"));
        let whole = |figure| cell(median(figure), 1.0, 0);
        let [p50, p99, p999] = ["p50", "p99", "p99.9"].map(whole);
        let besides = cell(median("besides"), 1e3, 2);
        let lost = cell(median("lost"), 1.0, 2);
        let interval = cell(median("interval"), 1e3, 2);
        let (moved, slices) = section.slices_with([&format!("{name}, preempted"), &format!("{name}, slept")]);
        // Several publishers yield, which counts as a preemption.
        let moved = if is_one { format!("{moved} of {slices}") } else { "–".to_owned() };
        let all = cell(section.of_all(&name, 99.9), 1.0, 0);
        let ping = section.placed(&format!("{name}, p50"));
        section.line(format_args!(
            "| {label} | {p50} | {p99} | {p999} ({all}) | {besides} | {lost} | {moved} | {interval} | {ping} |"
        ));
    }
}

/// Returns a figure in this unit, or a dash if too few samples were kept.
fn cell(figure: Option<f64>, unit: f64, decimals: usize) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| format!("{:.decimals$}", figure / unit))
}

/// Writes the ratios that have targets.
fn write_ratios(section: &mut Section<'_>, row: &Row, text: &str) {
    section.ratios(&format!("{text}: ratio of durations, and p50 in nanoseconds"));
    let of = |name: &str, percentile: &str| format!("{name}, {text}, {percentile}");
    for percentile in ["p50", "p99", "p99.9"] {
        section.ratio(&of(PUBLISHER, percentile), &of(POLLED, percentile), Some(Target::AtMost(1.0)));
    }
    for (percentile, least) in [("p50", 1.0), ("p99", 1.0), ("p99.9", 20.0)] {
        for peer in WAKING {
            let target = Some(Target::AtLeast(least));
            section.ratio(&of(peer, percentile), &of(PUBLISHER, percentile), target);
        }
    }
    let shared = of(SHARED, "p50");
    let most = (*row == FIRST).then_some(Target::AtMost(120.0));
    section.row(&shared, [&shared], |[figure]| figure, most);
}

#[cfg(test)]
mod tests {
    use super::{FIRST, NAMES, contender, file_name, rows, text};
    use std::time::Duration;

    #[test]
    fn every_name_has_a_contender_in_every_row() {
        for row in rows(true) {
            let _ = NAMES.map(|name| contender(name, row, Duration::from_millis(1)));
        }
    }

    #[test]
    fn rows_have_different_names() {
        let mut names: Vec<_> = rows(true).into_iter().flat_map(|row| [text(row), file_name(row)]).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!((names.len(), count), (36, 36));
        assert_eq!([rows(true)[0], rows(false)[0]], [FIRST; 2]);
    }
}
