//! Writers and readers of a ring of blocks do not use the heap, and a stalled reader retains one
//! block.

use buslane::ring::blocks::{Look, SharedWriter, Writer};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering};
use test_support::blocks::{Alive, CAPACITIES, new, publish_alive};
use test_support::heap::{Heap, heap_of};

#[test]
fn stalled_reader_keeps_one_block_until_its_drop() {
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
        // Each reader ends in a different block.
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
        // Readers that replace dropped ones use the spare blocks.
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

#[test]
fn ring_never_allocates_with_stalled_readers() {
    fn quietly<R>(what: &str, run: impl FnOnce() -> R) -> R {
        let (heap, result) = heap_of(run);
        assert_eq!(heap, Heap::default(), "{what}");
        result
    }
    for capacity in CAPACITIES {
        let alive = AtomicU64::new(0);
        let (mut writer, source) = new(capacity);
        let values = 5 * capacity as u64 + 200;
        quietly("from the first value", || publish_alive(&mut writer, &alive, values));
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
        quietly("a reader that replaces another", || readers.push(source.reader(0).unwrap()));
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
