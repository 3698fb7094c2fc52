//! Outboxes: members without threads, blocking and async.

use crate::{
    GUARD, SECOND, announce, assert_balanced, assert_empty, director, drain, events, join, next, pull_state,
    small,
};
use buslane::director::Director;
use buslane::error::{RecvError, RecvTimeoutError};
use buslane::time::{Clock, Pause, SystemClock};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use test_support::lock;

/// A waker that counts its calls.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Woken {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn a_thousand_members_need_no_thread() {
    let (builder, _clock) = small();
    let director = builder.history(4096).build().unwrap();
    let mut members: Vec<_> =
        (0..1000).map(|n| director.join_manual(format!("member {n}")).unwrap()).collect();
    for (_, outbox) in &mut members {
        outbox.try_packet().unwrap().ack().unwrap();
    }
    announce(&director, 0..100);
    members[7].0.broadcast(100).unwrap();
    for (n, (member, outbox)) in members.iter_mut().enumerate() {
        let seen = drain(outbox);
        assert_eq!(seen.len(), if n == 7 { 100 } else { 101 });
        assert_balanced(&member.snapshot());
    }
}

#[test]
fn task_is_woken_by_events_root_events_and_acknowledgements() {
    let (director, _clock) = director();
    let (_bob, mut outbox) = join(&director, "bob");
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    assert!(outbox.poll_packet(&mut context).is_pending());
    director.announce(1).unwrap();
    assert_eq!(woken.count(), 1);
    let Poll::Ready(Ok(packet)) = outbox.poll_packet(&mut context) else { panic!("no packet") };
    assert!(outbox.poll_packet(&mut context).is_pending());
    director.announce(2).unwrap();
    assert_eq!(woken.count(), 1, "there is no room for it");
    packet.ack().unwrap();
    assert_eq!(woken.count(), 2);
    let Poll::Ready(Ok(packet)) = outbox.poll_packet(&mut context) else { panic!("no packet") };
    packet.ack().unwrap();
    assert!(outbox.poll_packet(&mut context).is_pending());
    director.root().broadcast(3).unwrap();
    assert_eq!(woken.count(), 3);
    let Poll::Ready(Ok(packet)) = outbox.poll_packet(&mut context) else { panic!("no packet") };
    assert_eq!(events(&packet), [3]);
    packet.ack().unwrap();
    assert!(outbox.poll_packet(&mut context).is_pending());
    drop(director.close());
    assert!(woken.count() > 3);
    let Poll::Ready(Err(RecvError::Closed)) = outbox.poll_packet(&mut context) else {
        panic!("it is closed")
    };
}

#[test]
fn task_is_woken_by_the_timer_of_a_retry() {
    let (director, clock) = director();
    let (_bob, mut outbox) = join(&director, "bob");
    director.announce(1).unwrap();
    outbox.try_packet().unwrap().retry().unwrap();
    let task = std::thread::spawn(move || {
        let packet = pollster::block_on(outbox.packet_async()).unwrap();
        (packet.attempt(), events(&packet))
    });
    clock.await_sleepers(1);
    clock.advance(SECOND);
    assert_eq!(task.join().unwrap(), (2, vec![1]));
}

#[test]
fn dropped_future_loses_nothing() {
    let (director, _clock) = director();
    let (_bob, mut outbox) = join(&director, "bob");
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    {
        let mut future = std::pin::pin!(outbox.packet_async());
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    director.announce(1).unwrap();
    assert_eq!(woken.count(), 0, "the future is gone");
    assert_eq!(events(&pollster::block_on(outbox.packet_async()).unwrap()), [1]);
}

#[test]
fn blocked_reader_is_woken() {
    let (director, _clock) = director();
    let (_bob, mut outbox) = join(&director, "bob");
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        while let Ok(packet) = outbox.packet() {
            seen.extend(events(&packet));
            packet.ack().unwrap();
        }
        seen
    });
    for n in 0..200 {
        director.announce(n).unwrap();
        if n % 10 == 0 {
            std::thread::yield_now();
        }
    }
    drop(director.close());
    assert!(reader.join().unwrap().into_iter().eq(0..200));
}

#[test]
fn wait_ends_at_its_limit() {
    let (director, _clock) = director();
    let (_bob, mut outbox) = join(&director, "bob");
    let limit = Duration::from_millis(1);
    assert_eq!(outbox.packet_timeout(limit).err(), Some(RecvTimeoutError::Timeout));
    director.announce(1).unwrap();
    assert_eq!(events(&outbox.packet_timeout(GUARD).unwrap()), [1]);
}

#[test]
fn detach_wakes_a_blocked_reader() {
    let (director, _clock) = director();
    let (bob, mut outbox) = director.join_manual("bob").unwrap();
    pull_state(&mut outbox);
    let reader = std::thread::spawn(move || outbox.packet().err());
    bob.detach();
    assert_eq!(reader.join().unwrap(), Some(RecvError::Closed));
}

