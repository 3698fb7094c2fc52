//! Calls of the crate during the drop of a thread's locals: before the drop of the crate's own
//! locals, and after it.

use crate::world::{Event, LIMIT, ignore};
use buslane::journal::Start;
use buslane::stats::{Finish, FlushReport};
use buslane::time::Deadline;
use buslane::{Bus, Channel, Journal, Queue, Sink, SinkExt, sink_fn};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use test_support::limit;

/// Calls a function when the thread ends.
struct AtEnd(Option<Box<dyn FnOnce()>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call();
        }
    }
}

thread_local! {
    static FIRST: RefCell<AtEnd> = const { RefCell::new(AtEnd(None)) };
    static LATER: RefCell<AtEnd> = const { RefCell::new(AtEnd(None)) };
}

/// Runs a function at the end of a thread that uses this crate's locals, once before they are
/// dropped and once after.
///
/// Locals are dropped in the reverse order of their first use.
fn at_the_end(of: impl Fn() -> Box<dyn FnOnce() + Send> + Send + 'static) {
    for first in [true, false] {
        let call = of();
        let (sender, ended) = channel();
        let thread = thread::spawn(move || {
            let call = move || {
                call();
                let _ = sender.send(());
            };
            let call: Box<dyn FnOnce()> = Box::new(call);
            if first {
                FIRST.with(|end| end.borrow_mut().0 = Some(call));
                use_locals();
            } else {
                use_locals();
                LATER.with(|end| end.borrow_mut().0 = Some(call));
            }
        });
        ended
            .recv_timeout(limit::scaled(Duration::from_secs(10)))
            .expect("the call at the thread's end returned, and did not panic");
        thread.join().unwrap();
    }
}

/// Uses every thread-local of this crate: a cached publisher, visits, limits.
fn use_locals() {
    let (bus, inner) = (Bus::new(), Bus::new());
    inner.add(Queue::builder().spawn(|_: u32| {}).unwrap()).unwrap();
    bus.add(inner).unwrap();
    bus.add(Queue::builder().spawn(|_: u32| {}).unwrap().timeout(LIMIT)).unwrap();
    let _ = bus.with_local(|publisher| publisher.publish(1)).unwrap();
    assert!(bus.flush_timeout(LIMIT).is_done());
    // The bus stays until the end of the thread, so that the cached publisher does.
    std::mem::forget(bus);
}

fn counting() -> (Arc<AtomicU32>, Queue<u32>) {
    let count = Arc::new(AtomicU32::new(0));
    let seen = count.clone();
    let queue =
        Queue::builder().spawn(move |_: u32| crate::world::ignore(seen.fetch_add(1, Ordering::Relaxed)));
    (count, queue.unwrap())
}

#[test]
fn close_completes_at_thread_end() {
    at_the_end(|| {
        let (count, queue) = counting();
        let (outer, inner) = (Bus::new(), Bus::new());
        inner.add(queue).unwrap();
        outer.add(inner.clone()).unwrap();
        Box::new(move || {
            assert!(outer.publish(1).is_ok());
            let report = outer.close_timeout(LIMIT);
            assert!(report.is_done(), "{report}");
            assert!(outer.is_closed() && inner.is_closed());
            assert_eq!(count.load(Ordering::Relaxed), 1);
        })
    });
}

#[test]
fn flush_completes_at_thread_end() {
    at_the_end(|| {
        let (count, queue) = counting();
        let (outer, inner) = (Bus::new(), Bus::new());
        inner.add(queue.clone()).unwrap();
        outer.add(inner).unwrap();
        Box::new(move || {
            assert!(outer.publish(1).is_ok());
            assert!(outer.flush_timeout(LIMIT).is_done());
            assert_eq!(count.load(Ordering::Relaxed), 1);
            assert!(queue.write(1).is_ok() && queue.flush_timeout(LIMIT).is_done());
            assert_eq!(count.load(Ordering::Relaxed), 2);
            assert!(queue.close_timeout(LIMIT).is_done());
        })
    });
}

#[test]
fn flush_times_out_at_thread_end() {
    at_the_end(|| {
        let bus = Bus::new();
        let receiver = Mutex::new(bus.subscribe_lossy(8).unwrap());
        Box::new(move || {
            assert!(bus.publish(1_u32).is_ok());
            assert_eq!(bus.flush_timeout(Duration::from_millis(1)).finish, Finish::TimedOut);
            assert_eq!(receiver.lock().unwrap().recv(), Ok(1));
        })
    });
}

#[test]
fn close_of_cyclic_buses_ends_at_thread_end() {
    at_the_end(|| {
        let (one, other) = (Bus::<u32>::new(), Bus::<u32>::new());
        one.add(other.clone()).unwrap();
        other.add(one.clone()).unwrap();
        Box::new(move || {
            assert!(one.flush_timeout(LIMIT).is_done());
            assert!(one.close_timeout(LIMIT).is_done());
            assert!(other.is_closed());
        })
    });
}

#[test]
fn every_operation_works_at_thread_end() {
    at_the_end(|| {
        let (count, queue) = counting();
        let bus = Bus::new();
        bus.add(queue).unwrap();
        Box::new(move || {
            assert!(bus.with_local(|publisher| publisher.publish(1)).is_ok());
            let mut publisher = bus.publisher();
            assert!(publisher.publish(1).is_ok());
            let id = bus.add(sink_fn(|_: &u32| {})).unwrap();
            assert!(publisher.publish(1).is_ok());
            assert_eq!(bus.remove(id), Ok(buslane::bus::Removed::Quiet));
            assert_eq!(bus.snapshot().sinks.len(), 1);
            assert!(publisher.flush_timeout(LIMIT).is_done());
            drop(publisher);
            assert_eq!(count.load(Ordering::Relaxed), 3);
            let (channel, mut receiver) = Channel::lossy(8).unwrap();
            let batch = channel.batch(2);
            batch.write(1).unwrap();
            batch.flush_by(Deadline::NOW, &mut FlushReport::default());
            assert_eq!(receiver.recv().unwrap(), [1]);
            assert!(Sink::<u32>::close_by(&batch, Deadline::after(LIMIT)).is_done());
            let journal = Journal::new(64).unwrap();
            let mut subscriber = journal.subscribe(Start::Now).unwrap();
            journal.publish(1).unwrap();
            assert!(subscriber.recv().is_ok());
            journal.close();
            assert!(subscriber.recv().is_err());
            drop(bus);
        })
    });
}

#[test]
fn publish_works_at_thread_end() {
    at_the_end(|| {
        let bus = Bus::new();
        let mut receiver = bus.subscribe_lossy(8).unwrap();
        Box::new(move || {
            ignore(bus.with_local(|publisher| publisher.publish(Event::plain())));
            assert!(receiver.try_recv().is_ok());
        })
    });
}
