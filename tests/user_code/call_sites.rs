//! Where the crate calls user code.

use crate::world::{Room, Trap, World};
use crate::{events, retries, sinks, workers};
use std::sync::Arc;

/// One place: what leads there.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) room: Room,
    pub(crate) run: fn(&Arc<World>, &Arc<Trap>),
}

pub(crate) fn all() -> impl Iterator<Item = Place> {
    events::PLACES.iter().chain(sinks::PLACES).chain(retries::PLACES).chain(workers::PLACES).copied()
}

/// A place where nothing waits.
pub(crate) const fn place(name: &'static str, run: fn(&Arc<World>, &Arc<Trap>)) -> Place {
    Place { name, room: Room::Never, run }
}

/// A place that may wait for room which others make.
pub(crate) const fn roomy(name: &'static str, run: fn(&Arc<World>, &Arc<Trap>)) -> Place {
    Place { name, room: Room::AMoment, run }
}
