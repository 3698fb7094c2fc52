//! The ring of blocks through its public items: what stays readable, exact lag, exact drops, and no use of the heap by those
//! who write and read.

#[path = "support/counting.rs"]
mod counting;
#[expect(clippy::allow_attributes, reason = "an expectation fails in the file that uses every helper")]
#[allow(dead_code, reason = "each file uses some of the helpers")]
mod support;

use buslane::InvalidConfig;
use buslane::ring::MAX_CAPACITY;
use buslane::ring::blocks::{Look, MAX_READERS, OnLag, Reader, SharedWriter, Source, Writer, ring};
use counting::{Heap, heap_of};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use support::Drops;

/// Below, at and above the length of a block, and between multiples of it.
const CAPACITIES: [usize; 8] = [1, 2, 3, 63, 64, 65, 100, 1000];

fn new<T: Send + Sync>(capacity: usize) -> (Writer<T>, Source<T>) {
    ring(capacity).expect("a capacity that can be")
}

fn publish<T>(writer: &mut Writer<T>, value: T) {
    let old = (writer.put(value), writer.take_stale());
    writer.commit();
    drop(old);
}

/// Writes a value; what it overwrites, and one that nobody can read any more.
fn put<T>(writer: &mut Writer<T>, value: T) -> Vec<T> {
    let old = writer.put(value);
    old.into_iter().chain(writer.take_stale()).collect()
}

/// Publishes values that say where they are, up to a position.
fn publish_to(writer: &mut Writer<u64>, end: u64) {
    for position in writer.position()..end {
        publish(writer, position);
    }
}

fn next(reader: &mut Reader<u64>) -> Option<u64> {
    match reader.look() {
        Look::Values => Some(reader.take(|position, value| {
            assert_eq!(position, *value);
            position
        })),
        Look::Empty | Look::Closed => None,
        Look::Lagged(missed) => panic!("{missed} missed"),
    }
}

#[test]
fn the_newest_values_are_always_readable_as_many_as_asked_for() {
    for capacity in CAPACITIES {
        let (mut writer, source) = new(capacity);
        let (mut one_by_one, mut together) = (source.reader(0).unwrap(), source.reader(0).unwrap());
        assert_eq!(source.capacity(), capacity);
        for end in 1..=5 * capacity as u64 + 200 {
            publish(&mut writer, end - 1);
            let oldest = end.saturating_sub(capacity as u64);
            assert_eq!((source.tail(), source.oldest(), writer.position()), (end, oldest, end));
            together.seek(oldest);
            let mut expected = oldest;
            while together.look() == Look::Values {
                let values = together.values();
                assert!(values.iter().copied().eq(expected..expected + values.len() as u64));
                expected += values.len() as u64;
                together.take_values(values.len());
            }
            assert_eq!((expected, together.look()), (end, Look::Empty), "capacity {capacity}");
            if end % 17 == 0 {
                one_by_one.seek(oldest);
                let read: Vec<_> = std::iter::from_fn(|| next(&mut one_by_one)).collect();
                assert!(read.into_iter().eq(oldest..end), "capacity {capacity}");
            }
        }
    }
}

#[test]
fn what_a_reader_has_missed_is_counted_exactly_wherever_it_stood() {
    for capacity in CAPACITIES {
        let (mut writer, source) = new(capacity);
        let kept = (capacity + 2 * source.block_len()) as u64;
        for end in 1..=3 * kept {
            publish(&mut writer, end - 1);
            let oldest = source.oldest();
            for start in [0, end / 3, end / 2, oldest.saturating_sub(1), oldest, end - 1] {
                let mut reader = source.reader(start).unwrap();
                let missed = match reader.look() {
                    Look::Lagged(missed) => missed,
                    look => {
                        assert_eq!(look, Look::Values);
                        assert!(start + kept > end, "older than any block of capacity {capacity}");
                        0
                    }
                };
                assert!(missed == 0 || start + missed == oldest, "{start} and {missed} of {end}");
                assert_eq!(next(&mut reader), Some(start + missed));
                assert_eq!(reader.behind(), end - start - missed - 1);
            }
        }
    }
}

