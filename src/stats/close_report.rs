//! The outcome of a close, and the closes and flushes that have begun and still have to be waited
//! for.
//!
//! Inside the crate, a report may be unfinished. It carries each object that was *told* (asked to
//! close or flush, and not yet waited for), under the name by which the object was reached. It
//! passes through every wrapper to the caller that waits ([`CloseReport::settle`],
//! `FlushReport::settle`).

use crate::deadline::Deadline;
use std::collections::HashSet;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::task::{Poll, Waker};

/// The progress of a close or flush when it returned.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// use buslane::stats::Finish;
/// use std::time::Duration;
/// let (channel, mut receiver) = Channel::lossy(8)?;
/// channel.write(1)?;
/// assert_eq!(channel.flush_timeout(Duration::ZERO).finish, Finish::TimedOut); // the event is unread
/// receiver.recv()?;
/// assert_eq!(channel.flush_timeout(Duration::ZERO).finish, Finish::Done);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Finish {
    /// All work is done.
    #[default]
    Done,
    /// The call was made inside a delivery, where nothing waits. The work continues by itself.
    Pending,
    /// The deadline passed first.
    TimedOut,
}

impl fmt::Display for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Pending => "pending",
            Self::TimedOut => "timed out",
        })
    }
}

/// The outcome of a close.
///
/// # Examples
/// ```
/// let bus = buslane::Bus::<u32>::new();
/// let report = bus.close();
/// assert!(report.is_done());
/// assert_eq!(bus.close(), report);
/// ```
#[must_use = "a close that timed out left events undelivered"]
#[derive(Clone, Default)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct CloseReport {
    /// How far the close came.
    pub finish: Finish,
    /// Accepted events that were given up, or that a sink was still handling because its call did
    /// not return. Those that a retry sends to its dead letters at the deadline are included.
    pub undelivered: u64,
    /// The sinks that were not done at the deadline.
    pub unfinished: Vec<String>,
    /// The errors that sinks reported when they were closed, each with the sink's name.
    pub errors: Vec<String>,
    #[cfg_attr(feature = "serde", serde(skip))]
    told: Told<dyn Ending>,
}

impl PartialEq for CloseReport {
    fn eq(&self, other: &Self) -> bool {
        let Self { finish, undelivered, unfinished, errors, told: _ } = self;
        *finish == other.finish
            && *undelivered == other.undelivered
            && *unfinished == other.unfinished
            && *errors == other.errors
    }
}

impl Eq for CloseReport {}

impl fmt::Debug for CloseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloseReport")
            .field("finish", &self.finish)
            .field("undelivered", &self.undelivered)
            .field("unfinished", &self.unfinished)
            .field("errors", &self.errors)
            .finish()
    }
}

impl CloseReport {
    /// Returns the report of a close that left nothing to do.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, WriteError};
    /// use buslane::stats::CloseReport;
    /// use buslane::time::Deadline;
    /// struct Printing;
    /// impl Sink<u32> for Printing {
    /// #   fn write(&self, event: u32) -> Result<(), WriteError<u32>> { println!("{event}"); Ok(()) }
    ///     fn close_by(&self, _deadline: Deadline) -> CloseReport {
    ///         println!("that was all");
    ///         CloseReport::done()
    ///     }
    /// }
    /// assert!(Printing.close_by(Deadline::NOW).is_done());
    /// ```
    pub fn done() -> Self {
        Self::default()
    }

    /// Returns the report of a close that was called inside a delivery and continues by itself.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::{CloseReport, Finish};
    /// let report = CloseReport::pending();
    /// assert!(report.finish == Finish::Pending && !report.is_done());
    /// ```
    pub fn pending() -> Self {
        Self { finish: Finish::Pending, ..Self::default() }
    }

    /// Returns the report of a close that reached its deadline, with the number of undelivered
    /// events.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::CloseReport;
    /// let report = CloseReport::timed_out(3);
    /// assert!(!report.is_done());
    /// assert_eq!(report.to_string(), "timed out; 3 undelivered");
    /// ```
    pub fn timed_out(undelivered: u64) -> Self {
        Self { finish: Finish::TimedOut, undelivered, ..Self::default() }
    }

    /// Returns the report of a close that ended with an error.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::{CloseReport, Finish};
    /// let report = CloseReport::failed("no space left");
    /// assert!(report.finish == Finish::Done && !report.is_done());
    /// assert_eq!(report.errors, ["no space left"]);
    /// ```
    pub fn failed(error: impl fmt::Display) -> Self {
        Self { errors: vec![error.to_string()], ..Self::default() }
    }

