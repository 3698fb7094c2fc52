//! Texts of the screen: numbers, durations, bars and charts in a fixed width, without control
//! characters.

use ratatui::text::Span;
use std::time::Duration;

/// What stands for a figure that is unknown or that does not apply.
pub(crate) const NONE: &str = "-";
/// Eighths of a cell, from the left.
const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
/// Eighths of a cell, from the bottom.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// A number below this one is written with all its digits in a narrow cell.
const EXACT: u64 = 100_000;

/// Returns the number of cells that a text takes in a terminal.
pub(crate) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// Replaces what moves the cursor or turns the direction of writing: names and errors come from
/// another process.
pub(crate) fn clean(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if c.is_control() || turns(c) || matches!(c, '\u{2028}' | '\u{2029}') => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Shortens a text to a width. An ellipsis marks what is missing.
pub(crate) fn shorten(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let (mut short, mut used) = (String::new(), 0);
    for c in text.chars() {
        let next = used + width(c.encode_utf8(&mut [0; 4]));
        if next + 1 > cells {
            break;
        }
        short.push(c);
        used = next;
    }
    if cells > 0 {
        short.push('…');
    }
    short
}

/// Shortens or fills a text to exactly a width, with the text on the left.
pub(crate) fn left(text: &str, cells: usize) -> String {
    let mut text = shorten(text, cells);
    let missing = cells.saturating_sub(width(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// Shortens or fills a text to exactly a width, with the text on the right.
pub(crate) fn right(text: &str, cells: usize) -> String {
    let text = shorten(text, cells);
    let mut filled = " ".repeat(cells.saturating_sub(width(&text)));
    filled.push_str(&text);
    filled
}

/// Writes a number in groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a number in at most six characters: exactly below 100 000, else with a unit.
pub(crate) fn short(number: u64) -> String {
    if number < EXACT { number.to_string() } else { scaled(number as f64) }
}

/// Writes a rate in at most six characters.
pub(crate) fn rate(per_second: Option<f64>) -> String {
    match per_second {
        None => NONE.to_owned(),
        Some(rate) if rate <= 0.0 => "0".to_owned(),
        // A rate that is not zero never reads as zero.
        Some(rate) if rate < 9.95 => format!("{:.1}", rate.max(0.1)),
        Some(rate) if rate < EXACT as f64 - 0.5 => format!("{rate:.0}"),
        Some(rate) => scaled(rate),
    }
}

/// Writes a number of at least 100 000 with three or four digits and a unit.
fn scaled(number: f64) -> String {
    let (mut scaled, mut unit) = (number / 1e3, 'k');
    for next in ['M', 'G', 'T', 'P', 'E'] {
        if scaled < 999.5 {
            break;
        }
        (scaled, unit) = (scaled / 1e3, next);
    }
    if scaled < 99.95 { format!("{scaled:.1}{unit}") } else { format!("{scaled:.0}{unit}") }
}

/// Writes a duration in at most six characters.
pub(crate) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        0 => format!("{milliseconds}ms"),
        1..60 => format!("{seconds}.{}s", milliseconds % 1000 / 100),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{}d{:02}h", hours / 24, hours % 24),
    }
}

/// Writes a duration that may be unknown.
pub(crate) fn optional_duration(milliseconds: Option<u64>) -> String {
    milliseconds.map_or_else(|| NONE.to_owned(), duration)
}

/// Writes a setting, such as an interval, without decimals that are zero.
pub(crate) fn interval(interval: Duration) -> String {
    let milliseconds = interval.as_millis();
    if milliseconds.is_multiple_of(1000) {
        format!("{} s", milliseconds / 1000)
    } else {
        format!("{milliseconds} ms")
    }
}

/// Draws a share as a bar of a width.
pub(crate) fn bar(share: f64, cells: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * (cells * 8) as f64).round() as usize;
    // What is not zero shows.
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    let mut text = "█".repeat(eighths / 8);
    if eighths / 8 < cells {
        text.push(PARTS[eighths % 8]);
    }
    left(&text, cells)
}

/// Draws the newest values as a chart of a width, the newest on the right. A gap has no bar.
pub(crate) fn chart(values: &[Option<f64>], cells: usize) -> String {
    let shown = &values[values.len().saturating_sub(cells)..];
    let most = shown.iter().flatten().copied().fold(0.0, f64::max);
    let level = |value: f64| match most > 0.0 && value > 0.0 {
        true => LEVELS[((value / most * 8.0).ceil() as usize).clamp(1, 8) - 1],
        false => ' ',
    };
    let text: String = shown.iter().map(|value| value.map_or(' ', level)).collect();
    right(&text, cells)
}

/// Returns the greatest of the values that a chart of this width shows.
pub(crate) fn chart_maximum(values: &[Option<f64>], cells: usize) -> Option<f64> {
    values[values.len().saturating_sub(cells)..].iter().flatten().copied().reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::{
        bar, chart, chart_maximum, clean, duration, grouped, interval, left, rate, right, short, shorten,
        width,
    };
    use std::time::Duration;

    #[test]
    fn numbers_fit_six_characters() {
        let numbers = [(0, "0"), (99_999, "99999"), (100_000, "100k"), (999_499, "999k"), (999_500, "1.0M")];
        for (number, text) in numbers {
            assert_eq!(short(number), text);
        }
        assert_eq!((short(12_345_678).as_str(), short(u64::MAX).as_str()), ("12.3M", "18.4E"));
        let mut number = 1;
        while let Some(next) = u64::checked_mul(number, 7) {
            assert!(short(number).len() <= 6 && rate(Some(number as f64)).len() <= 6, "{number}");
            number = next;
        }
    }

    #[test]
    fn rates_hide_no_event() {
        assert_eq!(
            (rate(None).as_str(), rate(Some(0.0)).as_str(), rate(Some(0.001)).as_str()),
            ("-", "0", "0.1")
        );
        assert_eq!((rate(Some(9.94)).as_str(), rate(Some(9.96)).as_str()), ("9.9", "10"));
        assert_eq!((rate(Some(99_999.4)).as_str(), rate(Some(99_999.6)).as_str()), ("99999", "100k"));
    }

    #[test]
    fn numbers_have_groups_of_three_digits() {
        let numbers = [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")];
        assert!(numbers.iter().all(|(number, text)| grouped(*number) == *text));
    }

    #[test]
    fn durations_keep_two_units() {
        let durations = [
            (0, "0ms"),
            (999, "999ms"),
            (1000, "1.0s"),
            (59_999, "59.9s"),
            (60_000, "1m00s"),
            (3_599_999, "59m59s"),
            (3_600_000, "1h00m"),
            (86_400_000, "1d00h"),
        ];
        for (milliseconds, text) in durations {
            assert_eq!(duration(milliseconds), text);
        }
        assert_eq!(interval(Duration::from_secs(2)), "2 s");
        assert_eq!(interval(Duration::from_millis(1500)), "1500 ms");
    }

    #[test]
    fn texts_have_exactly_their_width() {
        assert_eq!(
            (left("ab", 4), right("ab", 4), shorten("abcdef", 4)),
            ("ab  ".into(), "  ab".into(), "abc…".into())
        );
        // A wide character that does not fit is left out as a whole.
        assert_eq!(left("事件总线", 4), "事… ");
        for cells in 0..10 {
            assert_eq!(width(&left("a事b件c总d", cells)), cells);
            assert_eq!(width(&right("a事b件c总d", cells)), cells);
        }
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(clean("a\u{1b}[31mb\nc\u{202e}d\u{9b}"), "a\u{fffd}[31mb c\u{fffd}d\u{fffd}");
        assert_eq!(clean("größer 事"), "größer 事");
    }

    #[test]
    fn bars_show_what_is_not_zero() {
        assert_eq!(
            (bar(0.0, 4).as_str(), bar(1e-9, 4).as_str(), bar(0.5, 4).as_str()),
            ("    ", "▏   ", "██  ")
        );
        assert_eq!((bar(1.0, 4).as_str(), bar(7.0, 4).as_str(), bar(0.5, 0).as_str()), ("████", "████", ""));
        assert_eq!(bar(0.3, 4), "█▎  ");
    }

    #[test]
    fn charts_keep_gaps_and_scale_to_the_shown() {
        let values = [Some(1000.0), Some(0.0), None, Some(1.0), Some(8.0)];
        assert_eq!(chart(&values, 4), "  ▁█");
        assert_eq!(chart(&values, 7), "  █  ▁▁");
        assert_eq!((chart(&[], 3).as_str(), chart(&[None], 2).as_str()), ("   ", "  "));
        assert_eq!(
            (chart_maximum(&values, 4), chart_maximum(&values, 5), chart_maximum(&[None], 4)),
            (Some(8.0), Some(1000.0), None)
        );
    }
}
