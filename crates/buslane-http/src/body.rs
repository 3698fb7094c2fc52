//! The bodies of requests.

use crate::error::HttpError;
use serde::Serialize;
use std::panic::{AssertUnwindSafe, catch_unwind};

const BEGIN: &[u8] = br#"{"events":["#;
const END: &[u8] = b"]}";

/// An envelope with a batch of events.
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    /// The number of events in the envelope.
    pub(crate) count: usize,
    /// The indexes of the events that were left out because they cannot be written as JSON, in
    /// order.
    pub(crate) left_out: Vec<usize>,
}

/// Writes one event as JSON, alone or in an envelope.
pub(crate) fn of_one<E: Serialize>(event: &E, enveloped: bool) -> Result<Vec<u8>, HttpError> {
    let mut bytes = Vec::with_capacity(256);
    if enveloped {
        bytes.extend_from_slice(BEGIN);
    }
    write(&mut bytes, event)?;
    if enveloped {
        bytes.extend_from_slice(END);
    }
    Ok(bytes)
}

/// Writes the events that can be written as JSON into an envelope.
pub(crate) fn of_batch<E: Serialize>(events: &[E]) -> Batch {
    let mut batch = Batch { bytes: BEGIN.to_vec(), count: 0, left_out: Vec::new() };
    for (index, event) in events.iter().enumerate() {
        let before = batch.bytes.len();
        if batch.count > 0 {
            batch.bytes.push(b',');
        }
        if write(&mut batch.bytes, event).is_ok() {
            batch.count += 1;
        } else {
            batch.bytes.truncate(before);
            batch.left_out.push(index);
        }
    }
    batch.bytes.extend_from_slice(END);
    batch
}

/// Writes the event. Discards the serializer's error or panic, since either may quote the event.
fn write<E: Serialize>(bytes: &mut Vec<u8>, event: &E) -> Result<(), HttpError> {
    match catch_unwind(AssertUnwindSafe(|| serde_json::to_writer(bytes, event))) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(HttpError::Unserializable),
        Err(payload) => {
            // The panic payload belongs to the user, and its destructor may panic in turn.
            if let Err(another) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
                std::mem::forget(another);
            }
            Err(HttpError::Unserializable)
        }
    }
}
