//! A task as the reader.

use super::{channel, lane, push};
use buslane::channel::SharedReceiver;
use buslane::error::RecvError;
use buslane::{Channel, Overflow, WaitStrategy};
use loom_tests::{Lives, Task, Tracked, model, thread};
use std::task::{Context, Poll};

/// Receives the next event as a task.
pub(super) fn recv_as_task(
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<Result<Tracked, RecvError>>,
) -> Result<usize, RecvError> {
    let (task, waker) = Task::new();
    loop {
        match poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome.map(|event| event.id()),
            Poll::Pending => task.sleep(),
        }
    }
}

#[test]
fn lane_push_wakes_a_pending_task() {
    // The push wakes a waiting task, or the task finds the event. Fails when the fence of
    // `Lane::push` or of `WaitCell::register` is missing.
    model(|| {
        let lives = Lives::new(1);
        let (channel, mut receiver) = channel(1, Overflow::DropNewest);
        let (mut lane, value) = (lane(&channel), lives.value(0));
        let publisher = thread::spawn(move || assert!(push(&mut lane, value)));
        assert_eq!(recv_as_task(|context| receiver.poll_recv(context)), Ok(0));
        publisher.join().unwrap();
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn close_wakes_a_pending_task() {
    // A waiting task learns of the end. Fails when the seal does not wake, or when its wake has no
    // fence.
    model(|| {
        let (channel, mut receiver) = channel(1, Overflow::DropNewest);
        let closer = channel.clone();
        let closer = thread::spawn(move || closer.close());
        assert_eq!(recv_as_task(|context| receiver.poll_recv(context)), Err(RecvError::Closed));
        closer.join().unwrap();
    });
}

fn shared_channel() -> (Channel<Tracked>, SharedReceiver<Tracked>) {
    Channel::builder().capacity(1).wait_strategy(WaitStrategy::Park).build_shared().expect("a small channel")
}

#[test]
fn lane_push_wakes_a_task_of_a_shared_channel() {
    // As above, where the task parks in the crowd. Fails when the fence of `Signals::wake` or of
    // `Crowd::register` is missing, or when `Member::register` does not check again.
    model(|| {
        let lives = Lives::new(1);
        let (channel, mut receiver) = shared_channel();
        let (mut lane, value) = (lane(&channel), lives.value(0));
        let publisher = thread::spawn(move || assert!(push(&mut lane, value)));
        assert_eq!(recv_as_task(|context| receiver.poll_recv(context)), Ok(0));
        publisher.join().unwrap();
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn close_wakes_a_task_of_a_shared_channel() {
    // As above. Fails when the seal does not wake, or when `Member::register` does not check for
    // the end again.
    model(|| {
        let (channel, mut receiver) = shared_channel();
        let closer = channel.clone();
        let closer = thread::spawn(move || closer.close());
        assert_eq!(recv_as_task(|context| receiver.poll_recv(context)), Err(RecvError::Closed));
        closer.join().unwrap();
    });
}
