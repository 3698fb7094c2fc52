//! A guard that removes its sink from the bus when it is dropped.

use super::Bus;
use super::core::Core;
use super::remove::Removed;
use crate::deadline::DROP_LIMIT;
use crate::error::{AddError, RemoveError};
use crate::sink::Sink;
use crate::stats::SinkId;
use crate::time::Deadline;
use crate::wait::context::UserCode;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

impl<E: Send + 'static> Bus<E> {
    /// Adds a sink to the bus until the returned guard is dropped.
    ///
    /// A sink that is already on the bus is not added again, as with [`add`](Self::add). The first
    /// of its guards to be dropped removes it.
    ///
    /// # Errors
    /// The same as for [`add`](Self::add).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, noop};
    /// let bus = Bus::<u32>::new();
    /// let attached = bus.attach(noop())?;
    /// assert!(bus.has_sinks());
    /// drop(attached);
    /// assert!(!bus.has_sinks());
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    #[track_caller]
    pub fn attach(&self, sink: impl Sink<E> + 'static) -> Result<Attachment<E>, AddError> {
        Ok(Attachment::new(self.core(), self.add(sink)?))
    }

    /// Adds a sink to the bus under a name until the returned guard is dropped.
    ///
    /// # Errors
    /// The same as for [`add`](Self::add).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, noop};
    /// let bus = Bus::<u32>::new();
    /// let _attached = bus.attach_named("audit", noop())?;
    /// assert!(bus.snapshot().sink("audit").is_some());
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    #[track_caller]
    pub fn attach_named(&self, name: &str, sink: impl Sink<E> + 'static) -> Result<Attachment<E>, AddError> {
        Ok(Attachment::new(self.core(), self.add_named(name, sink)?))
    }
}

/// A guard that removes its sink from the bus when it is dropped.
///
/// [`Bus::attach`](crate::Bus::attach) returns it.
///
/// The guard does not keep the bus open. If the bus is closed or dropped, dropping the guard does
/// nothing.
///
/// # Guarantees
/// - **Drop**: no publish that begins afterwards reaches the sink. The drop waits until no call of
///   the bus is inside the sink, for at most half a second. Inside a delivery, inside another call
///   of the bus into a sink, on the worker of a queue, and while unwinding, it does not wait. A
///   call that is still inside then runs to its end, and the bus drops the sink after that.
/// - **Accepted events** are still handled, as after [`Bus::remove`](crate::Bus::remove).
/// - **Destructors**: the sink's destructor may run inside the drop of the guard.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use buslane::testing::Collect;
/// let bus = Bus::new();
/// let seen = Collect::new();
/// {
///     let _attached = bus.attach(seen.clone())?;
///     bus.publish(1)?;
/// }
/// bus.publish(2)?;
/// assert_eq!(seen.events(), [1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the sink is removed when the attachment is dropped"]
pub struct Attachment<E: Send + 'static> {
    /// Dangling once the guard has no sink to remove.
    core: Weak<Core<E>>,
    id: SinkId,
}

impl<E: Send + 'static> Attachment<E> {
    pub(super) fn new(core: &Arc<Core<E>>, id: SinkId) -> Self {
        Self { core: Arc::downgrade(core), id }
    }

    /// Returns the id of the sink on its bus.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, noop};
    /// let bus = Bus::<u32>::new();
    /// let attached = bus.attach(noop())?;
    /// assert_eq!(bus.snapshot().sinks[0].id, attached.id());
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> SinkId {
        self.id
    }

    /// Leaves the sink on the bus, and returns its id.
    ///
    /// [`Bus::remove`](crate::Bus::remove) removes the sink by that id.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, noop};
    /// let bus = Bus::<u32>::new();
    /// let id = bus.attach(noop())?.detach();
    /// assert!(bus.has_sinks());
    /// bus.remove(id)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn detach(mut self) -> SinkId {
        self.core = Weak::new();
        self.id
    }

    /// Removes the sink now, and waits as [`Bus::remove`](crate::Bus::remove) does.
    ///
    /// # Errors
    /// [`RemoveError::Unknown`] if the sink is no longer on the bus, or the bus is closed or
    /// dropped.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, noop};
    /// use buslane::bus::Removed;
    /// let bus = Bus::<u32>::new();
    /// assert_eq!(bus.attach(noop())?.remove(), Ok(Removed::Quiet));
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    pub fn remove(self) -> Result<Removed, RemoveError> {
        self.remove_by(Deadline::NEVER)
    }

    /// Removes the sink now, and waits for at most `limit`.
    ///
    /// If a call is still inside the sink then, the result is [`Removed::StillInside`].
    ///
    /// # Errors
    /// The same as for [`remove`](Self::remove).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, noop};
    /// use buslane::error::RemoveError;
    /// use std::time::Duration;
    /// let bus = Bus::<u32>::new();
    /// let attached = bus.attach(noop())?;
    /// bus.remove(attached.id())?;
    /// assert_eq!(attached.remove_timeout(Duration::from_secs(1)), Err(RemoveError::Unknown));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_timeout(self, limit: Duration) -> Result<Removed, RemoveError> {
        self.remove_by(Deadline::after(limit))
    }

    fn remove_by(mut self, deadline: Deadline) -> Result<Removed, RemoveError> {
        let core = std::mem::take(&mut self.core).upgrade();
        core.map_or(Err(RemoveError::Unknown), |core| core.remove(self.id, deadline))
    }
}

impl<E: Send + 'static> Drop for Attachment<E> {
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            // While unwinding, the removal must not wait, as inside a delivery.
            let _user_code = std::thread::panicking().then(UserCode::enter);
            // An error means that the sink is not on the bus.
            let _ = core.remove(self.id, Deadline::after(DROP_LIMIT));
        }
    }
}

impl<E: Send + 'static> fmt::Debug for Attachment<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment").field("id", &self.id).finish_non_exhaustive()
    }
}
