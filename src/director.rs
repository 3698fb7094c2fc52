//! Named members that send each other events: broadcast, unicast and urgent events, in packets that
//! are acknowledged.
//!
//! A [`Director`] relays events between the parts of a service that keep each other in step:
//! replicas of a state, caches, sessions. A member has a name, and gets the events of the others in
//! packets. It acknowledges each packet, or gets it again. It may join, leave, fail and come back
//! while events flow.
//!
//! | item | what it is |
//! |---|---|
//! | [`Director`], [`DirectorBuilder`] | the hub, and its settings |
//! | [`Member`], [`MemberBuilder`], [`MemberPublisher`] | a member's session, its settings, and its right to publish |
//! | [`Node`], [`Delivery`] | what a member with a thread implements and returns |
//! | [`Outbox`], [`NextPacket`] | the receiving side of a member without a thread |
//! | [`Packet`], [`PacketEvent`], [`PacketKind`], [`Ticket`] | what a member gets, and the right to acknowledge it later |
//! | [`Root`] | the sender of urgent events |
//! | [`Roster`], [`RosterEntry`], [`Epoch`] | the members, and the number of a session |
//! | [`Acks`], [`DeadPacket`] | which members have acknowledged an event; a packet that was given up |
//! | [`DirectorSnapshot`], [`MemberSnapshot`], [`MemberStatus`] | the counters |
//! | [`DirectorReport`], [`LeaveReport`], [`MemberReport`] | the outcome of a close and a leave |
//! | [`JoinError`], [`SendError`], [`AckError`] | what is refused |
//!
//! # Examples
//! A node that fails twice gets the same packet again:
//! ```
//! use buslane::director::{Delivery, Director, Packet};
//! use buslane::retry::Backoff;
//! use buslane::testing::ManualClock;
//! use std::sync::mpsc;
//! let (tell, told) = mpsc::channel();
//! let director = Director::builder()
//!     .retry(Backoff::default())
//!     .clock(ManualClock::hurrying()) // so that no wait takes time
//!     .build()?;
//! let _replica = director.join("replica", move |packet: &Packet<u32>| {
//!     tell.send((packet.id(), packet.attempt(), packet.events()[0].event)).unwrap();
//!     if packet.attempt() < 3 { Delivery::Retry(None) } else { Delivery::Done }
//! })?;
//! director.announce(7)?;
//! let attempts: Vec<_> = told.iter().take(3).collect();
//! let (id, _, _) = attempts[0];
//! assert_eq!(attempts, [(id, 1, 7), (id, 2, 7), (id, 3, 7)]);
//! assert!(director.close().is_done());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Sessions
//! ```text
//!             join                    state packet acknowledged
//!  (no member) ───────► Joining ───────────────────────────────► Attached
//!       ▲                  ▲  │ detach, outbox dropped            │  ▲
//!       │                  │  └────────────────► Detached ◄───────┘  │
//!       │                  └── rejoin, events were lost ┤            │
//!       │                                               └── rejoin ──┘
//!       └──────────────── leave, member dropped: from any state
//! ```
//! Each arrow into `Joining` or `Attached` from outside begins a new [`Epoch`]. A rejoin of an
//! attached member replaces its session.
//!
//! # How it works
//! There is one [`Journal`](crate::Journal) of envelopes: an event with the epoch of its sender and
//! its receivers. Each member has a cursor in it. So a broadcast is one publish, no member's code
//! runs on the publisher's thread, and a slow member delays no other one. A member's reader skips
//! what is not for it, clones up to a packet of events, and hands the packet out. Unacknowledged
//! packets are kept by the member, so the journal may overwrite their events.
//!
//! Root events overtake, so they have an inbox for each member. At most eight root packets come in a
//! row while ordinary events wait.
//!
//! # Protocol
//! What is shared by threads is in three places, each with its invariants in its file: the record of
//! a member (`src/director/record.rs`, S1 to S4), the queue of packets in it
//! (`src/director/flight.rs`, F1 to F5), and the wake-up of its reader (`src/director/bell.rs`, B1
//! and B2). The thread of timers has T1 to T3 (`src/director/timers.rs`). Locks are held for a few
//! instructions, in the order: list of members, root order, record of a member, bell. No user code
//! runs under any of them.
//!
//! 1. A join places the cursor, and then enters the member into the list. So an event that is
//!    published after the join is behind the cursor, and a unicast that finds the member, too.
//! 2. A session is named by its epoch. A new one stores its epoch under the member's lock, and takes
//!    the committed position in the same step. An older reader commits nothing after that (S1, S2).
//! 3. An acknowledgement names the epoch and the packet. One of an older epoch is refused.
//! 4. A leave stores the end of the stream under the member's lock. A unicast looks there after it
//!    was published, and counts itself if it came too late (S3).
//!
//! `loom-tests/tests/director.rs` has the models.

mod acks;
mod base;
mod bell;
mod builder;
mod common;
mod core;
mod counts;
mod cursor;
mod driver;
mod envelope;
mod error;
mod flight;
mod handle;
mod join;
mod key;
mod letters;
mod measured;
mod member;
mod outbox;
mod packet;
mod probes;
mod publish;
mod record;
mod registry;
mod report;
mod root;
mod roster;
mod settings;
mod ticket;
mod timers;
mod worker;

pub use acks::Acks;
pub use base::{Delivery, Node};
pub use builder::DirectorBuilder;
pub use error::{JoinError, SendError};
pub use handle::Director;
pub use join::MemberBuilder;
pub use key::{Epoch, PacketKind};
pub use letters::DeadPacket;
pub use member::{Member, MemberPublisher};
pub use outbox::{NextPacket, Outbox};
pub use packet::{Packet, PacketEvent};
pub use report::{DirectorReport, DirectorSnapshot, LeaveReport, MemberReport, MemberSnapshot, MemberStatus};
pub use root::Root;
pub use roster::{Roster, RosterEntry};
pub use ticket::{AckError, Ticket};
