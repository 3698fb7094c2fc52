//! The checked settings of a source, which its connections share.

use crate::received::Received;
use buslane::BoxError;
use std::sync::Arc;
use std::time::Duration;

/// The user's function that makes an event of a message.
pub(crate) type Decode<E> = Arc<dyn Fn(&Received<'_>) -> Result<E, BoxError> + Send + Sync>;

/// The settings of a source, checked.
#[derive(Clone)]
pub(crate) struct SourceSettings {
    pub(crate) stream: String,
    pub(crate) consumer: String,
    pub(crate) filter: Option<String>,
    pub(crate) only_new: bool,
    pub(crate) fetch: usize,
    pub(crate) ack_wait: Duration,
    pub(crate) max_pending: usize,
    pub(crate) acknowledge_every: u64,
}
