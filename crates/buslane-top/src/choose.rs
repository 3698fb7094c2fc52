//! The choice between several services of this user.

use crate::failure::Failure;
use crate::keys::{Action, action};
use crate::messages::{Message, Messages};
use crate::palette::Palette;
use crate::service::{Candidate, Service};
use crate::terminal::Screen;
use crate::text::{clean, left};
use ratatui::Frame;
use ratatui::crossterm::event::Event;
use ratatui::text::Line;

/// What the user decided.
pub(crate) enum Choice {
    Service(Service),
    /// To end the program, with this exit code.
    End(u8),
}

/// Lets the user choose a service.
///
/// # Errors
/// When the terminal fails, or the chosen service does not answer.
pub(crate) fn choose(
    candidates: &[Candidate],
    screen: &mut Screen,
    messages: &Messages,
    palette: Palette,
) -> Result<Choice, Failure> {
    let (mut place, last) = (0_usize, candidates.len().saturating_sub(1));
    loop {
        screen.draw(|frame| draw(frame, candidates, place, palette)).map_err(Failure::new)?;
        let key = match messages.next() {
            Some(Message::Signal(signal)) => return Ok(Choice::End(crate::signals::exit_code(signal))),
            Some(Message::NoInput(reason)) => return Err(Failure::new(reason)),
            Some(Message::Input(Event::Key(key))) => key,
            _ => continue,
        };
        match action(key, false) {
            Some(Action::Quit | Action::Back) => return Ok(Choice::End(0)),
            Some(Action::Move(rows)) => place = place.saturating_add_signed(rows).min(last),
            Some(Action::First) => place = 0,
            Some(Action::Last) => place = last,
            Some(Action::Redraw) => screen.clear().map_err(Failure::new)?,
            Some(Action::Enter) => return candidates[place].connect().map(Choice::Service),
            _ => {}
        }
    }
}

fn draw(frame: &mut Frame<'_>, candidates: &[Candidate], place: usize, palette: Palette) {
    let area = frame.area();
    let room = usize::from(area.height).saturating_sub(3);
    let first = (place + 1).saturating_sub(room);
    let title = format!("buslane-top  {} services of this user", candidates.len());
    let mut lines = vec![Line::styled(title, palette.title()), Line::default()];
    for (row, candidate) in candidates.iter().enumerate().skip(first).take(room) {
        let (Ok(text) | Err(text)) = &candidate.program;
        let text = left(&format!("{:>8}  {}", candidate.pid, clean(text)), area.width.into());
        lines.push(if row == place { Line::styled(text, palette.chosen()) } else { Line::raw(text) });
    }
    lines.truncate(usize::from(area.height).saturating_sub(1));
    lines.resize_with(usize::from(area.height).saturating_sub(1), Line::default);
    lines.push(Line::styled("up, down choose  enter show  q quit", palette.faint()));
    frame.render_widget(ratatui::text::Text::from(lines), area);
}
