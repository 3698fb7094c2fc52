//! Foreign code may panic; the bus goes on. And nothing waits inside foreign code.
//!
//! Under loom nothing is caught: a caught assertion would blind the model.

use crate::error::WriteError;
use crate::wait::nesting::{Disposal, Nesting};
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

/// Drops what a user gave to the crate: a sink, a closure, a lane. The caller is a stranger to it, so a panic of its destructor ends
/// here; nothing waits there but the drop of a last handle.
pub(crate) fn dispose<T>(value: T) {
    if std::mem::needs_drop::<T>() {
        let _disposal = Disposal::begin();
        let _ = caught(move || drop(value));
    }
}

/// As [`dispose`], for several: the panic of one destructor costs no other value its own.
pub(crate) fn dispose_each<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(dispose);
}

/// Values that are [disposed](dispose) of, should any be left when this goes.
pub(crate) struct Leftovers<T>(pub(crate) Vec<T>);

impl<T> Drop for Leftovers<T> {
    fn drop(&mut self) {
        dispose_each(self.0.drain(..));
    }
}

/// A value whose destructor is user code, and no concern of those who come past it: nothing waits there, and its panic ends there,
/// also when this thread unwinds already.
pub(crate) struct Guest<T>(Option<T>);

impl<T> Guest<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(crate) fn get(&self) -> &T {
        match &self.0 {
            Some(value) => value,
            None => unreachable!("it is looked at before it is taken"),
        }
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T> Drop for Guest<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            quietly(|| drop(value));
        }
    }
}

/// The event that comes back with an error. The error's source is user code, and a panic of its destructor is not the publisher's.
pub(crate) fn event_of<E>(error: WriteError<E>) -> E {
    match error {
        WriteError::Failed { event, source } => {
            quietly(|| drop(source));
            event
        }
        error => error.into_event(),
    }
}

/// The text of an error, which is user code.
pub(crate) fn error_text(error: &(impl std::fmt::Display + ?Sized)) -> String {
    foreign(|| error.to_string()).unwrap_or_else(|text| format!("an error whose text panicked: {text}"))
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
