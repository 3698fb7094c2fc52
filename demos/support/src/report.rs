//! The text of a report, built in memory: a summary first, then tables.

use crate::style::bold;
use crate::{Audit, Mark};
use std::fmt::{self, Write};

/// The text of a report.
#[derive(Debug, Default)]
pub struct Report(String);

impl Report {
    /// Adds a heading, with an empty line before it.
    pub fn heading(&mut self, text: impl fmt::Display) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        self.push(format_args!("{gap}{}\n", bold(text)));
    }

    /// Adds a line below a heading.
    pub fn line(&mut self, text: impl fmt::Display) {
        self.push(format_args!("  {text}\n"));
    }

    /// Adds a line of the summary: what it is about, and the finding.
    pub fn finding(&mut self, mark: Mark, about: &str, finding: impl fmt::Display) {
        self.push(format_args!("  {}{}\n", bold(format_args!("{about:<8}")), mark.paint(finding)));
    }

    /// Adds the line of the summary about the checks, and each check that failed.
    pub fn ledger(&mut self, audit: &Audit) {
        self.finding(audit.mark(), "ledger", audit);
    }

    /// Adds a table.
    pub fn table(&mut self, table: &Table) {
        self.push(format_args!("\n{table}"));
    }

    fn push(&mut self, text: fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a string accepts every text");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Rows of cells below a bold header: the first column is aligned to the left, the others to the
/// right.
#[derive(Debug)]
pub struct Table(Vec<Vec<String>>);

impl Table {
    /// A table with this header and no row.
    #[must_use]
    pub fn new<const N: usize>(header: [&str; N]) -> Self {
        Self(vec![header.map(str::to_owned).into()])
    }

    /// Adds a row, with as many cells as the header has.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.0.push(cells.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = vec![0; self.0[0].len()];
        for row in &self.0 {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for (number, row) in self.0.iter().enumerate() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match (column, number) {
                    // The rows are indented by two columns, the header is not.
                    (0, 0) => write!(line, "{cell:<0$}", width + 2)?,
                    (0, _) => write!(line, "  {cell:<width$}")?,
                    _ => write!(line, "  {cell:>width$}")?,
                }
            }
            let line = line.trim_end();
            if number == 0 { writeln!(f, "{}", bold(line))? } else { writeln!(f, "{line}")? }
        }
        Ok(())
    }
}

/// Writes a number with a comma between each three digits.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a count with what it counts, which gets an `s` unless there is one.
#[must_use]
pub fn number_of(count: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}
