//! What a cancelled future leaves: its event is in no sink, an event that it would have read is still
//! there, and a close continues. Also by the thousand, counted.

use crate::{gated_queue, poll};
use buslane::director::Director;
use buslane::journal::Start;
use buslane::{Bus, Channel, Journal, Overflow, Publisher, Receiver, Sink};
use futures::StreamExt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use test_support::{WakeCount, assert_balanced, block_on, ends, wait_for};

/// How far a future gets before it is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    NotPolled,
    Waits,
    PolledTwice,
    Woken,
}

pub(crate) const STEPS: [Step; 4] = [Step::NotPolled, Step::Waits, Step::PolledTwice, Step::Woken];

/// Cancels a future that is pending at this step. `wake` is what wakes it.
pub(crate) fn cancel<F: Future>(future: F, step: Step, wake: impl FnOnce()) {
    let ((count, waker), mut future) = (WakeCount::waker(), Box::pin(future));
    let polls = if step == Step::NotPolled { 0 } else { 1 + usize::from(step == Step::PolledTwice) };
    (0..polls).for_each(|_| assert!(poll(future.as_mut(), &waker).is_pending(), "{step:?}"));
    if step == Step::Woken {
        wake();
        wait_for(|| count.get() > 0);
    }
}

#[test]
fn cancelled_write_is_not_in_the_queue() {
    for step in STEPS {
        let (gate, queue) = gated_queue(Overflow::Block, 1);
        queue.write(0).unwrap();
        gate.wait_reached(1);
        queue.write(1).unwrap();
        cancel(queue.write_async(2), step, || gate.open());
        gate.open();
        block_on(queue.write_async(3)).unwrap();
        assert!(queue.close().is_done());
        let ledger = assert_balanced(&queue.state());
        assert_eq!((ledger.accepted, ledger.delivered, ledger.refused.full), (3, 3, 0), "{step:?}");
    }
}

#[test]
fn cancelled_publish_is_not_in_the_journal() {
    for step in STEPS {
        let journal = Journal::new(64).unwrap();
        let mut gating = journal.subscription().start(Start::Now).gating().subscribe().unwrap();
        let full = (0..).find(|n| journal.try_publish(*n).is_err()).unwrap();
        let mut seen = 0;
        cancel(journal.publish_async(1000), step, || seen = gating.try_iter().count());
        seen += gating.try_iter().count();
        assert_eq!(seen as u64, full, "{step:?}");
        assert_eq!(
            block_on(journal.publish_async(1001)).unwrap().get(),
            full,
            "{step:?}: it has no position"
        );
    }
}

#[test]
fn cancelled_close_of_a_bus_continues() {
    for step in STEPS {
        let (gate, queue) = gated_queue(Overflow::DropNewest, 16);
        let bus = Bus::new();
        bus.add(queue.clone()).unwrap();
        (0..3).for_each(|event| assert!(bus.publish(event).unwrap().is_complete()));
        gate.wait_reached(1);
        cancel(bus.close_async(), step, || gate.open());
        assert_eq!(bus.is_closed(), step != Step::NotPolled, "{step:?}");
        gate.open();
        if step != Step::NotPolled {
            // No caller waits for the worker.
            wait_for(|| queue.state().ledger.delivered == 3);
        }
        let report = bus.close();
        assert!(report.is_done(), "{step:?}: {report}");
        assert_eq!(block_on(bus.close_async()), report);
        assert_eq!(assert_balanced(&queue.state()).delivered, 3);
    }
}

#[test]
fn event_stays_after_a_cancelled_next() {
    for step in STEPS {
        let (channel, mut receiver) = Channel::lossy(4).unwrap();
        cancel(receiver.next(), step, || channel.write(1).unwrap());
        cancel(receiver.entries().next(), Step::NotPolled, || ());
        channel.write(2).unwrap();
        let expected: &[i32] = if step == Step::Woken { &[1, 2] } else { &[2] };
        assert_eq!(receiver.drain().collect::<Vec<_>>(), expected, "{step:?}");
        let journal = Journal::new(64).unwrap();
        let mut subscriber = journal.subscribe(Start::Now).unwrap();
        cancel(subscriber.next(), step, || _ = journal.publish(1).unwrap());
        let _ = journal.publish(2).unwrap();
        assert_eq!(subscriber.try_iter().count(), expected.len(), "{step:?}");
    }
}

#[test]
fn wake_up_of_a_cancelled_next_stays_with_its_receiver() {
    for is_dropped in [false, true] {
        let (channel, mut one) = Channel::shared_lossy(4).unwrap();
        let mut other = one.clone();
        let ((one_count, one_waker), (count, waker)) = (WakeCount::waker(), WakeCount::waker());
        let mut read = Box::pin(other.recv_async());
        assert!(poll(read.as_mut(), &waker).is_pending());
        // The consumer that parked last is woken first.
        assert!(poll(pin!(one.next()), &one_waker).is_pending());
        channel.write(1).unwrap();
        assert_eq!((one_count.get(), count.get()), (1, 0));
        if is_dropped {
            drop(one);
            assert_eq!(count.get(), 1, "the wake-up goes to the other receiver");
            assert_eq!(poll(read.as_mut(), &waker), Poll::Ready(Ok(1)));
        } else {
            assert_eq!(one.try_recv(), Ok(1), "the event stays");
            channel.write(2).unwrap();
            assert_eq!(count.get(), 1, "and the next event is for the other receiver");
        }
    }
}

