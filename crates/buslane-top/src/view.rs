//! Draws the model and what the user has chosen.

mod details;
mod head;
mod overlay;
pub(crate) mod plain;
mod sinks;
#[cfg(test)]
mod tests;

use crate::model::{Model, Row};
use crate::palette::Palette;
use crate::state::{Overlay, State};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Text};
use std::time::Duration;

/// The height from which the details leave room for the table.
const HIGH: u16 = 32;
/// The least height on which anything but the table is shown.
const LOW: u16 = 6;

/// How the service is followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status {
    /// The time between two frames.
    pub(crate) every: Duration,
    /// Whether the frames come from a recording.
    pub(crate) is_replay: bool,
    /// Whether the screen is paused.
    pub(crate) is_paused: bool,
}

/// Draws the screen.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    state: &mut State,
    model: &Model,
    status: Status,
    palette: Palette,
) {
    let mut area = frame.area();
    let rows = state.table.rows(model);
    if area.height >= LOW {
        let mut lines = head::lines(model, status, palette, area.width.into());
        if state.overlay != Overlay::Warnings {
            lines.extend(head::warnings(model, palette, area.width.into(), warning_lines(area.height)));
        }
        let rest = split(&mut area, lines.len());
        frame.render_widget(Text::from(lines), rest);
        let foot = Rect { y: area.bottom() - 1, height: 1, ..area };
        frame.render_widget(head::foot(state, rows.len(), palette), foot);
        area.height -= 1;
    }
    match state.overlay {
        Overlay::Help => return scrolled(frame, state, overlay::help(palette), area),
        Overlay::Warnings => {
            return scrolled(frame, state, overlay::warnings(model, palette, area.width), area);
        }
        Overlay::None => {}
    }
    let keys: Vec<_> = rows.iter().map(Row::key).collect();
    if state.has_details && !rows.is_empty() {
        let mut place = state.settle(&keys);
        if frame.area().height >= HIGH {
            let half = area.height / 2;
            let table = split(&mut area, half.into());
            let first;
            (place, first) = state.settle_table(&keys, usize::from(table.height).saturating_sub(1));
            let lines = sinks::lines(&rows, place, first, table, &state.table, palette);
            frame.render_widget(Text::from(lines), table);
        }
        let lines = details::lines(&rows[place], palette, area.width.into());
        return scrolled(frame, state, lines, area);
    }
    let (place, first) = state.settle_table(&keys, usize::from(area.height).saturating_sub(1));
    let lines = match (rows.is_empty(), model.frame()) {
        (false, _) => sinks::lines(&rows, place, first, area, &state.table, palette),
        (true, None) => vec![Line::raw("waiting for the first frame")],
        (true, Some(_)) if state.table.filter.is_empty() => vec![Line::raw("there are no sinks")],
        (true, Some(_)) => vec![Line::raw("no sink has the text of the filter")],
    };
    frame.render_widget(Text::from(lines), area);
}

/// Returns the most lines for warnings above the table.
fn warning_lines(height: u16) -> usize {
    match height {
        ..16 => 1,
        16..HIGH => 3,
        _ => 5,
    }
}

/// Takes lines from the top of an area.
fn split(area: &mut Rect, lines: usize) -> Rect {
    let height = u16::try_from(lines).unwrap_or(u16::MAX).min(area.height.saturating_sub(1));
    let top = Rect { height, ..*area };
    area.y += height;
    area.height -= height;
    top
}

/// Draws lines that the user can scroll. The last line says what is hidden.
fn scrolled(frame: &mut Frame<'_>, state: &mut State, mut lines: Vec<Line<'static>>, area: Rect) {
    let (count, height) = (lines.len(), usize::from(area.height));
    if count > height && height > 1 {
        let room = height - 1;
        let first = state.settle_scroll(count, room);
        lines = lines.split_off(first);
        lines.truncate(room);
        lines.push(Line::raw(format!(
            "lines {} to {} of {count}, scroll with [ and ]",
            first + 1,
            first + room
        )));
    } else {
        state.settle_scroll(count, height);
    }
    frame.render_widget(Text::from(lines), area);
}
