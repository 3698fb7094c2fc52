//! Tasks that wait on lists: for room, for a flush, for an end.
//!
//! A task enters the list where a thread enters, and its poll takes the place of a return from a
//! park: `src/wait/list/task.rs`. All scenarios have three preemptions, except those that state
//! another bound.

use buslane::time::Deadline;
use buslane::{Bus, Channel, Journal, Overflow, Publisher, Receiver, Sink, SinkId, WaitStrategy};
use loom_tests::channels::channel;
use loom_tests::{Task, before, model, model_with, thread};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Runs a future as a task of its own.
fn run<F: Future>(future: F) -> F::Output {
    let ((task, waker), mut future) = (Task::new(), pin!(future));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => task.sleep(),
        }
    }
}

/// Returns a bus with a full channel, and the publisher for which it is full.
fn full() -> (Bus<u32>, SinkId, Publisher<u32>, Receiver<u32>) {
    before(|| {
        let bus = Bus::new();
        let (channel, receiver) = channel(1, Overflow::Block);
        let id = bus.add(channel).expect("open");
        let mut publisher = bus.publisher();
        assert_eq!(publisher.try_publish(0).expect("room").accepted, 1);
        (bus, id, publisher, receiver)
    })
}

#[test]
fn read_wakes_a_reserving_task() {
    // The reader frees the slot before the task has entered the list, and the task finds it; or
    // after that, and wakes the task. Fails when the heavy fence of `TaskWait::poll` or the light one
    // of `WaitList::waiting` is missing, or when the poll does not check again after its entry.
    model(|| {
        let (bus, _, mut publisher, mut receiver) = full();
        let task = thread::spawn(move || {
            let permit = run(publisher.reserve()).expect("the bus is open");
            assert_eq!(permit.publish(1).expect("room").accepted, 1);
        });
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(0), Ok(1)));
        task.join().unwrap();
        drop(bus);
    });
}

#[test]
fn close_ends_a_reservation() {
    // The task learns of the end of the bus, or gets a permit while the lanes are sealed, with which it
    // publishes into none. Fails when the seal does not notify, or when the wait for room does not end
    // with a sealed lane.
    model(|| {
        let (bus, _, mut publisher, receiver) = full();
        let task = thread::spawn(move || {
            if let Ok(permit) = run(publisher.reserve()) {
                assert!(permit.publish(1).is_err());
            }
        });
        assert!(bus.close().is_done());
        task.join().unwrap();
        drop(receiver);
    });
}

#[test]
fn removal_ends_a_reservation() {
    // The task no longer waits for a sink that was removed, and its permit publishes into none. Fails
    // when the seal of one lane does not notify the waiter of that lane. Held to two preemptions.
    model_with(2, || {
        let (bus, id, mut publisher, receiver) = full();
        let task = thread::spawn(move || {
            let permit = run(publisher.reserve()).expect("the bus is open");
            assert_eq!(permit.publish(1).expect("open").accepted, 0);
        });
        bus.remove(id).expect("it was added");
        task.join().unwrap();
        drop((bus, receiver));
    });
}

#[test]
fn dropped_receiver_ends_a_reservation() {
    // As above, when the reader goes away. Held to two preemptions.
    model_with(2, || {
        let (bus, _, mut publisher, receiver) = full();
        let task = thread::spawn(move || {
            let permit = run(publisher.reserve()).expect("the bus is open");
            assert!(permit.publish(1).is_err(), "its only sink is closed");
        });
        drop(receiver);
        task.join().unwrap();
        drop(bus);
    });
}

/// Returns a full channel into which several writers write, and its only receiver.
fn full_shared() -> (Channel<u32>, buslane::channel::SharedReceiver<u32>) {
    before(|| {
        let builder = Channel::builder().capacity(1).overflow(Overflow::Block);
        let (channel, receiver) =
            builder.wait_strategy(WaitStrategy::Park).build_shared().expect("a channel");
        channel.write(0).expect("room");
        (channel, receiver)
    })
}

