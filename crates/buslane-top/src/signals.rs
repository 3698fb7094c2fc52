//! Signals that end the program, as messages, so that the terminal is restored first.

use crate::terminal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::thread;
use std::time::Duration;

/// How long a terminal that may take no output is waited for.
const PATIENCE: Duration = Duration::from_millis(300);

/// Calls a function with the number of the first signal that asks the program to end. The second
/// one ends it at once.
///
/// # Errors
/// When the handlers or their thread cannot be installed.
pub(crate) fn watch(first: impl FnOnce(i32) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mut first = Some(first);
        for signal in signals.forever() {
            match first.take() {
                Some(first) => first(signal),
                // The loop of the screen is stuck, in a terminal that takes no output, for example.
                None => {
                    terminal::restore_within(PATIENCE);
                    std::process::exit(exit_code(signal).into());
                }
            }
        }
    })?;
    Ok(())
}

/// Returns the exit code of a program that a signal ended.
pub(crate) fn exit_code(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(1)
}
