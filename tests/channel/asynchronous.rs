//! Reading as a task: futures, polls, and wakers that are neither lost nor leaked.

use crate::filled;
use buslane::error::{RecvError, RecvTimeoutError, TryRecvError};
use buslane::{Channel, Overflow};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use test_support::{Entry, GUARD, WAYS, WakeCount, Way, assert_balanced, block_on, ends, wait_for};

#[test]
fn task_reads_pending_events_then_the_end() {
    for way in WAYS {
        let (channel, mut receiver, _entry) = filled(way, 2);
        channel.close();
        assert_eq!(block_on(receiver.recv_async()), Ok(0));
        assert_eq!(block_on(poll_fn(|context| receiver.poll_recv(context))), Ok(1));
        assert_eq!(block_on(receiver.recv_async()), Err(RecvError::Closed));
        assert_eq!(block_on(poll_fn(|context| receiver.poll_recv(context))), Err(RecvError::Closed));
    }
}

#[test]
fn waiting_task_is_woken_by_events_and_by_close() {
    for way in WAYS {
        let (channel, mut receiver, mut entry) = filled(way, 0);
        let (sender, seen) = mpsc::channel();
        let task = thread::spawn(move || {
            block_on(async {
                while let Ok(event) = receiver.recv_async().await {
                    sender.send(event).unwrap();
                }
                receiver.recv_async().await
            })
        });
        for event in 0..1000 {
            entry.write(event).unwrap();
            if event % 3 == 0 {
                wait_for(|| channel.state().ledger.delivered == event + 1);
            }
        }
        channel.close();
        assert_eq!(ends(move || task.join().unwrap()), Err(RecvError::Closed), "{way:?}");
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
    }
}

#[test]
fn task_drains_a_blocking_channel_in_order() {
    for way in WAYS {
        let (channel, mut receiver) =
            Channel::builder().capacity(2).overflow(Overflow::Block).build().unwrap();
        let mut entry = Entry::into(&channel, way);
        let writer = thread::spawn(move || (0..10_000_u64).for_each(|event| entry.write(event).unwrap()));
        let read = ends(move || {
            block_on(async {
                for expected in 0..10_000 {
                    assert_eq!(receiver.recv_async().await, Ok(expected));
                }
                receiver
            })
        });
        writer.join().unwrap();
        assert!(read.is_empty());
        assert_eq!(assert_balanced(&channel.state()).delivered, 10_000);
    }
}

#[test]
fn newest_waker_of_a_pending_poll_is_woken_once() {
    for way in WAYS {
        let (_channel, mut receiver, mut entry) = filled(way, 0);
        let ((old, old_waker), (new, new_waker)) = (WakeCount::waker(), WakeCount::waker());
        assert!(receiver.poll_recv(&mut Context::from_waker(&old_waker)).is_pending());
        assert!(receiver.poll_recv(&mut Context::from_waker(&new_waker)).is_pending());
        entry.write(1).unwrap();
        entry.write(2).unwrap();
        assert_eq!((old.get(), new.get()), (0, 1), "{way:?}");
        assert_eq!(receiver.poll_recv(&mut Context::from_waker(&new_waker)), Poll::Ready(Ok(1)));
        assert_eq!(receiver.recv(), Ok(2));
        drop((old_waker, new_waker));
        assert_eq!((Arc::strong_count(&old), Arc::strong_count(&new)), (1, 1));
    }
}

#[test]
fn dropped_future_loses_no_event_and_keeps_no_waker() {
    for way in WAYS {
        let (_channel, mut receiver, mut entry) = filled(way, 0);
        let (count, waker) = WakeCount::waker();
        let mut context = Context::from_waker(&waker);
        drop(receiver.recv_async());
        // Dropped while it waits: the next event wakes no task.
        assert!(pin!(receiver.recv_async()).poll(&mut context).is_pending());
        entry.write(1).unwrap();
        assert_eq!((count.get(), Arc::strong_count(&count)), (0, 2), "{way:?}");
        assert_eq!(receiver.recv(), Ok(1));
        // Dropped after its task was woken: the event stays in the channel.
        {
            let mut future = pin!(receiver.recv_async());
            assert!(future.as_mut().poll(&mut context).is_pending());
            entry.write(2).unwrap();
            assert_eq!(count.get(), 1);
        }
        assert_eq!(block_on(receiver.recv_async()), Ok(2));
    }
}

#[test]
fn stale_waker_does_not_delay_a_blocking_read() {
    for way in WAYS {
        let (channel, mut receiver, mut entry) = filled(way, 0);
        assert!(receiver.poll_recv(&mut Context::from_waker(Waker::noop())).is_pending());
        let reader = thread::spawn(move || (receiver.recv(), receiver.recv()));
        entry.write(1).unwrap();
        wait_for(|| channel.state().ledger.delivered == 1);
        entry.write(2).unwrap();
        assert_eq!(ends(move || reader.join().unwrap()), (Ok(1), Ok(2)));
    }
}

#[test]
fn every_kind_of_end_wakes_a_waiting_task() {
    let (channel, mut receiver, entry) = filled(Way::Private, 0);
    let (count, waker) = WakeCount::waker();
    assert!(receiver.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    drop(channel);
    wait_for(|| count.get() > 0);
    assert_eq!(receiver.poll_recv(&mut Context::from_waker(&waker)), Poll::Ready(Err(RecvError::Closed)));
    drop(entry);

    let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Close).build().unwrap();
    let (sender, end) = mpsc::channel();
    let task = thread::spawn(move || {
        block_on(async {
            assert_eq!(receiver.recv_async().await, Ok(0));
            sender.send(None).unwrap();
            // The channel overflows meanwhile: the task reads the remaining events, then the end.
            while let Ok(event) = receiver.recv_async().await {
                assert_eq!(event, 1);
            }
            sender.send(Some(receiver.recv_async().await)).unwrap();
        });
    });
    let mut entry = Entry::into(&channel, Way::Private);
    entry.write(0).unwrap();
    assert_eq!(end.recv_timeout(GUARD), Ok(None));
    while entry.write(1).is_ok() {}
    assert_eq!(end.recv_timeout(GUARD), Ok(Some(Err(RecvError::Overflowed))));
    task.join().unwrap();
}

#[test]
fn tag_of_an_outcome_fills_a_word() {
    // A `Result` of an event and a smaller error has bytes between its tag and the event, which copies of
    // the result include: `RecvError` says what that costs.
    let word = align_of::<usize>();
    assert_eq!(align_of::<RecvError>(), word);
    assert_eq!(align_of::<TryRecvError>(), word);
    assert_eq!(align_of::<RecvTimeoutError>(), word);
}
