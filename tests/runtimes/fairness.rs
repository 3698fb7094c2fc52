//! A task that always finds an event lets other tasks of its thread run.

use crate::poll;
use buslane::channel::Kind;
use buslane::journal::Start;
use buslane::{Channel, Journal, Overflow, Receiver};
use futures::StreamExt;
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use test_support::{Entry, GUARD, WAYS, WakeCount, ends};

/// The most events in a row.
const TURN: u64 = 128;
const EVENTS: u64 = 1000;

/// Polls a task until it is ready. Returns the number of events after each poll.
fn turns<F: Future>(count: &Cell<u64>, task: F) -> Vec<u64> {
    let (wakes, waker) = WakeCount::waker();
    let mut task = pin!(task);
    let mut turns = Vec::new();
    loop {
        let polls = turns.len();
        let is_ready = poll(task.as_mut(), &waker).is_ready();
        turns.push(count.get());
        if is_ready {
            return turns;
        }
        assert_eq!(wakes.get(), polls + 1, "a task that is pending has woken itself");
    }
}

/// Checks that no poll got more events than a turn has.
fn assert_fair(turns: &[u64]) {
    assert_eq!(turns.last(), Some(&EVENTS));
    assert!(turns.len() as u64 > EVENTS / TURN, "{turns:?}");
    assert!(
        turns.iter().scan(0, |before, now| Some(now - std::mem::replace(before, *now))).all(|n| n <= TURN)
    );
}

async fn count_events<K: Kind>(receiver: &mut Receiver<u64, K>, count: &Cell<u64>) {
    while receiver.recv_async().await.is_ok() {
        count.set(count.get() + 1);
    }
}

#[test]
fn poll_reads_at_most_a_turn_from_a_channel() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        for way in WAYS {
            for is_stream in [false, true] {
                let (channel, mut receiver) =
                    Channel::builder().capacity(4096).overflow(overflow).build().unwrap();
                let mut entry = Entry::into(&channel, way);
                (0..EVENTS).for_each(|event| entry.write(event).unwrap());
                channel.close();
                let count = Cell::new(0);
                let turns = if is_stream {
                    turns(&count, receiver.by_ref().for_each(|_| async { count.set(count.get() + 1) }))
                } else {
                    turns(&count, count_events(&mut receiver, &count))
                };
                assert_fair(&turns);
            }
        }
    }
}

#[test]
fn poll_reads_at_most_a_turn_from_a_shared_channel() {
    let (channel, mut receiver) = Channel::shared_lossy(4096).unwrap();
    let mut entry = Entry::into(&channel, test_support::Way::Shared);
    (0..EVENTS).for_each(|event| entry.write(event).unwrap());
    channel.close();
    let count = Cell::new(0);
    assert_fair(&turns(&count, count_events(&mut receiver, &count)));
}

#[test]
fn poll_reads_at_most_a_turn_from_a_journal() {
    for is_stream in [false, true] {
        let journal = Journal::new(4096).unwrap();
        let mut subscriber = journal.subscribe(Start::Now).unwrap();
        journal.publish_batch((0..EVENTS).collect::<Vec<_>>()).unwrap();
        journal.close();
        let count = Cell::new(0);
        let turns = if is_stream {
            turns(&count, subscriber.by_ref().for_each(|_| async { count.set(count.get() + 1) }))
        } else {
            turns(&count, async {
                while subscriber.recv_async().await.is_ok() {
                    count.set(count.get() + 1);
                }
            })
        };
        assert_fair(&turns);
    }
}

