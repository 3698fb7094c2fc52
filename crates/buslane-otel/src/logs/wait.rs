//! Runs an export on the calling thread, until a deadline or an abort.

use buslane::time::{Deadline, Pause};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Wakes the thread that polls a future.
struct Signal {
    woken: AtomicBool,
    pause: Arc<Pause>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: pairs with the Acquire in `run`. What was written before the wake is visible to
        // the poll that follows.
        self.woken.store(true, Ordering::Release);
        self.pause.poke();
    }
}

/// Polls `future` to its end, and returns its output. Returns `None` if the deadline passes or the
/// pause is interrupted first; the future is dropped then.
///
/// A future that blocks inside a poll, as that of a blocking client does, ends as it decides.
pub(crate) fn run<F: Future>(future: F, pause: &Arc<Pause>, deadline: Deadline) -> Option<F::Output> {
    let signal = Arc::new(Signal { woken: AtomicBool::new(false), pause: pause.clone() });
    let waker = Waker::from(signal.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        if !pause.wait(deadline, || signal.woken.swap(false, Ordering::Acquire)) {
            return None;
        }
    }
}
