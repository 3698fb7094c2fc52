//! The ring between one producer and one consumer, and its seal.

use buslane::ring::spsc::{Consumer, Producer, ring};
use buslane::wait::{FencePair, WaitCell};
use loom_tests::{Arc, AtomicUsize, Lives, Ordering, Tracked, model, thread};

fn new(capacity: usize) -> (Producer<Tracked>, Consumer<Tracked>) {
    ring(capacity).expect("a small ring")
}

/// Runs the publisher's fence, as a mailbox with the process's pair does.
fn light_fence() {
    WaitCell::new(FencePair::process()).fence();
}

/// Pushes, fences and settles. Returns `true` if the value is finally accepted.
fn publish(producer: &mut Producer<Tracked>, value: Tracked) -> bool {
    let id = value.id();
    if producer.push(value).is_err() {
        return false;
    }
    light_fence();
    let mut back = Vec::new();
    producer.settle(|value| back.push(value.id()));
    assert!(back.iter().all(|taken| *taken == id), "a settled value came back");
    back.is_empty()
}

/// Takes values until the ring has ended.
fn rest(consumer: &mut Consumer<Tracked>) -> Vec<usize> {
    let mut got = Vec::new();
    while !consumer.is_drained() {
        match consumer.pop() {
            Some(value) => got.push(value.id()),
            None => thread::yield_now(),
        }
    }
    assert!(consumer.pop().is_none(), "a value after the end");
    got
}

/// Sends three values through a ring of `capacity`: both sides poll for each other.
fn wrap_around(capacity: usize) {
    let lives = Lives::new(3);
    let (mut producer, mut consumer) = new(capacity);
    let values = lives.clone();
    let pusher = thread::spawn(move || {
        for id in 0..3 {
            let mut value = values.value(id);
            while let Err(back) = producer.push(value) {
                value = back;
                thread::yield_now();
            }
        }
        producer
    });
    for expected in 0..3 {
        let value = loop {
            match consumer.pop() {
                Some(value) => break value,
                None => thread::yield_now(),
            }
        };
        assert_eq!(value.id(), expected);
    }
    assert!(consumer.pop().is_none());
    drop(pusher.join().unwrap());
    drop(consumer);
    lives.assert_all_dropped();
}

#[test]
fn one_slot_passes_values_in_order() {
    // The order holds, no value is lost, and a slot is never read and written at the same time.
    // Fails when ORD(spsc.tail) in `Shared::show`, or ORD(spsc.head) in `release` or
    // `Producer::refresh`, is Relaxed. No model can test the Acquire of ORD(spsc.tail) in
    // `Consumer::refresh`: the fence after it has the same effect in a model, but where fences are
    // asymmetric it orders only the compiler.
    model(|| wrap_around(1));
}

#[test]
fn two_slots_pass_values_in_order() {
    // As above, with one slot free while the other is in use; the same orderings.
    model(|| wrap_around(2));
}

#[test]
fn drain_and_drop_account_for_every_value() {
    // The drained and the remaining values add up when both halves are dropped: each value is
    // dropped once. Fails when ORD(spsc.tail) in `Shared::show`, or ORD(spsc.fin) in
    // `Producer::end` or `Consumer::refresh`, is Relaxed.
    model(|| {
        let lives = Lives::new(3);
        let (mut producer, mut consumer) = new(2);
        let values = lives.clone();
        let pusher =
            thread::spawn(move || (0..3).filter(|id| producer.push(values.value(*id)).is_ok()).count());
        let mut got = 0;
        for _ in 0..2 {
            got += consumer.drain(2, |value| assert!(value.id() < 3));
        }
        drop(consumer);
        assert!(got <= pusher.join().unwrap());
        lives.assert_all_dropped();
    });
}

#[test]
fn drain_in_place_drops_each_value_once() {
    // A value that is lent in place is dropped once, and its slot is not written meanwhile. Fails
    // when ORD(spsc.head) in `release` or `Producer::refresh` is Relaxed.
    model(|| {
        let lives = Lives::new(3);
        let (mut producer, mut consumer) = new(1);
        let values = lives.clone();
        let pusher = thread::spawn(move || {
            let mut accepted = Vec::new();
            for id in 0..3 {
                if producer.push(values.value(id)).is_ok() {
                    accepted.push(id);
                }
            }
            accepted
        });
        let mut got = Vec::new();
        for _ in 0..3 {
            consumer.drain_in_place(2, |value| got.push(value.id()));
        }
        let accepted = pusher.join().unwrap();
        consumer.drain_in_place(2, |value| got.push(value.id()));
        assert_eq!(got, accepted);
        lives.assert_all_dropped();
    });
}

