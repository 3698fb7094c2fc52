//! Standard output, for programs whose reader may close it early.
//!
//! A reader that closes the pipe (`| head -1`) has seen enough, so that is no error. Any other error,
//! such as a full disk, is reported when the program ends. `println!` would panic at both.

use crate::Failure;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// The first error of standard output.
static ERROR: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints a text as it is, and returns whether standard output still accepts text.
pub fn print(text: fmt::Arguments<'_>) -> bool {
    let mut error = ERROR.lock().unwrap_or_else(PoisonError::into_inner);
    if error.is_none() {
        let mut out = io::stdout().lock();
        *error = out.write_fmt(text).and_then(|()| out.flush()).err();
    }
    error.is_none()
}

/// Returns the first error of standard output, except that of a closed pipe.
///
/// # Errors
/// [`Failure::Broken`] when a text could not be printed although its reader was there.
pub fn finish() -> Result<(), Failure> {
    match ERROR.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::broken("cannot write to standard output", error))
        }
        _ => Ok(()),
    }
}
