//! Calls of user code: sinks, handlers, hooks, closures, wakers, clones and destructors of events.
//!
//! If user code panics, the bus continues. No wait of the crate happens inside user code. Under
//! loom nothing is caught: a caught assertion would hide a failure from the model.

use super::{DEPTH_LIMIT, may_wait_to_drop, of_this_thread, user_code_depth};
use crate::error::WriteError;
use std::any::Any;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A mark: this thread is in user code, where the crate does not wait, until it is dropped.
#[must_use]
pub(crate) struct UserCode(());

impl UserCode {
    #[inline(always)]
    pub(crate) fn enter() -> Self {
        of_this_thread((), |context| context.user_code.set(context.user_code.get() + 1));
        Self(())
    }

    /// Returns the guard that was forgotten on this thread.
    pub(crate) fn forgotten() -> Self {
        Self(())
    }
}

impl Drop for UserCode {
    #[inline(always)]
    fn drop(&mut self) {
        of_this_thread((), |context| context.user_code.set(context.user_code.get().wrapping_sub(1)));
    }
}

/// A mark: a bus publishes inside another bus, where waiting is still allowed, until it is dropped.
#[must_use]
pub(crate) struct InnerBus(());

impl InnerBus {
    /// Enters one level. Returns `None` when buses and sinks call each other too deeply on this
    /// thread.
    pub(crate) fn enter() -> Option<Self> {
        of_this_thread(true, |context| {
            let depth = context.depth.get();
            let is_shallow = depth < DEPTH_LIMIT;
            if is_shallow {
                context.depth.set(depth + 1);
            }
            is_shallow
        })
        .then(|| Self(()))
    }
}

impl Drop for InnerBus {
    #[inline(always)]
    fn drop(&mut self) {
        of_this_thread((), |context| context.depth.set(context.depth.get().wrapping_sub(1)));
    }
}

/// A mark: a sink is called as user code, until it is dropped.
#[must_use]
pub(crate) struct Delivery {
    _depth: InnerBus,
    _user_code: UserCode,
}

impl Delivery {
    /// Enters one level. Returns `None` when buses and sinks call each other too deeply on this
    /// thread.
    pub(crate) fn enter() -> Option<Self> {
        InnerBus::enter().map(|depth| Self { _depth: depth, _user_code: UserCode::enter() })
    }
}

/// Clones an event as user code, in which the crate does not wait.
#[inline(always)]
pub(crate) fn cloned<T: Clone>(value: &T) -> T {
    let _user_code = UserCode::enter();
    value.clone()
}

/// A mark: the destructor of a value that a user gave to the crate runs, until it is dropped.
///
/// It is user code, in which only the drop of a last handle waits, and only if it may wait outside.
#[must_use]
pub(crate) struct Disposal {
    outer: Option<u32>,
    _user_code: UserCode,
}

impl Disposal {
    pub(crate) fn begin() -> Self {
        let waits = may_wait_to_drop();
        let user_code = UserCode::enter();
        let here = waits.then(user_code_depth);
        Self { outer: of_this_thread(None, |context| context.disposing.replace(here)), _user_code: user_code }
    }
}

impl Drop for Disposal {
    fn drop(&mut self) {
        of_this_thread((), |context| context.disposing.set(self.outer));
    }
}

/// Calls user code; `Err` carries the text of its panic.
///
/// The crate's structures are not touched during the call, so none is half changed when it unwinds.
#[inline]
pub(crate) fn caught<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    if !crate::sync::CATCHES {
        return Ok(call());
    }
    catch_unwind(AssertUnwindSafe(call)).map_err(text_of)
}

/// Calls user code, in which the crate does not wait.
#[inline]
pub(crate) fn user_code<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    let _user_code = UserCode::enter();
    caught(call)
}

/// Calls a hook, and catches its panic.
pub(crate) fn quietly(call: impl FnOnce()) {
    let _ = user_code(call);
}

/// Drops a user value, and catches a panic of its destructor: see [`discard_each`].
#[inline]
pub(crate) fn discard<T>(value: T) {
    if needs_drop::<T>() {
        quietly(move || drop(value));
    }
}

/// Drops a value that a user gave to the crate: a sink, a closure, a lane.
///
/// The caller may be unrelated to the value, so a panic of its destructor is caught. Only the drop
/// of a last handle waits there.
pub(crate) fn dispose<T>(value: T) {
    if needs_drop::<T>() {
        let _disposal = Disposal::begin();
        let _ = caught(move || drop(value));
    }
}

/// Drops several values as [`dispose`] does: the panic of one destructor does not skip the others.
pub(crate) fn dispose_each<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(dispose);
}

/// Returns the event of an error.
///
/// The error's source is user code, and a panic of its destructor must not reach the publisher.
pub(crate) fn event_of<E>(error: WriteError<E>) -> E {
    match error {
        WriteError::Failed { event, source } => {
            discard(source);
            event
        }
        error => error.into_event(),
    }
}

/// Calls user code that formats an error, and returns a text also when that panics.
pub(crate) fn text_or_panic(text: impl FnOnce() -> String) -> String {
    user_code(text).unwrap_or_else(|panic| format!("formatting the error panicked: {panic}"))
}

/// Formats an error, which is user code.
pub(crate) fn error_text(error: &(impl std::fmt::Display + ?Sized)) -> String {
    text_or_panic(|| error.to_string())
}

/// Drops user values one by one. A panic of a destructor is caught, and the next value is still
/// dropped.
///
/// This is the rule for every value that the crate drops as its only owner. The call that drops it
/// may belong to a caller that has never seen it. It may also belong to a thread that is unwinding
/// already, or ending, where a panic would end the process. The panic hook has reported the panic,
/// and the outcome of the event was counted before it was dropped.
pub(crate) fn discard_each<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(discard);
}

fn text_of(payload: Box<dyn Any + Send>) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| String::from("the panic payload is not a string"));
    // The payload is user code, too, and so is a panic of its destructor.
    if let Err(worse) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
        std::mem::forget(worse);
    }
    text
}
