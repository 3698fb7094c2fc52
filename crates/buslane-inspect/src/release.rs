//! Handles of buses that are dropped on a thread of their own.
//!
//! The drop of the last handle closes the bus, waits for its sinks, and runs destructors of user
//! code. A server that holds a handle for a moment may hold the last one at its end: the user drops
//! the others meanwhile. On the server's thread that drop would stall every connection.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The threads that drop handles.
#[derive(Debug, Default)]
pub(crate) struct Releases(Mutex<Vec<JoinHandle<()>>>);

impl Releases {
    /// Starts the thread that will drop one handle. It starts before the handle is held, because a
    /// thread may be unavailable.
    pub(crate) fn begin<H: Send + 'static>(&self) -> io::Result<Release<H>> {
        let (give, given) = sync_channel(1);
        let thread = thread::Builder::new().name("buslane-release".to_owned());
        // Nothing is received if no handle was held.
        let thread = thread.spawn(move || drop(given.recv()))?;
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(Release(give))
    }

    /// Waits until all handles are dropped, as the user waits who drops a last handle: the program
    /// may end next, and with it the threads of the sinks.
    pub(crate) fn wait(&self) {
        let threads = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let this = thread::current().id();
        // A destructor of user code on one of these threads may end the server.
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != this) {
            // A panic of a destructor was reported by its thread.
            let _ = thread.join();
        }
    }
}

/// A thread that waits for a handle.
pub(crate) struct Release<H: Send + 'static>(SyncSender<H>);

impl<H: Send + 'static> Release<H> {
    /// Calls a function with a handle, and leaves the drop of the handle to the thread.
    pub(crate) fn with<R>(self, handle: H, call: impl FnOnce(&H) -> R) -> R {
        let result = call(&handle);
        // The thread receives until this sender is gone, and there is room for one handle.
        let _ = self.0.send(handle);
        result
    }
}
