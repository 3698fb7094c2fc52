//! The head lines, the warnings above the table, and the foot line.

use super::Status;
use crate::model::{Link, Model};
use crate::palette::Palette;
use crate::state::State;
use crate::text::{clean, duration, interval, left, rate, shorten, width};
use buslane_inspect::{Frame, Warning};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// Writes a number with its noun.
fn count(number: usize, noun: &str) -> String {
    let plural = match (number, noun) {
        (1, _) => "",
        (_, "bus") => "es",
        _ => "s",
    };
    format!("{number} {noun}{plural}")
}

/// Returns the two head lines: the process and whether it answers, and sums over all sinks.
pub(super) fn lines(model: &Model, status: Status, palette: Palette, cells: usize) -> Vec<Line<'static>> {
    let (link, style) = link(model, status, palette);
    let process = model.frame().map_or_else(|| "buslane-top".to_owned(), process);
    // The state of the connection is never cut by a long name.
    let link = shorten(&link, cells.saturating_sub(12).max(cells / 2));
    let process = left(&process, cells.saturating_sub(width(&link) + 2));
    let first =
        Line::from(vec![Span::styled(process, palette.title()), Span::raw("  "), Span::styled(link, style)]);
    let Some(frame) = model.frame() else { return vec![first] };
    let publishers = frame.buses.iter().fold(0_u64, |sum, bus| sum.saturating_add(bus.publishers));
    let sinks = frame.buses.iter().map(|bus| bus.sinks.len()).sum();
    let totals = model.totals();
    let rate = |figure: fn(crate::model::track::Rates) -> f64| rate(totals.map(figure));
    let counts = [
        format!("in {}/s", rate(|rates| rates.offered)),
        format!("out {}/s", rate(|rates| rates.delivered)),
        format!("dropped {}/s", rate(|rates| rates.dropped)),
        format!("refused {}/s", rate(|rates| rates.refused)),
        count(frame.buses.len(), "bus"),
        count(sinks, "sink"),
        count(usize::try_from(publishers).unwrap_or(usize::MAX), "publisher"),
    ];
    vec![first, Line::raw(counts.join("  "))]
}

fn process(frame: &Frame) -> String {
    let up = duration(frame.at_ms.saturating_sub(frame.started_ms));
    format!("{}  pid {}  up {up}", clean(&frame.program), frame.pid)
}

/// Returns whether frames arrive, in words.
fn link(model: &Model, status: Status, palette: Palette) -> (String, Style) {
    let (mut text, mut style) = match model.link() {
        Link::Lost { reason, since } => {
            let seconds = since.elapsed().as_secs();
            (format!("lost for {seconds} s: {}", clean(reason)), palette.alarm())
        }
        Link::Ended(reason) => (clean(reason), palette.caution()),
        Link::Live if status.is_replay => ("replay".to_owned(), palette.faint()),
        Link::Live if model.frame().is_none() => ("connecting".to_owned(), palette.faint()),
        Link::Live => (format!("every {}", interval(status.every)), palette.faint()),
    };
    match model.restarts() {
        0 => {}
        1 => text.push_str(", restarted once"),
        times => text.push_str(&format!(", restarted {times} times")),
    }
    if status.is_paused {
        text = format!("PAUSED, {text}");
        style = palette.caution();
    }
    if let Some(note) = model.note() {
        text = format!("{note}, {text}");
        style = palette.alarm();
    }
    (text, style)
}

/// Returns the first warnings, and how many more there are.
///
/// There is room for the most warnings of the last frames, so that the table does not move with each.
pub(super) fn warnings(model: &Model, palette: Palette, cells: usize, most: usize) -> Vec<Line<'static>> {
    let warnings = model.frame().map_or(&[][..], |frame| &frame.warnings);
    let room = model.room_for_warnings().min(most);
    let shown = if warnings.len() > room { room.saturating_sub(1) } else { warnings.len() };
    let mut lines: Vec<_> = warnings[..shown].iter().map(|warning| line(warning, palette, cells)).collect();
    let hidden = warnings.len() - shown;
    if hidden > 0 {
        let text = match shown {
            0 => format!("! {}, w shows them", count(hidden, "warning")),
            _ => format!("! and {hidden} more, w shows them"),
        };
        lines.push(Line::styled(text, palette.alarm()));
    }
    lines.resize_with(room, Line::default);
    lines
}

/// Returns a warning as one line.
pub(super) fn line(warning: &Warning, palette: Palette, cells: usize) -> Line<'static> {
    Line::styled(shorten(&text(warning), cells), palette.alarm())
}

/// Returns a warning as a text, with its bus and its sink.
pub(super) fn text(warning: &Warning) -> String {
    let sink = warning.sink.as_deref().map_or_else(String::new, |sink| format!("/{sink}"));
    clean(&format!("! {}{sink}: {}", warning.bus, warning.text))
}

/// Returns the foot line: the filter while it is typed, else the order and the keys.
pub(super) fn foot(state: &State, rows: usize, palette: Palette) -> Line<'static> {
    let filter = clean(&state.table.filter);
    if state.is_typing() {
        let keys = Span::styled("  enter keeps it, esc drops it", palette.faint());
        return Line::from(vec![Span::styled(format!("filter: {filter}_"), palette.title()), keys]);
    }
    let mut chosen = Vec::new();
    if !filter.is_empty() {
        chosen.push(format!("filter \"{filter}\": {}", count(rows, "sink")));
    }
    if state.table.sort.is_some() || state.table.is_reversed {
        let by = state.table.sort.map_or("the service", crate::column::Column::title);
        let reversed = if state.table.is_reversed { ", reversed" } else { "" };
        chosen.push(format!("by {by}{reversed}"));
    }
    let mut spans: Vec<_> = chosen.into_iter().map(|text| Span::raw(format!("{text}  "))).collect();
    let keys = "s sort  r reverse  / filter  p pause  enter details  w warnings  ? help  q quit";
    spans.push(Span::styled(keys, palette.faint()));
    Line::from(spans)
}