#[test]
fn a_reader_that_prefers_the_newest_misses_all_that_are_there() {
    let (mut writer, source) = new(3);
    let mut reader = source.reader(0).unwrap();
    reader.set_on_lag(OnLag::Newest);
    publish_to(&mut writer, 20);
    assert_eq!((reader.look(), reader.known(), reader.look()), (Look::Lagged(20), 0, Look::Empty));
    publish_to(&mut writer, 21);
    assert_eq!(next(&mut reader), Some(20));
    reader.set_on_lag(OnLag::Oldest);
    publish_to(&mut writer, 40);
    // It stands in the middle of a block that was overwritten.
    assert_eq!((reader.look(), reader.position()), (Look::Lagged(16), 37));
}

#[test]
fn the_block_that_a_reader_stands_in_is_left_to_it_whole() {
    for capacity in CAPACITIES {
        let (mut writer, source) = new(capacity);
        let block = source.block_len() as u64;
        publish_to(&mut writer, 3 * block);
        let mut reader = source.reader(2 * block).unwrap();
        assert_eq!(next(&mut reader), Some(2 * block));
        publish_to(&mut writer, 20 * block + capacity as u64);
        // What it has at hand is there as long as it does not look for more.
        assert!(reader.values().iter().copied().eq(2 * block + 1..3 * block), "capacity {capacity}");
        assert_eq!(reader.known() as u64, block - 1);
        assert_eq!(reader.look(), Look::Lagged(18 * block - 1));
        assert_eq!(next(&mut reader), Some(20 * block));
        // Nor can it be had back by going to its beginning.
        let mut reader = source.reader(source.oldest()).unwrap();
        let first = next(&mut reader).unwrap();
        let end = writer.position();
        publish_to(&mut writer, end + 10 * block + 2 * capacity as u64);
        reader.seek(first);
        assert_eq!(reader.look(), Look::Lagged(source.oldest() - first));
    }
}

#[test]
fn a_reader_may_wait_for_a_position_that_is_still_to_come() {
    let (mut writer, source) = new(3);
    let (mut soon, mut never) = (source.reader(10).unwrap(), source.reader(u64::MAX).unwrap());
    for end in 1..=10 {
        publish_to(&mut writer, end);
        assert_eq!((soon.look(), soon.behind(), soon.position()), (Look::Empty, 0, 10));
    }
    publish_to(&mut writer, 12);
    assert_eq!(
        (soon.behind(), next(&mut soon), next(&mut soon), next(&mut soon)),
        (2, Some(10), Some(11), None)
    );
    assert_eq!((never.look(), never.known(), never.behind()), (Look::Empty, 0, 0));
    writer.close();
    assert_eq!((soon.look(), never.look()), (Look::Closed, Look::Closed));
}

#[test]
fn a_seek_goes_anywhere_and_counts_nothing_as_missed() {
    let (mut writer, source) = new(4);
    let mut reader = source.reader(0).unwrap();
    publish_to(&mut writer, 6);
    for position in [5, 2, 3, 2, 4, 5] {
        reader.seek(position);
        assert_eq!((reader.position(), reader.known()), (position, 0));
        assert_eq!(next(&mut reader), Some(position));
    }
    reader.seek(9);
    assert_eq!(reader.look(), Look::Empty);
    publish_to(&mut writer, 10);
    assert_eq!((next(&mut reader), reader.look()), (Some(9), Look::Empty));
    reader.seek(0);
    assert_eq!((reader.look(), next(&mut reader)), (Look::Lagged(6), Some(6)));
}

#[test]
fn a_reader_that_has_not_looked_yet_lends_nothing() {
    // At each place within a block: the place is looked for only where there is a block.
    let (mut writer, source) = new(100);
    publish_to(&mut writer, 70);
    for position in 0..140 {
        let mut reader = source.reader(position).unwrap();
        assert_eq!(reader.values(), [0; 0]);
        reader.take_values(0);
        let _ = reader.look();
        assert_eq!(reader.values().first(), (position..70).next().as_ref());
    }
}

