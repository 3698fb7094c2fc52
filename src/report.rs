//! What a close and a flush have to say.

use std::fmt;

/// How far a close or a flush came.
///
/// # Examples
/// ```
/// use buslane::{Channel, Finish, Sink};
/// use std::time::Duration;
/// let (channel, mut receiver) = Channel::bounded(8)?;
/// channel.write(1)?;
/// assert_eq!(channel.flush_timeout(Duration::ZERO).finish, Finish::TimedOut); // nobody has read it
/// receiver.recv()?;
/// assert_eq!(channel.flush_timeout(Duration::ZERO).finish, Finish::Done);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReport {
    /// How far it came.
    pub finish: Finish,
    /// Accepted events that were given up, or were still in the hands of a sink that did not return.
    pub undelivered: u64,
    /// The sinks that were not done at the deadline.
    pub unfinished: Vec<String>,
    /// What sinks reported when they were closed: the sink's name and the error's text.
    pub errors: Vec<String>,
}

impl CloseReport {
    /// A close that left nothing to be done.
    ///
    /// # Examples
    /// ```
    /// use buslane::{CloseReport, Deadline, Sink, WriteError};
    /// struct Printing;
    /// impl Sink<u32> for Printing {
    /// #   fn write(&self, event: u32) -> Result<(), WriteError<u32>> { println!("{event}"); Ok(()) }
    ///     fn close(&self, _deadline: Deadline) -> CloseReport {
    ///         println!("that was all");
    ///         CloseReport::done()
    ///     }
    /// }
    /// assert!(Printing.close(Deadline::NOW).is_done());
    /// ```
    pub fn done() -> Self {
        Self::default()
    }

    /// A close that was asked for inside a delivery and goes on by itself.
    ///
    /// # Examples
    /// ```
    /// use buslane::{CloseReport, Finish};
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
    /// use buslane::CloseReport;
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
    /// use buslane::{CloseReport, Finish};
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
    /// use buslane::CloseReport;
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
    /// use buslane::CloseReport;
    /// let mut report = CloseReport::done();
    /// report.merge("disk", CloseReport::failed("no space left"));
    /// report.merge("network", CloseReport::timed_out(3));
    /// assert_eq!(report.to_string(), "timed out, 3 undelivered, unfinished: network, errors: disk: no space left");
    /// ```
    pub fn merge(&mut self, name: &str, part: Self) {
        self.finish = self.finish.max(part.finish);
        self.undelivered += part.undelivered;
        if part.finish != Finish::Done && part.unfinished.is_empty() {
            self.unfinished.push(name.to_owned());
        }
        self.unfinished.extend(part.unfinished.iter().map(|inner| format!("{name}/{inner}")));
        self.errors.extend(part.errors.iter().map(|error| format!("{name}: {error}")));
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

/// What a flush has to say.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use std::time::Duration;
/// let bus = Bus::new();
/// let receiver = bus.subscribe(8)?;
/// bus.publish(1)?;
/// let report = bus.flush_timeout(Duration::ZERO);
/// assert!(!report.is_done());
/// println!("{report}"); // … and which sink has not handled everything
/// # drop(receiver);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a flush that timed out left events behind"]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushReport {
    /// How far it came.
    pub finish: Finish,
    /// The sinks that had not handled everything at the deadline.
    pub unfinished: Vec<String>,
    /// What handlers reported when they were flushed: the sink's name and the error's text.
    pub errors: Vec<String>,
}

impl FlushReport {
    /// Whether everything published before the flush was handled, and flushed without an error.
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

    /// Takes in what another flush on behalf of the same sink had to say.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Finish, FlushReport};
    /// let (mut report, mut part) = (FlushReport::default(), FlushReport::default());
    /// part.note(Finish::Pending);
    /// report.absorb(part);
    /// assert_eq!(report.finish, Finish::Pending);
    /// ```
    pub fn absorb(&mut self, part: Self) {
        self.finish = self.finish.max(part.finish);
        self.unfinished.extend(part.unfinished);
        self.errors.extend(part.errors);
    }

    /// Notes how far one sink came, under a name.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Finish, FlushReport};
    /// let mut late = FlushReport::default();
    /// late.note(Finish::TimedOut);
    /// let mut report = FlushReport::default();
    /// report.merge("disk", FlushReport::default());
    /// report.merge("network", late);
    /// assert_eq!(report.to_string(), "timed out, unfinished: network");
    /// ```
    pub fn merge(&mut self, name: &str, part: Self) {
        self.finish = self.finish.max(part.finish);
        if part.finish != Finish::Done && part.unfinished.is_empty() {
            self.unfinished.push(name.to_owned());
        }
        self.unfinished.extend(part.unfinished.iter().map(|inner| format!("{name}/{inner}")));
        self.errors.extend(part.errors.iter().map(|error| format!("{name}: {error}")));
    }

    /// Notes that the sink that fills in this report came so far.
    ///
    /// # Examples
    /// The worst is what counts:
    /// ```
    /// use buslane::{Finish, FlushReport};
    /// let mut report = FlushReport::default();
    /// report.note(Finish::TimedOut);
    /// report.note(Finish::Done);
    /// assert_eq!(report.finish, Finish::TimedOut);
    /// ```
    pub fn note(&mut self, finish: Finish) {
        self.finish = self.finish.max(finish);
    }
}

impl fmt::Display for FlushReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.finish)?;
        if !self.unfinished.is_empty() {
            write!(f, ", unfinished: {}", self.unfinished.join(", "))?;
        }
        if !self.errors.is_empty() {
            write!(f, ", errors: {}", self.errors.join("; "))?;
        }
        Ok(())
    }
}
