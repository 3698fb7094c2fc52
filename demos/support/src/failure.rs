//! Why a program ends with an exit code other than 0.

use std::fmt;
use std::process::ExitCode;

/// Why a program ends with an exit code other than 0.
#[derive(Debug)]
pub enum Failure {
    /// The program could not start with these arguments.
    Setup(String),
    /// The program started, and a later step failed.
    Broken(String),
    /// A ledger does not balance: every check that failed.
    Unbalanced(Vec<String>),
}

impl Failure {
    /// A failed setup step, with its cause.
    pub fn setup(what: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::Setup(format!("{what}: {cause}"))
    }

    /// A failed later step, with its cause.
    pub fn broken(what: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::Broken(format!("{what}: {cause}"))
    }

    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Setup(_) => ExitCode::from(2),
            Self::Broken(_) | Self::Unbalanced(_) => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(text) | Self::Broken(text) => f.write_str(text),
            Self::Unbalanced(failed) => write!(f, "the ledger does not balance: {}", failed.join("; ")),
        }
    }
}