#[test]
#[should_panic(expected = "a value was found by a look")]
fn a_take_without_a_look_panics() {
    let (mut writer, source) = new(1);
    publish(&mut writer, 0);
    source.reader(0).unwrap().take(|_, _| ());
}

#[test]
#[should_panic(expected = "values were found by a look")]
fn a_skip_beyond_what_is_known_panics() {
    let (mut writer, source) = new(2);
    publish_to(&mut writer, 1);
    let mut reader = source.reader(0).unwrap();
    assert_eq!(reader.look(), Look::Values);
    reader.take_values(2);
}

#[test]
fn a_take_that_unwinds_has_gone_past_its_value() {
    let (mut writer, source) = new(3);
    publish_to(&mut writer, 2);
    let mut reader = source.reader(0).unwrap();
    assert_eq!(reader.look(), Look::Values);
    assert!(catch_unwind(AssertUnwindSafe(|| reader.take(|_, value| assert_eq!(*value, 7)))).is_err());
    assert_eq!(next(&mut reader), Some(1));
}

#[test]
fn values_written_together_are_shown_by_one_commit_or_by_the_next_block() {
    let (mut writer, source) = new(2);
    let mut reader = source.reader(0).unwrap();
    let _ = writer.put(0);
    let _ = writer.put(1);
    assert_eq!((writer.position(), source.tail(), reader.look()), (2, 0, Look::Empty));
    let _ = writer.put(2);
    assert_eq!(
        (source.tail(), next(&mut reader), next(&mut reader), next(&mut reader)),
        (2, Some(0), Some(1), None)
    );
    writer.commit();
    assert_eq!((next(&mut reader), next(&mut reader)), (Some(2), None));
    let _ = writer.put(3);
    // A close shows what was written before it.
    writer.close();
    assert_eq!((next(&mut reader), reader.look()), (Some(3), Look::Closed));
    assert!(source.is_closed());
}

#[test]
fn shared_writers_write_by_turns_until_one_closes_or_the_last_is_dropped() {
    for close in [true, false] {
        let (mut first, source) = new(3);
        publish_to(&mut first, 1);
        let _ = first.put(1);
        let one = SharedWriter::from(first);
        let other = one.clone();
        let mut reader = source.reader(0).unwrap();
        // What was written and not committed is shown by the change.
        assert_eq!((source.tail(), next(&mut reader), next(&mut reader)), (2, Some(0), Some(1)));
        for writer in [&one, &other] {
            let mut claim = writer.claim().unwrap();
            assert_eq!(claim.position(), source.tail());
            let position = claim.position();
            let _ = claim.put(position);
            let _ = claim.put(position + 1);
            assert!(reader.position() == position && claim.position() == position + 2);
            drop(claim);
            assert_eq!((next(&mut reader), next(&mut reader)), (Some(position), Some(position + 1)));
        }
        if close {
            assert_eq!((one.close(), other.close(), one.claim().is_none()), (true, false, true));
        } else {
            drop(one);
            assert!(!source.is_closed());
            drop(other);
        }
        assert_eq!((source.is_closed(), source.tail(), reader.look()), (true, 6, Look::Closed));
    }
}

#[test]
fn capacities_that_cannot_be_are_typed_errors() {
    assert_eq!(ring::<u8>(0).err(), Some(InvalidConfig::ZeroCapacity));
    for asked in [MAX_CAPACITY + 1, usize::MAX] {
        let error = InvalidConfig::CapacityTooLarge { asked, most: MAX_CAPACITY };
        assert_eq!(ring::<u8>(asked).err(), Some(error));
    }
}

#[test]
fn memory_that_is_not_to_be_had_is_an_error_and_no_abort() {
    type Huge = [u8; 1 << 20];
    let error = InvalidConfig::OutOfMemory { slots: MAX_CAPACITY };
    assert_eq!(ring::<Huge>(MAX_CAPACITY).err(), Some(error));
}

