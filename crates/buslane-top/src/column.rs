//! The columns of the table: title, width, text, order and style.

use crate::model::Row;
use crate::palette::Palette;
use crate::reasons::{dropped, refused, total};
use crate::text::{bar, clean, left, optional_duration, rate, right, short, width};
use buslane::stats::SinkStatus;
use clap::ValueEnum;
use ratatui::style::Style;
use std::cmp::Ordering;

/// The time, in milliseconds, from which a backlog or a call of user code is shown as an alarm.
const LONG: u64 = 1000;
/// The share of its room from which a sink is shown as nearly full.
const FULL: f64 = 0.8;

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Column {
    /// The name of the bus
    Bus,
    /// The name of the sink
    Sink,
    /// The kind of the sink
    Kind,
    /// Open, closed or drained
    Status,
    /// Events offered, per second
    In,
    /// Events delivered, per second
    Out,
    /// Events that wait, and the room for them
    Depth,
    /// The most events that ever waited in one lane
    High,
    /// Accepted events dropped, per second
    Drops,
    /// Accepted events dropped, and why
    Dropped,
    /// Events refused, and why
    Refused,
    /// The time for which the backlog has not been drained
    Backlog,
    /// The time for which a worker has been inside user code
    Handler,
    /// The last error
    Error,
}

/// All columns, in their order on the screen.
pub(crate) const ALL: [Column; 14] = [
    Column::Bus,
    Column::Sink,
    Column::Kind,
    Column::Status,
    Column::In,
    Column::Out,
    Column::Depth,
    Column::High,
    Column::Drops,
    Column::Dropped,
    Column::Refused,
    Column::Backlog,
    Column::Handler,
    Column::Error,
];

impl Column {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Bus => "bus",
            Self::Sink => "sink",
            Self::Kind => "kind",
            Self::Status => "status",
            Self::In => "in/s",
            Self::Out => "out/s",
            Self::Depth => "depth",
            Self::High => "high",
            Self::Drops => "drop/s",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::Backlog => "backlog",
            Self::Handler => "handler",
            Self::Error => "last error",
        }
    }

    /// Returns the least and the most cells of the column. Every text fits the least number, but
    /// those that may be shortened.
    pub(crate) const fn widths(self) -> [usize; 2] {
        match self {
            Self::Bus => [8, 24],
            Self::Sink => [14, 40],
            Self::Kind => [7, 12],
            Self::Status => [7, 7],
            Self::In | Self::Out | Self::High | Self::Drops => [6, 6],
            Self::Depth => [15, 27],
            Self::Dropped | Self::Refused => [7, 30],
            Self::Backlog | Self::Handler => [7, 7],
            Self::Error => [12, 80],
        }
    }

    /// Returns the place of the column in the order in which columns give way on a narrow screen:
    /// the greatest first.
    pub(crate) const fn rank(self) -> usize {
        match self {
            Self::Sink => 0,
            Self::In => 1,
            Self::Out => 2,
            Self::Depth => 3,
            Self::Drops => 4,
            Self::Bus => 5,
            Self::Dropped => 6,
            Self::Status => 7,
            Self::Backlog => 8,
            Self::Handler => 9,
            Self::Kind => 10,
            Self::High => 11,
            Self::Error => 12,
            Self::Refused => 13,
        }
    }

    /// Returns whether texts are on the left.
    pub(crate) const fn is_text(self) -> bool {
        matches!(self, Self::Bus | Self::Sink | Self::Kind | Self::Status | Self::Depth | Self::Error)
    }

    /// Returns whether the greatest value comes first.
    const fn is_descending(self) -> bool {
        !matches!(self, Self::Bus | Self::Sink | Self::Kind | Self::Status)
    }

    /// Compares two rows in the order of the column.
    pub(crate) fn compare(self, one: &Row<'_>, other: &Row<'_>) -> Ordering {
        let order = match self {
            Self::Bus => one.bus.name.cmp(&other.bus.name),
            Self::Sink => one.sink.name.cmp(&other.sink.name),
            Self::Kind => one.sink.kind.cmp(&other.sink.kind),
            Self::Status => age(one.sink.status).cmp(&age(other.sink.status)),
            Self::Error => one.sink.last_error.is_some().cmp(&other.sink.last_error.is_some()),
            _ => self.number(one).total_cmp(&self.number(other)),
        };
        if self.is_descending() { order.reverse() } else { order }
    }

    /// Returns the value by which rows are sorted. What is unknown is less than zero.
    fn number(self, row: &Row<'_>) -> f64 {
        let (sink, rates) = (row.sink, row.rates());
        let time = |milliseconds: Option<u64>| milliseconds.map_or(-1.0, |time| time as f64);
        match self {
            Self::In => rates.map_or(-1.0, |rates| rates.offered),
            Self::Out => rates.map_or(-1.0, |rates| rates.delivered),
            Self::Drops => rates.map_or(-1.0, |rates| rates.dropped),
            Self::Depth => sink.depth as f64,
            Self::High => sink.high_water as f64,
            Self::Dropped => total(&dropped(&sink.ledger.dropped)) as f64,
            Self::Refused => total(&refused(&sink.ledger.refused)) as f64,
            Self::Backlog => time(sink.backlog_ms),
            Self::Handler => time(sink.in_handler_ms),
            Self::Bus | Self::Sink | Self::Kind | Self::Status | Self::Error => 0.0,
        }
    }

    /// Returns the text of a cell with exactly a width.
    pub(crate) fn cell(self, row: &Row<'_>, cells: usize) -> String {
        if self == Self::Depth {
            return depth(row, cells);
        }
        let text = self.text(row, cells);
        if self.is_text() { left(&text, cells) } else { right(&text, cells) }
    }

    /// Returns the text of a cell, without a bar. Reasons are left out if they do not fit a width.
    pub(crate) fn text(self, row: &Row<'_>, cells: usize) -> String {
        let (sink, rates) = (row.sink, row.rates());
        match self {
            Self::Bus => clean(&row.bus.name),
            Self::Sink => clean(&sink.name),
            Self::Kind => clean(&sink.kind),
            Self::Status => sink.status.to_string(),
            Self::In => rate(rates.map(|rates| rates.offered)),
            Self::Out => rate(rates.map(|rates| rates.delivered)),
            Self::Depth => depth_of_room(row),
            Self::High => short(sink.high_water),
            Self::Drops => rate(rates.map(|rates| rates.dropped)),
            Self::Dropped => with_reasons(&dropped(&sink.ledger.dropped), cells),
            Self::Refused => with_reasons(&refused(&sink.ledger.refused), cells),
            Self::Backlog => optional_duration(sink.backlog_ms),
            Self::Handler => optional_duration(sink.in_handler_ms),
            Self::Error => clean(sink.last_error.as_deref().unwrap_or_default()),
        }
    }

    /// Returns the style of a cell.
    pub(crate) fn style(self, row: &Row<'_>, palette: Palette) -> Style {
        let is_long = |time: Option<u64>| time.is_some_and(|milliseconds| milliseconds >= LONG);
        let is_alarm = match self {
            Self::Drops => row.rates().is_some_and(|rates| rates.dropped > 0.0),
            Self::Depth => share(row).is_some_and(|share| share >= FULL),
            Self::Backlog => is_long(row.sink.backlog_ms),
            Self::Handler => is_long(row.sink.in_handler_ms),
            _ => false,
        };
        let is_caution = match self {
            Self::Dropped => total(&dropped(&row.sink.ledger.dropped)) > 0,
            Self::Refused => total(&refused(&row.sink.ledger.refused)) > 0,
            Self::Status => row.sink.status != SinkStatus::Open,
            Self::Error => true,
            _ => false,
        };
        match (is_alarm, is_caution, self) {
            (true, ..) => palette.alarm(),
            (_, true, _) => palette.caution(),
            (.., Self::Depth) => palette.calm(),
            _ => Style::new(),
        }
    }
}

