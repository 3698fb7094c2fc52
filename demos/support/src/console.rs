//! Standard output and standard error, for programs whose reader may close them early.
//!
//! A reader that closes the pipe (`| head -1`) has seen enough, so that is no error. Any other
//! error, such as a full disk, is reported when the program ends. `println!` would panic at both.
//!
//! Colors reach a terminal only, and none if `NO_COLOR` is set.

use crate::Failure;
use anstream::AutoStream;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// The first error of standard output.
static ERROR: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints a text as it is, and returns whether standard output still accepts text.
pub fn print(text: fmt::Arguments<'_>) -> bool {
    let mut error = ERROR.lock().unwrap_or_else(PoisonError::into_inner);
    if error.is_none() {
        let mut out = AutoStream::auto(io::stdout()).lock();
        *error = out.write_fmt(text).and_then(|()| out.flush()).err();
    }
    error.is_none()
}

/// Prints a text on standard error, for as long as there is a reader.
pub fn print_error(text: fmt::Arguments<'_>) {
    // Without a reader of standard error, the exit code alone reports the failure.
    let _ = AutoStream::auto(io::stderr()).lock().write_fmt(text);
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
