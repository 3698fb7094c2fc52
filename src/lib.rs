#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bus;
mod channel;
mod combinator;
pub mod docs;
mod error;
mod inbox;
mod journal;
mod ledger;
mod panics;
#[cfg(feature = "loom")]
#[doc(hidden)]
pub mod parts;
mod queue;
mod report;
pub mod ring;
mod sink;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
pub mod wait;

pub use bus::Bus;
pub use bus::builder::{BusBuilder, SinkFailure};
pub use bus::entry::SinkId;
pub use bus::handle::{CloseGuard, WeakBus};
pub use bus::published::Published;
pub use bus::publisher::Publisher;
pub use bus::remove::Removed;
pub use bus::snapshot::{SinkSnapshot, Snapshot};
pub use channel::Channel;
pub use channel::builder::ChannelBuilder;
pub use channel::receiver::{Receiver, Recv};
pub use channel::shared::{SharedReceiver, SharedRecv};
pub use combinator::batch::Batch;
pub use combinator::catch_panic::CatchPanic;
pub use combinator::either::Either;
pub use combinator::filter::Filter;
pub use combinator::inspect::{Inspect, InspectFn, Inspector};
pub use combinator::map::Map;
pub use combinator::rate_limit::RateLimit;
pub use combinator::retry::Retry;
pub use combinator::retry::backoff::Backoff;
pub use combinator::retry::breaker::{Breaker, BreakerState};
pub use combinator::retry::dead::DeadLetter;
pub use combinator::retry::keyed::KeyedRetry;
pub use combinator::retry::policy::{Attempt, AttemptError, Next, RetryPolicy};
pub use combinator::sample::Sample;
pub use combinator::tee::Tee;
pub use combinator::timeout::Timeout;
pub use error::{
    AddError, BoxError, Closed, InvalidConfig, RecvError, RecvTimeoutError, RemoveError, SpawnError,
    SubscribeError, TryRecvError, WriteError,
};
pub use inbox::Patience;
pub use inbox::overflow::Overflow;
pub use journal::Journal;
pub use journal::builder::JournalBuilder;
pub use journal::entry::{Entry, Sequence, Start, Until};
pub use journal::feed::Feed;
pub use journal::recv::RecvEntry;
pub use journal::subscriber::Subscriber;
pub use journal::subscription::Subscription;
pub use journal::writer::JournalWriter;
pub use ledger::{
    Disposition, DropReason, Dropped, Imbalance, Ledger, Ledgers, Parts, Refused, RetryState, SinkState,
    SinkStatus, SubscriberState, Weight,
};
pub use queue::Queue;
pub use queue::builder::QueueBuilder;
pub use queue::handler::Handler;
pub use report::{CloseReport, Finish, FlushReport};
pub use ring::blocks::OnLag;
pub use sink::ext::SinkExt;
pub use sink::function::{Noop, Outcome, SinkFn, noop, sink_fn};
pub use sink::lane::{Lane, LaneSealer, LaneWrite};
pub use sink::signal::Signal;
pub use sink::{Sink, SinkKey};
pub use wait::{Deadline, WaitStrategy};
