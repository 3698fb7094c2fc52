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

impl Settings {
    /// Returns the filter for the engine, as JSON.
    pub(crate) fn remote_filter(&self) -> Option<String> {
        (!self.filters_here && !self.filter.is_empty()).then(|| self.filter.to_string())
    }

    /// Returns the filter that is applied in this process.
    pub(crate) fn local_filter(&self) -> Option<Filter> {
        (self.filters_here && !self.filter.is_empty()).then(|| self.filter.clone())
    }
}
