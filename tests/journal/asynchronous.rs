//! Reading as a task: futures, polls, and wakers that are neither lost nor leaked.

use crate::{books, event, journals, numbers, own};
use buslane::Journal;
use buslane::error::RecvError;
use buslane::journal::{Entry, Sequence, Start};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use test_support::{GUARD, WakeCount, block_on, ends, wait_for};

fn ready(place: u64) -> Poll<Result<Entry<u64>, RecvError>> {
    Poll::Ready(Ok(Entry::Event(Sequence::new(place), place)))
}

#[test]
fn task_reads_pending_events_then_the_end() {
    for mut pen in journals(64) {
        let mut reader = pen.feed().subscribe(Start::Now).unwrap();
        pen.all(0..2);
        pen.close();
        assert_eq!(block_on(reader.recv_async()).map(event), Ok((0, 0)));
        assert_eq!(block_on(poll_fn(|context| reader.poll_recv(context))).map(event), Ok((1, 1)));
        assert_eq!(block_on(reader.recv_async()), Err(RecvError::Closed));
        assert_eq!(block_on(poll_fn(|context| reader.poll_recv(context))), Err(RecvError::Closed));
    }
}

#[test]
fn waiting_task_is_woken_by_events_and_by_close() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let mut reader = feed.subscribe(Start::Now).unwrap();
        let (sender, seen) = mpsc::channel();
        let task = thread::spawn(move || {
            block_on(async {
                while let Ok(entry) = reader.recv_async().await {
                    sender.send(event(entry).1).unwrap();
                }
                (reader.recv_async().await, own(&reader).delivered)
            })
        });
        for n in 0..1000 {
            pen.publish(n).unwrap();
            if n % 3 == 0 {
                wait_for(|| feed.state().subscribers[0].behind == 0);
            }
        }
        pen.close();
        assert_eq!(ends(move || task.join().unwrap()), (Err(RecvError::Closed), 1000));
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), numbers(0..1000));
    }
}

#[test]
fn newest_waker_of_a_pending_poll_is_woken_once() {
    for mut pen in journals(64) {
        let mut reader = pen.feed().subscribe(Start::Now).unwrap();
        let ((old, old_waker), (new, new_waker)) = (WakeCount::waker(), WakeCount::waker());
        assert!(reader.poll_recv(&mut Context::from_waker(&old_waker)).is_pending());
        assert!(reader.poll_recv(&mut Context::from_waker(&new_waker)).is_pending());
        pen.all(0..2);
        assert_eq!((old.get(), new.get()), (0, 1));
        assert_eq!(reader.poll_recv(&mut Context::from_waker(&new_waker)), ready(0));
        assert_eq!(reader.recv().map(event), Ok((1, 1)));
        drop((old_waker, new_waker));
        assert_eq!((Arc::strong_count(&old), Arc::strong_count(&new)), (1, 1));
    }
}

#[test]
fn dropped_future_loses_no_event_and_keeps_no_waker() {
    for mut pen in journals(64) {
        let mut reader = pen.feed().subscribe(Start::Now).unwrap();
        let (count, waker) = WakeCount::waker();
        let mut context = Context::from_waker(&waker);
        drop(reader.recv_async());
        // Dropped while it waits: the next event wakes no task.
        assert!(pin!(reader.recv_async()).poll(&mut context).is_pending());
        pen.publish(0).unwrap();
        assert_eq!((count.get(), Arc::strong_count(&count)), (0, 2));
        assert_eq!(reader.recv().map(event), Ok((0, 0)));
        // Dropped after its task was woken: the event stays in the journal.
        {
            let mut future = pin!(reader.recv_async());
            assert!(future.as_mut().poll(&mut context).is_pending());
            pen.publish(1).unwrap();
            assert_eq!(count.get(), 1);
        }
        assert_eq!(block_on(reader.recv_async()).map(event), Ok((1, 1)));
        assert_eq!(own(&reader).delivered, 2);
    }
}

#[test]
fn dropped_waiting_subscriber_leaves_no_waker() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let (count, waker) = WakeCount::waker();
        for round in 0..10 {
            let mut readers = [(); 3].map(|()| feed.subscribe(Start::Now).unwrap());
            for reader in &mut readers {
                assert!(reader.poll_recv(&mut Context::from_waker(&waker)).is_pending());
            }
            let [first, mut second, third] = readers;
            drop((first, third));
            pen.publish(round).unwrap();
            assert_eq!(count.get() as u64, round + 1, "one task is still registered");
            assert_eq!(second.try_recv().map(event), Ok((round, round)));
        }
        assert_eq!(Arc::strong_count(&count), 2);
        books(&feed);
    }
}

