//! The settings of a source, after they were checked.

use crate::filter::Filter;
use std::time::Duration;

/// The settings that were checked. Times are nanoseconds since 1970.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) filter: Filter,
    pub(crate) filters_here: bool,
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
    pub(crate) timeout: Duration,
    pub(crate) margin: i64,
    pub(crate) proof_wait: Duration,
    pub(crate) buffer: usize,
    pub(crate) longest: usize,
}
