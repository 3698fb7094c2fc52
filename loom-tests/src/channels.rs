//! The channels of the scenarios: small, and with a reader that parks.

use buslane::error::TryRecvError;
use buslane::{Channel, Overflow, Receiver, WaitStrategy};

/// Returns a channel and its receiver.
///
/// # Panics
/// If the capacity is 0.
#[must_use]
pub fn channel<E: Send + 'static>(capacity: usize, overflow: Overflow) -> (Channel<E>, Receiver<E>) {
    let builder = Channel::builder().capacity(capacity).overflow(overflow);
    builder.wait_strategy(WaitStrategy::Park).build().expect("a small channel")
}

/// Takes the remaining events from a channel that no thread writes to.
///
/// # Panics
/// If a full lane has closed the channel ([`Overflow::Close`]).
pub fn left<E: Send + 'static>(receiver: &mut Receiver<E>) -> Vec<E> {
    let mut got = Vec::new();
    loop {
        match receiver.try_recv() {
            Ok(event) => got.push(event),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return got,
            Err(error) => panic!("{error}"),
        }
    }
}
