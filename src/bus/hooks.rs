//! The hook of a bus that reports failures on the publishing thread.

use super::info::Info;
use crate::error::WriteError;
use crate::stats::SinkId;
use crate::wait::context::{error_text, quietly};
use std::fmt;
use std::marker::PhantomData;

/// The failure of a sink on the publishing thread, as reported to an `on_error` hook.
///
/// # Examples
/// ```
/// use buslane::{Bus, sink_fn};
/// let (sender, failures) = std::sync::mpsc::channel();
/// let bus = Bus::builder().on_error(move |failure| drop(sender.send(failure.clone()))).build();
/// let id = bus.add_named("disk", sink_fn(|_: &u32| Err("no space left")))?;
/// bus.publish(1)?;
/// let failure = failures.recv()?;
/// assert_eq!((failure.id, failure.name.as_str(), failure.error.as_str()), (id, "disk", "no space left"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkFailure {
    /// The id of the sink.
    pub id: SinkId,
    /// The name of the sink.
    pub name: String,
    /// The text of the error or the panic. The bus never adds the event to it.
    pub error: String,
}

impl fmt::Display for SinkFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.error)
    }
}

pub(super) type OnError = Box<dyn Fn(&SinkFailure) + Send + Sync>;

pub(super) struct BusHooks<E> {
    pub(super) on_error: Option<OnError>,
    pub(super) events: PhantomData<fn(E)>,
}

impl<E> BusHooks<E> {
    /// Calls the hook for a failure. A full or closed sink is not a failure.
    pub(super) fn failed(&self, info: &Info, error: &WriteError<E>) {
        if let WriteError::Failed { source, .. } = error {
            self.tell(info, error_text(source));
        }
    }

    pub(super) fn panicked(&self, info: &Info, text: &str) {
        self.tell(info, format!("the sink panicked: {text}"));
    }

    #[cold]
    fn tell(&self, info: &Info, error: String) {
        info.set_error(error.clone());
        if let Some(hook) = &self.on_error {
            let failure = SinkFailure { id: info.id, name: info.name.clone(), error };
            quietly(|| hook(&failure));
        }
    }
}
