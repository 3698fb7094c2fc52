//! The ring of one producer and one consumer.

use super::{Census, Counted, rounds, unwinds};
use buslane::ring::spsc::{Consumer, Producer, Sealer, ring};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

fn pair(capacity: usize) -> (Producer<Counted>, Consumer<Counted>) {
    ring(capacity).unwrap()
}

#[test]
fn every_ring_shape_carries_slices() {
    for capacity in [1, 2, 3, 7, 16, 100] {
        let census = Census::default();
        let (mut producer, mut consumer) = pair(capacity);
        let values: Vec<Counted> = (0..9).map(|n| census.value(n)).collect();
        let mut expected = 0;
        for _ in 0..rounds(50, 6) {
            let pushed = producer.push_slice(&values);
            assert_eq!(pushed, capacity.min(9));
            let mut seen = Vec::new();
            consumer.drain(usize::MAX, |value| seen.push(value.look()));
            assert!(seen.into_iter().eq(0..pushed));
            expected += pushed as u64;
            assert_eq!(consumer.position(), expected);
        }
        producer.push_slice(&values[..1]);
        drop((producer, consumer, values));
        assert_eq!(census.living(), 0);
    }
}

#[test]
fn spsc_ring_carries_slices_of_every_size() {
    fn through<T: Clone + Send + PartialEq + std::fmt::Debug>(value: &T) {
        let (mut producer, mut consumer) = ring::<T>(5).unwrap();
        let values = vec![value.clone(); 4];
        for _ in 0..4 {
            assert_eq!(producer.push_slice(&values), 4);
            assert_eq!(consumer.drain_in_place(9, |seen| assert_eq!(seen, value)), 4);
        }
        assert!(producer.push(value.clone()).is_ok());
        assert_eq!(consumer.pop().as_ref(), Some(value));
    }
    #[repr(align(256))]
    #[derive(Clone, Debug, PartialEq)]
    struct Wide(u8);
    through(&());
    through(&7_u8);
    through(&"text".to_owned());
    through(&[1_u64; 9]);
    through(&vec![1_u8; 3]);
    through(&[7_u8; 600]);
    through(&Wide(3));
}

#[test]
fn panicking_clone_keeps_earlier_values() {
    let census = Census::default();
    let (mut producer, mut consumer) = pair(8);
    let values = [census.value(0), census.value(1), census.unclonable(2), census.value(3)];
    for _ in 0..3 {
        assert!(unwinds(|| producer.push_slice(&values)));
        let mut seen = Vec::new();
        consumer.drain(9, |value| seen.push(value.look()));
        assert_eq!(seen, [0, 1]);
    }
    drop((producer, consumer, values));
    assert_eq!(census.living(), 0);
}

/// A value whose clone seals a ring.
struct Sealing {
    value: Counted,
    ring: Arc<OnceLock<Sealer<Sealing>>>,
}

impl Clone for Sealing {
    fn clone(&self) -> Self {
        if let Some(ring) = self.ring.get() {
            ring.seal();
        }
        Self { value: self.value.clone(), ring: self.ring.clone() }
    }
}

#[test]
fn clone_can_seal_its_ring() {
    let census = Census::default();
    let (mut producer, mut consumer) = ring::<Sealing>(8).unwrap();
    let seal = Arc::new(OnceLock::new());
    let values: Vec<Sealing> =
        (0..3).map(|n| Sealing { value: census.value(n), ring: seal.clone() }).collect();
    assert_eq!(producer.push_slice(&values), 3);
    assert!(seal.set(producer.sealer()).is_ok());
    // The first clone seals the ring, before any of these values is shown.
    assert_eq!(producer.push_slice(&values), 3);
    assert_eq!(consumer.drain(9, |sealing| assert!(sealing.value.look() < 3)), 3);
    let mut back = Vec::new();
    assert!(!producer.settle(|sealing| back.push(sealing.value.look())));
    assert_eq!(back, [2, 1, 0]);
    assert!(consumer.is_drained() && producer.push_slice(&values) == 0);
    drop((producer, consumer, values, seal));
    assert_eq!(census.living(), 0);
}

