//! Standard output, for programs whose output may be cut short. Shared by the examples.
//!
//! A reader that goes away (`| head -1`) has seen enough: that is no error, and nothing more is said about it. Any other error, such as a
//! full disk, is reported when the program ends. `println!` would panic at both.

use crate::failure::Failure;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// The first error of standard output.
static ERROR: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints a text as it is. Whether standard output still takes what is printed.
pub(crate) fn print(text: fmt::Arguments<'_>) -> bool {
    let mut error = ERROR.lock().unwrap_or_else(PoisonError::into_inner);
    if error.is_none() {
        let mut out = io::stdout().lock();
        *error = out.write_fmt(text).and_then(|()| out.flush()).err();
    }
    error.is_none()
}

/// The end of a program that printed its results: an error if they could not be printed, though a reader was there.
pub(crate) fn finish() -> Result<(), Failure> {
    match ERROR.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::broken("cannot write to standard output", error))
        }
        _ => Ok(()),
    }
}
