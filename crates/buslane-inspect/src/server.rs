//! The server: one thread that answers all connections.
//!
//! | module | holds |
//! |---|---|
//! | `socket` | Listeners and streams of both kinds. |
//! | `path` | How the path of a Unix socket is taken and given back. |
//! | `request` | What a client may ask for, parsed and checked. |
//! | `response` | The text of responses. |
//! | `output` | The bytes that a client has not read yet. |
//! | `stream` | Frames and tapped events for as long as a client reads. |
//! | `connection` | The steps of one connection. |
//! | `run` | The loop over all connections. |

mod connection;
mod output;
mod path;
pub(crate) mod request;
mod response;
mod run;
mod socket;
mod stream;

use crate::at::At;
use crate::error::ServeError;
use crate::registry::{Inspector, InspectorBuilder};
use mio::{Poll, Waker};
use run::{Server, WAKER};
use socket::Listener;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// A running server. Its drop ends the server, and removes its socket.
///
/// The drop waits for the server's thread, and so for a rendering that the thread is in. It also
/// waits where the server held the last handle of a bus for a moment: until that bus is closed, as
/// the drop of any last handle does.
///
/// # Examples
/// ```
/// use buslane_inspect::{At, Inspector};
/// let serving = Inspector::new().serve(At::Loopback(0))?;
/// assert_ne!(serving.at(), &At::Loopback(0));
/// serving.stop();
/// # Ok::<(), buslane_inspect::error::ServeError>(())
/// ```
#[must_use = "the server ends when this value is dropped"]
pub struct Serving {
    inspector: Inspector,
    at: At,
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Inspector {
    /// Starts a server of this inspector.
    ///
    /// # Errors
    /// [`ServeError`] if the address is taken, belongs to another user, or is refused by the system.
    ///
    /// # Examples
    /// ```
    /// use buslane_inspect::{At, Inspector};
    /// let serving = Inspector::new().serve(At::Loopback(0))?;
    /// println!("http://{}/", serving.at());
    /// # Ok::<(), buslane_inspect::error::ServeError>(())
    /// ```
    pub fn serve(&self, at: At) -> Result<Serving, ServeError> {
        Serving::start(self.clone(), at)
    }
}

impl InspectorBuilder {
    /// Makes the inspector, and starts a server.
    ///
    /// # Errors
    /// Those of [`Inspector::serve`].
    pub fn serve(self, at: At) -> Result<Serving, ServeError> {
        self.build().serve(at)
    }
}

impl Serving {
    fn start(inspector: Inspector, at: At) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Io { at: at.clone(), source };
        let poll = Poll::new().map_err(failed)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(failed)?;
        let listener = Listener::bind(&at)?;
        let bound = listener.at().map_err(failed)?;
        let stop = Arc::new(AtomicBool::new(false));
        let server = Server::new(poll, listener, inspector.clone(), stop.clone()).map_err(failed)?;
        let thread = thread::Builder::new().name("buslane-inspect".to_owned());
        let thread = thread.spawn(move || server.run()).map_err(failed)?;
        Ok(Self { inspector, at: bound, stop, waker, thread: Some(thread) })
    }

    /// Returns the address at which the server answers, with the port that it got.
    #[must_use]
    pub fn at(&self) -> &At {
        &self.at
    }

    /// Returns the inspector, to which buses can be added.
    #[must_use]
    pub fn inspector(&self) -> &Inspector {
        &self.inspector
    }

    /// Ends the server, closes its connections, and removes its socket.
    pub fn stop(self) {}
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let woken = self.waker.wake();
        // Without a wake the thread would end with its next timeout, which may be none.
        if let (Some(thread), Ok(())) = (self.thread.take(), woken) {
            let on_its_own_thread = thread.thread().id() == thread::current().id();
            if !on_its_own_thread {
                let _ = thread.join();
                self.inspector.wait_for_releases();
            }
        }
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("at", &self.at).field("inspector", &self.inspector).finish()
    }
}
