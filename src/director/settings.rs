//! The settings of a member's outbox.

use crate::error::{ConfigError, Invalid};
use crate::wait::context::{UserCode, dispose};
use std::sync::Arc;
use std::time::Duration;

type SizeOf<E> = dyn Fn(&E) -> usize + Send + Sync;

/// The function that returns the size of an event in bytes: user code, and so is its destructor.
pub(super) struct Weigh<E>(Option<Arc<SizeOf<E>>>);

impl<E> Weigh<E> {
    pub(super) fn new(weigh: impl Fn(&E) -> usize + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(weigh)))
    }

    /// Calls the function. A panic is left to the caller.
    pub(super) fn call(&self, event: &E) -> usize {
        let _user_code = UserCode::enter();
        self.0.as_ref().map_or(0, |weigh| weigh(event))
    }
}

impl<E> Clone for Weigh<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E> Drop for Weigh<E> {
    fn drop(&mut self) {
        // Settings are dropped by whatever replaces or ends a session.
        dispose(self.0.take());
    }
}

/// The settings of a member's outbox: those of the director, unless the member has its own.
pub(super) struct Settings<E> {
    pub(super) packet: usize,
    pub(super) bytes: Option<(usize, Weigh<E>)>,
    pub(super) linger: Duration,
    pub(super) in_flight: usize,
    pub(super) ack_timeout: Duration,
    pub(super) root_capacity: usize,
    pub(super) lossless: bool,
}

impl<E> Settings<E> {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.packet == 0 {
            return Err(Invalid::ZeroBatch.into());
        }
        if self.bytes.as_ref().is_some_and(|(bytes, _)| *bytes == 0) {
            return Err(Invalid::ZeroBytes.into());
        }
        if self.root_capacity == 0 {
            return Err(Invalid::ZeroCapacity.into());
        }
        if self.in_flight == 0 {
            return Err(ConfigError::other("0 packets in flight are invalid: there must be at least 1"));
        }
        if self.ack_timeout.is_zero() {
            return Err(ConfigError::other(
                "acknowledgement timeout 0 is invalid: it must be longer than zero",
            ));
        }
        Ok(())
    }
}

impl<E> Default for Settings<E> {
    fn default() -> Self {
        Self {
            packet: 256,
            bytes: None,
            linger: Duration::ZERO,
            in_flight: 1,
            ack_timeout: Duration::from_secs(30),
            root_capacity: 1024,
            lossless: false,
        }
    }
}

impl<E> Clone for Settings<E> {
    fn clone(&self) -> Self {
        let Self { packet, bytes, linger, in_flight, ack_timeout, root_capacity, lossless } = self;
        Self {
            packet: *packet,
            bytes: bytes.clone(),
            linger: *linger,
            in_flight: *in_flight,
            ack_timeout: *ack_timeout,
            root_capacity: *root_capacity,
            lossless: *lossless,
        }
    }
}
