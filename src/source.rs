//! Sources of events outside the process, and the monitor that keeps one connection to a source
//! open.
//!
//! A [`Source`] connects and reads: the events of a container engine, a stream of server-sent
//! events, a log file. A [`Monitor`] supervises it on a thread of its own. It connects, forwards
//! events to a sink, connects again with exponential backoff, resumes where it was, and stops when
//! it is asked to.
//!
//! | item | what it is |
//! |---|---|
//! | [`Monitor`], [`MonitorBuilder`] | the supervisor of one source, and its settings |
//! | [`Update`], [`Gap`], [`GapReason`], [`Disconnected`] | what a sink gets: events, and in the same order what happened to the connection |
//! | [`Source`], [`Connection`], [`Item`], [`Fault`] | what your own source implements and returns |
//! | [`Session`], [`StopHook`] | how a blocked source learns that it has to stop |
//! | [`MonitorState`], [`MonitorSnapshot`], [`StopReason`], [`StopReport`], [`NotLive`] | what a monitor reports of itself |
//! | [`FileLines`], [`FileConnection`], [`FilePosition`], [`ParsePositionError`] | a source of the lines of a file that is followed across rotations |
//!
//! # Examples
//! The lines of a log, on a bus, with the position stored for the next process:
//! ```
//! use buslane::source::{FileLines, FilePosition, Monitor, Update};
//! use buslane::Bus;
//! # let folder = std::env::temp_dir().join(format!("buslane-source-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let (log, saved) = (folder.join("app.log"), folder.join("position"));
//! # std::fs::write(&log, "started\n")?;
//! let bus = Bus::new();
//! let mut updates = bus.subscribe_lossy(1024)?;
//! let stored: Option<FilePosition> = std::fs::read_to_string(&saved).ok().and_then(|text| text.parse().ok());
//! let monitor = Monitor::builder(FileLines::new(&log).from_start())
//!     .resume(stored)
//!     .store_token(100, move |position| {
//!         // A crash between the two leaves the old position.
//!         let new = saved.with_extension("new");
//!         std::fs::write(&new, position.to_string())?;
//!         std::fs::rename(new, &saved)
//!     })
//!     .spawn(bus.clone())?;
//! assert_eq!(updates.recv()?, Update::Connected { resumed: false });
//! assert_eq!(updates.recv()?, Update::Event("started".to_owned()));
//! # drop(updates);
//! assert!(monitor.stop().is_done());
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # States
//! ```text
//!              ┌────────────────────────── backoff is over ───────────────────────────┐
//!              ▼                                                                      │
//!   start ─► Connecting ── connected, and resumed or not ─► Live ── end or fault ─► Waiting
//!              │    │                                        │                        ▲ │
//!              │    └─────────────── fault ──────────────────┼────────────────────────┘ │
//!              └──────────── stop, sink closed ──────────────┴───────────────► Stopped ◄┘
//! ```
//!
//! | what happens | the sink gets | then |
//! |---|---|---|
//! | a connection continues after the last event | `Connected { resumed: true }` | `Live` |
//! | the first connection, without a token | `Connected { resumed: false }` | `Live` |
//! | another one, which cannot prove that it continues | `Gap` (`Unproven`), `Connected { resumed: false }` | `Live` |
//! | an event | `Event` | the token moves to the position after it |
//! | the source knows that events are missing | `Gap` with its reason | `Live` |
//! | something that cannot be decoded | `Gap` (`Undecodable`) | `Live` |
//! | the sink refuses or drops an event | `Gap` (`SinkRefused`), before the next update that it accepts | `Live` |
//! | nothing for a while | nothing | the source is asked whether the other side is there |
//! | a fault, a panic, or a clean end while live | `Disconnected` | `Waiting`, or `Stopped` if the backoff has a limit |
//! | a fault or a panic while connecting | nothing | `Waiting`, or `Stopped` if the backoff has a limit |
//! | the source refuses the token | `Gap` (`StaleToken`) | the token is dropped; `Connecting` at once, and `Waiting` if it happens again in the same row of failures |
//! | a fault that is fatal | `Disconnected`, the last update | `Stopped` |
//! | the sink is closed | nothing | `Stopped` |
//! | a stop | `Disconnected`, the last update, if there is room | `Stopped` |
//!
//! A row of failures ends with a connection that was live for
//! [`healthy_after`](MonitorBuilder::healthy_after). Its own end is the first failure of the next
//! row, so a monitor waits before every attempt but the first, and the one after a stale token.
//!
//! # Where to read from, and what was delivered
//! These are two positions. The next connection reads from the position after the last item that was
//! *read*. [`Monitor::token`] is the position after the last event that the sink *accepted*, and the
//! one for [`store_token`](MonitorBuilder::store_token) is after the last event that it *handled*. So
//! an event that the sink has lost is not read again in this process, and a later process does not
//! skip an event that was only read. The token moves past lost events with the next accepted one; also
//! where the source shows that it is alive ([`Item::Alive`]), as soon as the sink has accepted their
//! gap, if it gets gaps. Otherwise a source that reads a limited number of events ahead would stop there.
//!
//! # Protocol
//! One thread, the worker, owns the source, the connection and the way into the sink. So there is
//! never a second connection, and none of these needs a lock. Handles share with it:
//!
//! - the *session*: the stop flag and the interrupts, under one lock (S1 to S3 in
//!   `src/source/session.rs`), and the pause that the backoff waits on;
//! - the *status*, under a lock that is held for a few instructions, and in which no user code runs;
//!   only the worker changes it;
//! - the *token*, which the worker pushes into a private ring, and which handles take from there under
//!   a lock (T1 to T4 in `src/source/tokens.rs`);
//! - the counters, which only the worker writes.
//!
//! 1. The worker checks the stop flag before each attempt, before each read and after each wait.
//! 2. A stop sets the flag, interrupts the pause, and calls the interrupts, in this order. So a call
//!    that it interrupts finds the flag set. A blocked call that registered its interrupt earlier is
//!    woken by it, and one that registers it later runs it at once.
//! 3. The worker drops the connection, the sink and the source, and then enters `Stopped` and
//!    notifies all threads that wait for that.
//! 4. A stop that is called by the worker itself, in the sink or in the source, does not wait. Step 1
//!    follows when the call returns.
//! 5. A worker that waits for room holds an event that it has read. At the deadline of the stop, the
//!    stop seals the lane and detaches the worker's right to wait. The worker gets the event back,
//!    and ends: at once if it waits in its own lane of a queue or a channel, and within a tenth of a
//!    second if it waits in a bus or another chain without a sealer.
//!
//! `loom-tests/tests/source.rs` has the models.

mod base;
mod builder;
mod core;
mod failures;
mod fault;
mod file;
mod measured;
mod monitor;
mod output;
mod position;
mod session;
mod state;
mod tokens;
mod update;
mod worker;

pub use base::{Connection, Item, Source};
pub use builder::MonitorBuilder;
pub use fault::Fault;
pub use file::{FileConnection, FileLines};
pub use monitor::Monitor;
pub use position::{FilePosition, ParsePositionError};
pub use session::{Session, StopHook};
pub use state::{MonitorSnapshot, MonitorState, NotLive, StopReason, StopReport};
pub use update::{Disconnected, Gap, GapReason, Update};
