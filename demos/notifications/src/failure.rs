//! Why the program ends with something other than 0.

use std::fmt;
use std::process::ExitCode;

/// Why the program ends with something other than 0.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not start: what the user asked for cannot be had.
    Setup(String),
    /// It started, and something broke on the way.
    Broken(String),
    /// The books do not balance: what does not hold.
    Books(Vec<String>),
}

impl Failure {
    /// A failed setup step and its cause.
    pub(crate) fn setup(what: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::Setup(format!("{what}: {cause}"))
    }

    /// Something that broke, and its cause.
    pub(crate) fn broken(what: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::Broken(format!("{what}: {cause}"))
    }

    /// What the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Setup(_) => ExitCode::from(2),
            Self::Broken(_) | Self::Books(_) => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(text) | Self::Broken(text) => f.write_str(text),
            Self::Books(wrong) => write!(f, "the books are wrong: {}", wrong.join("; ")),
        }
    }
}
