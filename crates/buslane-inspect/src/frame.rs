//! What a service reports about itself: one frame for each snapshot of all its buses.
//!
//! A frame is complete. Its counters are totals since the sink was made, so a reader that misses a
//! frame loses nothing, and computes rates from any two frames of one process.

use buslane::stats::{Ledger, RetryState, SinkStatus};
use serde::{Deserialize, Serialize};

/// The version of the format that this crate writes.
///
/// A reader accepts frames with this version or an older one, and ignores fields that it does not
/// know.
pub const VERSION: u32 = 1;

/// The state of all registered buses of one process at one time.
///
/// All durations are whole milliseconds, and all times are milliseconds since the Unix epoch.
///
/// # Examples
/// ```
/// use buslane_inspect::Frame;
/// let text = r#"{"version":1,"program":"shop","pid":7,"buses":[{"name":"orders","later":true}]}"#;
/// let frame: Frame = serde_json::from_str(text)?;
/// assert_eq!((frame.program.as_str(), frame.buses[0].name.as_str()), ("shop", "orders"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Frame {
    /// The [version](VERSION) of the format.
    pub version: u32,
    /// The name of the program.
    pub program: String,
    /// The id of the process.
    pub pid: u32,
    /// The time at which the inspector of the process was made. With `pid` it tells two runs of a
    /// service apart.
    pub started_ms: u64,
    /// The time at which the frame was made.
    pub at_ms: u64,
    /// The registered buses that still exist, in the order in which they were registered.
    pub buses: Vec<BusFrame>,
    /// What is wrong, in words.
    pub warnings: Vec<Warning>,
}

/// The state of one bus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BusFrame {
    /// The name under which the bus was registered.
    pub name: String,
    /// Whether events of the bus may be [tapped](crate::Inspector::tap).
    pub tap: bool,
    /// Whether the bus is closed.
    pub closed: bool,
    /// The number of publishers.
    pub publishers: u64,
    /// The sinks, in the order in which they were added.
    pub sinks: Vec<SinkFrame>,
}

/// The state of one sink.
///
/// In JSON the fields of the ledger are fields of the sink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SinkFrame {
    /// The number of the sink's attachment to the bus, which is never reused.
    pub id: u64,
    /// The name of the sink.
    pub name: String,
    /// The kind of the sink, such as `queue`.
    pub kind: String,
    /// Whether the sink is open, closed or drained.
    pub status: SinkStatus,
    /// The events that wait in the sink.
    pub depth: u64,
    /// The most events that the consumer ever found waiting in one lane.
    pub high_water: u64,
    /// The most events that one lane holds; 0 if it is unbounded.
    pub capacity: u64,
    /// The private lanes into the sink.
    pub lanes: u64,
    /// The counters of the sink.
    #[serde(flatten)]
    pub ledger: Ledger,
    /// The text of the last error or panic.
    pub last_error: Option<String>,
    /// The time for which the backlog has not been drained, at least.
    pub backlog_ms: Option<u64>,
    /// The age of the oldest pending event, at least.
    pub oldest_ms: Option<u64>,
    /// The time for which a worker has been inside one call of user code, at least: the longest of
    /// all workers.
    pub in_handler_ms: Option<u64>,
    /// The batches that the workers handled.
    pub batches: u64,
    /// The most events of one batch.
    pub largest_batch: u64,
    /// The time that the workers spent in batches.
    pub batch_ms_total: u64,
    /// The retries in the chain of sinks that begins here.
    pub retries: Vec<RetryState>,
    /// The subscribers of a journal.
    pub subscribers: Vec<SubscriberFrame>,
}

impl SinkFrame {
    /// Returns the number of events that the private lanes of the sink hold together, or the shared
    /// lane where the sink has no private lanes; 0 if the sink is unbounded.
    ///
    /// # Examples
    /// ```
    /// use buslane_inspect::SinkFrame;
    /// let sink = SinkFrame { capacity: 8, lanes: 2, ..SinkFrame::default() };
    /// assert_eq!(sink.room(), 16);
    /// ```
    #[must_use]
    pub fn room(&self) -> u64 {
        self.capacity.saturating_mul(self.lanes.max(1))
    }
}

/// The state of one subscriber of a journal.
///
/// In JSON the fields of the ledger are fields of the subscriber.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubscriberFrame {
    /// The number of the subscriber, which no other subscriber of its journal ever has.
    pub id: u64,
    /// The name that the subscriber was given.
    pub name: Option<String>,
    /// The position of the next event that the subscriber reads.
    pub next: u64,
    /// The number of events that the subscriber has not read yet.
    pub behind: u64,
    /// Whether publishers wait for the subscriber.
    pub gating: bool,
    /// Whether the subscriber has reached its end.
    pub ended: bool,
    /// The counters of the subscriber.
    #[serde(flatten)]
    pub ledger: Ledger,
}

/// Something that is wrong with a bus or a sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Warning {
    /// The name of the bus.
    pub bus: String,
    /// The name of the sink; `None` for a warning about the bus.
    pub sink: Option<String>,
    /// What kind of warning it is.
    pub kind: WarningKind,
    /// The warning in words.
    pub text: String,
}

/// The kind of a warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WarningKind {
    /// Events are pending, and none was delivered between two frames.
    Stalled,
    /// A worker has been inside one call of user code for more than a second.
    Busy,
    /// Events were dropped or refused between two frames.
    Drops,
    /// An event has been pending for more than a second.
    Backlog,
    /// More than 80 % of the sink's room is in use.
    Filling,
    /// A handler panicked.
    Panic,
    /// The number of publishers rises with each frame.
    Publishers,
    /// The sink is closed, and the bus is open.
    Closed,
    /// The ledger does not balance, although nothing moves.
    Imbalance,
    /// A kind that this version does not know.
    #[default]
    #[serde(other)]
    Other,
}