/// Lets a task wait first for room in a full channel, and then `other`. The task is dropped while a
/// reader frees the slot, for which it may have been woken: `other` writes all the same.
fn cancel_beside(other: impl FnOnce(&Channel<u32>) + Send + 'static) {
    let (channel, mut receiver) = full_shared();
    let mut write = Box::pin(channel.write_async(1));
    let first = before(|| write.as_mut().poll(&mut Context::from_waker(Waker::noop())));
    assert!(first.is_pending());
    let writer = channel.clone();
    let patient = thread::spawn(move || other(&writer));
    let reader = thread::spawn(move || {
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(0), Ok(2)));
    });
    drop(write);
    patient.join().unwrap();
    reader.join().unwrap();
    drop(channel);
}

#[test]
fn cancelled_write_leaves_the_room_to_another_task() {
    // Fails when the drop of `TaskWait` does not pass the wake-up on: a deadlock. Held to two
    // preemptions.
    model_with(2, || cancel_beside(|channel| run(channel.write_async(2)).expect("open")));
}

#[test]
fn cancelled_task_leaves_the_room_to_a_thread() {
    // As above, beside a thread on the same list.
    model_with(2, || cancel_beside(|channel| channel.write(2).expect("open")));
}

/// Returns a bus with a full channel that its two publishers share, and the only receiver.
fn full_shared_bus() -> (Bus<u32>, [Publisher<u32>; 2], buslane::channel::SharedReceiver<u32>) {
    let (channel, receiver) = full_shared();
    before(|| {
        let bus = Bus::new();
        bus.add(channel).expect("open");
        let publishers = [bus.publisher(), bus.publisher()];
        (bus, publishers, receiver)
    })
}

/// Lets a task wait first for room with a reservation, and then `other` for the same room. While a
/// reader frees the slot, the reservation is dropped, or its permit: `other` publishes all the same.
fn end_reservation_beside(
    takes_permit: bool,
    other: impl FnOnce(&mut Publisher<u32>) -> usize + Send + 'static,
) {
    let (bus, [mut first, mut second], mut receiver) = full_shared_bus();
    let mut reserve = Box::pin(first.reserve());
    before(|| assert!(reserve.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()));
    let patient = thread::spawn(move || assert_eq!(other(&mut second), 1));
    let reader = thread::spawn(move || {
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(0), Ok(2)));
    });
    if takes_permit {
        drop(run(reserve).expect("the bus is open"));
    } else {
        drop(reserve);
    }
    patient.join().unwrap();
    reader.join().unwrap();
    drop((first, bus));
}

/// Publishes with a reservation. Returns how many sinks have the event.
async fn publish_reserved_async(publisher: &mut Publisher<u32>) -> usize {
    publisher.reserve().await.expect("the bus is open").publish(2).expect("room").accepted
}

fn publish_reserved(publisher: &mut Publisher<u32>) -> usize {
    run(publish_reserved_async(publisher))
}

#[test]
fn cancelled_reservation_leaves_the_room_to_another() {
    // Fails when the drop of `TaskWait` does not pass the wake-up on: a deadlock. Held to two
    // preemptions.
    model_with(2, || end_reservation_beside(false, publish_reserved));
}

#[test]
fn unused_permit_leaves_the_room_to_another() {
    // The other publisher enters the list meanwhile, as a task or as a thread. Held to one preemption,
    // since two took more than five minutes in a build with little optimization.
    model_with(1, || end_reservation_beside(true, publish_reserved));
    model_with(1, || {
        end_reservation_beside(true, |publisher| publisher.publish(2).expect("open").accepted);
    });
}

