//! How both kinds of receiver read: one event at a time, waiting for it or not.

use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::mailbox::intake::Intake;
use crate::mailbox::{End, Find};
use crate::time::Deadline;
use std::task::{Context, Poll};

/// A read that does not wait for events.
#[inline]
pub(super) fn try_recv<E: Send + 'static>(from: &mut impl Intake<E>) -> Result<E, TryRecvError> {
    attempt(from, Find::Written)
}

#[inline]
fn attempt<E: Send + 'static>(from: &mut impl Intake<E>, find: Find) -> Result<E, TryRecvError> {
    if let Some(event) = from.take(find) {
        return Ok(event);
    }
    Err(match from.drained() {
        None => TryRecvError::Empty,
        Some(End::Overflowed) => TryRecvError::Overflowed,
        Some(_) => TryRecvError::Closed,
    })
}

#[inline]
pub(super) fn recv<E: Send + 'static>(from: &mut impl Intake<E>) -> Result<E, RecvError> {
    from.linger_when_dry();
    loop {
        match attempt(from, Find::Filled) {
            Ok(event) => return Ok(event),
            Err(TryRecvError::Empty) => from.wait(None, |_| false),
            Err(TryRecvError::Closed) => return Err(RecvError::Closed),
            Err(TryRecvError::Overflowed) => return Err(RecvError::Overflowed),
        }
    }
}

pub(super) fn recv_until<E: Send + 'static>(
    from: &mut impl Intake<E>,
    deadline: Deadline,
) -> Result<E, RecvTimeoutError> {
    from.linger_when_dry();
    loop {
        // Asked first, so that whoever was woken at the last moment still looks.
        let left = deadline.remaining();
        let over = left.is_some_and(|left| left.is_zero());
        // No wait follows the last attempt, so it finds what a read finds that does not wait.
        match attempt(from, if over { Find::Written } else { Find::Filled }) {
            Ok(event) => return Ok(event),
            Err(TryRecvError::Closed) => return Err(RecvTimeoutError::Closed),
            Err(TryRecvError::Overflowed) => return Err(RecvTimeoutError::Overflowed),
            Err(TryRecvError::Empty) if over => return Err(RecvTimeoutError::Timeout),
            Err(TryRecvError::Empty) => from.wait(left, |_| false),
        }
    }
}

pub(super) fn poll_recv<E: Send + 'static>(
    from: &mut impl Intake<E>,
    context: &mut Context<'_>,
) -> Poll<Result<E, RecvError>> {
    loop {
        // A pending task is parked: the writer that fills the oldest position wakes it.
        match attempt(from, Find::Filled) {
            Ok(event) => return Poll::Ready(Ok(event)),
            Err(TryRecvError::Closed) => return Poll::Ready(Err(RecvError::Closed)),
            Err(TryRecvError::Overflowed) => return Poll::Ready(Err(RecvError::Overflowed)),
            Err(TryRecvError::Empty) => {}
        }
        if from.register(context.waker()) {
            return Poll::Pending;
        }
    }
}
