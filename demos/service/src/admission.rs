//! Which requests are served: a limited number at a time, and none after the shutdown began.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lets a limited number of requests in, until it is closed.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    permits: Arc<Semaphore>,
    most: u32,
    /// Set for good when the close begins, which may not wait to its end.
    closed: Arc<AtomicBool>,
}

/// Keeps a request inside until it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    _permit: OwnedSemaphorePermit,
}

impl Admission {
    /// Lets at most `most` requests in at the same time.
    pub(crate) fn new(most: u32) -> Self {
        Self { permits: Arc::new(Semaphore::new(most as usize)), most, closed: Arc::default() }
    }

    /// Lets a request in, or returns `None` if there are too many or the shutdown has begun.
    pub(crate) fn enter(&self) -> Option<Admitted> {
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        // Acquire: pairs with the Release in `close`. A request that misses it has its permit before the
        // close takes all of them, and the close waits for it.
        (!self.closed.load(Ordering::Acquire)).then_some(Admitted { _permit: permit })
    }

    /// Waits until all requests that were let in have left, and lets none in from now on.
    ///
    /// A caller that does not wait to the end leaves it closed, too: dropping this future gives the
    /// permits back, and the mark stays.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        // An error means that it is closed already.
        if let Ok(all) = self.permits.acquire_many(self.most).await {
            self.permits.close();
            drop(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Admission;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// Polls a future once.
    fn poll(future: impl Future<Output = ()>) -> Poll<()> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn close_waits_for_what_is_inside() {
        let admission = Admission::new(2);
        let inside = [admission.enter(), admission.enter()];
        assert!(inside.iter().all(Option::is_some) && admission.enter().is_none());
        let mut closing = pin!(admission.close());
        let mut context = Context::from_waker(Waker::noop());
        assert!(closing.as_mut().poll(&mut context).is_pending());
        drop(inside);
        assert!(admission.enter().is_none());
        assert!(closing.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn abandoned_close_admits_no_further_request() {
        let admission = Admission::new(2);
        let inside = admission.enter();
        assert!(inside.is_some() && poll(admission.close()).is_pending());
        // The limit of the step has passed, and the future is gone.
        assert!(admission.enter().is_none());
        drop(inside);
        assert!(admission.enter().is_none());
        assert!(poll(admission.close()).is_ready());
    }
}
