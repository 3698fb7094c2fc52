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
}

impl Failure {
    /// A failed step before the start, and its cause.
    pub(crate) fn setup(what: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::Setup(format!("{what}: {cause}"))
    }

    /// What the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Setup(_) => 2,
            Self::Broken(_) => 1,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Setup(text) | Self::Broken(text)) = self;
        f.write_str(text)
    }
}
