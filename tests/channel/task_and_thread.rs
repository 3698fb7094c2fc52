//! One reader that is polled as a task and then blocks a thread. The blocking read replaces the
//! task that was polled before, under every wait strategy, and neither loses a wake-up.

use buslane::channel::SharedReceiver;
use buslane::{Channel, Journal, Receiver, Sink, WaitStrategy};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;
use test_support::{GUARD, wait_for};

const STRATEGIES: [WaitStrategy; 6] = [
    WaitStrategy::nap(),
    WaitStrategy::Nap { nap: Duration::from_millis(1), park_after: Duration::MAX },
    WaitStrategy::SpinPark,
    WaitStrategy::Park,
    WaitStrategy::Poll { busy: Duration::from_micros(100), idle: Duration::from_millis(5) },
    WaitStrategy::BusySpin,
];

/// A task that counts how often it is woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A reader of numbered events.
trait Reads: Send + 'static {
    /// Polls once, and returns the event if there is one.
    fn poll(&mut self, context: &mut Context<'_>) -> Option<u64>;
    /// Polls the future once and drops it.
    fn poll_future(&mut self, context: &mut Context<'_>) -> Option<u64>;
    /// Blocks for the next event.
    fn block(&mut self, timed: bool) -> u64;
}

macro_rules! channel_reader {
    ($reader:ident) => {
        impl Reads for $reader<u64> {
            fn poll(&mut self, context: &mut Context<'_>) -> Option<u64> {
                match self.poll_recv(context) {
                    Poll::Ready(event) => Some(event.unwrap()),
                    Poll::Pending => None,
                }
            }

            fn poll_future(&mut self, context: &mut Context<'_>) -> Option<u64> {
                match std::pin::pin!(self.recv_async()).poll(context) {
                    Poll::Ready(event) => Some(event.unwrap()),
                    Poll::Pending => None,
                }
            }

            fn block(&mut self, timed: bool) -> u64 {
                if timed { self.recv_timeout(GUARD).unwrap() } else { self.recv().unwrap() }
            }
        }
    };
}

channel_reader!(Receiver);
channel_reader!(SharedReceiver);

impl Reads for buslane::Subscriber<u64> {
    fn poll(&mut self, context: &mut Context<'_>) -> Option<u64> {
        match self.poll_recv(context) {
            Poll::Ready(entry) => entry.unwrap().event(),
            Poll::Pending => None,
        }
    }

    fn poll_future(&mut self, context: &mut Context<'_>) -> Option<u64> {
        match std::pin::pin!(self.recv_async()).poll(context) {
            Poll::Ready(entry) => entry.unwrap().event(),
            Poll::Pending => None,
        }
    }

    fn block(&mut self, timed: bool) -> u64 {
        let entry = if timed { self.recv_timeout(GUARD).unwrap() } else { self.recv().unwrap() };
        entry.event().unwrap()
    }
}

/// Polls, blocks, and polls again.
fn mix<R: Reads>(mut reader: R, write: impl Fn(u64), name: &str) {
    for timed in [false, true] {
        let left_behind = Arc::new(Task::default());
        let waker = Waker::from(left_behind.clone());
        assert_eq!(reader.poll(&mut Context::from_waker(&waker)), None, "{name}");
        drop(waker);
        assert_eq!(Arc::strong_count(&left_behind), 2, "{name}: the task is registered");
        let blocked = thread::spawn(move || {
            let event = reader.block(timed);
            (reader, event)
        });
        // The thread waits now, and the task is no longer registered: its waker was dropped.
        wait_for(|| Arc::strong_count(&left_behind) == 1);
        write(7);
        wait_for(|| blocked.is_finished());
        let event;
        (reader, event) = blocked.join().unwrap();
        assert_eq!(
            (event, left_behind.0.load(Ordering::Relaxed)),
            (7, 0),
            "{name}: the thread is woken, not the task"
        );
        // A future that was polled and dropped leaves no waker either.
        let dropped = Arc::new(Task::default());
        assert_eq!(
            reader.poll_future(&mut Context::from_waker(&Waker::from(dropped.clone()))),
            None,
            "{name}"
        );
        assert_eq!(Arc::strong_count(&dropped), 1, "{name}: the future dropped its waker");
        // The next task is woken as if no thread had waited.
        let next = Arc::new(Task::default());
        let waker = Waker::from(next.clone());
        let mut context = Context::from_waker(&waker);
        assert_eq!(reader.poll(&mut context), None, "{name}");
        write(8);
        wait_for(|| next.0.load(Ordering::Relaxed) == 1);
        assert_eq!(reader.poll(&mut context), Some(8), "{name}");
    }
}

#[test]
fn blocking_read_replaces_a_waiting_task() {
    for wait in STRATEGIES {
        for overflow in [buslane::Overflow::DropNewest, buslane::Overflow::DropOldest] {
            let builder = || Channel::builder().capacity(8).overflow(overflow).wait_strategy(wait);
            let (channel, receiver) = builder().build().unwrap();
            mix(receiver, |n| channel.write(n).unwrap(), &format!("receiver, {wait:?}"));
            let (channel, receiver) = builder().build_shared().unwrap();
            mix(receiver, |n| channel.write(n).unwrap(), &format!("shared receiver, {wait:?}"));
        }
        let (channel, receiver) = Channel::builder().unbounded().wait_strategy(wait).build().unwrap();
        mix(receiver, |n| channel.write(n).unwrap(), &format!("unbounded receiver, {wait:?}"));
        let journal = Journal::new(64).unwrap();
        let subscriber = journal.subscription().wait_strategy(wait).subscribe().unwrap();
        mix(subscriber, |n| assert!(journal.publish(n).is_ok()), &format!("subscriber, {wait:?}"));
    }
}

#[test]
fn a_blocking_read_loses_no_event_of_other_readers() {
    // A task that is woken and never polled again blocks no other reader once its own reader
    // blocks.
    for wait in [WaitStrategy::nap(), WaitStrategy::SpinPark, WaitStrategy::Park, WaitStrategy::poll()] {
        let (channel, mut first) = Channel::builder().wait_strategy(wait).build_shared().unwrap();
        let mut second = first.clone();
        let task = Arc::new(Task::default());
        let waker = Waker::from(task.clone());
        assert!(first.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        let blocked = thread::spawn(move || second.recv());
        let other = thread::spawn(move || (first.recv_timeout(GUARD), first));
        channel.write(1).unwrap();
        channel.write(2).unwrap();
        wait_for(|| blocked.is_finished() && other.is_finished());
        let (one, first) = other.join().unwrap();
        let mut got = [one.unwrap(), blocked.join().unwrap().unwrap()];
        got.sort_unstable();
        assert_eq!(got, [1, 2], "{wait:?}");
        drop(first);
    }
}
