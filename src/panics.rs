//! Foreign code may panic; the bus goes on.
//!
//! Under loom nothing is caught: a caught assertion would blind the model.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls foreign code; `Err` carries the text of its panic.
///
/// Nothing of ours is left half done when it unwinds: our structures are not touched during the call.
pub(crate) fn caught<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    if crate::sync::MODEL {
        return Ok(call());
    }
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| text_of(&*payload))
}

/// Calls a hook, whose panics concern nobody.
pub(crate) fn quietly(call: impl FnOnce()) {
    let _ = caught(call);
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| String::from("a panic without a text"))
}
