//! Wakers whose clone, wake and destructor call the test.
#![expect(unsafe_code, reason = "the standard library's safe way has no clone of one's own")]

use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// The hooks that a waker calls. All clones share them.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) on_clone: Option<Box<dyn Fn() + Send + Sync>>,
    pub(crate) on_wake: Option<Box<dyn Fn() + Send + Sync>>,
    pub(crate) on_drop: Option<Box<dyn Fn() + Send + Sync>>,
}

fn run(hook: Option<&(dyn Fn() + Send + Sync)>) {
    if let Some(hook) = hook {
        hook();
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: every waker with this table has a count of an `Arc<Hooks>` as its data.
    unsafe { Arc::increment_strong_count(data.cast::<Hooks>()) };
    let raw = RawWaker::new(data, &TABLE);
    // SAFETY: as above; the count belongs to the waker, which drops it if the hook unwinds.
    let made = unsafe { Waker::from_raw(raw) };
    // SAFETY: as above.
    run(unsafe { &*data.cast::<Hooks>() }.on_clone.as_deref());
    std::mem::forget(made);
    RawWaker::new(data, &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: as in `clone`: the waker gives up its count.
    let hooks = unsafe { Arc::from_raw(data.cast::<Hooks>()) };
    run(hooks.on_wake.as_deref());
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as in `clone`.
    run(unsafe { &*data.cast::<Hooks>() }.on_wake.as_deref());
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: as in `wake`.
    let hooks = unsafe { Arc::from_raw(data.cast::<Hooks>()) };
    run(hooks.on_drop.as_deref());
}

/// Returns a waker, and the hooks that it and its clones share.
pub(crate) fn waker(hooks: Hooks) -> (Arc<Hooks>, Waker) {
    let hooks = Arc::new(hooks);
    // SAFETY: the data is a count of its own, as the table requires.
    let waker = unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(hooks.clone()).cast(), &TABLE)) };
    (hooks, waker)
}
