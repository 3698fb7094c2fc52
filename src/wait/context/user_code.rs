//! Calls of user code: sinks, handlers, hooks, closures, wakers, clones and destructors of events.
//!
//! User code may panic, and the bus continues. And nothing waits inside user code. Under loom
//! nothing is caught: a caught assertion would blind the model.

use super::{DEPTH_LIMIT, may_wait_to_drop, of_this_thread, user_code_depth};
use crate::error::WriteError;
use std::any::Any;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// This thread is in user code, until this is dropped: here nothing of the crate waits.
#[must_use]
pub(crate) struct UserCode(());

impl UserCode {
    #[inline(always)]
    pub(crate) fn enter() -> Self {
        of_this_thread((), |context| context.user_code.set(context.user_code.get() + 1));
        Self(())
    }

    /// The guard that was forgotten on this thread.
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

/// A bus inside a bus, where waiting is still allowed, until this is dropped.
#[must_use]
pub(crate) struct InnerBus(());

impl InnerBus {
    /// `None` when buses and sinks call each other too deep on this thread.
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

/// The call of a sink as user code, until this is dropped.
#[must_use]
pub(crate) struct Delivery {
    _depth: InnerBus,
    _user_code: UserCode,
}

impl Delivery {
    /// `None` when buses and sinks call each other too deep on this thread.
    pub(crate) fn enter() -> Option<Self> {
        InnerBus::enter().map(|depth| Self { _depth: depth, _user_code: UserCode::enter() })
    }
}

/// Clones an event as user code, in which nothing waits.
#[inline(always)]
pub(crate) fn cloned<T: Clone>(value: &T) -> T {
    let _user_code = UserCode::enter();
    value.clone()
}

/// The destructors of what a user gave to the crate: user code, in which nothing waits but the drop
/// of a last handle, where that may wait outside.
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
/// Nothing of ours is left half done when it unwinds: our structures are not touched during the
/// call.
#[inline]
pub(crate) fn caught<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    if !crate::sync::CATCHES {
        return Ok(call());
    }
    catch_unwind(AssertUnwindSafe(call)).map_err(text_of)
}

/// Calls user code, in which nothing of ours waits.
#[inline]
pub(crate) fn user_code<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    let _user_code = UserCode::enter();
    caught(call)
}

/// Calls a hook, whose panic ends here.
pub(crate) fn quietly(call: impl FnOnce()) {
    let _ = user_code(call);
}

/// Drops a value of the user. A panic of its destructor ends here: see [`discard_each`].
#[inline]
pub(crate) fn discard<T>(value: T) {
    if needs_drop::<T>() {
        quietly(move || drop(value));
    }
}

/// Drops what a user gave to the crate: a sink, a closure, a lane. The caller does not know of it,
/// so a panic of its destructor ends here; nothing waits there but the drop of a last handle.
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

/// The event that comes back with an error. The error's source is user code, and a panic of its
/// destructor is not the publisher's.
pub(crate) fn event_of<E>(error: WriteError<E>) -> E {
    match error {
        WriteError::Failed { event, source } => {
            discard(source);
            event
        }
        error => error.into_event(),
    }
}

/// Calls user code that makes a text of an error; its panic makes a text, too.
pub(crate) fn text_or_panic(text: impl FnOnce() -> String) -> String {
    user_code(text).unwrap_or_else(|panic| format!("an error whose text panicked: {panic}"))
}

/// The text of an error, which is user code.
pub(crate) fn error_text(error: &(impl std::fmt::Display + ?Sized)) -> String {
    text_or_panic(|| error.to_string())
}

/// Drops values of the user, each by itself. A panic of a destructor ends here, and the next value
/// is dropped all the same.
///
/// This is the rule for every value that the crate drops as its only owner: the call that drops it
/// may belong to a caller that has never seen it, or to a thread that is unwinding already, or
/// ending, where a panic would end the process. The panic hook has reported the panic, and what
/// became of the event was counted before it was dropped.
pub(crate) fn discard_each<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(discard);
}

fn text_of(payload: Box<dyn Any + Send>) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| String::from("a panic without a text"));
    // The payload is user code, too, and so is what its destructor may throw in turn.
    if let Err(worse) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
        std::mem::forget(worse);
    }
    text
}
