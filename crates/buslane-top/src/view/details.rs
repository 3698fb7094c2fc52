//! The details of the chosen sink.

use super::overlay::wrap;
use crate::model::Row;
use crate::model::track::{LENGTH, Track};
use crate::palette::Palette;
use crate::reasons::{dropped, refused, total};
use crate::text::{
    NONE, chart, chart_maximum, clean, duration, grouped, left, optional_duration, rate, right, shorten,
};
use buslane::stats::Ledger;
use buslane_inspect::{SinkFrame, SubscriberFrame};
use ratatui::text::{Line, Span};

/// The cells of the name at the left of a value.
const NAME: usize = 10;

/// Returns the details of a sink.
pub(super) fn lines(row: &Row<'_>, palette: Palette, cells: usize) -> Vec<Line<'static>> {
    let sink = row.sink;
    let closed = if row.bus.closed { ", the bus is closed" } else { "" };
    let title = format!(
        "{} / {}  #{}  {}, {}{closed}",
        clean(&row.bus.name),
        clean(&sink.name),
        sink.id,
        clean(&sink.kind),
        sink.status
    );
    let mut lines = vec![Line::styled(left(&title, cells), palette.title())];
    for (name, value) in figures(sink) {
        lines.extend(named(name, &value, palette, cells));
    }
    if let Some(track) = row.track {
        lines.extend(charts(track, palette, cells));
    }
    for (number, retry) in sink.retries.iter().enumerate() {
        let name = format!("retry {}", number + 1);
        lines.extend(named(&name, &clean(&retry.to_string()), palette, cells));
    }
    if !sink.subscribers.is_empty() {
        lines.extend(subscribers(&sink.subscribers, palette, cells));
    }
    lines
}

/// Returns lines with a name on the left of the first.
fn named(name: &str, value: &str, palette: Palette, cells: usize) -> Vec<Line<'static>> {
    let wrapped = wrap(value, cells.saturating_sub(NAME).max(20));
    let lines = wrapped.into_iter().enumerate().map(|(number, text)| {
        let name = if number == 0 { left(name, NAME) } else { left("", NAME) };
        Line::from(vec![Span::styled(name, palette.faint()), Span::raw(text)])
    });
    lines.collect()
}

fn figures(sink: &SinkFrame) -> Vec<(&'static str, String)> {
    let mut figures = ledger(&sink.ledger);
    figures.push(("depth", depth(sink)));
    figures.push((
        "time",
        format!(
            "backlog {}, oldest event {}, in the handler {}",
            optional_duration(sink.backlog_ms),
            optional_duration(sink.oldest_ms),
            optional_duration(sink.in_handler_ms)
        ),
    ));
    if sink.batches > 0 {
        figures.push(("batches", batches(sink)));
    }
    if let Some(error) = &sink.last_error {
        figures.push(("error", clean(error)));
    }
    figures
}

/// Returns the two equations of a ledger.
fn ledger(ledger: &Ledger) -> Vec<(&'static str, String)> {
    let refused = sum("refused", &refused(&ledger.refused));
    let dropped = sum("dropped", &dropped(&ledger.dropped));
    vec![
        (
            "offered",
            format!("{} = accepted {} + {refused}", grouped(ledger.offered), grouped(ledger.accepted)),
        ),
        (
            "accepted",
            format!(
                "{} = delivered {} + filtered {} + {dropped} + pending {}",
                grouped(ledger.accepted),
                grouped(ledger.delivered),
                grouped(ledger.filtered),
                grouped(ledger.pending)
            ),
        ),
    ]
}

