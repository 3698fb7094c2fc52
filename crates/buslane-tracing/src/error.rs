//! Why a writer with a worker thread could not be set up.

use buslane::error::{AddError, SpawnError};
use std::error::Error;
use std::fmt;
use std::io;

/// A setting is invalid, or the system has no memory or thread for the worker.
///
/// # Examples
/// ```
/// use buslane_tracing::NonBlockingBuilder;
/// let error = NonBlockingBuilder::default().capacity(0).build(std::io::sink()).unwrap_err();
/// assert!(error.to_string().contains("capacity 0 is invalid"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The queue of the worker could not be started.
    Queue(SpawnError),
    /// The queue could not be added to its bus.
    Bus(AddError),
    /// The writer could not be opened.
    Open(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(error) => error.fmt(f),
            Self::Bus(error) => error.fmt(f),
            Self::Open(error) => write!(f, "the writer cannot be opened: {error}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Queue(error) => error.source(),
            Self::Bus(error) => error.source(),
            Self::Open(error) => error.source(),
        }
    }
}

impl From<SpawnError> for StartError {
    fn from(error: SpawnError) -> Self {
        Self::Queue(error)
    }
}

impl From<AddError> for StartError {
    fn from(error: AddError) -> Self {
        Self::Bus(error)
    }
}
