//! What a key does.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What the user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Ends the program.
    Quit,
    /// Moves the choice by a number of rows.
    Move(isize),
    /// Moves the choice by a number of pages.
    Page(isize),
    /// Chooses the first row.
    First,
    /// Chooses the last row.
    Last,
    /// Sorts by the next column.
    Sort,
    /// Sorts by the column before.
    SortBack,
    /// Reverses the order.
    Reverse,
    /// Begins to type a filter.
    Filter,
    /// Stops the screen, or follows the service again.
    Pause,
    /// Opens or closes the details of the chosen sink; ends the typing of a filter.
    Enter,
    /// Closes what is open; with nothing open, takes the filter away.
    Back,
    /// Scrolls what is open by a number of lines.
    Scroll(isize),
    /// Opens or closes the list of all warnings.
    Warnings,
    /// Opens or closes the help.
    Help,
    /// Draws every cell again.
    Redraw,
    /// Adds a character to the filter.
    Type(char),
    /// Takes the last character of the filter away.
    Erase,
    /// Empties the filter.
    EraseAll,
}

/// The keys, in the order of the help: the keys, and what they do.
pub(crate) const HELP: [(&str, &str); 15] = [
    ("up, down, k, j", "choose a sink"),
    ("page up, page down", "choose a sink a page away"),
    ("home, end, g, G", "choose the first or the last sink"),
    ("enter", "open or close the details of the chosen sink"),
    ("[, ]", "scroll the details or the warnings"),
    ("s, S", "sort by the next column, by the one before"),
    ("r", "reverse the order"),
    ("/", "show only sinks whose bus, name, kind or status has a text"),
    ("esc", "close what is open, then take the filter away"),
    ("p, space", "pause the screen; the charts go on being kept"),
    ("w", "show all warnings"),
    ("?, h", "show this help"),
    ("ctrl-l", "draw the screen again"),
    ("q, ctrl-c", "quit"),
    ("in the filter", "enter keeps it, esc drops it, ctrl-u empties it"),
];

/// Returns what a key does. While a filter is typed, letters belong to it.
pub(crate) fn action(key: KeyEvent, is_typing: bool) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Action::Quit),
            KeyCode::Char('l') => Some(Action::Redraw),
            KeyCode::Char('u') if is_typing => Some(Action::EraseAll),
            KeyCode::Char('h') if is_typing => Some(Action::Erase),
            _ => None,
        };
    }
    let action = match key.code {
        KeyCode::Enter => Action::Enter,
        KeyCode::Esc => Action::Back,
        KeyCode::Up => Action::Move(-1),
        KeyCode::Down => Action::Move(1),
        KeyCode::PageUp => Action::Page(-1),
        KeyCode::PageDown => Action::Page(1),
        KeyCode::Backspace if is_typing => Action::Erase,
        KeyCode::Char(c) if is_typing => Action::Type(c),
        KeyCode::Home | KeyCode::Char('g') => Action::First,
        KeyCode::End | KeyCode::Char('G') => Action::Last,
        KeyCode::Char('k') => Action::Move(-1),
        KeyCode::Char('j') => Action::Move(1),
        KeyCode::Char('s') => Action::Sort,
        KeyCode::Char('S') => Action::SortBack,
        KeyCode::Char('r') => Action::Reverse,
        KeyCode::Char('/') => Action::Filter,
        KeyCode::Char('p' | ' ') => Action::Pause,
        KeyCode::Char('[') => Action::Scroll(-1),
        KeyCode::Char(']') => Action::Scroll(1),
        KeyCode::Char('w') => Action::Warnings,
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => Action::Help,
        KeyCode::Char('q') => Action::Quit,
        _ => return None,
    };
    Some(action)
}

#[cfg(test)]
mod tests {
    use super::{Action, action};
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

    fn press(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    fn control(letter: char) -> KeyEvent {
        KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)
    }

    #[test]
    fn letters_belong_to_a_filter_while_it_is_typed() {
        assert_eq!(action(press(KeyCode::Char('q')), false), Some(Action::Quit));
        assert_eq!(action(press(KeyCode::Char('q')), true), Some(Action::Type('q')));
        assert_eq!(action(press(KeyCode::Backspace), true), Some(Action::Erase));
        assert_eq!(action(press(KeyCode::Backspace), false), None);
        assert_eq!(action(press(KeyCode::Down), true), Some(Action::Move(1)));
    }

    #[test]
    fn control_c_quits_in_every_mode() {
        assert!([false, true].iter().all(|typing| action(control('c'), *typing) == Some(Action::Quit)));
        assert_eq!((action(control('u'), true), action(control('q'), true)), (Some(Action::EraseAll), None));
    }

    #[test]
    fn released_keys_do_nothing() {
        let mut key = press(KeyCode::Char('q'));
        key.kind = KeyEventKind::Release;
        assert_eq!(action(key, false), None);
    }
}