#[test]
fn stale_waker_does_not_delay_a_blocking_read() {
    for wait in crate::STRATEGIES {
        for mut pen in journals(64) {
            let feed = pen.feed();
            let mut reader = feed.subscription().wait_strategy(wait).subscribe().unwrap();
            assert!(reader.poll_recv(&mut Context::from_waker(Waker::noop())).is_pending());
            let reading = thread::spawn(move || (reader.recv().map(event), reader.recv().map(event)));
            pen.publish(0).unwrap();
            wait_for(|| feed.state().subscribers.first().is_none_or(|reader| reader.behind == 0));
            pen.publish(1).unwrap();
            assert_eq!(ends(move || reading.join().unwrap()), (Ok((0, 0)), Ok((1, 1))));
        }
    }
}

#[test]
fn every_kind_of_end_wakes_a_waiting_task() {
    type End = Box<dyn FnOnce()>;
    let journal = Journal::<u64>::new(4).unwrap();
    let by_close = (journal.feed(), Box::new(move || journal.close()) as End);
    let journal = Journal::new(4).unwrap();
    let other = journal.clone();
    let by_the_last_handle = (journal.feed(), Box::new(move || drop((journal, other))) as End);
    let (writer, feed) = Journal::single(4).unwrap();
    let by_the_writers_close = (feed, Box::new(move || writer.close()) as End);
    let (writer, feed) = Journal::single(4).unwrap();
    let by_its_drop = (feed, Box::new(move || drop(writer)) as End);
    for (feed, end) in [by_close, by_the_last_handle, by_the_writers_close, by_its_drop] {
        let mut reader = feed.subscribe(Start::Now).unwrap();
        let (count, waker) = WakeCount::waker();
        assert!(reader.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        end();
        assert_eq!(count.get(), 1);
        assert_eq!(reader.poll_recv(&mut Context::from_waker(&waker)), Poll::Ready(Err(RecvError::Closed)));
    }
}

#[test]
fn one_publish_wakes_all_tasks_that_wait() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let (count, waker) = WakeCount::waker();
        let mut readers: Vec<_> = (0..100).map(|_| feed.subscribe(Start::Now).unwrap()).collect();
        for round in 0..5 {
            for reader in &mut readers {
                assert!(reader.poll_recv(&mut Context::from_waker(&waker)).is_pending());
            }
            pen.publish(round).unwrap();
            assert_eq!(count.get() as u64, 100 * (round + 1));
            for reader in &mut readers {
                assert_eq!(reader.poll_recv(&mut Context::from_waker(&waker)), ready(round));
            }
        }
        assert_eq!(Arc::strong_count(&count), 2, "no waker is left");
        books(&feed);
    }
}

#[test]
fn task_receives_the_lag() {
    for mut pen in journals(4) {
        let mut reader = pen.feed().subscribe(Start::Now).unwrap();
        pen.all(0..100);
        let Entry::Lagged(missed) = block_on(reader.recv_async()).unwrap() else {
            panic!("no lag was reported")
        };
        let (first, _) = event(block_on(reader.recv_async()).unwrap());
        assert_eq!(first, missed);
    }
}

#[test]
fn tasks_and_threads_wait_side_by_side() {
    for mut pen in journals(64) {
        let (feed, (sender, acks)) = (pen.feed(), mpsc::channel());
        let readers: Vec<_> = (0..8)
            .map(|index| {
                let (mut reader, sender) = (feed.subscribe(Start::Now).unwrap(), sender.clone());
                thread::spawn(move || {
                    loop {
                        let read = if index % 2 == 0 { block_on(reader.recv_async()) } else { reader.recv() };
                        let Ok(entry) = read else { return own(&reader).delivered };
                        sender.send(event(entry).1).unwrap();
                    }
                })
            })
            .collect();
        for round in 0..200 {
            pen.publish(round).unwrap();
            assert!((0..8).all(|_| acks.recv_timeout(GUARD) == Ok(round)));
        }
        pen.close();
        assert!(readers.into_iter().all(|reader| ends(move || reader.join().unwrap()) == 200));
    }
}
