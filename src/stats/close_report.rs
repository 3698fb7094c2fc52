//! The outcome of a close, and what a close or a flush has begun that is still to be waited for.
//!
//! A report may be unfinished while it is inside the crate: what was told to close or to flush, and is still to be waited for, travels
//! in it under the name by which it was reached, through every wrapper, to the caller that waits ([`CloseReport::settle`],
//! `FlushReport::settle`).

use crate::deadline::Deadline;
use std::collections::HashSet;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// How far a close or a flush came.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// use buslane::stats::Finish;
/// use std::time::Duration;
/// let (channel, mut receiver) = Channel::lossy(8)?;
/// channel.write(1)?;
/// assert_eq!(channel.flush_timeout(Duration::ZERO).finish, Finish::TimedOut); // it is unread
/// receiver.recv()?;
/// assert_eq!(channel.flush_timeout(Duration::ZERO).finish, Finish::Done);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Finish {
    /// Everything that was to be done is done.
    #[default]
    Done,
    /// It was asked for inside a delivery, where nothing waits; it goes on by itself.
    Pending,
    /// The deadline came first.
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

/// What a close has to say.
///
/// # Examples
/// ```
/// let bus = buslane::Bus::<u32>::new();
/// let report = bus.close();
/// assert!(report.is_done());
/// assert_eq!(bus.close(), report);
/// ```
#[must_use = "a close that timed out left events behind"]
#[derive(Clone, Default)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct CloseReport {
    /// How far it came.
    pub finish: Finish,
    /// Accepted events that were given up, or were still in the hands of a sink that did not return.
    pub undelivered: u64,
    /// The sinks that were not done at the deadline.
    pub unfinished: Vec<String>,
    /// What sinks reported when they were closed: the sink's name and the error's text.
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
    /// A close that left nothing to be done.
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

    /// A close that was asked for inside a delivery and goes on by itself.
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

    /// A close whose deadline came first, with the number of events left behind.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::CloseReport;
    /// let report = CloseReport::timed_out(3);
    /// assert!(!report.is_done());
    /// assert_eq!(report.to_string(), "timed out, 3 undelivered");
    /// ```
    pub fn timed_out(undelivered: u64) -> Self {
        Self { finish: Finish::TimedOut, undelivered, ..Self::default() }
    }

    /// A close that ended with an error.
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

    /// Whether everything was done and nothing went wrong.
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

    /// Takes in the report of a sink that is part of this one, under a name.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::CloseReport;
    /// let mut report = CloseReport::done();
    /// report.merge("disk", CloseReport::failed("no space left"));
    /// report.merge("network", CloseReport::timed_out(3));
    /// assert_eq!(report.to_string(), "timed out, 3 undelivered, unfinished: network, errors: disk: no space left");
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
    /// A close that has told `ending` to end, and does not wait for it.
    pub(crate) fn told(ending: Arc<dyn Ending>) -> Self {
        Self { told: Told(vec![(String::new(), ending)]), ..Self::default() }
    }

    /// Takes in a part of this report in its place among those that are still waited for.
    pub(crate) fn note(&mut self, name: &str, mut part: Self) {
        let told = std::mem::take(&mut part.told);
        if part != Self::default() {
            let ready = Ready { identity: Identity::new(), report: part };
            self.told.0.push((name.to_owned(), Arc::new(ready)));
        }
        self.told.take_in(name, told);
    }

    /// Walks through everything that was told to end, what is named by several once: in the order in which it was told, and what an
    /// end names in turn right behind it.
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

    /// Waits until everything that was told to end has ended, so long at most.
    pub(crate) fn await_told(&self, of: &Identity, deadline: Deadline) {
        self.walk(of, |_, ending| {
            ending.await_end(deadline);
            ending.ended()
        });
    }

    /// Waits for the reports of everything that was told to end, against one deadline. What it names afterwards are these reports.
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

    /// This report and those of everything that was told to end, in one. What has not ended continues without the caller.
    pub(crate) fn whole(&self, of: &Identity) -> Self {
        let mut whole = Self { told: Told::default(), ..self.clone() };
        self.walk(of, |path, ending| {
            let mut part = ending.ended().unwrap_or_else(Self::pending);
            let told = std::mem::take(&mut part.told);
            whole.absorb(path, part);
            Some(Self { told, ..Self::default() })
        });
        whole
    }

    /// Whether the reports of everything that was told to end are there.
    pub(crate) fn is_settled(&self) -> bool {
        self.told.0.iter().all(|(_, ending)| ending.is_report())
    }

    /// Takes in a part under a path, which may be that of the whole.
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

    /// Takes over what a part of this report has told to end, under no name.
    pub(crate) fn take_told(&mut self, part: &mut Self) {
        self.told.take_in("", std::mem::take(&mut part.told));
    }
}

impl fmt::Display for CloseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.finish)?;
        if self.undelivered > 0 {
            write!(f, ", {} undelivered", self.undelivered)?;
        }
        if !self.unfinished.is_empty() {
            write!(f, ", unfinished: {}", self.unfinished.join(", "))?;
        }
        if !self.errors.is_empty() {
            write!(f, ", errors: {}", self.errors.join("; "))?;
        }
        Ok(())
    }
}

/// What tells something that closes from everything else, also after it is gone.
#[derive(Clone)]
pub(crate) struct Identity(Arc<()>);

impl Identity {
    pub(crate) fn new() -> Self {
        Self(Arc::new(()))
    }
}

/// Something that was told to close, and ends by itself.
pub(crate) trait Ending: Send + Sync {
    fn identity(&self) -> &Identity;

    /// Its report, when it has ended. The report may name others that are to be waited for.
    fn ended(&self) -> Option<CloseReport>;

    /// Whether it is a report, and no more than that.
    fn is_report(&self) -> bool {
        false
    }

    /// Waits for its end, so long at most.
    fn await_end(&self, deadline: Deadline);

    /// Waits for its report, so long at most.
    fn report(self: Arc<Self>, deadline: Deadline) -> CloseReport;
}

/// A part of a report that is there already, in its place among those that are waited for.
struct Ready {
    identity: Identity,
    report: CloseReport,
}

impl Ending for Ready {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn ended(&self) -> Option<CloseReport> {
        Some(self.report.clone())
    }

    fn is_report(&self) -> bool {
        true
    }

    fn await_end(&self, _deadline: Deadline) {}

    fn report(self: Arc<Self>, _deadline: Deadline) -> CloseReport {
        self.report.clone()
    }
}

/// What a walk through everything that was told to end has met. It keeps the identities, so that none is given out again.
#[derive(Default)]
struct Met(HashSet<usize>, Vec<Identity>);

impl Met {
    /// Whether it is new.
    fn meet(&mut self, identity: &Identity) -> bool {
        let first = self.0.insert(Arc::as_ptr(&identity.0).addr());
        if first {
            self.1.push(identity.clone());
        }
        first
    }
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
