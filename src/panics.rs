//! Foreign code may panic; the bus goes on. And nothing waits inside foreign code.
//!
//! Under loom nothing is caught: a caught assertion would blind the model.

use crate::wait::nesting::Nesting;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Calls foreign code; `Err` carries the text of its panic.
///
/// Nothing of ours is left half done when it unwinds: our structures are not touched during the call.
#[inline]
pub(crate) fn caught<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    if !crate::sync::CATCHES {
        return Ok(call());
    }
    catch_unwind(AssertUnwindSafe(call)).map_err(text_of)
}

/// Calls foreign code as a delivery: inside it nothing of ours waits.
#[inline]
pub(crate) fn foreign<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    let _impatient = Nesting::impatient();
    caught(call)
}

/// Calls a hook, whose panics concern nobody.
pub(crate) fn quietly(call: impl FnOnce()) {
    let _ = foreign(call);
}

/// Drops each value, also when the destructor of one before it panics: then that unwinds, once all of them are gone. A second
/// panic, which would end the process if it met the first, goes unseen.
#[cold]
pub(crate) fn drop_each<T>(values: impl Iterator<Item = T>) {
    if !crate::sync::CATCHES {
        return values.for_each(drop);
    }
    let mut first = None;
    for value in values {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
            match first {
                None => first = Some(payload),
                // Its destructor is foreign too.
                Some(_) => std::mem::forget(payload),
            }
        }
    }
    if let Some(payload) = first {
        resume_unwind(payload);
    }
}

fn text_of(payload: Box<dyn Any + Send>) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| String::from("a panic without a text"));
    // The payload is foreign too, and so is what its destructor may throw in turn.
    if let Err(worse) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
        std::mem::forget(worse);
    }
    text
}