#[test]
fn unused_permit_wakes_the_next_publisher() {
    // Both publishers wait, and the first is woken. Its permit holds the wake-up, which the drop gives
    // to the second. Fails when the permit does not take the wait of the reservation over, or when the
    // drop of `TaskWait` does not pass the wake-up on: a deadlock. Held to two preemptions.
    model_with(2, || {
        let (bus, [mut first, mut second], mut receiver) = full_shared_bus();
        let ((first_task, first_waker), (task, waker)) = (Task::new(), Task::new());
        let mut reserve = Box::pin(first.reserve());
        let mut publish = Box::pin(async move { publish_reserved_async(&mut second).await });
        before(|| {
            assert!(reserve.as_mut().poll(&mut Context::from_waker(&first_waker)).is_pending());
            assert!(publish.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        });
        let patient = thread::spawn(move || {
            task.sleep();
            assert_eq!(run(publish), 1);
        });
        let reader = thread::spawn(move || {
            assert_eq!((receiver.recv(), receiver.recv()), (Ok(0), Ok(2)));
        });
        first_task.sleep();
        drop(run(reserve).expect("open"));
        patient.join().unwrap();
        reader.join().unwrap();
        drop((first, bus));
    });
}

#[test]
fn close_wakes_a_task_that_waits_for_it() {
    // Of a channel, a bus and a journal. Fails when the close does not notify, when the heavy fence of
    // `TaskWait::poll` is missing, or when the poll does not check again after its entry.
    model(|| {
        let (channel, receiver) = channel::<u32>(1, Overflow::DropNewest);
        let closed = channel.closed();
        let task = thread::spawn(move || run(closed));
        channel.close();
        task.join().unwrap();
        drop(receiver);
    });
    model(|| {
        let bus = Bus::<u32>::new();
        let closed = bus.closed();
        let task = thread::spawn(move || run(closed));
        assert!(bus.close().is_done());
        task.join().unwrap();
    });
    model(|| {
        let journal = Journal::<u32>::new(1).expect("a small journal");
        let closed = journal.closed();
        let task = thread::spawn(move || run(closed));
        journal.close();
        task.join().unwrap();
    });
}

#[test]
fn read_ends_a_flush_of_a_task() {
    // The reader reaches the goal before the task has entered the list, or wakes it. Fails when a
    // fence of the list is missing, or when the poll does not check again after its entry.
    model(|| {
        let (channel, mut receiver) = channel(2, Overflow::DropNewest);
        before(|| channel.write(0).expect("room"));
        let flush = channel.flush_async();
        let task = thread::spawn(move || assert!(run(flush).is_done()));
        assert_eq!(receiver.recv(), Ok(0));
        task.join().unwrap();
        drop(channel);
    });
}

#[test]
fn cancelled_flush_leaves_its_duty_to_a_thread() {
    // The task may be the scout that a report wakes, and is dropped: the thread, whose goal the
    // report has reached, is woken all the same. Fails when the drop does not check the goals of
    // others: a deadlock. Held to two preemptions.
    model_with(2, || {
        let (channel, mut receiver) = channel(2, Overflow::DropNewest);
        before(|| channel.write(0).expect("room"));
        let flush = channel.flush_async();
        let cancelled = thread::spawn(move || {
            let mut flush = pin!(flush);
            let _ = flush.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        });
        let other = channel.clone();
        let patient = thread::spawn(move || {
            let mut report = buslane::stats::FlushReport::default();
            other.flush_by(Deadline::NEVER, &mut report);
            assert!(report.is_done());
        });
        assert_eq!(receiver.recv(), Ok(0));
        cancelled.join().unwrap();
        patient.join().unwrap();
        drop(channel);
    });
}

#[test]
fn kept_task_stalls_no_other_flush() {
    // One report reaches the goals of two tasks, of which one is neither polled nor dropped. Fails when
    // a task may be the scout, or when the thread that reports does not check the goals of tasks: a
    // deadlock.
    model(|| {
        let (channel, mut receiver) = channel(2, Overflow::DropNewest);
        let mut kept = Box::pin(channel.flush_async());
        before(|| {
            channel.write(0).expect("room");
            assert!(kept.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        });
        let flush = channel.flush_async();
        let task = thread::spawn(move || assert!(run(flush).is_done()));
        assert_eq!(receiver.recv(), Ok(0));
        task.join().unwrap();
        drop((kept, channel));
    });
}

#[test]
fn two_readers_end_a_flush_of_a_task() {
    // The goal needs the reports of two threads, each of which may check it before it sees the progress
    // of the other one. Held to two preemptions. `store_buffer` has the asymmetric pair.
    model_with(2, || {
        let (channel, receiver) = before(|| {
            let builder = Channel::builder().capacity(2).wait_strategy(WaitStrategy::Park);
            let (channel, receiver) = builder.build_shared().expect("a channel");
            (0..2).for_each(|event| channel.write(event).expect("room"));
            (channel, receiver)
        });
        let flush = channel.flush_async();
        let readers = [receiver.clone(), receiver].map(|mut receiver| {
            thread::spawn(move || {
                assert!(receiver.recv().is_ok());
                receiver
            })
        });
        assert!(run(flush).is_done());
        let readers = readers.map(|reader| reader.join().unwrap());
        drop((readers, channel));
    });
}

#[test]
fn removal_ends_a_wait_inside_a_kept_bus() {
    // The task waits in a lane of the inner bus, which a removal from the outer one does not seal. Fails
    // when the removal does not notify, when the task does not check the sink after its entry, or when
    // the heavy fence of `TaskWait::poll` is missing. Held to two preemptions.
    model_with(2, || {
        let (outer, inner, id, mut publisher, receiver) = before(|| {
            let (outer, inner) = (Bus::new(), Bus::new());
            let (channel, receiver) = channel(1, Overflow::Block);
            inner.add(channel).expect("open");
            let id = outer.add(inner.clone()).expect("open");
            let mut publisher = outer.publisher();
            assert_eq!(publisher.try_publish(0).expect("room").accepted, 1);
            (outer, inner, id, publisher, receiver)
        });
        let task = thread::spawn(move || {
            let permit = run(publisher.reserve()).expect("the bus is open");
            assert_eq!(permit.publish(1).map_or(0, |published| published.accepted), 0);
        });
        outer.remove(id).expect("it was added");
        task.join().unwrap();
        drop((outer, inner, receiver));
    });
}

#[test]
fn removal_ends_a_wait_for_shared_room() {
    // The lane of the publisher has no ring: its seal wakes the task by the entry of the lane. Fails
    // when the seal does not notify that waiter, or when the wait does not end with a sealed lane. Held
    // to two preemptions.
    model_with(2, || {
        let (channel, receiver) = full_shared();
        let (bus, id, mut publisher) = before(|| {
            let bus = Bus::new();
            let id = bus.add(channel.clone()).expect("open");
            let publisher = bus.publisher();
            (bus, id, publisher)
        });
        let task = thread::spawn(move || {
            let permit = run(publisher.reserve()).expect("the bus is open");
            assert_eq!(permit.publish(1).map_or(0, |published| published.accepted), 0);
        });
        bus.remove(id).expect("it was added");
        task.join().unwrap();
        drop((bus, channel, receiver));
    });
}

#[test]
fn gating_subscriber_wakes_a_publishing_task() {
    // The subscriber advances before the task is on the list of the gates, or wakes it. Fails when the
    // subscriber does not notify the gates, when a fence of the list is missing, or when the poll does
    // not check again after its entry. Held to two preemptions.
    model_with(2, || {
        let (journal, mut subscriber, full) = before(|| {
            let journal = Journal::<u64>::new(1).expect("a small journal");
            let subscriber = journal.subscription().gating().subscribe().expect("open");
            let full = (0..).find(|event| journal.try_publish(*event).is_err()).expect("a gate");
            (journal, subscriber, full)
        });
        let publishing = journal.clone();
        let task = thread::spawn(move || {
            assert_eq!(run(publishing.publish_async(full)).expect("open").get(), full);
        });
        for _ in 0..=full {
            assert!(subscriber.recv().is_ok());
        }
        task.join().unwrap();
        drop((journal, subscriber));
    });
}
