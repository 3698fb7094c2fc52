//! A Docker Engine that follows a script, for tests of this crate and of your own handlers (feature
//! `testing`, on Unix).
//!
//! [`ScriptedEngine`] listens on a socket as an engine does. A test decides what happened in it, and
//! what goes wrong:
//!
//! | to | use |
//! |---|---|
//! | start an engine, with its limits and its kind | [`ScriptedEngine`], [`ScriptedEngineBuilder`] |
//! | let something happen in it | [`ScriptedEngine::emit`] with a [`ScriptedEvent`] |
//! | end a connection, properly or not | [`ScriptedEngine::end`], [`ScriptedEngine::cut`], [`ScriptedEngine::emit_cut`] with a [`Cut`] |
//! | stop, restart, lose the history, turn back the clock | [`ScriptedEngine::stop`], [`ScriptedEngine::restart`], [`ScriptedEngine::clear_history`], [`ScriptedEngine::set_time`] |
//! | divide events into chunks in another way | [`ScriptedEngine::set_framing`] with a [`Framing`] |
//! | refuse, ignore or confuse a request | [`ScriptedEngine::answer_next`] with an [`Endpoint`] and an [`Answer`] |
//! | send what is no event | [`ScriptedEngine::send`] |
//! | learn what a client asked for | [`ScriptedEngine::requests`], with a [`ScriptedRequest`] each |
//!
//! Nothing in it depends on time: its clock moves by a millisecond with each event, and when the
//! test moves it.

mod chunks;
mod engine;
mod event;
mod http;
mod query;
mod request;
mod server;
mod state;
mod stream;
mod time;

pub use chunks::{Cut, Framing};
pub use engine::{ScriptedEngine, ScriptedEngineBuilder};
pub use event::ScriptedEvent;
#[cfg(test)]
pub(crate) use query::wants;
pub use request::{Answer, Endpoint, ScriptedRequest};
