//! Every position is delivered or counted as missed, for readers with random operations and readers
//! on other threads.

use buslane::ring::blocks::{Look, Reader, SharedWriter};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use test_support::blocks::{Alive, CAPACITIES, new, publish};

/// A generator of pseudorandom numbers: M. Marsaglia's xorshift, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A reader, and the counts of its values since its start.
struct Account<'a> {
    reader: Reader<Alive<'a>>,
    start: u64,
    delivered: u64,
    missed: u64,
}

impl Account<'_> {
    /// Polls once, and reads some of the values; `oldest` is the oldest value that is guaranteed to
    /// be retained.
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
                assert_eq!(self.reader.position(), oldest, "the reader continues at the oldest value");
                self.missed += missed;
            }
            Look::Empty | Look::Closed => {}
        }
        assert_eq!(self.start + self.delivered + self.missed, self.reader.position());
    }
}

#[test]
fn each_position_is_delivered_or_counted_as_missed() {
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
fn readers_on_threads_count_every_missed_value() {
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
                        // One reader reads as fast as it can, one is slow, and one is repeatedly
                        // replaced by another.
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
