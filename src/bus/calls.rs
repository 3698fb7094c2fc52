//! Calls of the control plane into the sinks on a bus.
//!
//! A call holds the attachment of its sink, and of no other one, for as long as it lasts; so a removal waits for the calls that are
//! inside its sink, as it waits for a `Bus::publish` there, and a sink that was removed is not called any more. The sinks are named
//! first and looked up again, one by one: a call that is stuck in one of them holds up the removal of that one only.

use super::core::Core;
use super::entry::Entry;
use super::info::{Info, Shared};
use crate::stats::SinkId;
use crate::sync::lock;
use crate::wait::context::{UserCode, dispose};
use std::sync::Arc;

impl<E: Send + 'static> Core<E> {
    /// Every sink on the bus, by what is known of it.
    pub(super) fn infos(&self) -> Vec<Arc<Info>> {
        let entries = lock(&self.control).entries.clone();
        let infos = entries.iter().map(|entry| entry.info.clone()).collect();
        dispose(entries);
        infos
    }

    /// The attachment of a sink, to be held during a call; none when it was removed.
    pub(super) fn attachment(&self, id: SinkId) -> Option<Entry<E>> {
        lock(&self.control).entries.get(id).cloned()
    }

    /// Calls a sink, as inside a delivery: user code in there does not wait, and removes no sink that it would wait for.
    pub(super) fn ask<R>(&self, id: SinkId, call: impl FnOnce(&Info, &Shared<E>) -> R) -> Option<R> {
        let entry = self.attachment(id)?;
        let _user_code = UserCode::enter();
        Some(entry.listed.with(|sink| call(&entry.info, sink)))
    }
}
