//! The values that are dropped, when, and by which thread, also when a destructor panics.

use buslane::ring::blocks::{Look, Writer};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use test_support::Drops;
use test_support::blocks::{new, publish};

/// Writes a value, and returns the overwritten value and a value that no reader can read anymore.
fn put<T>(writer: &mut Writer<T>, value: T) -> Vec<T> {
    let old = writer.put(value);
    old.into_iter().chain(writer.take_stale()).collect()
}

#[test]
fn zero_sized_values_are_counted_and_dropped() {
    static DROPS: AtomicU64 = AtomicU64::new(0);
    struct Nothing;
    impl Drop for Nothing {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (mut writer, source) = new(3);
    let mut reader = source.reader(0).unwrap();
    for _ in 0..20 {
        publish(&mut writer, Nothing);
    }
    // The values of the two blocks before the current one, and those of the current block.
    assert_eq!(DROPS.load(Ordering::Relaxed), 14);
    assert_eq!((reader.look(), reader.look()), (Look::Lagged(17), Look::Values));
    let mut read = 0;
    while reader.look() == Look::Values {
        let count = reader.values().len();
        read += count;
        reader.take_values(count);
    }
    assert_eq!(read, 3);
    drop((writer, source, reader));
    assert_eq!(DROPS.load(Ordering::Relaxed), 20);
    let (mut writer, source) = new(2);
    (0..9).for_each(|_| publish(&mut writer, ()));
    let mut reader = source.reader(8).unwrap();
    assert_eq!((reader.look(), reader.values()), (Look::Values, &[()][..]));
    assert_eq!(reader.take(|at, ()| at), 8);
}

#[test]
fn large_values_are_aligned() {
    #[repr(align(256))]
    struct Wide([u64; 64]);
    let (mut writer, source) = new(3);
    for n in 0..10 {
        publish(&mut writer, Wide([n; 64]));
    }
    let mut reader = source.reader(7).unwrap();
    for n in 7..10 {
        assert_eq!(reader.look(), Look::Values);
        reader.take(|_, wide| {
            assert_eq!((std::ptr::from_ref(wide).addr() % 256, wide.0), (0, [n; 64]));
        });
    }
}

#[test]
fn writer_returns_overwritten_values_to_drop() {
    let drops = Drops::default();
    let (mut writer, source) = new(2);
    for id in 0..4 {
        publish(&mut writer, drops.track(id));
    }
    assert_eq!(drops.ids(), [0; 0]);
    let first = put(&mut writer, drops.track(4));
    let second = put(&mut writer, drops.track(5));
    assert_eq!(drops.ids().len(), 0);
    writer.commit();
    drop(second);
    assert_eq!(drops.ids(), [1]);
    assert_eq!(first.into_iter().map(|value| value.id).collect::<Vec<_>>(), [0]);
    // Values left in the block of a dropped reader come out one by one, together with others.
    let mut reader = source.reader(2).unwrap();
    assert_eq!(reader.look(), Look::Values);
    assert_eq!(put(&mut writer, drops.track(6)).len(), 0, "the reader keeps its block");
    assert_eq!(put(&mut writer, drops.track(7)).len(), 0);
    writer.commit();
    drop(reader);
    let ids = |writer: &mut Writer<_>, id| {
        put(writer, drops.track(id)).into_iter().map(|old| old.id).collect::<Vec<_>>()
    };
    assert_eq!([ids(&mut writer, 8), ids(&mut writer, 9)], [[4, 3], [5, 2]]);
    drop((writer, source));
    assert_eq!(drops.ids(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

/// A value that panics on drop if it is armed, and counts its drops.
struct Bomb<'a> {
    position: u64,
    armed: &'a AtomicBool,
    drops: &'a AtomicU64,
}

impl Drop for Bomb<'_> {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
        assert!(!self.armed.load(Ordering::Relaxed) || thread::panicking(), "a destructor that panics");
    }
}

#[test]
fn panicking_destructors_leave_the_ring_intact() {
    for capacity in [1, 2, 3, 100] {
        let (armed, drops) = (AtomicBool::new(true), AtomicU64::new(0));
        let bomb = |position| Bomb { position, armed: &armed, drops: &drops };
        let (mut writer, source) = new(capacity);
        let mut reader = source.reader(0).unwrap();
        let (mut panics, mut read) = (0, 0);
        let table = (capacity.div_ceil(source.block_len()) + 1) * source.block_len();
        let end = 5 * table as u64;
        for position in 0..end {
            let put = AssertUnwindSafe(|| drop(writer.put(bomb(position))));
            panics += u64::from(catch_unwind(put).is_err());
            writer.commit();
            assert_eq!(reader.look(), Look::Values);
            reader.take(|at, value| assert_eq!((at, value.position), (position, position)));
            read += 1;
        }
        assert_eq!((panics, drops.load(Ordering::Relaxed), read), (end - table as u64, panics, end));
        armed.store(false, Ordering::Relaxed);
        drop((writer, source, reader));
        assert_eq!(drops.load(Ordering::Relaxed), end);
    }
}

#[test]
fn panicking_destructors_run_once_at_the_end() {
    let (armed, drops) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut writer, source) = new(2);
    for position in 0..7 {
        publish(&mut writer, Bomb { position, armed: &armed, drops: &drops });
    }
    armed.store(true, Ordering::Relaxed);
    drop(source);
    drop(writer);
    assert_eq!(drops.into_inner(), 7);
}
