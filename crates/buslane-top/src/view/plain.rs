//! The table as plain text, for `--once`.

use super::head::text as warning_text;
use crate::column::ALL;
use crate::model::Model;
use crate::table::Table;
use crate::text::{clean, duration, left, rate, right, width};
use std::fmt::Write;

/// Returns the head, the warnings and the table with all columns.
pub(crate) fn text(model: &Model, table: &Table) -> String {
    let mut text = String::new();
    let Some(frame) = model.frame() else { return text };
    let up = duration(frame.at_ms.saturating_sub(frame.started_ms));
    let totals = model.totals();
    // A write into a string never fails.
    let _ = writeln!(
        text,
        "{}  pid {}  up {up}  in {}/s  out {}/s",
        clean(&frame.program),
        frame.pid,
        rate(totals.map(|rates| rates.offered)),
        rate(totals.map(|rates| rates.delivered))
    );
    for warning in &frame.warnings {
        let _ = writeln!(text, "{}", warning_text(warning));
    }
    let rows = table.rows(model);
    let titles = ALL.map(|column| column.title().to_owned()).to_vec();
    let cells = rows.iter().map(|row| ALL.map(|column| column.text(row, usize::MAX)).to_vec());
    let lines: Vec<_> = std::iter::once(titles).chain(cells).collect();
    let widths: Vec<_> =
        (0..ALL.len()).map(|place| lines.iter().map(|line| width(&line[place])).max().unwrap_or(0)).collect();
    for line in &lines {
        let cells: Vec<_> = ALL
            .iter()
            .enumerate()
            .map(|(place, column)| {
                let (text, width) = (&line[place], widths[place]);
                if column.is_text() { left(text, width) } else { right(text, width) }
            })
            .collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}
