//! Ctrl-C: the first one requests the end, the second one ends the process.
//!
//! The second one is for an end that takes too long: a close that waits for a slow sink, or a
//! publisher that a stalled sink blocks, so that it never polls the request.

use crate::{Failure, Story};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};

/// The exit code that a shell reports for a process that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// A request to end the program, shared by its clones.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for Ctrl-C, and calls `wake` on the first one.
    ///
    /// `wake` must not block: the second Ctrl-C arrives on the same thread.
    ///
    /// # Errors
    /// [`Failure::Setup`] when the handler cannot be installed.
    pub fn listen(wake: impl Fn() + Send + 'static) -> Result<Self, Failure> {
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

    /// Listens for Ctrl-C, and starts a story whose reader may go away. Both request the end, and send
    /// to the receiver, which wakes a wait for it.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub fn with_story(is_json: bool) -> Result<(Self, Story, Receiver<()>), Failure> {
        let (waker, alarm) = mpsc::sync_channel(1);
        let wake = move || {
            // Without room, the alarm is already pending.
            let _ = waker.try_send(());
        };
        let interrupt = Self::listen(wake.clone())?;
        let end = interrupt.clone();
        let story = Story::start(is_json, move || {
            end.ask();
            wake();
        });
        Ok((interrupt, story, alarm))
    }

    /// Requests the end, as the first Ctrl-C does, and returns whether it was requested before.
    pub fn ask(&self) -> bool {
        self.0.swap(true, Ordering::Relaxed)
    }

    /// Returns whether the end was requested.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
