//! What happened to events: ledgers, the state of sinks, snapshots of a bus, and the reports of a
//! close and a flush.
//!
//! Counters are pulled: a snapshot reads them, and costs a publish nothing.
//!
//! | item | what it is |
//! |---|---|
//! | [`Snapshot`], [`SinkSnapshot`], [`SinkId`] | a bus and its sinks at about the same time: [`Bus::snapshot`](crate::Bus::snapshot) |
//! | [`SinkState`], [`SinkKind`], [`SinkStatus`], [`SubscriberState`], [`RetryState`] | the state of one sink, of a journal's subscriber, and of a retry |
//! | [`Published`] | the outcome of one publish: accepted, dropped, refused |
//! | [`Ledger`], [`Refused`], [`Dropped`], [`Imbalance`] | the counters of one sink, and the check that they add up |
//! | [`Disposition`], [`DropReason`], [`Parts`] | the fate of one accepted event |
//! | [`CloseReport`], [`FlushReport`], [`Finish`] | the outcome of a close or a flush |
//! | [`metrics`] | every number of a snapshot with its name and its labels, and the text that Prometheus scrapes |
//!
//! With the feature `serde` every type in this table can be serialized, under the names of its
//! fields and, in `snake_case`, of its variants: a [`Snapshot`] is one JSON object. Most types can
//! also be deserialized; a missing field gets its default. The exceptions are [`Snapshot`],
//! [`SinkSnapshot`], [`SinkId`], [`SinkState`] and [`SinkKind`], which refer to this process, and
//! [`Disposition`] and [`Parts`], which leave out how nested batches divide. The types of [`metrics`]
//! can be neither.
//!
//! # Examples
//! ```
//! use buslane::{Bus, Queue};
//! use std::time::Duration;
//! let bus = Bus::new();
//! bus.add_named("log", Queue::builder().capacity(64).spawn(|n: u32| println!("{n}"))?)?;
//! bus.publish(7)?;
//! assert!(bus.flush_timeout(Duration::from_secs(5)).is_done());
//! let ledger = bus.snapshot().sink("log").expect("it was added").state.ledger;
//! assert_eq!((ledger.accepted, ledger.delivered, ledger.dropped.total()), (1, 1, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod close_report;
mod counters;
mod disposition;
mod flush_report;
mod ledger;
pub mod metrics;
mod published;
mod snapshot;
mod state;
mod weight;

pub use close_report::{CloseReport, Finish};
pub use disposition::{Disposition, Parts};
pub use flush_report::FlushReport;
pub use ledger::{DropReason, Dropped, Imbalance, Ledger, Refused};
pub use published::Published;
pub use snapshot::{SinkId, SinkSnapshot, Snapshot};
pub use state::{RetryState, SinkKind, SinkState, SinkStatus, SubscriberState};

pub(crate) use close_report::{Awaited, Ending, Identity};
pub(crate) use counters::{Counters, EntryCounters, EntryOutcome, FoldPace, Lost};
pub(crate) use disposition::{CountingStage, HeldBack, Ledgers, Levels, Passage};
pub(crate) use flush_report::{Again, AgainWait, Flushing, Settling};
pub(crate) use weight::{Downstream, Load, Scales, Weight};
