//! The runtime that drives connections: one of its own, or the user's.

use crate::config::Invalid;
use crate::server::Server;
use std::sync::{Mutex, PoisonError};
use tokio::runtime::{Builder, Handle};

/// A handle, and the runtime behind it if it is one of our own.
#[derive(Debug)]
pub(crate) struct Runtime {
    own: Mutex<Option<tokio::runtime::Runtime>>,
    handle: Handle,
}

impl Runtime {
    /// Starts a runtime, unless the server has one.
    ///
    /// It has a thread of its own: a runtime that is driven by the thread of a queue would answer no
    /// ping while that thread is parked, so that the server would drop the connection.
    pub(crate) fn start(server: &Server) -> Result<Self, Invalid> {
        if let Some(handle) = &server.runtime {
            return Ok(Self { own: Mutex::new(None), handle: handle.clone() });
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("buslane-nats")
            .enable_all()
            .build()
            .map_err(|error| Invalid::Runtime(error.kind()))?;
        Ok(Self { handle: runtime.handle().clone(), own: Mutex::new(Some(runtime)) })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends a runtime of our own, with all of its tasks, and does not wait for that.
    pub(crate) fn end(&self) {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A plain drop would panic on a thread of another runtime.
        if let Some(runtime) = own {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.end();
    }
}
