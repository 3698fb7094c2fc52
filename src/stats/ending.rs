//! Closes and flushes that have begun and are still to be waited for.
//!
//! A report may be unfinished while it is inside the crate: what was told to close or to flush, and is still to be waited for, travels
//! in it under the name by which it was reached, through every wrapper, to the caller that waits ([`CloseReport::settle`],
//! [`FlushReport::settle`]).

use super::close_report::CloseReport;
use super::flush_report::FlushReport;
use crate::time::Deadline;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// What tells something that closes from everything else, also after it is gone.
#[derive(Clone)]
pub(crate) struct Identity(pub(super) Arc<()>);

impl Identity {
    pub(crate) fn new() -> Self {
        Self(Arc::new(()))
    }
}

/// Something that was told to close, and ends by itself.
pub(crate) trait Ending: Send + Sync {
    fn identity(&self) -> &Identity;

    /// Its report, when it has ended. The report may name others that are to be waited for.
    fn final_report(&self) -> Option<CloseReport>;

    /// Whether it is a report, and no more than that.
    fn is_report(&self) -> bool {
        false
    }

    /// Waits for its end, so long at most.
    fn await_end(&self, deadline: Deadline);

    /// Waits for its report, so long at most.
    fn report(self: Arc<Self>, deadline: Deadline) -> CloseReport;
}

/// A flush that has begun, and continues without its caller.
pub(crate) trait Flushing: Send + Sync {
    /// Waits for it, so long at most. What it has told in turn is waited for, too, unless the calling thread is on its way through it.
    fn settle(&self, deadline: Deadline, report: &mut FlushReport);
}

/// What is still to be waited for, with the names by which it was reached.
pub(super) struct Told<T: ?Sized>(pub(super) Vec<(String, Arc<T>)>);

impl<T: ?Sized> Told<T> {
    /// Takes over what another report names, under a name.
    pub(super) fn take_in(&mut self, name: &str, inner: Self) {
        self.0.extend(inner.0.into_iter().map(|(path, told)| (joined(name, &path), told)));
    }
}

fn joined(name: &str, path: &str) -> String {
    match (name, path) {
        ("", path) => path.to_owned(),
        (name, "") => name.to_owned(),
        (name, path) => format!("{name}/{path}"),
    }
}

impl<T: ?Sized> Default for Told<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: ?Sized> Clone for Told<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

// What is told is asked for its report, and never left half changed by a panic.
impl<T: ?Sized> UnwindSafe for Told<T> {}
impl<T: ?Sized> RefUnwindSafe for Told<T> {}