#[test]
fn packet_stays_after_a_cancelled_wait() {
    for step in STEPS {
        let director = Director::<u32>::new().unwrap();
        let (_member, mut outbox) = director.join_manual("bob").unwrap();
        outbox.try_packet().unwrap().ack().unwrap();
        cancel(outbox.packet_async(), step, || _ = director.announce(7).unwrap());
        if step != Step::Woken {
            let _ = director.announce(7).unwrap();
        }
        let packet = outbox.try_packet().unwrap();
        let events: Vec<_> = packet.events().iter().map(|event| event.event).collect();
        assert_eq!(events, [7], "{step:?}");
        packet.ack().unwrap();
        assert!(outbox.try_packet().is_err(), "{step:?}: once");
    }
}

/// The cancellations of one task, by the step at which the future was dropped.
#[derive(Clone, Copy, Debug, Default)]
struct Cancelled {
    not_polled: u64,
    waited: u64,
    woken: u64,
}

const EACH: u64 = 1000;

impl Cancelled {
    fn are_enough(self) -> bool {
        self.not_polled.min(self.waited).min(self.woken) >= EACH
    }

    /// Drops a future at the next step. Returns what it was ready with.
    async fn cancel<F: Future>(&mut self, turn: u64, future: F) -> Option<F::Output> {
        if turn.is_multiple_of(3) {
            self.not_polled += 1;
            return None;
        }
        let ((count, waker), mut future) = (WakeCount::waker(), pin!(future));
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        if turn % 3 == 1 {
            self.waited += 1;
            return None;
        }
        while count.get() == 0 {
            yield_now().await;
        }
        self.woken += 1;
        None
    }
}

/// Lets the other tasks of the thread run.
async fn yield_now() {
    let mut is_first = true;
    std::future::poll_fn(|context| {
        if std::mem::take(&mut is_first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// Publishes, and cancels publishes and reservations. Returns the sum of the published events, and the
/// cancellations.
async fn publish(mut publisher: Publisher<u64>) -> (u64, [Cancelled; 2]) {
    let (mut sum, mut cancelled) = (0, [Cancelled::default(); 2]);
    let mut event = 0;
    while !cancelled.iter().all(|cancelled| cancelled.are_enough()) {
        event += 1;
        assert!(publisher.publish_async(event).await.unwrap().is_complete());
        sum += event;
        let turn = event / 2;
        if event % 2 == 0 {
            let publish = publisher.publish_async(event);
            if let Some(published) = cancelled[0].cancel(turn, publish).await {
                assert!(published.unwrap().is_complete());
                sum += event;
            }
        } else if let Some(permit) = cancelled[1].cancel(turn, publisher.reserve()).await {
            drop(permit.unwrap());
        }
        assert!(event < 1_000_000, "too few of {cancelled:?}");
    }
    (sum, cancelled)
}

/// Reads, and cancels reads. Returns the sum of the events, and the cancellations.
async fn read(mut receiver: Receiver<u64>) -> (u64, Cancelled) {
    let (mut sum, mut cancelled) = (0, Cancelled::default());
    for turn in 0.. {
        if let Some(outcome) = cancelled.cancel(turn, receiver.recv_async()).await {
            match outcome {
                Ok(event) => sum += event,
                Err(_) => break,
            }
        } else if turn % 3 == 1 {
            // The end wakes no read that was cancelled.
            match receiver.recv_async().await {
                Ok(event) => sum += event,
                Err(_) => break,
            }
        }
    }
    (sum, cancelled)
}

/// Runs both tasks, and checks that each event that was published was read, and no other.
fn assert_none_is_lost(run: impl FnOnce(Publishing, Reading) -> (Published, Read) + Send + 'static) {
    ends(move || {
        let bus = Bus::new();
        let receiver = bus.subscribe_lossless(1).unwrap();
        let publisher = bus.publisher();
        let state = bus.clone();
        let publishing = Box::pin(async move {
            let published = publish(publisher).await;
            assert!(bus.close_async().await.is_done());
            published
        });
        let (published, read) = run(publishing, Box::pin(read(receiver)));
        assert_eq!(published.0, read.0);
        assert!(published.1.iter().all(|cancelled| cancelled.are_enough()), "{published:?}");
        println!("cancelled: publishes and reservations {:?}, reads {:?}", published.1, read.1);
        state.snapshot().sinks.iter().for_each(|sink| _ = assert_balanced(&sink.state));
    });
}

type Published = (u64, [Cancelled; 2]);
type Read = (u64, Cancelled);
type Publishing = std::pin::Pin<Box<dyn Future<Output = Published> + Send>>;
type Reading = std::pin::Pin<Box<dyn Future<Output = Read> + Send>>;

#[test]
fn counted_cancellations_lose_no_event_on_one_thread() {
    assert_none_is_lost(|publishing, reading| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (publishing, reading) = (tokio::spawn(publishing), tokio::spawn(reading));
            (publishing.await.unwrap(), reading.await.unwrap())
        })
    });
}

#[test]
fn counted_cancellations_lose_no_event_on_threads() {
    assert_none_is_lost(|publishing, reading| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let (publishing, reading) = (tokio::spawn(publishing), tokio::spawn(reading));
            (publishing.await.unwrap(), reading.await.unwrap())
        })
    });
}

#[test]
fn counted_cancellations_lose_no_event_on_smol() {
    assert_none_is_lost(|publishing, reading| {
        smol::block_on(async {
            let (publishing, reading) = (smol::spawn(publishing), smol::spawn(reading));
            (publishing.await, reading.await)
        })
    });
}

#[test]
fn cancelled_wait_for_room_keeps_no_event() {
    for step in STEPS {
        let (channel, mut receiver) = Channel::lossless(1).unwrap();
        let event = Arc::new(0);
        channel.write(event.clone()).unwrap();
        cancel(channel.write_async(event.clone()), step, || drop(receiver.recv()));
        drop(receiver.try_recv());
        assert_eq!(Arc::strong_count(&event), 1, "{step:?}");
    }
}
