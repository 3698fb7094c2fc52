//! Styles of the text on a terminal. Standard output removes them where it is no terminal.

use anstyle::{AnsiColor, Style};
use std::fmt;

/// How serious a line of a summary is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A fact that is neither good nor bad.
    Neutral,
    /// As it should be.
    Good,
    /// Allowed by the settings, and worth a look.
    Notice,
    /// Wrong.
    Bad,
}

impl Mark {
    /// Returns `Good` when the condition holds, else `otherwise`.
    #[must_use]
    pub fn good_if(holds: bool, otherwise: Self) -> Self {
        if holds { Self::Good } else { otherwise }
    }

    /// Displays a value in the color of the mark.
    pub(crate) fn paint<T: fmt::Display>(self, value: T) -> Painted<T> {
        let style = match self {
            Self::Neutral => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Notice => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
        };
        Painted(style, value)
    }
}

/// Displays a value in bold.
pub(crate) fn bold<T: fmt::Display>(value: T) -> Painted<T> {
    Painted(Style::new().bold(), value)
}

/// Displays a value in a faint color.
pub(crate) fn dimmed<T: fmt::Display>(value: T) -> Painted<T> {
    Painted(Style::new().dimmed(), value)
}

/// A value between the codes of a style. The width of a format applies to the value alone.
pub(crate) struct Painted<T>(Style, T);

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(style, value) = self;
        write!(f, "{style}")?;
        value.fmt(f)?;
        write!(f, "{style:#}")
    }
}