#[test]
fn callback_may_do_anything_with_a_value_in_its_slot() {
    for capacity in [1, 3] {
        let census = Census::default();
        let (mut producer, mut consumer) = pair(capacity);
        for n in 0..rounds(50, 6) {
            let vacant = producer.vacant().unwrap();
            vacant.push_in_place(census.value(n), |value| {
                assert!(!consumer.has_next(), "it is not shown before it is complete");
                assert_eq!(std::mem::replace(value, census.value(n + 1)).look(), n);
            });
            assert_eq!(consumer.pop().map(|value| value.look()), Some(n + 1));
            let (vacant, value) = (producer.vacant().unwrap(), census.value(n));
            let panics = |value: &mut Counted| {
                value.look();
                panic!("as requested by the test")
            };
            assert!(unwinds(|| vacant.push_in_place(value, panics)));
            assert!(consumer.pop().is_none());
            // Into a ring that the callback seals.
            let (mut sealed, mut reader) = pair(capacity);
            let sealer = sealed.sealer();
            let vacant = sealed.vacant().unwrap();
            vacant.push_in_place(census.value(n), |_| assert_eq!(sealer.seal(), 0));
            let mut back = Vec::new();
            assert!(!sealed.settle(|value| back.push(value.look())));
            assert_eq!((back, reader.pop().is_none()), (vec![n], true));
        }
        drop((producer, consumer));
        assert_eq!(census.living(), 0);
    }
}

#[test]
fn panicking_callbacks_lose_only_their_value() {
    let census = Census::default();
    let (mut producer, mut consumer) = pair(8);
    let fill = |producer: &mut Producer<Counted>| {
        while producer.push(census.value(1)).is_ok() {}
    };
    fill(&mut producer);
    assert!(unwinds(|| consumer.drain(8, |_| panic!("as requested by the test"))));
    assert!(unwinds(|| consumer.drain_in_place(8, |_| panic!("as requested by the test"))));
    assert!(unwinds(|| consumer.drain_freeing(8, drop, || panic!("as requested by the test"))));
    assert!(unwinds(|| consumer.drain_freeing(8, |_| panic!("as requested by the test"), || {})));
    assert_eq!((consumer.position(), producer.len()), (4, 4));
    // The callback may replace a value in place.
    consumer.drain_in_place(1, |value| *value = census.value(2));
    fill(&mut producer);
    producer.sealer().seal();
    // A callback that panics while values are taken back loses only that value.
    let (mut late, _keep) = pair(4);
    (0..4).for_each(|n| late.write(census.value(n)));
    late.sealer().seal();
    assert!(unwinds(|| late.settle(|_| panic!("as requested by the test"))));
    let mut back = 0;
    late.settle(|_| back += 1);
    assert_eq!(back, 3);
    drop((producer, consumer, late, _keep));
    assert_eq!(census.living(), 0);
}

#[test]
fn halves_can_be_dropped_in_any_order() {
    let census = Census::default();
    let fill = |producer: &mut Producer<Counted>| {
        (0..3).for_each(|n| drop(producer.push(census.value(n))));
        producer.write(census.value(3));
    };
    let (mut producer, consumer) = pair(4);
    fill(&mut producer);
    let sealer = producer.sealer();
    drop(consumer);
    drop(producer);
    drop(sealer);
    assert_eq!(census.living(), 0);
    let (mut producer, mut consumer) = pair(4);
    fill(&mut producer);
    drop(producer);
    assert_eq!(consumer.drain(9, drop), 3);
    drop(consumer);
    assert_eq!(census.living(), 0);
}

#[test]
fn forgotten_half_keeps_the_ring() {
    let census = Census::default();
    let (mut producer, consumer) = pair(4);
    // An empty slot that is abandoned stays empty.
    let _ = producer.vacant();
    (0..3).for_each(|n| drop(producer.push(census.value(n))));
    std::mem::forget(consumer);
    drop(producer);
    assert_eq!(census.living(), 3);
}

#[test]
fn stream_between_threads_is_sealed_midway() {
    for _ in 0..rounds(50, 2) {
        let census = Census::default();
        let (mut producer, mut consumer) = pair(7);
        let (sealer, stop) = (producer.sealer(), AtomicBool::new(false));
        let (taken, back) = thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let mut count = 0;
                let batch: Vec<Counted> = (0..3).map(|n| census.value(n)).collect();
                while !stop.load(Ordering::Relaxed) {
                    count += producer.push_slice(&batch);
                    count += usize::from(producer.push(census.value(5)).is_ok());
                    let mut back = 0;
                    if !producer.settle(|value| back += usize::from(value.look() < 6)) {
                        return count - back;
                    }
                    thread::yield_now();
                }
                count
            });
            let reading = scope.spawn(|| {
                let mut taken = 0;
                while !consumer.is_drained() {
                    taken += consumer.drain(3, |value| assert!(value.look() < 6));
                    taken += usize::from(consumer.pop().is_some());
                    thread::yield_now();
                }
                taken
            });
            while sealer.handled() < rounds(100, 8) as u64 {
                thread::yield_now();
            }
            sealer.seal();
            let taken = reading.join().unwrap();
            stop.store(true, Ordering::Relaxed);
            (taken, writing.join().unwrap())
        });
        assert_eq!(taken, back);
        drop((producer, consumer, sealer));
        assert_eq!(census.living(), 0);
    }
}
