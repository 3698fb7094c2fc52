//! The mailbox: the part that `Queue` and `Channel` share.
//!
//! A mailbox has one private lane for each publisher, one shared lane for all other writers, a wait
//! cell where its consumer parks (a crowd for several consumers), an overflow policy and the
//! counters of its ledger. A publisher holds a [`PrivateLane`](lane::PrivateLane) or calls
//! [`Mailbox::write`]. The one consumer holds the [`Reader`](reader::Reader). With several
//! consumers there are no private rings, and each consumer is a [`Member`](member::Member).
//!
//! | file | what it holds; each imports from those above it only |
//! |---|---|
//! | [`overflow`] | the public policy for a full lane |
//! | [`progress`], [`counters`] | the position of a consumer in a lane, and the consumer's counters |
//! | [`dormant`] | how a consumer is told that it has to poll a lane again |
//! | [`signals`] | how publishers and consumers park and wake each other |
//! | [`shared_lane`] | the lane of all writers without a private one: a ring, or an unbounded queue |
//! | [`view`], [`registry`] | a private lane as third parties see it; the consumer's half of each lane, and all lanes of a mailbox |
//! | [`members`] | the consumers of a mailbox when there are several |
//! | [`core`] | the [`Mailbox`] itself |
//! | [`write`](mod@write), [`end`], [`goal`], [`state`] | its methods: accept events, end, answer flushes, describe its state |
//! | [`room`] | what tasks wait for: room in the shared lane, and the end |
//! | [`shared_push`] | a push into the shared lane that bypasses the sink |
//! | [`lane`] | a publisher's half of a private lane, and how the sink layer calls it |
//! | [`consume`], [`known`], [`intake`] | the processing of one event, an event that was found before, and the interface of all consumers |
//! | [`reader`], [`member`] | the one consumer, and one of several |

pub(crate) mod activity;
mod ages;
pub(crate) mod consume;
pub(crate) mod core;
pub(crate) mod counters;
mod dormant;
pub(crate) mod end;
pub(crate) mod goal;
pub(crate) mod intake;
mod known;
pub(crate) mod lane;
pub(crate) mod member;
pub(crate) mod members;
pub(crate) mod overflow;
pub(crate) mod progress;
pub(crate) mod reader;
mod registry;
mod room;
pub(crate) mod shared_lane;
pub(crate) mod shared_push;
mod signals;
mod state;
pub(crate) mod view;
mod write;

pub(crate) use self::core::{Mailbox, MailboxConfig, quiet_hook};
pub(crate) use end::End;
pub(crate) use goal::Goal;
pub(crate) use shared_lane::Find;