    /// Returns `true` if everything was done without an error.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::CloseReport;
    /// assert!(CloseReport::done().is_done());
    /// assert!(!CloseReport::timed_out(3).is_done() && !CloseReport::failed("no space left").is_done());
    /// ```
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.finish == Finish::Done && self.errors.is_empty()
    }

    /// Adds the report of a sink that is part of this one, under a name.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::CloseReport;
    /// let mut report = CloseReport::done();
    /// report.merge("disk", CloseReport::failed("no space left"));
    /// report.merge("network", CloseReport::timed_out(3));
    /// assert_eq!(report.to_string(), "timed out; 3 undelivered; unfinished: network; errors: disk: no space left");
    /// ```
    pub fn merge(&mut self, name: &str, part: Self) {
        self.told.take_in(name, part.told);
        self.finish = self.finish.max(part.finish);
        self.undelivered += part.undelivered;
        if part.finish != Finish::Done && part.unfinished.is_empty() {
            self.unfinished.push(name.to_owned());
        }
        self.unfinished.extend(part.unfinished.iter().map(|inner| format!("{name}/{inner}")));
        self.errors.extend(part.errors.iter().map(|error| format!("{name}: {error}")));
    }
}

impl CloseReport {
    /// Returns the report of a close that has told `ending` to end, and does not wait for it.
    pub(crate) fn told(ending: Arc<dyn Ending>) -> Self {
        Self { told: Told(vec![(String::new(), ending)]), ..Self::default() }
    }

    /// Adds a part of this report, in order among the objects that still have to be waited for.
    pub(crate) fn note(&mut self, name: &str, mut part: Self) {
        let told = std::mem::take(&mut part.told);
        if part != Self::default() {
            let ready = Ready { identity: Identity::new(), report: part };
            self.told.0.push((name.to_owned(), Arc::new(ready)));
        }
        self.told.take_in(name, told);
    }

    /// Visits everything that was told to end, in the order in which it was told.
    ///
    /// An object that several reports name is visited once. The objects that a report names in turn
    /// are visited right after it.
    fn walk(&self, of: &Identity, mut visit: impl FnMut(&str, &Arc<dyn Ending>) -> Option<Self>) {
        let mut met = Met::default();
        met.meet(of);
        let mut told: Vec<_> = self.told.0.iter().rev().cloned().collect();
        while let Some((path, ending)) = told.pop() {
            if met.meet(ending.identity())
                && let Some(part) = visit(&path, &ending)
            {
                let mut inner = Told::default();
                inner.take_in(&path, part.told);
                told.extend(inner.0.into_iter().rev());
            }
        }
    }

    /// Waits until everything that was told to end has ended, or until the deadline.
    pub(crate) fn await_told(&self, of: &Identity, deadline: Deadline) {
        self.walk(of, |_, ending| {
            ending.await_end(deadline);
            ending.final_report()
        });
    }

    /// Waits for the reports of everything that was told to end, until one deadline. Afterward this
    /// report holds those reports in place of the objects.
    pub(crate) fn settle(&mut self, of: &Identity, deadline: Deadline) {
        let mut parts: Vec<(String, Arc<dyn Ending>)> = Vec::new();
        self.walk(of, |path, ending| {
            let report = ending.clone().report(deadline);
            let alone = Self { told: Told::default(), ..report.clone() };
            let ready = Ready { identity: ending.identity().clone(), report: alone };
            parts.push((path.to_owned(), Arc::new(ready)));
            Some(report)
        });
        self.told = Told(parts);
    }

    /// Combines this report and those of everything that was told to end. An object that has not
    /// ended counts as pending, and continues without the caller.
    pub(crate) fn whole(&self, of: &Identity) -> Self {
        let mut whole = Self { told: Told::default(), ..self.clone() };
        self.walk(of, |path, ending| {
            let mut part = ending.final_report().unwrap_or_else(Self::pending);
            let told = std::mem::take(&mut part.told);
            whole.absorb(path, part);
            Some(Self { told, ..Self::default() })
        });
        whole
    }

