//! The events of the Docker Engine, and of Podman, as a source for [buslane].
//!
//! A [`DockerSource`] follows the events of one engine over its Unix socket or over HTTP. A
//! [`Monitor`](buslane::source::Monitor) connects it to a bus, a queue or any other sink, connects
//! again after each failure, and reports in the stream where events may be missing.
//!
//! # Examples
//! The containers of the local engine, and where a list of them must be read anew:
//! ```no_run
//! use buslane::source::{Monitor, Update};
//! use buslane::Queue;
//! use buslane_docker::{Action, DockerEvent, DockerSource, Kind};
//!
//! let handler = |update: Update<DockerEvent>| match update {
//!     Update::Event(event) => match (event.kind(), event.action()) {
//!         (Kind::Container, Action::Start) => println!("{:?} runs", event.name()),
//!         (Kind::Container, Action::Die) => println!("{:?}: {:?}", event.name(), event.exit_code()),
//!         _ => {}
//!     },
//!     Update::Connected { resumed: false } | Update::Gap(_) => println!("list the containers"),
//!     _ => {}
//! };
//! let source = DockerSource::builder().build()?;
//! let monitor = Monitor::builder(source).spawn(Queue::builder().spawn(handler)?)?;
//! std::thread::park();
//! # drop(monitor);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Items
//! | item | purpose |
//! |---|---|
//! | [`DockerSource`], [`DockerSourceBuilder`], [`DockerStream`] | the source, its settings, and its connection |
//! | [`DockerEvent`], [`Attributes`], [`Kind`], [`Action`], [`Scope`] | an event, and what it says |
//! | [`Filter`] | which events are wanted |
//! | [`EventReader`] | the events of a recorded stream |
//! | [`DockerToken`], [`ParseTokenError`] | where a later process continues |
//! | [`DockerError`], [`DockerConfigError`], [`DockerConfigErrorKind`] | why there is no connection, and why a setting is invalid |
//! | [`ApiVersion`], [`ParseVersionError`] | a version of the engine's API |
//!
//! # Engines
//! Docker from version 1.10 on (API 1.22). What Podman does otherwise is accepted: bounds that are
//! exclusive, identities that do not last, an answer that comes with the first event, health that is
//! a field of its own.

mod address;
mod attempt;
mod body;
mod builder;
#[cfg(unix)]
mod chunks;
mod client;
mod config;
mod date;
mod decode;
mod drain;
mod error;
mod event;
mod filter;
mod frame;
mod identity;
mod inbox;
mod kind;
mod pace;
mod parts;
mod plain;
mod position;
mod reader;
mod settings;
#[cfg(unix)]
mod socket;
mod source;
mod stream;
mod token;
mod until;
mod version;

pub use builder::DockerSourceBuilder;
pub use config::{DockerConfigError, DockerConfigErrorKind};
pub use error::DockerError;
pub use event::{Attributes, DockerEvent};
pub use filter::Filter;
pub use kind::{Action, Kind, Scope};
pub use reader::EventReader;
pub use source::DockerSource;
pub use stream::DockerStream;
pub use token::{DockerToken, ParseTokenError};
pub use version::{ApiVersion, ParseVersionError};

#[cfg(all(feature = "testing", unix))]
pub mod testing;

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
