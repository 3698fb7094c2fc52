//! The ring of a journal.

use super::{Census, Counted, rounds, unwinds};
use buslane::ring::blocks::{Look, OnLag, Reader, SharedWriter, Source, Writer, ring};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

fn made(capacity: usize) -> (Writer<Counted>, Source<Counted>) {
    ring(capacity).unwrap()
}

/// Reads all available values.
fn read(reader: &mut Reader<Counted>) -> usize {
    let mut count = 0;
    loop {
        match reader.look() {
            Look::Values => {
                reader.peek(|position, value| assert_eq!(position as usize, value.look()));
                reader.values().iter().for_each(|value| assert!(value.look() < usize::MAX));
                reader.take(|position, value| assert_eq!(position as usize, value.look()));
                let known = reader.known().min(3);
                let taken = reader.take_values(known);
                count += 1 + taken.iter().filter(|value| value.look() < usize::MAX).count();
            }
            Look::Lagged(_) => {}
            Look::Empty | Look::Closed => return count,
        }
    }
}

#[test]
fn every_ring_shape_reads_and_overwrites_values() {
    for capacity in [1, 3, 5, 64] {
        let census = Census::default();
        let (mut writer, source) = made(capacity);
        let mut reader = source.reader(0).unwrap();
        let mut still = source.reader(0).unwrap();
        for n in 0..rounds(1000, 80) {
            let old = writer.put(census.value(n));
            writer.commit();
            drop((old, writer.take_stale()));
            if n == capacity / 2 {
                assert_eq!(still.look(), Look::Values);
            }
            if n % rounds(7, 37) == 0 {
                read(&mut reader);
            }
        }
        read(&mut still);
        drop((writer, reader, still, source));
        assert_eq!(census.living(), 0);
    }
}

#[test]
fn block_ring_carries_values_of_every_size() {
    fn through<T: Clone + Send + Sync + PartialEq + std::fmt::Debug>(value: &T) {
        let (mut writer, source) = ring::<T>(4).unwrap();
        let mut reader = source.reader(0).unwrap();
        for _ in 0..40 {
            drop(writer.put(value.clone()));
            writer.commit();
            assert_eq!(reader.look(), Look::Values);
            assert_eq!(reader.values(), std::slice::from_ref(value));
            reader.take(|_, seen| assert_eq!(seen, value));
        }
    }
    #[repr(align(256))]
    #[derive(Clone, Debug, PartialEq)]
    struct Wide(u8);
    through(&());
    through(&7_u8);
    through(&"text".to_owned());
    through(&[1_u64; 9]);
    through(&[7_u8; 600]);
    through(&Wide(3));
}

#[test]
fn panicking_looks_and_any_seek_stay_sound() {
    let census = Census::default();
    let (mut writer, source) = made(8);
    let mut reader = source.reader(0).unwrap();
    assert!(unwinds(|| reader.take(|_, _| ())), "no value was found by a poll");
    assert!(unwinds(|| reader.take_values(1).len()));
    assert!(reader.values().is_empty() && reader.peek(|_, _| ()).is_none());
    for n in 0..20 {
        drop(writer.put(census.value(n)));
    }
    writer.commit();
    for position in [0, 1, 5, 12, 19, 20, 21, u64::MAX / 8, u64::MAX] {
        for on_lag in [OnLag::Oldest, OnLag::Newest] {
            reader.set_on_lag(on_lag);
            reader.seek(position);
            let _ = reader.look();
            let found = reader.known();
            let before = reader.position();
            if found > 0 {
                assert!(unwinds(|| reader.take(|_, _| panic!("as requested by the test"))));
                assert_eq!(reader.position(), before + 1);
            }
            assert!(reader.values().len() == found.saturating_sub(1));
        }
        let mut there = source.reader(position).unwrap();
        let _ = there.look();
    }
    drop((writer, reader, source));
    assert_eq!(census.living(), 0);
}

#[test]
fn look_callback_can_lap_the_ring() {
    let census = Census::default();
    let (mut writer, source) = made(4);
    let mut reader = source.reader(0).unwrap();
    drop(writer.put(census.value(0)));
    writer.commit();
    assert_eq!(reader.look(), Look::Values);
    reader.take(|_, value| {
        for n in 1..100 {
            drop(writer.put(census.value(n)));
            drop(writer.take_stale());
            writer.commit();
        }
        assert_eq!(value.look(), 0);
    });
    drop((writer, reader, source));
    assert_eq!(census.living(), 0);
}

#[test]
fn uncommitted_values_are_dropped() {
    let all: &[usize] = if cfg!(miri) { &[0, 3, 65] } else { &[0, 1, 3, 4, 5, 63, 64, 65, 200] };
    for written in all.iter().copied() {
        for capacity in [1, 4, 64] {
            let census = Census::default();
            let (mut writer, source) = made(capacity);
            (0..written).for_each(|n| drop(writer.put(census.value(n))));
            if written % 2 == 0 {
                drop(source);
                drop(writer);
            } else {
                let shared = SharedWriter::from(writer);
                let mut claim = shared.claim().unwrap();
                (0..written).for_each(|n| drop(claim.put(census.value(n))));
                drop(claim);
                drop((shared, source));
            }
            assert_eq!(census.living(), 0, "{written} in {capacity}");
        }
    }
}

#[test]
fn forgotten_readers_keep_their_blocks() {
    let census = Census::default();
    let (mut writer, source) = made(2);
    drop(writer.put(census.value(0)));
    writer.commit();
    for _ in 0..3 {
        let mut reader = source.reader(source.tail() - 1).unwrap();
        assert_eq!(reader.look(), Look::Values);
        std::mem::forget(reader);
        for n in 0..20 {
            drop(writer.put(census.value(n)));
            drop(writer.take_stale());
            writer.commit();
        }
    }
    assert_eq!(source.readers(), 3);
    // The ring lives as long as its readers.
    drop((writer, source));
    assert!(census.living() > 0);
}

#[test]
fn forgotten_claim_only_ends_writing() {
    let census = Census::default();
    let (writer, source) = made(4);
    let writer = SharedWriter::from(writer);
    let mut claim = writer.claim().unwrap();
    drop(claim.put(census.value(0)));
    std::mem::forget(claim);
    assert_eq!((source.tail(), source.is_closed()), (0, false));
    drop(writer);
    assert!(source.is_closed());
    let mut reader = source.reader(0).unwrap();
    assert_eq!(reader.look(), Look::Closed);
}

#[test]
fn threads_alternate_writes_and_read_soundly() {
    for capacity in [1, 4, 64] {
        let census = Census::default();
        let (writer, source) = made(capacity);
        let writer = SharedWriter::from(writer);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let writers = [(); 2].map(|()| {
                let (writer, census) = (writer.clone(), &census);
                scope.spawn(move || {
                    for _ in 0..rounds(2000, 20) {
                        let mut claim = writer.claim().unwrap();
                        let position = claim.position() as usize;
                        let old = [claim.put(census.value(position)), claim.put(census.value(position + 1))];
                        let stale = claim.take_stale();
                        drop(claim);
                        drop((old, stale));
                    }
                })
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut reader = source.reader(0).unwrap();
                    while !over.load(Ordering::Relaxed) {
                        read(&mut reader);
                        thread::yield_now();
                    }
                });
            }
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            over.store(true, Ordering::Relaxed);
        });
        assert_eq!(source.tail(), 4 * rounds(2000, 20) as u64);
        drop((writer, source));
        assert_eq!(census.living(), 0);
    }
}
