//! The limits of a batch.

use crate::error::{ConfigError, Invalid};
use crate::wait::context::user_code;
use std::time::Duration;

type SizeOf<E> = Box<dyn Fn(&E) -> usize + Send + Sync>;

/// The limits at which a batch is complete or due.
pub(super) struct BatchLimits<E> {
    pub(super) count: usize,
    bytes: Option<(usize, SizeOf<E>)>,
    pub(super) age: Option<Duration>,
    pub(super) at_end_of_batch: bool,
}

impl<E> BatchLimits<E> {
    pub(super) fn new(count: usize) -> Self {
        Self { count, bytes: None, age: None, at_end_of_batch: false }
    }

    pub(super) fn set_bytes(&mut self, max: usize, size: SizeOf<E>) {
        self.bytes = Some((max, size));
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.count == 0 {
            Err(Invalid::ZeroBatch.into())
        } else if self.max_bytes() == 0 {
            Err(Invalid::ZeroBytes.into())
        } else if self.age.is_some_and(|age| age.is_zero()) {
            Err(Invalid::ZeroAge.into())
        } else {
            Ok(())
        }
    }

    /// Returns the size of the event in bytes, or 0 if the batch has no limit in bytes.
    pub(super) fn size_of(&self, event: &E) -> Result<usize, String> {
        self.bytes.as_ref().map_or(Ok(0), |(_, size)| user_code(|| size(event)))
    }

    pub(super) fn max_bytes(&self) -> usize {
        self.bytes.as_ref().map_or(usize::MAX, |(max, _)| *max)
    }
}
