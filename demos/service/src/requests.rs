//! Counts requests and their answers.

use axum::http::StatusCode;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts requests and their answers.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    received: AtomicU64,
    /// Answers with a status of 2xx, 3xx, 4xx and 5xx.
    answered: [AtomicU64; CLASSES.len()],
    /// Answers 201.
    created: AtomicU64,
    /// Requests whose client was gone before the answer.
    abandoned: AtomicU64,
}

/// The classes of answers.
pub(crate) const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct RequestCounts {
    pub(crate) received: u64,
    /// In the order of [`CLASSES`].
    pub(crate) answered: [u64; CLASSES.len()],
    pub(crate) created: u64,
    pub(crate) abandoned: u64,
}

impl Requests {
    pub(crate) fn counts(&self) -> RequestCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RequestCounts {
            received: read(&self.received),
            answered: self.answered.each_ref().map(read),
            created: read(&self.created),
            abandoned: read(&self.abandoned),
        }
    }
}

impl RequestCounts {
    /// All answers.
    pub(crate) fn answers(&self) -> u64 {
        self.answered.iter().sum()
    }
}

/// A request that is counted as abandoned, unless it is answered.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    requests: &'a Requests,
    answered: bool,
}

impl<'a> Visit<'a> {
    /// Returns the number of the request, too.
    pub(crate) fn begin(requests: &'a Requests) -> (u64, Self) {
        (requests.received.fetch_add(1, Ordering::Relaxed) + 1, Self { requests, answered: false })
    }

    pub(crate) fn answer(mut self, status: StatusCode) {
        self.answered = true;
        let class = usize::from(status.as_u16() / 100).saturating_sub(2).min(CLASSES.len() - 1);
        self.requests.answered[class].fetch_add(1, Ordering::Relaxed);
        if status == StatusCode::CREATED {
            self.requests.created.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.requests.abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }
}
