//! Reading as a future.

use super::kind::{Exclusive, Kind};
use super::receiver::Receiver;
use crate::error::RecvError;
use crate::mailbox::intake::Intake;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The future of [`Receiver::recv_async`].
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// use std::{pin::pin, task::{Context, Poll, Waker}};
/// let (channel, mut receiver) = Channel::lossy(8)?;
/// let mut context = Context::from_waker(Waker::noop());
/// let mut next = pin!(receiver.recv_async());
/// assert!(next.as_mut().poll(&mut context).is_pending());
/// channel.write(7)?;
/// assert_eq!(next.poll(&mut context), Poll::Ready(Ok(7)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct Recv<'a, E: Send + 'static, K: Kind = Exclusive> {
    receiver: &'a mut Receiver<E, K>,
}

impl<'a, E: Send + 'static, K: Kind> Recv<'a, E, K> {
    pub(super) fn new(receiver: &'a mut Receiver<E, K>) -> Self {
        Self { receiver }
    }
}

impl<E: Send + 'static, K: Kind> Future for Recv<'_, E, K> {
    type Output = Result<E, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.receiver.poll_recv(context)
    }
}

impl<E: Send + 'static, K: Kind> Drop for Recv<'_, E, K> {
    fn drop(&mut self) {
        self.receiver.intake.unregister();
    }
}

impl<E: Send + 'static, K: Kind> fmt::Debug for Recv<'_, E, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recv")
    }
}
