//! Polls a future on a thread that is no thread of a runtime, until a deadline or an interrupt.

use buslane::time::{Deadline, Pause};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// The waker of a thread that waits in a pause.
struct Bell {
    rung: AtomicBool,
    pause: Arc<Pause>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: pairs with the Acquire in `until`, so that the next poll sees what was written
        // before the wake.
        self.rung.store(true, Ordering::Release);
        self.pause.poke();
    }
}

/// Returns the output of `future`, or `None` if the deadline passes or the pause is interrupted
/// first. Then the future is dropped.
///
/// A future that needs a runtime for its timers or its tasks is polled inside of that runtime's
/// context, which the caller enters. `block_on` is no alternative: it panics on a thread of a
/// runtime, and has no interrupt.
pub(crate) fn until<F: Future>(future: F, pause: &Arc<Pause>, deadline: Deadline) -> Option<F::Output> {
    let mut future = pin!(future);
    let bell = Arc::new(Bell { rung: AtomicBool::new(false), pause: pause.clone() });
    let waker = Waker::from(bell.clone());
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return Some(output),
            Poll::Pending if pause.wait(deadline, || bell.rung.swap(false, Ordering::Acquire)) => {}
            Poll::Pending => return None,
        }
    }
}
