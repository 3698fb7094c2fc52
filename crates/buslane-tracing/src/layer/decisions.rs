//! A table of what was decided per callsite, read without a lock.
//!
//! The table grows and no entry is ever removed. A key is the address of static data, so it always
//! means the same callsite. The table has parts, each four times as large as the one before. A key that
//! finds all its positions taken in one part is in the next one: a program with few callsites has
//! only the first.
//!
//! A position that is taken stays taken. So a key is in the first part that had room for it, and a
//! search ends at a free position.
//!
//! All accesses to entries are `Relaxed`: a key and its value are one word each, a key never changes
//! once it is set, and a value means the same to each reader, whatever else it has seen. A reader that
//! finds a key without its value, or an old value, decides by itself.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The number of entries of the first part, 16 bytes each: more callsites than most programs have.
const ENTRIES: usize = 1024;
/// The number of parts. A callsite that finds no room in any of them is decided each time: that
/// takes a million of them.
const PARTS: usize = 6;
/// How many positions a key may be from its first one.
const PROBES: usize = 8;

#[derive(Default)]
struct Entry {
    /// The address of the callsite's data. 0 is a free entry.
    key: AtomicUsize,
    /// 0 is no value.
    value: AtomicU64,
}

/// A part of the table, whose length is a power of two.
type Part = Box<[Entry]>;

/// A table from addresses of static data to values that are not 0.
pub(crate) struct Decisions {
    first: Part,
    /// The parts after it, which are made when they are needed.
    more: [OnceLock<Part>; PARTS - 1],
}

impl Decisions {
    pub(crate) fn new() -> Self {
        Self { first: part(ENTRIES), more: [const { OnceLock::new() }; PARTS - 1] }
    }

    /// Returns the value of `key`, or 0.
    #[inline]
    pub(crate) fn get(&self, key: usize) -> u64 {
        find(&self.first, ENTRIES.ilog2(), key).unwrap_or_else(|| self.get_more(key))
    }

    #[cold]
    fn get_more(&self, key: usize) -> u64 {
        let mut parts = self.more.iter().map_while(OnceLock::get);
        parts.find_map(|part| find(part, part.len().ilog2(), key)).unwrap_or(0)
    }

    /// Sets the value of `key`, if the table has room for it.
    pub(crate) fn set(&self, key: usize, value: u64) {
        let mut entries = ENTRIES;
        let _ = set_in(&self.first, key, value)
            || self.more.iter().any(|next| {
                entries *= 4;
                set_in(next.get_or_init(|| part(entries)), key, value)
            });
    }
}

fn part(entries: usize) -> Part {
    (0..entries).map(|_| Entry::default()).collect()
}

/// Returns the value of `key` in a part of 2^`bits` entries, which is 0 if the part has room for it;
/// `None` if it may be in a later part.
#[inline]
fn find(part: &[Entry], bits: u32, key: usize) -> Option<u64> {
    for entry in entries(part, bits, key) {
        match entry.key.load(Ordering::Relaxed) {
            found if found == key => return Some(entry.value.load(Ordering::Relaxed)),
            0 => return Some(0),
            _ => {}
        }
    }
    None
}

/// Sets the value of `key`, and returns whether the part has room for it.
fn set_in(part: &[Entry], key: usize, value: u64) -> bool {
    for entry in entries(part, part.len().ilog2(), key) {
        let found = match entry.key.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => key,
            Err(found) => found,
        };
        if found == key {
            entry.value.store(value, Ordering::Relaxed);
            return true;
        }
    }
    false
}

/// Returns the entries of a part of 2^`bits` entries in which `key` may be.
#[inline]
fn entries(part: &[Entry], bits: u32, key: usize) -> impl Iterator<Item = &Entry> {
    // Fibonacci hashing: the upper bits of the product depend on all bits of the address.
    let product = (key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (first, mask) = ((product >> (u64::BITS - bits)) as usize, (1 << bits) - 1);
    (first..first + PROBES).filter_map(move |position| part.get(position & mask))
}

#[cfg(test)]
mod tests {
    use super::{Decisions, ENTRIES};
    use std::thread;

    #[test]
    fn each_key_keeps_its_value() {
        let table = Decisions::new();
        let keys = || (1..=100).map(|n| n * 128);
        keys().for_each(|key| table.set(key, key as u64 + 1));
        assert!(keys().all(|key| table.get(key) == key as u64 + 1));
        table.set(128, 7);
        assert_eq!((table.get(128), table.get(64)), (7, 0));
        assert!(table.more[0].get().is_none(), "a few keys take a second part");
    }

    #[test]
    fn table_grows_with_its_keys() {
        let table = Decisions::new();
        let keys = || (1..=20 * ENTRIES).map(|n| n * 96);
        keys().for_each(|key| table.set(key, key as u64));
        assert!(keys().all(|key| table.get(key) == key as u64));
        assert_eq!(table.get(50), 0);
    }

    #[test]
    fn threads_agree_on_every_key() {
        let table = Decisions::new();
        let keys = || (1..=4 * ENTRIES).map(|n| n * 112);
        thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for key in keys() {
                        table.set(key, key as u64);
                        assert_eq!(table.get(key), key as u64);
                    }
                });
            }
        });
        assert!(keys().all(|key| table.get(key) == key as u64));
    }
}