#[test]
fn as_many_readers_as_can_be_counted_stand_in_one_block_and_one_more_is_refused() {
    let (mut writer, source) = new(1);
    publish(&mut writer, 0);
    let mut readers: Vec<_> = (0..MAX_READERS).map(|_| source.reader(0).unwrap()).collect();
    let refused = || source.reader(0).err() == Some(InvalidConfig::TooManyReaders { most: MAX_READERS });
    assert!(refused() && source.readers() == MAX_READERS);
    assert!(readers.iter_mut().all(|reader| reader.look() == Look::Values));
    publish_to(&mut writer, 5);
    assert!(readers.iter_mut().all(|reader| *reader.values() == [0]));
    assert!(readers.iter_mut().all(|reader| reader.look() == Look::Lagged(4) && next(reader) == Some(4)));
    publish_to(&mut writer, 9);
    readers.pop();
    readers.push(source.reader(8).unwrap());
    assert!(refused() && next(&mut readers[MAX_READERS - 1]) == Some(8));
}

/// A value that counts those alive.
struct Alive<'a> {
    position: u64,
    alive: &'a AtomicU64,
}

impl<'a> Alive<'a> {
    fn new(position: u64, alive: &'a AtomicU64) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self { position, alive }
    }
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        assert_ne!(self.position, u64::MAX, "dropped twice");
        self.position = u64::MAX;
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

fn publish_alive<'a>(writer: &mut Writer<Alive<'a>>, alive: &'a AtomicU64, count: u64) {
    for position in writer.position()..writer.position() + count {
        publish(writer, Alive::new(position, alive));
    }
}

#[test]
fn a_reader_that_stands_still_keeps_one_block_and_its_values_go_when_it_does() {
    for capacity in CAPACITIES {
        let alive = AtomicU64::new(0);
        let (mut writer, source) = new(capacity);
        let block = source.block_len() as u64;
        let table = (capacity as u64).div_ceil(block) * block + block;
        let kept = |blocks: u64| {
            let most = table + blocks * block;
            assert!(
                (most - block + 1..=most).contains(&alive.load(Ordering::Relaxed)),
                "capacity {capacity}"
            );
        };
        // Each reader stands in a block of its own.
        let stand = |writer: &mut Writer<_>| {
            publish_alive(writer, &alive, block);
            let mut reader = source.reader(source.tail() - 1).unwrap();
            assert_eq!(reader.look(), Look::Values);
            reader
        };
        publish_alive(&mut writer, &alive, 3 * table);
        kept(0);
        let [stalled, dropped, other] = [(); 3].map(|()| stand(&mut writer));
        let mut forgotten = ManuallyDrop::new(stand(&mut writer));
        publish_alive(&mut writer, &alive, 10 * table);
        kept(4);
        drop((dropped, other));
        publish_alive(&mut writer, &alive, 10 * table);
        kept(2);
        // For readers that come in the place of others there are spares.
        let (heap, mut again) = heap_of(|| [(); 2].map(|()| stand(&mut writer)));
        assert_eq!(heap, Heap::default());
        publish_alive(&mut writer, &alive, 10 * table);
        kept(4);
        for reader in again.iter_mut().chain([&mut *forgotten]) {
            let expected = reader.position();
            reader.take(|position, value| assert_eq!((position, value.position), (expected, expected)));
        }
        drop((again, stalled));
        publish_alive(&mut writer, &alive, 10 * table);
        kept(1);
        drop((writer, source.clone()));
        assert_eq!(source.readers(), 1);
        drop(source);
        assert_ne!(alive.load(Ordering::Relaxed), 0, "the forgotten reader keeps the ring");
        drop(ManuallyDrop::into_inner(forgotten));
        assert_eq!(alive.load(Ordering::Relaxed), 0, "capacity {capacity}");
    }
}

/// Random numbers by M. Marsaglia's xorshift, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A reader, and what it has come to since its start.
struct Account<'a> {
    reader: Reader<Alive<'a>>,
    start: u64,
    delivered: u64,
    missed: u64,
}