#[test]
fn uncommitted_values_drop_with_the_producer() {
    // A value that is written but not committed is never read, and is dropped with the producer.
    // Fails when ORD(spsc.fin) in `Producer::end` or `Consumer::refresh` is Relaxed.
    model(|| {
        let lives = Lives::new(2);
        let (mut producer, mut consumer) = new(2);
        let values = lives.clone();
        let pusher = thread::spawn(move || {
            producer.push(values.value(0)).expect("room");
            producer.write(values.value(1));
        });
        assert_eq!(rest(&mut consumer), [0]);
        pusher.join().unwrap();
        lives.assert_all_dropped();
    });
}

#[test]
fn consumer_reads_all_values_before_the_end() {
    // The consumer sees the end only after every committed value. Fails when ORD(spsc.tail) in
    // `Shared::show`, or ORD(spsc.fin) in `Producer::end` or `Consumer::refresh`, is Relaxed: the
    // producer runs no fence that helps.
    model(|| {
        let lives = Lives::new(2);
        let (mut producer, mut consumer) = new(2);
        let values = lives.clone();
        let pusher = thread::spawn(move || {
            producer.push(values.value(0)).expect("room");
            producer.push(values.value(1)).expect("room");
        });
        assert_eq!(rest(&mut consumer), [0, 1]);
        pusher.join().unwrap();
        lives.assert_all_dropped();
    });
}

/// Runs `pushes` publishes against a seal; the consumer polls `looks` times meanwhile and empties
/// the ring afterward.
fn seal_against_publish(capacity: usize, pushes: usize, looks: usize) {
    let lives = Lives::new(pushes);
    let (mut producer, mut consumer) = new(capacity);
    let sealer = producer.sealer();
    let values = lives.clone();
    let publisher = thread::spawn(move || {
        let accepted: Vec<_> = (0..pushes).filter(|id| publish(&mut producer, values.value(*id))).collect();
        (accepted, producer)
    });
    let closer = thread::spawn(move || sealer.seal());
    let mut got = Vec::new();
    for _ in 0..looks {
        got.extend(consumer.pop().map(|value| value.id()));
    }
    let end = closer.join().unwrap();
    let (accepted, producer) = publisher.join().unwrap();
    got.extend(rest(&mut consumer));
    assert_eq!(got, accepted, "exactly the events with `Ok` are handled");
    assert_eq!(end, accepted.len() as u64, "the end that the seal returned");
    drop((producer, consumer));
    lives.assert_all_dropped();
}

#[test]
fn seal_returns_or_keeps_each_published_value() {
    // An accepted event is handled, an event taken back is not handled, and no event is both. Fails
    // when the fence of the publisher or that of `Sealer::seal` is missing (ORD(spsc.fin) in
    // `is_open`).
    model(|| seal_against_publish(2, 2, 0));
}

#[test]
fn seal_keeps_accepted_values_for_a_busy_consumer() {
    // As above, while the consumer reads. Fails when the fence in `Consumer::refresh` is missing,
    // or when a consumer that finds SEALING proposes a tail that it loaded before.
    model(|| seal_against_publish(2, 1, 1));
}

#[test]
fn seal_keeps_settled_values_for_a_busy_consumer() {
    // As above, with a value that was settled before the mark.
    model(|| seal_against_publish(2, 2, 2));
}

#[test]
fn seal_returns_or_keeps_each_value_of_one_slot() {
    // As above, where the second value needs the slot of the first.
    model(|| seal_against_publish(1, 2, 2));
}

#[test]
fn seal_returns_or_keeps_a_value_that_is_completed_in_place() {
    // A value that its producer completes in the slot, while the ring is sealed and read. Fails when
    // the tail passes the value before it is complete: the consumer then reads what is being written.
    model(|| {
        let lives = Lives::new(2);
        let (mut producer, mut consumer) = new(1);
        let sealer = producer.sealer();
        let values = lives.clone();
        let publisher = thread::spawn(move || {
            // The value that is put there first is dropped by the one that replaces it.
            let vacant = producer.vacant().expect("room");
            vacant.push_in_place(values.value(0), |value| *value = values.value(1));
            light_fence();
            let mut accepted = true;
            producer.settle(|_| accepted = false);
            accepted
        });
        let closer = thread::spawn(move || sealer.seal());
        let got = rest(&mut consumer);
        let accepted = publisher.join().unwrap();
        assert_eq!((closer.join().unwrap(), got), (u64::from(accepted), vec![1; usize::from(accepted)]));
        lives.assert_all_dropped();
    });
}