    /// Returns the first of those that were told to end that has not ended.
    pub(crate) fn first_open(&self, of: &Identity) -> Option<Arc<dyn Ending>> {
        let mut first = None;
        self.walk(of, |_, ending| {
            let report = ending.final_report();
            if report.is_none() {
                first.get_or_insert_with(|| ending.clone());
            }
            report
        });
        first
    }

    /// Returns `true` if the report names something that was told to end, or a part of its own.
    pub(crate) fn is_told(&self) -> bool {
        !self.told.0.is_empty()
    }

    /// Returns `true` if the reports of everything that was told to end are available.
    pub(crate) fn is_settled(&self) -> bool {
        self.told.0.iter().all(|(_, ending)| ending.is_report())
    }

    /// Adds a part under a path. An empty path stands for the whole report.
    fn absorb(&mut self, path: &str, part: Self) {
        if path.is_empty() {
            self.finish = self.finish.max(part.finish);
            self.undelivered += part.undelivered;
            self.unfinished.extend(part.unfinished);
            self.errors.extend(part.errors);
        } else {
            self.merge(path, part);
        }
    }

    /// Moves everything that `part` has told to end into this report, without a name.
    pub(crate) fn take_told(&mut self, part: &mut Self) {
        self.told.take_in("", std::mem::take(&mut part.told));
    }
}

impl fmt::Display for CloseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.finish)?;
        if self.undelivered > 0 {
            write!(f, "; {} undelivered", self.undelivered)?;
        }
        if !self.unfinished.is_empty() {
            write!(f, "; unfinished: {}", self.unfinished.join(", "))?;
        }
        if !self.errors.is_empty() {
            write!(f, "; errors: {}", self.errors.join("; "))?;
        }
        Ok(())
    }
}

/// An identity of an object that closes. It stays unique after the object is gone.
#[derive(Clone)]
pub(crate) struct Identity(Arc<()>);

impl Identity {
    pub(crate) fn new() -> Self {
        Self(Arc::new(()))
    }
}

/// The wait of a task, from poll to poll.
pub(crate) trait Awaited: Send {
    /// Returns ready when there is nothing to wait for. Otherwise the task is woken when that may be
    /// so.
    fn poll(&mut self, task: &Waker) -> Poll<()>;
}

/// An object that was told to close, and ends by itself.
pub(crate) trait Ending: Send + Sync {
    fn identity(&self) -> &Identity;

    /// Returns the report, once the object has ended. The report may name others to wait for.
    fn final_report(&self) -> Option<CloseReport>;

    /// Returns `true` if this is only a report, with nothing to wait for.
    fn is_report(&self) -> bool {
        false
    }

    /// Waits for the end, at most until the deadline.
    fn await_end(&self, deadline: Deadline);

    /// Waits for the report, at most until the deadline.
    fn report(self: Arc<Self>, deadline: Deadline) -> CloseReport;

    /// Returns the wait of a task for the end, or `None` if there is nothing to wait for.
    fn until_ended(self: Arc<Self>) -> Option<Box<dyn Awaited>>;
}

/// A finished part of a report, in order among the objects that are waited for.
struct Ready {
    identity: Identity,
    report: CloseReport,
}

impl Ending for Ready {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn final_report(&self) -> Option<CloseReport> {
        Some(self.report.clone())
    }

    fn is_report(&self) -> bool {
        true
    }

    fn await_end(&self, _deadline: Deadline) {}

    fn report(self: Arc<Self>, _deadline: Deadline) -> CloseReport {
        self.report.clone()
    }

    fn until_ended(self: Arc<Self>) -> Option<Box<dyn Awaited>> {
        None
    }
}

/// The identities that a walk has met. It keeps them, so that no identity is reused during the
/// walk.
#[derive(Default)]
struct Met(HashSet<usize>, Vec<Identity>);

impl Met {
    /// Returns `true` if the identity was not met before.
    fn meet(&mut self, identity: &Identity) -> bool {
        let first = self.0.insert(Arc::as_ptr(&identity.0).addr());
        if first {
            self.1.push(identity.clone());
        }
        first
    }
}

/// The objects that still have to be waited for, with the names by which they were reached.
pub(super) struct Told<T: ?Sized>(pub(super) Vec<(String, Arc<T>)>);

impl<T: ?Sized> Told<T> {
    /// Adds the objects that another report names, under a name.
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

// An object in the list is only asked for its report, and a panic never leaves it half changed.
impl<T: ?Sized> UnwindSafe for Told<T> {}
impl<T: ?Sized> RefUnwindSafe for Told<T> {}