impl Account<'_> {
    /// One look, and some of the values that it finds; `at_most` is the oldest value kept for certain.
    fn read(&mut self, most: u64, oldest: u64) {
        match self.reader.look() {
            Look::Values => {
                for _ in 0..most.min(self.reader.known() as u64) {
                    let expected = self.reader.position();
                    self.reader
                        .take(|position, value| assert_eq!((position, value.position), (expected, expected)));
                    self.delivered += 1;
                }
            }
            Look::Lagged(missed) => {
                assert!(missed > 0);
                assert_eq!(self.reader.position(), oldest, "it goes on at the oldest");
                self.missed += missed;
            }
            Look::Empty | Look::Closed => {}
        }
        assert_eq!(self.start + self.delivered + self.missed, self.reader.position());
    }
}

#[test]
fn every_position_is_delivered_or_missed_whatever_readers_do() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for capacity in CAPACITIES {
        let alive = AtomicU64::new(0);
        let (mut writer, source) = new(capacity);
        let block = source.block_len() as u64;
        let table = (capacity as u64).div_ceil(block) * block + block;
        let mut readers: Vec<Account<'_>> = Vec::new();
        let mut most_readers = 0;
        let mut uncommitted = Vec::new();
        for _ in 0..4000 {
            match random.below(10) {
                0..=3 => {
                    for _ in 0..random.below(2 * block + 2) {
                        uncommitted.push(writer.put(Alive::new(writer.position(), &alive)));
                        if random.below(3) > 0 {
                            writer.commit();
                            uncommitted.clear();
                        }
                    }
                    writer.commit();
                    uncommitted.clear();
                }
                4 if readers.len() < 5 => {
                    let start = random.below(source.tail() + 2);
                    let reader = source.reader(start).unwrap();
                    readers.push(Account { reader, start, delivered: 0, missed: 0 });
                    most_readers = most_readers.max(readers.len() as u64);
                }
                5 if !readers.is_empty() => {
                    drop(readers.swap_remove(random.below(readers.len() as u64) as usize))
                }
                6 if !readers.is_empty() => {
                    let count = readers.len() as u64;
                    let Account { reader, start, delivered, missed } =
                        &mut readers[random.below(count) as usize];
                    *start = source.oldest().saturating_sub(random.below(block)) + random.below(table);
                    reader.seek(*start);
                    (*delivered, *missed) = (0, 0);
                }
                _ if !readers.is_empty() => {
                    let count = readers.len() as u64;
                    readers[random.below(count) as usize].read(random.below(block + 2), source.oldest());
                }
                _ => {}
            }
            assert!(alive.load(Ordering::Relaxed) <= table + most_readers * block);
        }
        writer.close();
        for account in &mut readers {
            while account.reader.behind() > 0 {
                account.read(u64::MAX, source.oldest());
            }
            assert_eq!(account.reader.look(), Look::Closed);
        }
        drop((source, readers));
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn values_without_size_are_counted_and_dropped_like_others() {
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
    // Those of the two blocks that lie in front of the one being written, and of that one.
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
fn values_larger_than_a_cache_line_lie_where_they_should() {
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
fn what_is_pushed_out_is_dropped_by_whoever_wrote_and_where_it_wants() {
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
    // Values that are left in a block which a reader stood in come out one by one with others, when it is gone.
    let mut reader = source.reader(2).unwrap();
    assert_eq!(reader.look(), Look::Values);
    assert_eq!(put(&mut writer, drops.track(6)).len(), 0, "the reader's block is left to it");
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

/// Panics when it is dropped, if it is armed, and counts its drops.
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
fn destructors_that_panic_leave_the_ring_whole() {
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
fn destructors_that_panic_at_the_end_all_run_once() {
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

#[test]
fn writing_and_reading_leave_the_heap_alone_also_with_readers_that_stand_still() {
    fn quietly<R>(what: &str, run: impl FnOnce() -> R) -> R {
        let (heap, result) = heap_of(run);
        assert_eq!(heap, Heap::default(), "{what}");
        result
    }
    for capacity in CAPACITIES {
        let alive = AtomicU64::new(0);
        let (mut writer, source) = new(capacity);
        let values = 5 * capacity as u64 + 200;
        quietly("from the first value on", || publish_alive(&mut writer, &alive, values));
        let mut readers: Vec<_> = (0..5).map(|_| source.reader(0).unwrap()).collect();
        for round in 0..10 {
            for (index, reader) in readers.iter_mut().enumerate() {
                quietly("a reader", || {
                    if round % (index + 1) == 0 {
                        reader.seek(source.oldest() + index as u64);
                        let _ = reader.look();
                        let known = reader.values().len().min(3);
                        reader.take_values(known);
                    }
                });
            }
            quietly("with readers", || publish_alive(&mut writer, &alive, values));
        }
        let again = readers.pop();
        drop(again);
        quietly("a reader in the place of another", || readers.push(source.reader(0).unwrap()));
        let writer = SharedWriter::from(writer);
        quietly("shared", || {
            for _ in 0..values {
                let mut claim = writer.claim().unwrap();
                let old = [0, 1].map(|_| {
                    let position = claim.position();
                    claim.put(Alive::new(position, &alive))
                });
                drop(claim);
                drop(old);
            }
        });
        drop((writer, source, readers));
        assert_eq!(alive.into_inner(), 0);
    }
}

#[test]
fn what_is_said_about_a_ring_contains_no_value() {
    let (mut writer, source) = new(1);
    publish(&mut writer, String::from("hunter2"));
    let reader = source.reader(0).unwrap();
    let mut texts = vec![format!("{writer:?} {source:?} {reader:?}")];
    let writer = SharedWriter::from(writer);
    texts.push(format!("{writer:?}"));
    texts.push(format!("{:?}", writer.claim()));
    assert!(texts.iter().all(|text| !text.contains("hunter2")), "{texts:?}");
}

#[test]
fn readers_on_other_threads_get_every_value_or_are_told_how_many_they_missed() {
    const END: u64 = 30_000;
    for (capacity, writers) in [(1, 1), (3, 2), (64, 1), (64, 2), (100, 2)] {
        let alive = AtomicU64::new(0);
        let (writer, source) = new(capacity);
        let start = Barrier::new(writers + 4);
        thread::scope(|scope| {
            let (start, alive) = (&start, &alive);
            for index in 0..4 {
                let source = source.clone();
                scope.spawn(move || {
                    let begin =
                        || Account { reader: source.reader(0).unwrap(), start: 0, delivered: 0, missed: 0 };
                    let mut account = begin();
                    start.wait();
                    while !(source.is_closed() && account.reader.position() == source.tail()) {
                        match account.reader.look() {
                            Look::Values => {
                                let expected = account.reader.position();
                                account
                                    .reader
                                    .take(|at, value| assert_eq!((at, value.position), (expected, expected)));
                                account.delivered += 1;
                            }
                            Look::Lagged(missed) => account.missed += missed,
                            Look::Empty | Look::Closed => thread::yield_now(),
                        }
                        // One reads as fast as it can, one is slow, and one makes place for another again and again.
                        match index {
                            1 if account.delivered % 7 == 0 => thread::yield_now(),
                            2 if account.delivered >= 100 && !source.is_closed() => account = begin(),
                            _ => {}
                        }
                    }
                    assert_eq!(account.delivered + account.missed, END);
                });
            }
            if writers == 1 {
                let mut writer = writer;
                scope.spawn(move || {
                    start.wait();
                    for position in 0..END {
                        publish(&mut writer, Alive::new(position, alive));
                    }
                });
            } else {
                let writer = SharedWriter::from(writer);
                for _ in 0..writers {
                    let writer = writer.clone();
                    scope.spawn(move || {
                        start.wait();
                        loop {
                            let mut claim = writer.claim().unwrap();
                            if claim.position() == END {
                                return;
                            }
                            let position = claim.position();
                            let old = claim.put(Alive::new(position, alive));
                            drop(claim);
                            drop(old);
                        }
                    });
                }
            }
        });
        drop(source);
        assert_eq!(alive.into_inner(), 0, "capacity {capacity}, writers {writers}");
    }
}
