//! Foreign code may panic; the bus goes on. And nothing waits inside foreign code.
//!
//! Under loom nothing is caught: a caught assertion would blind the model.

use crate::error::WriteError;
use crate::wait::nesting::{Disposal, Nesting};
use std::any::Any;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind};

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

/// Drops a value of the user. A panic of its destructor ends here: see [`discard_each`].
#[inline]
pub(crate) fn discard<T>(value: T) {
    if needs_drop::<T>() {
        quietly(move || drop(value));
    }
}

/// Drops what a user gave to the crate: a sink, a closure, a lane. The caller is a stranger to it, so a panic of its destructor ends
/// here; nothing waits there but the drop of a last handle.
pub(crate) fn dispose<T>(value: T) {
    if needs_drop::<T>() {
        let _disposal = Disposal::begin();
        let _ = caught(move || drop(value));
    }
}

/// As [`dispose`], for several: the panic of one destructor costs no other value its own.
pub(crate) fn dispose_each<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(dispose);
}

/// The event that comes back with an error. The error's source is user code, and a panic of its destructor is not the publisher's.
pub(crate) fn event_of<E>(error: WriteError<E>) -> E {
    match error {
        WriteError::Failed { event, source } => {
            discard(source);
            event
        }
        error => error.into_event(),
    }
}

/// The text of an error, which is user code.
pub(crate) fn error_text(error: &(impl std::fmt::Display + ?Sized)) -> String {
    foreign(|| error.to_string()).unwrap_or_else(|text| format!("an error whose text panicked: {text}"))
}

/// Drops values of the user, each by itself. A panic of a destructor ends here, and the next value is dropped all the same.
///
/// This is the rule for every value that the crate drops as its only owner: the call that drops it may belong to a caller that has
/// never seen it, or to a thread that is unwinding already, or ending, where a panic would end the process. The panic hook has
/// reported the panic, and what became of the event was counted before it was dropped.
pub(crate) fn discard_each<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(discard);
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