#[test]
fn two_seals_return_the_same_end() {
    // However many threads seal a ring, there is one end. Fails when the fence of `Sealer::seal` is
    // missing.
    model(|| {
        let lives = Lives::new(1);
        let (mut producer, consumer) = new(1);
        let sealers = [producer.sealer(), consumer.sealer()];
        let closers = sealers.map(|sealer| thread::spawn(move || sealer.seal()));
        let accepted = publish(&mut producer, lives.value(0));
        let ends = closers.map(|closer| closer.join().unwrap());
        assert_eq!(ends, [u64::from(accepted); 2]);
        drop((producer, consumer));
        lives.assert_all_dropped();
    });
}

#[test]
fn seal_reads_or_drops_an_unsettled_value_once() {
    // A value that was pushed and never settled is read or dropped, once. Fails when ORD(spsc.fin)
    // in `Producer::end` or ORD(spsc.tail) in `Sealer::fix` is Relaxed.
    model(|| {
        let lives = Lives::new(1);
        let (mut producer, mut consumer) = new(1);
        let sealer = consumer.sealer();
        let values = lives.clone();
        let pusher = thread::spawn(move || producer.push(values.value(0)).expect("room"));
        let closer = thread::spawn(move || sealer.seal());
        let got = rest(&mut consumer);
        pusher.join().unwrap();
        assert_eq!(closer.join().unwrap(), got.len() as u64);
        lives.assert_all_dropped();
    });
}

#[test]
fn fixed_end_publishes_the_values_before_it() {
    // The thread that fixes the end publishes the slots below it, also when the consumer never
    // loaded that tail. Fails when ORD(spsc.tail) in `Sealer::fix` or ORD(spsc.fin) in `propose` or
    // `Consumer::refresh` is Relaxed.
    model(|| {
        let lives = Lives::new(1);
        let (mut producer, mut consumer) = new(1);
        let sealer = producer.sealer();
        let values = lives.clone();
        // The producer runs no fence: only the chain of acquires orders its write before the read.
        let pusher = thread::spawn(move || {
            let _ = producer.push(values.value(0));
            producer
        });
        let closer = thread::spawn(move || sealer.seal());
        let got = rest(&mut consumer);
        assert_eq!(closer.join().unwrap(), got.len() as u64);
        drop((pusher.join().unwrap(), consumer));
        lives.assert_all_dropped();
    });
}

#[test]
fn handled_count_publishes_the_handlers_stores() {
    // A third thread that sees a value counted as handled sees the stores of its handler. Fails
    // when ORD(spsc.head) in `release` or `Sealer::handled` is Relaxed.
    model(|| {
        let (mut producer, mut consumer) = ring(1).expect("a small ring");
        let sealer = producer.sealer();
        producer.push(7).expect("room");
        let written = Arc::new(AtomicUsize::new(0));
        let effect = written.clone();
        let worker = thread::spawn(move || {
            consumer.drain(1, |value| effect.store(value, Ordering::Relaxed));
        });
        if sealer.handled() == 1 {
            assert_eq!(written.load(Ordering::Relaxed), 7);
        }
        worker.join().unwrap();
    });
}

#[test]
fn ended_ring_publishes_the_producers_stores() {
    // A thread that sees that the ring has ended sees the producer's stores before its release.
    // Fails when ORD(spsc.fin) is Relaxed in `Producer::end`, `Consumer::is_drained` or
    // `Sealer::is_drained`.
    model(|| {
        let (mut producer, consumer) = ring::<usize>(1).expect("a small ring");
        let sealer = consumer.sealer();
        let written = Arc::new(AtomicUsize::new(0));
        let effect = written.clone();
        let pusher = thread::spawn(move || {
            effect.store(7, Ordering::Relaxed);
            producer.end();
        });
        let other = written.clone();
        let watcher = thread::spawn(move || {
            if sealer.is_drained() {
                assert_eq!(other.load(Ordering::Relaxed), 7);
            }
        });
        if consumer.is_drained() {
            assert_eq!(written.load(Ordering::Relaxed), 7);
        }
        watcher.join().unwrap();
        pusher.join().unwrap();
    });
}
