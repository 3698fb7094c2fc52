//! Ctrl-C: the first one asks for the end, the second one does not ask. Shared by all examples.
//!
//! The second one is for an end that takes longer than the user wants to wait: a close that waits for a slow sink, or a
//! publisher that waits for a stuck one and so never looks up.

use crate::failure::Failure;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a shell reports for a process that was ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Whether the end was asked for.
#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for Ctrl-C; `wake` is called on the first one, and must not wait: the second one comes the same way.
    pub(crate) fn listen(wake: impl Fn() + Send + 'static) -> Result<Self, Failure> {
        let interrupt = Self::default();
        let listening = interrupt.clone();
        let listener = move || {
            if listening.ask() {
                std::process::exit(INTERRUPTED);
            }
            wake();
        };
        ctrlc::set_handler(listener).map_err(|error| Failure::setup("cannot listen for Ctrl-C", error))?;
        Ok(interrupt)
    }

    /// Asks for the end, as Ctrl-C does: the next one does not ask. Whether it was asked for before.
    pub(crate) fn ask(&self) -> bool {
        self.0.swap(true, Ordering::Relaxed)
    }

    /// Whether the end was asked for.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
