//! The bodies of the requests between the hub and the nodes, all of them JSON.
//!
//! | request | to | body | answer |
//! |---|---|---|---|
//! | `POST /join` | hub | [`Join`] | [`Joined`] |
//! | `POST /publish` | hub | [`Change`] | empty |
//! | `POST /joined` | node | [`Welcome`] | empty, once the node has the data of its peers |
//! | `POST /packet` | node | [`Parcel`] | empty, once the node has applied it |
//! | `POST /write` | node | [`Write`](crate::change::Write) | empty, once the hub has accepted it |
//! | `GET /state` | node | | [`State`](crate::state::State) |
//! | `GET /status` | node | | [`Status`] |
//!
//! An answer has one of the statuses of [`answer`].

use crate::change::{Change, Origin, Vector};
use serde::{Deserialize, Serialize};

/// The statuses of answers.
pub(crate) mod answer {
    pub(crate) const DONE: u16 = 200;
    pub(crate) const BAD_REQUEST: u16 = 400;
    pub(crate) const NOT_FOUND: u16 = 404;
    /// The sender is no member (any more).
    pub(crate) const GONE: u16 = 410;
    /// Not accepted: a member lags, and would lose events.
    pub(crate) const SLOW_DOWN: u16 = 429;
    /// Not now: the same request may succeed later.
    pub(crate) const UNAVAILABLE: u16 = 503;
}

/// A node asks to become a member, or to replace its former life.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Join {
    pub(crate) name: String,
    pub(crate) url: String,
}

/// What a new member is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Joined {
    pub(crate) origin: Origin,
}

/// A member, and where its data can be pulled from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) url: String,
}

/// The first delivery to a member: it must pull the data of its peers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Welcome {
    pub(crate) origin: Origin,
    pub(crate) peers: Vec<Peer>,
    /// What its data must include before it receives changes.
    pub(crate) required: Vector,
}

/// What the director carries.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Event {
    /// A change, made by another node.
    Change(Change),
    /// The members have changed (a root event: it overtakes changes).
    Peers(Vec<Peer>),
    /// A point in the order of changes, up to which the hub wants to know who is in step.
    Mark(u32),
}

/// A packet of the director.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Parcel {
    /// The id of the packet, the same in each attempt.
    pub(crate) id: u64,
    pub(crate) is_root: bool,
    pub(crate) attempt: u32,
    /// Events that were lost right before the packet.
    pub(crate) lagged: u64,
    /// If events were lost: what the data must include before the packet is applied.
    pub(crate) required: Option<Vector>,
    pub(crate) events: Vec<Event>,
}

/// What a node says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// What its data includes.
    pub(crate) vector: Vector,
    /// A number that is the same for the same data.
    pub(crate) digest: u64,
    pub(crate) counts: Counts,
}

/// What a node has counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Packets of changes that were applied, each counted once.
    pub(crate) packets: u64,
    /// Packets that arrived again, and were recognized by their ids.
    pub(crate) repeated: u64,
    /// Changes that were applied from packets.
    pub(crate) applied: u64,
    /// Changes in new packets that a state pull had included.
    pub(crate) covered: u64,
    /// Changes in new packets with an earlier one of the same origin missing.
    pub(crate) too_early: u64,
    /// Changes that the node itself made.
    pub(crate) own: u64,
    /// Marks in new packets.
    pub(crate) marks: u64,
    /// Pulls of the data of the peers because the node was new, and because events were lost.
    pub(crate) pulls_at_start: u64,
    pub(crate) pulls_after_loss: u64,
    /// Changes that these pulls brought.
    pub(crate) pulled: u64,
}
