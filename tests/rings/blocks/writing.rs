//! What a writer shows and when, writers that alternate, and the operations that a ring refuses.

use super::{next, publish_to};
use buslane::error::{BuildError, ConfigErrorKind, OutOfMemory};
use buslane::ring::MAX_CAPACITY;
use buslane::ring::blocks::{Look, SharedWriter, ring};
use test_support::blocks::{new, publish};
use test_support::invalid;

#[test]
fn commit_or_block_end_shows_written_values() {
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
    // A close shows all values written before it.
    writer.close();
    assert_eq!((next(&mut reader), reader.look()), (Some(3), Look::Closed));
    assert!(source.is_closed());
}

#[test]
fn shared_writers_alternate_until_the_close() {
    for close in [true, false] {
        let (mut first, source) = new(3);
        publish_to(&mut first, 1);
        let _ = first.put(1);
        let one = SharedWriter::from(first);
        let other = one.clone();
        let mut reader = source.reader(0).unwrap();
        // The change shows the values that were written but not committed.
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
fn invalid_capacities_are_typed_errors() {
    assert_eq!(invalid(ring::<u8>(0)), ConfigErrorKind::Capacity);
    for asked in [MAX_CAPACITY + 1, usize::MAX] {
        assert_eq!(invalid(ring::<u8>(asked)), ConfigErrorKind::Capacity);
    }
}

#[test]
fn unavailable_memory_is_an_error() {
    type Huge = [u8; 1 << 20];
    let error = BuildError::OutOfMemory(OutOfMemory::new(MAX_CAPACITY));
    assert_eq!(ring::<Huge>(MAX_CAPACITY).err(), Some(error));
}

#[test]
fn debug_output_contains_no_value() {
    let (mut writer, source) = new(1);
    publish(&mut writer, String::from("hunter2"));
    let reader = source.reader(0).unwrap();
    let mut texts = vec![format!("{writer:?} {source:?} {reader:?}")];
    let writer = SharedWriter::from(writer);
    texts.push(format!("{writer:?}"));
    texts.push(format!("{:?}", writer.claim()));
    assert!(texts.iter().all(|text| !text.contains("hunter2")), "{texts:?}");
}
