//! The call sites: where the crate calls user code.

use crate::world::{Room, Trap, World};
use crate::{events, retries, sinks, workers};
use std::sync::Arc;

/// One call site, and a function that reaches it.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) room: Room,
    pub(crate) run: fn(&Arc<World>, &Arc<Trap>),
}

pub(crate) fn all() -> impl Iterator<Item = Place> {
    events::PLACES.iter().chain(sinks::PLACES).chain(retries::PLACES).chain(workers::PLACES).copied()
}

/// Returns a call site where nothing waits.
pub(crate) const fn place(name: &'static str, run: fn(&Arc<World>, &Arc<Trap>)) -> Place {
    Place { name, room: Room::Never, run }
}

/// Returns a call site that may wait for room which other threads make.
pub(crate) const fn roomy(name: &'static str, run: fn(&Arc<World>, &Arc<Trap>)) -> Place {
    Place { name, room: Room::AMoment, run }
}
