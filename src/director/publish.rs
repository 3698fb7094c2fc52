//! Sending: what is the same for a member and for a publisher outside.

use super::core::DirectorCore;
use super::envelope::Envelope;
use super::error::SendError;
use super::record::{Presence, Record};
use crate::error::WriteError;
use crate::journal::Sequence;
use crate::sync::{Ordering, lock};
use crate::wait::context::discard;
use std::sync::Arc;

/// Returns the error of a publish, with the event.
pub(super) fn refused<E>(error: WriteError<Envelope<E>>) -> SendError<E> {
    match error {
        WriteError::Closed(envelope) => SendError::Closed(envelope.event),
        WriteError::Timeout(envelope) => SendError::Timeout(envelope.event),
        WriteError::Full(envelope) | WriteError::Reentrant(envelope) => SendError::Full(envelope.event),
        WriteError::Failed { event, source } => {
            discard(source);
            SendError::Full(event.event)
        }
    }
}

/// Publishes an event to one member. `from` is 0 for a publisher outside.
pub(super) fn unicast<E: Clone + Send + Sync + 'static>(
    core: &DirectorCore<E>,
    from: (u64, Option<&Record<E>>),
    to: &str,
    event: E,
    publish: impl FnOnce(Envelope<E>) -> Result<Sequence, WriteError<Envelope<E>>>,
) -> Result<Sequence, SendError<E>> {
    let Some(record) = core.registry.find(to) else {
        return Err(SendError::UnknownMember { name: to.to_owned(), event });
    };
    if from.1.is_some_and(|sender| sender.number == record.number) {
        return Err(SendError::SelfTarget(event));
    }
    let sequence = publish(Envelope::to_member(from.0, record.number, event)).map_err(refused)?;
    count_orphan(core, &record, sequence);
    Ok(sequence)
}

/// Counts a unicast whose receiver left before it was published: see S3 of the record.
fn count_orphan<E: Clone + Send + Sync + 'static>(
    core: &DirectorCore<E>,
    record: &Arc<Record<E>>,
    sequence: Sequence,
) {
    let is_orphan = {
        let state = lock(&record.state);
        state.presence == Presence::Left && sequence.get() >= state.end
    };
    if is_orphan {
        // Relaxed: the count publishes nothing.
        core.common.orphans.fetch_add(1, Ordering::Relaxed);
    }
}
