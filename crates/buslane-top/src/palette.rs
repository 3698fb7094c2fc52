//! Styles. A color only repeats what a word, a sign or a position already says.

use ratatui::style::{Color, Modifier, Style};

/// The styles of the screen, with or without colors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    has_colors: bool,
}

impl Palette {
    /// Returns the styles that the environment asks for: no colors if `NO_COLOR` is not empty.
    pub(crate) fn from_environment() -> Self {
        Self::new(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    pub(crate) const fn new(has_colors: bool) -> Self {
        Self { has_colors }
    }

    /// The head line and the titles of columns.
    pub(crate) const fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The chosen row.
    pub(crate) const fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// What matters less than what is beside it.
    pub(crate) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// A loss, a failure or a warning.
    pub(crate) fn alarm(self) -> Style {
        self.colored(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// What may become a loss.
    pub(crate) fn caution(self) -> Style {
        self.colored(Color::Yellow)
    }

    /// A chart or a bar of what is in order.
    pub(crate) fn calm(self) -> Style {
        self.colored(Color::Cyan)
    }

    fn colored(self, color: Color) -> Style {
        if self.has_colors { Style::new().fg(color) } else { Style::new() }
    }
}
