//! Ctrl-C: the first one asks for the end, the second one does not ask.
//!
//! The second one is for a close that takes longer than the user wants to wait.

use crate::failure::Failure;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a shell reports for a process that was ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Whether the user asked for the end.
#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for Ctrl-C; `wake` is called on the first one, and must not wait: the second one comes the same way.
    pub(crate) fn listen(wake: impl Fn() + Send + 'static) -> Result<Self, Failure> {
        let interrupt = Self::default();
        let Self(asked) = interrupt.clone();
        let listener = move || {
            if asked.swap(true, Ordering::Relaxed) {
                std::process::exit(INTERRUPTED);
            }
            wake();
        };
        ctrlc::set_handler(listener).map_err(|error| Failure::setup("cannot listen for Ctrl-C", error))?;
        Ok(interrupt)
    }

    /// Whether the user asked for the end.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