/// Writes a sum with the reasons that make it up.
fn sum(name: &str, reasons: &[(&'static str, u64)]) -> String {
    let parts = reasons.iter().filter(|(_, count)| *count > 0);
    let parts: Vec<_> = parts.map(|(reason, count)| format!("{reason} {}", grouped(*count))).collect();
    if parts.is_empty() {
        format!("{name} 0")
    } else {
        format!("{name} {} ({})", grouped(total(reasons)), parts.join(", "))
    }
}

fn depth(sink: &SinkFrame) -> String {
    let depth = grouped(sink.depth);
    let (capacity, high) = (grouped(sink.capacity), grouped(sink.high_water));
    match (sink.capacity, sink.lanes) {
        (0, _) => format!("{depth}, the room is unbounded"),
        _ if sink.kind == "journal" => format!("{depth} of {capacity} kept events: the greatest lag"),
        (_, 0) => format!("{depth} of {capacity} in the shared lane, high water {high}"),
        (_, 1) => format!("{depth} of {capacity} in 1 private lane, high water {high}"),
        (_, lanes) => format!(
            "{depth} of {} in {lanes} private lanes of {capacity} each, high water {high} in one of them",
            grouped(sink.room())
        ),
    }
}

fn batches(sink: &SinkFrame) -> String {
    let count = sink.batches.max(1) as f64;
    format!(
        "{}, the largest of {} events, {:.1} ms each on average, {} in all",
        grouped(sink.batches),
        grouped(sink.largest_batch),
        sink.batch_ms_total as f64 / count,
        duration(sink.batch_ms_total)
    )
}

/// Returns the charts of the last minutes, one line each.
fn charts(track: &Track, palette: Palette, cells: usize) -> Vec<Line<'static>> {
    const LARGEST: usize = 12;
    let room = cells.saturating_sub(NAME + LARGEST + 2).clamp(1, LENGTH);
    let charts = [
        ("in/s", track.course(|rates| rates.offered), false),
        ("out/s", track.course(|rates| rates.delivered), false),
        ("drop/s", track.course(|rates| rates.dropped), true),
        ("refused/s", track.course(|rates| rates.refused), true),
        ("depth", track.depths(), false),
    ];
    let lines = charts.into_iter().map(|(name, values, is_loss)| {
        let style = if is_loss { palette.alarm() } else { palette.calm() };
        let largest = chart_maximum(&values, room);
        Line::from(vec![
            Span::styled(left(name, NAME), palette.faint()),
            Span::styled(chart(&values, room), style),
            Span::raw(left(&format!("  max {}", rate(largest)), LARGEST + 2)),
        ])
    });
    lines.collect()
}

/// Returns a table of the subscribers of a journal.
fn subscribers(subscribers: &[SubscriberFrame], palette: Palette, cells: usize) -> Vec<Line<'static>> {
    const NUMBERS: [(&str, usize); 4] = [("lag", 14), ("next", 18), ("delivered", 18), ("missed", 14)];
    let name =
        cells.saturating_sub(NUMBERS.iter().map(|(_, width)| width + 1).sum::<usize>() + 7).clamp(10, 40);
    let title = |texts: [String; 4], text: &str, state: &str| {
        let numbers: Vec<_> =
            texts.iter().zip(NUMBERS).map(|(text, (_, width))| right(text, width)).collect();
        format!("{} {} {state}", left(text, name), numbers.join(" "))
    };
    let head =
        title(NUMBERS.map(|(name, _)| name.to_owned()), &format!("subscribers ({})", subscribers.len()), "");
    let mut lines = vec![Line::default(), Line::styled(head, palette.title())];
    for subscriber in subscribers {
        let ledger = &subscriber.ledger;
        let numbers =
            [subscriber.behind, subscriber.next, ledger.delivered, total(&dropped(&ledger.dropped))]
                .map(grouped);
        let state = match (subscriber.ended, subscriber.gating) {
            (true, _) => "ended",
            (_, true) => "gating",
            _ => "",
        };
        let text = subscriber.name.as_deref().map_or_else(|| format!("{NONE} {}", subscriber.id), clean);
        let style = if subscriber.behind > 0 { palette.caution() } else { ratatui::style::Style::new() };
        lines.push(Line::styled(shorten(&title(numbers, &text, state), cells), style));
    }
    lines
}
