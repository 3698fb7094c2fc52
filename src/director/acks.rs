//! Broadcasts that wait for acknowledgements.

use super::core::DirectorCore;
use super::error::SendError;
use super::record::{Presence, Record};
use crate::journal::Sequence;
use crate::sync::lock;
use crate::time::Deadline;
use crate::wait::context::must_not_wait;
use std::sync::Arc;
use std::time::Duration;

/// Which members have acknowledged one event.
///
/// # Examples
/// ```
/// use buslane::director::Director;
/// use std::time::Duration;
/// let director = Director::new()?;
/// let (mut alice, _outbox) = director.join_manual("alice")?;
/// let (_bob, _unread) = director.join_manual("bob")?;
/// let acks = alice.broadcast_acked(7, Duration::ZERO)?;
/// assert_eq!(acks.missing, ["bob"]);
/// assert!(!acks.is_complete());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the acknowledgements that are missing are in it"]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Acks {
    /// The position of the event.
    pub sequence: Sequence,
    /// The names of the members that have acknowledged it, in their order.
    pub acked: Vec<String>,
    /// The names of the other members, in their order: those that were detached, have left, lost
    /// the event or gave it up, and those that did not acknowledge it in time.
    pub missing: Vec<String>,
}

impl Acks {
    /// Returns `true` if no member is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Publishes an event with a probe, and waits until each member has acknowledged it or cannot.
pub(super) fn broadcast_acked<E: Clone + Send + Sync + 'static>(
    core: &DirectorCore<E>,
    sender: Option<&Arc<Record<E>>>,
    limit: Duration,
    publish: impl FnOnce(u64) -> Result<Sequence, SendError<E>>,
) -> Result<Acks, SendError<E>> {
    let is_other = |record: &Arc<Record<E>>| sender.is_none_or(|sender| sender.number != record.number);
    let records: Vec<_> = core.registry.all().into_iter().filter(is_other).collect();
    let (number, probe) = core.common.probes.begin(records.iter().map(|record| (record.number, None)));
    // One that is detached before the probe begins does not resolve it.
    for record in &records {
        if lock(&record.state).presence != Presence::Attached {
            core.common.probes.resolve(number, record.number, false);
        }
    }
    let published = publish(number);
    let sequence = match published {
        Ok(sequence) => sequence,
        Err(error) => {
            core.common.probes.end(number);
            return Err(error);
        }
    };
    probe.published_at(sequence.get());
    let deadline = if must_not_wait() { Deadline::NOW } else { Deadline::after(limit) };
    let known = probe.wait(deadline);
    core.common.probes.end(number);
    let (mut acked, mut missing) = (Vec::new(), Vec::new());
    for record in records {
        let has_acked = known.get(&record.number).copied().flatten() == Some(true);
        let names = if has_acked { &mut acked } else { &mut missing };
        names.push(record.name.to_string());
    }
    Ok(Acks { sequence, acked, missing })
}
