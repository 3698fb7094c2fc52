//! Events of a type of the user's own, made by a function.

use super::publish::{BusClosed, Publish, Sealed};
use crate::thread;
use buslane::Bus;
use std::fmt;
use tracing_core::Event;

/// Makes events of a type of the user's own. Made by [`map`](crate::map).
pub struct Mapped<E: Send + 'static, F> {
    pub(crate) bus: Bus<E>,
    pub(crate) convert: F,
}

impl<E: Send + 'static, F> Sealed for Mapped<E, F> {}

impl<E, F> Publish for Mapped<E, F>
where
    E: Clone + Send + 'static,
    F: Fn(&Event<'_>) -> Option<E> + Send + Sync + 'static,
{
    #[inline]
    fn event(&self, event: &Event<'_>, _span: u64) -> Result<(), BusClosed> {
        match (self.convert)(event) {
            Some(event) => thread::publish(&self.bus, event).map_or(Err(BusClosed), |_| Ok(())),
            None => Ok(()),
        }
    }
}

impl<E: Send + 'static, F> fmt::Debug for Mapped<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapped").field("bus", &self.bus).finish_non_exhaustive()
    }
}
