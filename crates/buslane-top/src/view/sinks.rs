//! The table of sinks.

use crate::column::Column;
use crate::model::Row;
use crate::palette::Palette;
use crate::table::{Table, columns};
use crate::text::{left, right, width};
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// Returns the titles, and the rows from `first` on that fit.
pub(super) fn lines(
    rows: &[Row<'_>],
    place: usize,
    first: usize,
    area: Rect,
    table: &Table,
    palette: Palette,
) -> Vec<Line<'static>> {
    let columns = columns(area.width.into(), |column| longest(rows, column));
    let mut lines = vec![titles(&columns, table, palette)];
    let room = usize::from(area.height).saturating_sub(1);
    for (number, row) in rows.iter().enumerate().skip(first).take(room) {
        lines.push(line(row, &columns, palette, number == place));
    }
    lines
}

/// Returns the width of the longest text of a column.
fn longest(rows: &[Row<'_>], column: Column) -> usize {
    rows.iter().map(|row| width(&column.text(row, usize::MAX))).max().unwrap_or(0)
}

fn titles(columns: &[(Column, usize)], table: &Table, palette: Palette) -> Line<'static> {
    let titles: Vec<_> = columns
        .iter()
        .map(|(column, cells)| {
            let sign = match (table.sort == Some(*column), table.is_reversed) {
                (false, _) => "",
                (true, false) => "▾",
                (true, true) => "▴",
            };
            let title = format!("{}{sign}", column.title());
            if column.is_text() { left(&title, *cells) } else { right(&title, *cells) }
        })
        .collect();
    Line::styled(titles.join(" "), palette.title())
}

fn line(row: &Row<'_>, columns: &[(Column, usize)], palette: Palette, is_chosen: bool) -> Line<'static> {
    let chosen = if is_chosen { palette.chosen() } else { Style::new() };
    let mut spans = Vec::with_capacity(columns.len() * 2);
    for (number, (column, cells)) in columns.iter().enumerate() {
        if number > 0 {
            spans.push(Span::styled(" ", chosen));
        }
        spans.push(Span::styled(column.cell(row, *cells), column.style(row, palette).patch(chosen)));
    }
    Line::from(spans)
}
