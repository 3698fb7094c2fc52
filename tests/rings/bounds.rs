//! The capacities that both rings of values refuse, and the layout of values without size or with a
//! large alignment.

use super::{mpmc, spsc};
use buslane::error::{BuildError, ConfigErrorKind, OutOfMemory};
use buslane::ring::MAX_CAPACITY;
use buslane::ring::mpmc::{Pop, PushError, Ring};
use buslane::ring::spsc::ring;
use test_support::invalid;

#[test]
fn invalid_capacities_are_typed_errors() {
    assert_eq!(invalid(ring::<u8>(0)), ConfigErrorKind::Capacity);
    assert_eq!(invalid(Ring::<u8>::new(0)), ConfigErrorKind::Capacity);
    for asked in [MAX_CAPACITY + 1, usize::MAX] {
        assert_eq!(invalid(ring::<u8>(asked)), ConfigErrorKind::Capacity);
        assert_eq!(invalid(Ring::<u8>::new(asked)), ConfigErrorKind::Capacity);
    }
}

#[test]
fn unavailable_memory_is_an_error() {
    type Huge = [u8; 1 << 20];
    let error = Some(BuildError::OutOfMemory(OutOfMemory::new(MAX_CAPACITY)));
    assert_eq!(ring::<Huge>(MAX_CAPACITY).err(), error);
    assert_eq!(Ring::<Huge>::new(MAX_CAPACITY).err(), error);
}

#[test]
fn zero_sized_and_large_values_are_aligned() {
    #[repr(align(128))]
    #[derive(Debug, PartialEq, Eq)]
    struct Wide([u64; 32]);
    let (mut producer, mut consumer) = spsc(3);
    let shared = mpmc(3);
    for n in 0..10 {
        assert_eq!(producer.push(Wide([n; 32])), Ok(()));
        assert_eq!(
            consumer.drain_in_place(1, |wide| assert_eq!(std::ptr::from_ref(wide).addr() % 128, 0)),
            1
        );
        assert_eq!(shared.push(Wide([n; 32])), Ok(()));
        assert_eq!(shared.pop(), Pop::Value(Wide([n; 32])));
    }
    let (mut producer, mut consumer) = spsc(2);
    assert_eq!([producer.push(()), producer.push(()), producer.push(())], [Ok(()), Ok(()), Err(())]);
    assert_eq!([consumer.pop(), consumer.pop(), consumer.pop()], [Some(()), Some(()), None]);
    let shared = mpmc(2);
    assert_eq!(
        [shared.push(()), shared.push(()), shared.push(())],
        [Ok(()), Ok(()), Err(PushError::Full(()))]
    );
    assert_eq!([shared.pop(), shared.pop(), shared.pop()], [Pop::Value(()), Pop::Value(()), Pop::Empty]);
}
