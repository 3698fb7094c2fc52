//! A weak handle to a bus, and a guard that closes a bus at the end of a scope.

use super::Bus;
use super::core::{BusHandle, Core};
use crate::stats::Snapshot;
use std::fmt;
use std::sync::{Arc, Weak};

impl<E: Send + 'static> Bus<E> {
    /// Returns a handle that does not keep the bus open, for handlers on the same bus.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<u32>::new();
    /// let weak = bus.downgrade();
    /// assert!(weak.upgrade().is_some());
    /// drop(bus);
    /// assert!(weak.upgrade().is_none());
    /// ```
    #[must_use]
    pub fn downgrade(&self) -> WeakBus<E> {
        WeakBus::new(&self.0)
    }

    /// Returns a guard that closes the bus at the end of a scope.
    ///
    /// The guard is for a bus in a `static`, which is never dropped.
    ///
    /// # Examples
    /// ```
    /// use buslane::Bus;
    /// use std::sync::LazyLock;
    /// static EVENTS: LazyLock<Bus<u32>> = LazyLock::new(Bus::new);
    ///
    /// let guard = EVENTS.close_on_drop();
    /// EVENTS.publish(1)?;
    /// drop(guard);
    /// assert!(EVENTS.is_closed());
    /// # Ok::<(), buslane::error::Closed<u32>>(())
    /// ```
    pub fn close_on_drop(&self) -> CloseGuard<E> {
        CloseGuard::new(self.clone())
    }
}

/// A handle that does not keep the bus open, for handlers on the same bus.
///
/// A handler that held a [`Bus`] would keep the bus alive, and the bus would keep the handler
/// alive, forever.
///
/// # Examples
/// ```
/// use buslane::{Bus, Queue};
/// let bus = Bus::new();
/// let weak = bus.downgrade();
/// bus.add(Queue::builder().spawn(move |n: u32| {
///     if n > 0 && let Some(bus) = weak.upgrade() {
///         let _ = bus.publish(n - 1);
///     }
/// })?)?;
/// bus.publish(3)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WeakBus<E: Send + 'static> {
    handle: Weak<BusHandle<E>>,
    core: Weak<Core<E>>,
}

impl<E: Send + 'static> WeakBus<E> {
    pub(super) fn new(handle: &Arc<BusHandle<E>>) -> Self {
        Self { handle: Arc::downgrade(handle), core: Arc::downgrade(&handle.core) }
    }

    /// Returns the bus, if a handle or a publisher still keeps it open.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::new();
    /// let weak = bus.downgrade();
    /// if let Some(bus) = weak.upgrade() {
    ///     bus.publish(1)?;
    /// }
    /// drop(bus);
    /// assert!(weak.upgrade().is_none());
    /// # Ok::<(), buslane::error::Closed<u32>>(())
    /// ```
    #[must_use]
    pub fn upgrade(&self) -> Option<Bus<E>> {
        self.handle.upgrade().map(Bus)
    }

    /// Returns a snapshot of the bus, if a handle or a publisher still keeps it open.
    ///
    /// Unlike a bus that [`upgrade`](Self::upgrade) returns, this call does not keep the bus open
    /// meanwhile. So a thread that exports counters never closes the bus, which would take as long
    /// as its sinks take to drain.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<u32>::new();
    /// let weak = bus.downgrade();
    /// assert_eq!(weak.snapshot().map(|snapshot| snapshot.sinks.len()), Some(0));
    /// drop(bus);
    /// assert!(weak.snapshot().is_none());
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        let core = self.core.upgrade()?;
        (self.handle.strong_count() > 0).then(|| core.snapshot())
    }
}

impl<E: Send + 'static> Clone for WeakBus<E> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), core: self.core.clone() }
    }
}

impl<E: Send + 'static> fmt::Debug for WeakBus<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakBus")
    }
}

/// A guard that closes a bus when it is dropped.
///
/// [`Bus::close_on_drop`] returns it.
///
/// # Examples
/// ```
/// let bus = buslane::Bus::new();
/// {
///     let _guard = bus.close_on_drop();
///     bus.publish(1)?;
/// } // also when an error or a panic leaves the block
/// assert!(bus.is_closed());
/// # Ok::<(), buslane::error::Closed<u32>>(())
/// ```
#[must_use = "the bus is closed when the guard is dropped"]
pub struct CloseGuard<E: Send + 'static>(Bus<E>);

impl<E: Send + 'static> CloseGuard<E> {
    pub(super) fn new(bus: Bus<E>) -> Self {
        Self(bus)
    }
}

impl<E: Send + 'static> Drop for CloseGuard<E> {
    fn drop(&mut self) {
        let _ = self.0.close();
    }
}

impl<E: Send + 'static> fmt::Debug for CloseGuard<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CloseGuard").field(&self.0).finish()
    }
}