#[test]
fn polls_after_a_synchronous_read_are_fair() {
    type Read = fn(&mut Receiver<u64>);
    let reads: [(&str, Read); 7] = [
        ("try_recv", |receiver| assert_eq!(receiver.try_recv(), Ok(0))),
        ("recv", |receiver| assert_eq!(receiver.recv(), Ok(0))),
        ("recv_timeout", |receiver| assert_eq!(receiver.recv_timeout(GUARD), Ok(0))),
        ("try_iter", |receiver| assert_eq!(receiver.try_iter().next(), Some(0))),
        ("iter", |receiver| assert_eq!(receiver.iter().next(), Some(0))),
        ("drain", |receiver| assert_eq!(receiver.drain().next(), Some(0))),
        ("recv_batch", |receiver| assert_eq!(receiver.recv_batch(&mut Vec::new(), 1), Ok(1))),
    ];
    for (name, read) in reads {
        for way in WAYS {
            for is_stream in [false, true] {
                let (channel, mut receiver) = Channel::lossy(4096).unwrap();
                let mut entry = Entry::into(&channel, way);
                (0..EVENTS).for_each(|event| entry.write(event).unwrap());
                channel.close();
                read(&mut receiver);
                let count = Cell::new(1);
                let turns = if is_stream {
                    turns(&count, receiver.by_ref().for_each(|_| async { count.set(count.get() + 1) }))
                } else {
                    turns(&count, count_events(&mut receiver, &count))
                };
                assert!(turns[0] <= 1 + TURN, "{name}, {way:?}: {turns:?}");
                assert_fair(&turns);
            }
        }
    }
}

#[test]
fn poll_judges_at_most_a_turn_of_unwanted_events() {
    let judged = Arc::new(AtomicU64::new(0));
    let count = judged.clone();
    let journal = Journal::new(4096).unwrap();
    let filter = move |event: &u64| {
        count.fetch_add(1, Ordering::Relaxed);
        *event == EVENTS - 1
    };
    let mut subscriber = journal.subscription().filter(filter).subscribe().unwrap();
    journal.publish_batch((0..EVENTS).collect::<Vec<_>>()).unwrap();
    let (wakes, waker) = WakeCount::waker();
    let mut context = std::task::Context::from_waker(&waker);
    let mut polls = 0;
    let entry = loop {
        let before = judged.load(Ordering::Relaxed);
        let next = subscriber.poll_recv(&mut context);
        assert!(judged.load(Ordering::Relaxed) - before <= TURN);
        match next {
            Poll::Ready(entry) => break entry,
            Poll::Pending => polls += 1,
        }
        assert_eq!(wakes.get(), polls, "a task that is pending has woken itself");
    };
    assert_eq!(entry.map(|entry| entry.event()), Ok(Some(EVENTS - 1)));
    assert_eq!(judged.load(Ordering::Relaxed), EVENTS, "each event is judged once");
    assert!(subscriber.poll_recv(&mut context).is_pending());
    assert_eq!(wakes.get(), polls, "only the next event wakes the task");
    // A read that is no poll judges all of them.
    journal.publish_batch(vec![0; EVENTS as usize]).unwrap();
    assert!(subscriber.try_recv().is_err());
    assert_eq!(subscriber.behind(), 0);
}

#[test]
fn pending_read_begins_a_new_turn() {
    let (channel, mut receiver) = Channel::lossy(4096).unwrap();
    let mut entry = Entry::into(&channel, test_support::Way::Private);
    let (wakes, waker) = WakeCount::waker();
    let mut context = std::task::Context::from_waker(&waker);
    for round in 1..=10 {
        (0..TURN - 1).for_each(|event| entry.write(event).unwrap());
        (0..TURN - 1).for_each(|_| assert!(receiver.poll_recv(&mut context).is_ready()));
        assert!(receiver.poll_recv(&mut context).is_pending());
        assert_eq!(wakes.get(), round - 1, "only the next event wakes the task");
    }
}

#[test]
fn reading_task_runs_beside_another_task() {
    ends(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let tasks = tokio::task::LocalSet::new();
        let (channel, mut receiver) = Channel::lossy(4096).unwrap();
        let mut entry = Entry::into(&channel, test_support::Way::Private);
        (0..EVENTS).for_each(|event| entry.write(event).unwrap());
        channel.close();
        let count = Rc::new(Cell::new(0));
        let reads = count.clone();
        tasks.block_on(&runtime, async move {
            let reader = tokio::task::spawn_local(async move { count_events(&mut receiver, &reads).await });
            let other = tokio::task::spawn_local(async move {
                let mut between = 0;
                while count.get() < EVENTS {
                    between += usize::from(count.get() > 0);
                    tokio::task::yield_now().await;
                }
                between
            });
            reader.await.unwrap();
            let between = other.await.unwrap();
            assert!(between > 0, "the other task ran while events were left");
        });
    });
}