/// Returns a number that rises with each status of a sink's life.
fn age(status: SinkStatus) -> u8 {
    match status {
        SinkStatus::Open => 0,
        SinkStatus::Closed => 1,
        _ => 2,
    }
}

/// Returns the share of the sink's room that is in use, if its room is bounded.
fn share(row: &Row<'_>) -> Option<f64> {
    let room = row.sink.room();
    (room > 0).then(|| row.sink.depth as f64 / room as f64)
}

fn depth_of_room(row: &Row<'_>) -> String {
    match row.sink.room() {
        0 => short(row.sink.depth),
        room => format!("{}/{}", short(row.sink.depth), short(room)),
    }
}

/// Draws the depth: a bar, and the numbers at its right.
fn depth(row: &Row<'_>, cells: usize) -> String {
    let numbers = depth_of_room(row);
    let room = cells.saturating_sub(width(&numbers) + 1);
    match share(row) {
        Some(share) if room > 1 => format!("{} {numbers}", bar(share, room)),
        _ => right(&numbers, cells),
    }
}

/// Writes a sum with the reasons that make it up, the greatest first, as far as they fit.
fn with_reasons(reasons: &[(&'static str, u64)], cells: usize) -> String {
    let total = short(total(reasons));
    let mut reasons: Vec<_> = reasons.iter().filter(|(_, count)| *count > 0).collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let text = match reasons.as_slice() {
        [] => return total,
        [(reason, _)] => format!("{total} {reason}"),
        several => {
            let parts: Vec<_> =
                several.iter().map(|(reason, count)| format!("{reason} {}", short(*count))).collect();
            format!("{total} ({})", parts.join(", "))
        }
    };
    if text.len() <= cells { text } else { total }
}