#[test]
fn reader_of_an_older_session_does_not_remove_the_waker_of_the_new_one() {
    let (director, _clock) = director();
    let (_old, mut old_outbox) = join(&director, "bob");
    let (first, second) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
    let wakers = (Waker::from(first.clone()), Waker::from(second.clone()));
    let mut old_context = Context::from_waker(&wakers.0);
    let mut old_future = Box::pin(old_outbox.packet_async());
    assert!(old_future.as_mut().poll(&mut old_context).is_pending());
    let (_new, mut outbox) = director.rejoin_manual("bob").unwrap();
    assert_eq!(first.count(), 1, "the old session is over");
    let mut context = Context::from_waker(&wakers.1);
    assert!(outbox.poll_packet(&mut context).is_pending());
    assert!(matches!(old_future.as_mut().poll(&mut old_context), Poll::Ready(Err(RecvError::Closed))));
    drop(old_future);
    director.root().unicast("bob", 7).unwrap();
    assert_eq!((first.count(), second.count()), (1, 1));
    let Poll::Ready(Ok(packet)) = outbox.poll_packet(&mut context) else { panic!("no packet") };
    assert_eq!(events(&packet), [7]);
}

/// A clock at whose every reading somebody sends an event to carol.
#[derive(Clone, Debug, Default)]
struct Flow(Arc<Mutex<Option<Director<u32>>>>, Arc<AtomicUsize>);

impl Clock for Flow {
    fn now(&self) -> Instant {
        let director = lock(&self.0).clone();
        // It ends some time, so that an outbox that reads on for ever fails the test.
        if let Some(director) = director.filter(|_| self.1.fetch_add(1, Ordering::SeqCst) < 10_000) {
            director.unicast("carol", 1).unwrap();
        }
        Instant::now()
    }

    fn wait_until(&self, moment: Instant, pause: &Arc<Pause>) {
        SystemClock.wait_until(moment, pause);
    }
}

#[test]
fn flow_of_events_for_others_holds_no_reader() {
    let flow = Flow::default();
    let director = Director::builder().history(64).clock(flow.clone()).build().unwrap();
    let (_bob, mut outbox) = join(&director, "bob");
    let (_carol, _to_carol) = join(&director, "carol");
    *lock(&flow.0) = Some(director.clone());
    director.unicast("carol", 0).unwrap();
    assert_empty(&mut outbox);
    assert!(flow.1.load(Ordering::SeqCst) < 10);
    let woken = Arc::new(Woken::default());
    assert!(outbox.poll_packet(&mut Context::from_waker(&Waker::from(woken.clone()))).is_pending());
    assert!(flow.1.load(Ordering::SeqCst) < 20);
    assert!(woken.count() > 0, "the task comes again");
    let ended = outbox.packet_timeout(Duration::ZERO).err();
    assert_eq!((ended, flow.1.load(Ordering::SeqCst) < 30), (Some(RecvTimeoutError::Timeout), true));
    *lock(&flow.0) = None;
    assert_empty(&mut outbox);
    director.announce(7).unwrap();
    assert_eq!(drain(&mut outbox), [7]);
}

#[test]
fn packet_outlives_its_director() {
    let (director, _clock) = director();
    let (bob, mut outbox) = join(&director, "bob");
    director.announce(1).unwrap();
    let packet = outbox.try_packet().unwrap();
    let ticket = packet.ticket();
    drop((director, bob, outbox));
    assert_eq!(events(&packet), [1]);
    assert!(ticket.ack().is_err());
}

#[test]
fn history_that_is_overwritten_leaves_packets_whole() {
    let (builder, _clock) = small();
    let director = builder.history(64).packet(32).build().unwrap();
    let (_bob, mut outbox) = join(&director, "bob");
    announce(&director, 0..32);
    let packet = outbox.try_packet().unwrap();
    announce(&director, 100..10_000);
    packet.retry_after(Duration::ZERO).unwrap();
    let again = outbox.try_packet().unwrap();
    assert!(events(&again).into_iter().eq(0..32));
    assert_empty(&mut outbox);
}

#[test]
fn task_that_lingers_makes_room_for_publishers_that_wait() {
    let (builder, _clock) = small();
    let director = builder.history(64).linger(5 * SECOND).build().unwrap();
    let (_bob, mut outbox) = director.member("bob").lossless().join_manual().unwrap();
    pull_state(&mut outbox);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    director.announce(0).unwrap();
    assert!(outbox.poll_packet(&mut context).is_pending());
    for n in 1..200 {
        director.announce(n).unwrap();
        assert_eq!(woken.count(), n as usize, "the task is told of it");
        assert!(outbox.poll_packet(&mut context).is_pending());
    }
}

#[test]
fn task_that_lingers_is_woken_when_its_packet_is_full() {
    struct Telling(Sender<()>);
    impl Wake for Telling {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(());
        }
    }
    let (builder, clock) = small();
    let director = builder.history(256).packet(256).linger(60 * SECOND).build().unwrap();
    let (bob, mut outbox) = join(&director, "bob");
    let (tell, told) = channel();
    let waker = Waker::from(Arc::new(Telling(tell)));
    let mut context = Context::from_waker(&waker);
    announce(&director, 0..64);
    assert!(outbox.poll_packet(&mut context).is_pending());
    for (more, is_full) in [(64..128, false), (128..256, true)] {
        announce(&director, more);
        clock.await_sleepers(1);
        clock.advance(Duration::from_millis(1));
        next(&told);
        match outbox.poll_packet(&mut context) {
            Poll::Pending => assert!(!is_full),
            Poll::Ready(packet) => assert!(is_full && packet.unwrap().events().len() == 256),
        }
    }
    assert_eq!(bob.snapshot().lost, 0);
}
