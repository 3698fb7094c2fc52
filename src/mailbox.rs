//! The mailbox: what `Queue` and `Channel` have in common.
//!
//! A mailbox has one private lane for each publisher, one shared lane for all other writers, the place where its consumers park,
//! an overflow policy and the counters of its ledger. A publisher holds a [`PrivateLane`](lane::PrivateLane) or calls
//! [`Mailbox::write`]. The one consumer holds the [`Reader`](reader::Reader). Where several consumers share the events there are
//! no private rings, and each consumer is a [`Member`](member::Member).
//!
//! | file | what it holds; each imports from those above it only |
//! |---|---|
//! | [`overflow`] | the public policy for a full lane |
//! | [`progress`], [`counters`] | how far a consumer is in a lane, and what it counts |
//! | [`signals`] | where the two sides wait for each other |
//! | [`shared_lane`] | the lane of all writers without one of their own: a ring, or an unbounded queue |
//! | [`view`], [`lane_reader`] | a private lane as third parties see it, and its consumer's half |
//! | [`registry`], [`members`] | the lanes of a mailbox, and its consumers when there are several |
//! | [`core`] | the [`Mailbox`] itself |
//! | [`write`](mod@write), [`end`], [`goal`], [`state`] | what it does: takes events, ends, answers flushes, and describes itself |
//! | [`lane`] | a publisher's half of a private lane, and how the sink layer calls it |
//! | [`consume`], [`intake`] | what a consumer does with an event, and what all consumers can do |
//! | [`reader`], [`member`] | the one consumer, and one of several |

pub(crate) mod consume;
pub(crate) mod core;
pub(crate) mod counters;
pub(crate) mod end;
pub(crate) mod goal;
pub(crate) mod intake;
pub(crate) mod lane;
mod lane_reader;
pub(crate) mod member;
pub(crate) mod members;
pub(crate) mod overflow;
pub(crate) mod progress;
pub(crate) mod reader;
mod registry;
pub(crate) mod shared_lane;
mod signals;
mod state;
pub(crate) mod view;
mod write;

pub(crate) use self::core::{Mailbox, MailboxConfig, quiet_hook};
pub(crate) use end::End;
pub(crate) use goal::Goal;
pub(crate) use shared_lane::Find;
