//! The outcome of a flush.

use super::close_report::{Awaited, Finish, Told};
use crate::deadline::Deadline;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// The outcome of a flush.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use std::time::Duration;
/// let bus = Bus::new();
/// let receiver = bus.subscribe_lossy(8)?;
/// bus.publish(1)?;
/// let report = bus.flush_timeout(Duration::ZERO);
/// assert!(!report.is_done());
/// println!("{report}"); // names the sinks that have not handled everything
/// # drop(receiver);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a flush that timed out left events unhandled"]
#[derive(Clone, Default)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct FlushReport {
    /// How far the flush came.
    pub finish: Finish,
    /// The sinks that had not handled every event at the deadline.
    pub unfinished: Vec<String>,
    /// The errors that handlers reported when they were flushed, each with the sink's name.
    pub errors: Vec<String>,
    #[cfg_attr(feature = "serde", serde(skip))]
    told: Told<dyn Flushing>,
    /// How to ask a worker again once this report is settled, because a worker waits for no other
    /// worker.
    #[cfg_attr(feature = "serde", serde(skip))]
    again: Option<Again>,
}

/// How to ask a worker again that could not flush everything.
#[derive(Clone, Default)]
pub(crate) struct Again {
    /// How far the worker came, to decide whether asking again helps.
    pub(crate) progress: u64,
    /// How far the worker has to come, by the address of the object that holds the events.
    pub(crate) goals: Vec<(usize, u64)>,
    /// The waits that come before asking again, each at most until a deadline. They count as
    /// progress.
    pub(crate) waits: Vec<AgainWait>,
}

/// A wait until asking again helps, at most until a deadline.
pub(crate) type AgainWait = Arc<dyn Fn(Deadline) + Send + Sync>;

impl PartialEq for FlushReport {
    fn eq(&self, other: &Self) -> bool {
        let Self { finish, unfinished, errors, told: _, again: _ } = self;
        *finish == other.finish && *unfinished == other.unfinished && *errors == other.errors
    }
}

impl Eq for FlushReport {}

impl fmt::Debug for FlushReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlushReport")
            .field("finish", &self.finish)
            .field("unfinished", &self.unfinished)
            .field("errors", &self.errors)
            .finish()
    }
}

impl FlushReport {
    /// Returns `true` if everything published before the flush was handled, and flushed without an
    /// error.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, noop};
    /// let bus = Bus::new();
    /// bus.add(noop())?;
    /// bus.publish("event")?;
    /// assert!(bus.flush_timeout(std::time::Duration::from_secs(60)).is_done());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.finish == Finish::Done && self.errors.is_empty()
    }

    /// Combines this report with that of another flush on behalf of the same sink.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::{Finish, FlushReport};
    /// let (mut report, mut part) = (FlushReport::default(), FlushReport::default());
    /// part.note(Finish::Pending);
    /// report.absorb(part);
    /// assert_eq!(report.finish, Finish::Pending);
    /// ```
    pub fn absorb(&mut self, part: Self) {
        self.ask_again(part.again);
        self.told.take_in("", part.told);
        self.finish = self.finish.max(part.finish);
        self.unfinished.extend(part.unfinished);
        self.errors.extend(part.errors);
    }

    /// Adds the report of one sink, under a name.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::{Finish, FlushReport};
    /// let mut late = FlushReport::default();
    /// late.note(Finish::TimedOut);
    /// let mut report = FlushReport::default();
    /// report.merge("disk", FlushReport::default());
    /// report.merge("network", late);
    /// assert_eq!(report.to_string(), "timed out; unfinished: network");
    /// ```
    pub fn merge(&mut self, name: &str, part: Self) {
        self.ask_again(part.again);
        self.told.take_in(name, part.told);
        self.finish = self.finish.max(part.finish);
        if part.finish != Finish::Done && part.unfinished.is_empty() {
            self.unfinished.push(name.to_owned());
        }
        self.unfinished.extend(part.unfinished.iter().map(|inner| format!("{name}/{inner}")));
        self.errors.extend(part.errors.iter().map(|error| format!("{name}: {error}")));
    }

    /// Records how far the sink that fills in this report came.
    ///
    /// # Examples
    /// The worst outcome counts:
    /// ```
    /// use buslane::stats::{Finish, FlushReport};
    /// let mut report = FlushReport::default();
    /// report.note(Finish::TimedOut);
    /// report.note(Finish::Done);
    /// assert_eq!(report.finish, Finish::TimedOut);
    /// ```
    pub fn note(&mut self, finish: Finish) {
        self.finish = self.finish.max(finish);
    }
}

impl FlushReport {
    /// Adds a flush that has begun and still has to be waited for.
    pub(crate) fn tell(&mut self, flushing: Arc<dyn Flushing>) {
        self.told.0.push((String::new(), flushing));
    }

