//! What covers the table: the keys, and all warnings.

use super::head;
use crate::keys::HELP;
use crate::model::Model;
use crate::palette::Palette;
use crate::text::{left, width};
use ratatui::text::{Line, Span};

/// The indent of a line that continues another one.
const INDENT: &str = "  ";

/// Returns the list of keys, and what the figures mean.
pub(super) fn help(palette: Palette) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled("keys", palette.title())];
    let longest = HELP.iter().map(|(keys, _)| width(keys)).max().unwrap_or(0);
    lines.extend(HELP.iter().map(|(keys, text)| {
        Line::from(vec![Span::styled(left(keys, longest + 2), palette.title()), Span::raw(*text)])
    }));
    lines.push(Line::default());
    lines.push(Line::styled("figures", palette.title()));
    let figures = [
        ("in/s, out/s", "events offered and delivered between the last two frames, per second"),
        ("depth", "events that wait, of the room in the lanes; without a bar the room is unbounded"),
        ("high", "the most events that the consumer ever found in one lane"),
        ("drop/s, dropped", "accepted events that were dropped: per second, and since the start"),
        ("refused", "events that went back to their publisher, since the start"),
        ("backlog", "the time for which the sink has not been drained, at least"),
        ("handler", "the time for which a worker has been inside one call of user code"),
        ("-", "unknown: after a start the rates need a second frame"),
    ];
    lines.extend(figures.iter().map(|(name, text)| {
        Line::from(vec![Span::styled(left(name, longest + 2), palette.title()), Span::raw(*text)])
    }));
    lines
}

/// Returns all warnings, each in as many lines as it takes.
pub(super) fn warnings(model: &Model, palette: Palette, cells: u16) -> Vec<Line<'static>> {
    let warnings = model.frame().map_or(&[][..], |frame| &frame.warnings);
    if warnings.is_empty() {
        return vec![Line::raw("no warnings")];
    }
    let wrapped = warnings.iter().flat_map(|warning| wrap(&head::text(warning), cells.into()));
    wrapped.map(|line| Line::styled(line, palette.alarm())).collect()
}

/// Breaks a text into lines of at most a width, at spaces where that is possible. Lines after the
/// first are indented.
pub(super) fn wrap(text: &str, cells: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let words = text.split(' ').filter(|word| !word.is_empty());
    for word in words.flat_map(|word| pieces(word, cells.saturating_sub(INDENT.len()).max(2))) {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(&word) <= cells => {
                line.push(' ');
                line.push_str(&word);
            }
            Some(_) => lines.push(format!("{INDENT}{word}")),
            None => lines.push(word),
        }
    }
    if lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

/// Breaks a word into pieces of at most a width of at least two cells.
fn pieces(word: &str, cells: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in word.chars() {
        let piece = pieces.last().map_or(0, |piece| width(piece));
        if piece + width(c.encode_utf8(&mut [0; 4])) > cells {
            pieces.push(String::new());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::wrap;
    use crate::text::width;

    #[test]
    fn wrapped_lines_fit_and_keep_every_word() {
        let text = "offered 1,000 = accepted 900 + refused 100 /a/very/long/path/without/any/space 事件总线";
        for cells in 4..100 {
            let lines = wrap(text, cells);
            assert!(lines.iter().all(|line| width(line) <= cells), "{lines:?}");
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            assert_eq!(letters(&lines.concat()), letters(text));
        }
        assert_eq!(wrap("one two three", 8), ["one two", "  three"]);
        assert_eq!(wrap("", 8), [""]);
    }
}