    /// Adds a part of this report, in order among the flushes that still have to be waited for.
    pub(crate) fn note_part(&mut self, name: &str, mut part: Self) {
        let told = std::mem::take(&mut part.told);
        self.ask_again(part.again.take());
        if part != Self::default() {
            self.told.0.push((name.to_owned(), Arc::new(Flushed(part))));
        }
        self.told.take_in(name, told);
    }

    /// Waits for no flush that has begun: each continues without the caller, and the report is
    /// pending.
    pub(crate) fn leave(&mut self) {
        if !std::mem::take(&mut self.told).0.is_empty() | self.again.take().is_some() {
            self.note(Finish::Pending);
        }
    }

    /// Records that the reporting worker has to be asked again: the events that it holds may have
    /// room by then.
    pub(crate) fn ask_again(&mut self, again: Option<Again>) {
        let Some(again) = again else { return };
        let sum = self.again.get_or_insert_default();
        sum.progress = sum.progress.wrapping_add(again.progress);
        sum.goals.extend(again.goals);
        sum.waits.extend(again.waits);
    }

    pub(crate) fn again(&self) -> Option<&Again> {
        self.again.as_ref()
    }

    /// Returns `true` if the caller still has to wait for a flush that has begun, or to ask again.
    pub(crate) fn leaves_something(&self) -> bool {
        self.again.is_some() || !self.told.0.is_empty()
    }

    pub(crate) fn take_again(&mut self) -> Option<Again> {
        self.again.take()
    }

    /// Waits for every flush that has begun, until one deadline, and adds its report.
    pub(crate) fn settle(&mut self, deadline: Deadline) {
        for (path, flushing) in std::mem::take(&mut self.told).0 {
            let mut part = Self::default();
            flushing.settle(deadline, &mut part);
            if path.is_empty() {
                self.absorb(part);
            } else {
                self.merge(&path, part);
            }
        }
    }
}

impl fmt::Display for FlushReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.finish)?;
        if !self.unfinished.is_empty() {
            write!(f, "; unfinished: {}", self.unfinished.join(", "))?;
        }
        if !self.errors.is_empty() {
            write!(f, "; errors: {}", self.errors.join("; "))?;
        }
        Ok(())
    }
}

/// A flush that has begun, and continues without its caller.
pub(crate) trait Flushing: Send + Sync {
    /// Waits for the flush, at most until the deadline. Flushes that it has begun in turn are
    /// waited for too, unless the calling thread is already inside that flush.
    fn settle(&self, deadline: Deadline, report: &mut FlushReport);

    /// Returns the wait of a task for the flush, or `None` if there is nothing to wait for.
    fn until_flushed(self: Arc<Self>) -> Option<Box<dyn Awaited>>;

    /// Adds the outcome to the report, after the wait of [`until_flushed`](Self::until_flushed). The
    /// report also names the flushes that this one has begun in turn. Returns the flush that follows
    /// when those have ended.
    fn advance(self: Arc<Self>, report: &mut FlushReport) -> Option<Arc<dyn Flushing>>;
}

/// The wait of a task for every flush that has begun.
pub(crate) struct Settling {
    report: FlushReport,
    told: VecDeque<(String, Arc<dyn Flushing>)>,
    /// The wait for the first of them.
    wait: Option<Box<dyn Awaited>>,
}

impl Settling {
    pub(crate) fn new(mut report: FlushReport) -> Self {
        let told = std::mem::take(&mut report.told).0.into();
        Self { report, told, wait: None }
    }

    /// Returns ready when every flush has ended, with the report.
    pub(crate) fn poll(&mut self, task: &Waker) -> Poll<FlushReport> {
        while let Some((path, flushing)) = self.told.pop_front() {
            if self.wait.is_none() {
                self.wait = flushing.clone().until_flushed();
            }
            if let Some(wait) = &mut self.wait
                && wait.poll(task).is_pending()
            {
                self.told.push_front((path, flushing));
                return Poll::Pending;
            }
            self.wait = None;
            let (mut part, mut inner) = (FlushReport::default(), Told::default());
            let next = flushing.advance(&mut part);
            inner.take_in(&path, std::mem::take(&mut part.told));
            inner.0.extend(next.map(|next| (path.clone(), next)));
            if path.is_empty() {
                self.report.absorb(part);
            } else {
                self.report.merge(&path, part);
            }
            inner.0.into_iter().rev().for_each(|told| self.told.push_front(told));
        }
        Poll::Ready(std::mem::take(&mut self.report))
    }
}

/// A finished part of a flush's report, in order among the flushes that are waited for.
struct Flushed(FlushReport);

impl Flushing for Flushed {
    fn settle(&self, _deadline: Deadline, report: &mut FlushReport) {
        report.absorb(self.0.clone());
    }

    fn until_flushed(self: Arc<Self>) -> Option<Box<dyn Awaited>> {
        None
    }

    fn advance(self: Arc<Self>, report: &mut FlushReport) -> Option<Arc<dyn Flushing>> {
        report.absorb(self.0.clone());
        None
    }
}
