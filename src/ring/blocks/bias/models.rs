//! Models of the bias: its holder against writers that revoke it, readers, a close and a drop.
//!
//! In a model a writer takes the bias after each claim that leaves room in its block. Elsewhere it
//! takes the bias after many events, so these scenarios run in models only.
#![cfg(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))]

use super::Bias;
use crate::ring::blocks::{Look, Reader, SharedWriter, Source, ring};
use loom_tests::{Lives, Tracked, model, model_with, thread};

fn new(capacity: usize) -> (SharedWriter<Tracked>, Source<Tracked>) {
    let (writer, source) = ring(capacity).expect("a small ring");
    (SharedWriter::from(writer), source)
}

/// Writes a value as a lane does. Returns `false` if the ring is closed.
fn publish(bias: &mut Bias<Tracked>, value: Tracked) -> bool {
    if let Some(turn) = bias.announce() {
        drop(turn.put(value));
        return true;
    }
    let mut claiming = bias.claiming();
    let Some(mut claim) = claiming.claim() else { return false };
    let out = (claim.put(value), claim.take_stale());
    claiming.release(claim);
    drop(out);
    true
}

/// Writes a value as a handle to the journal does. Returns `false` if the ring is closed.
fn claim_and_put(writer: &SharedWriter<Tracked>, value: Tracked) -> bool {
    let Some(mut claim) = writer.claim() else { return false };
    let out = (claim.put(value), claim.take_stale());
    drop(claim);
    drop(out);
    true
}

/// Returns a writer that holds the bias after it has written value 0.
fn holder(writer: &SharedWriter<Tracked>, lives: &Lives) -> Bias<Tracked> {
    let mut bias = Bias::new(writer);
    assert!(publish(&mut bias, lives.value(0)));
    assert_ne!(bias.term.granted, 0, "the bias is granted");
    bias
}

/// Reads the values that are there, and appends them to `got`. Returns the number of values that
/// were missed.
fn read(reader: &mut Reader<Tracked>, got: &mut Vec<usize>) -> u64 {
    let mut missed = 0;
    loop {
        match reader.look() {
            Look::Values => got.push(reader.take(|_, value| value.id())),
            Look::Lagged(values) => missed += values,
            Look::Empty | Look::Closed => return missed,
        }
    }
}

/// Returns whether the values of one writer are in the order in which it wrote them.
fn are_in_order(got: &[usize], ids: &[usize]) -> bool {
    got.iter().filter(|id| ids.contains(id)).eq(ids)
}

#[test]
fn revocation_loses_no_value() {
    // The holder and a writer that revokes both write two values. Fails when a fence of
    // ORD(bias.announced) is missing, or when the store of the tail in `Claim::drop` does not
    // release.
    model(|| {
        let lives = Lives::new(5);
        let (writer, source) = new(4);
        let mut reader = source.reader(0).unwrap();
        let mut bias = holder(&writer, &lives);
        let values = lives.clone();
        let holding = thread::spawn(move || {
            [1, 2].into_iter().for_each(|id| assert!(publish(&mut bias, values.value(id))));
        });
        [3, 4].into_iter().for_each(|id| assert!(claim_and_put(&writer, lives.value(id))));
        holding.join().unwrap();
        let mut got = Vec::new();
        let missed = read(&mut reader, &mut got);
        // A block of four values and one value of the next one.
        assert_eq!((got.len(), missed, source.tail()), (5, 0, 5), "{got:?}");
        assert!(are_in_order(&got, &[0, 1, 2]) && are_in_order(&got, &[3, 4]), "{got:?}");
        drop((writer, source, reader));
        lives.assert_all_dropped();
    });
}

#[test]
fn first_bias_names_its_holder() {
    // The other writer may find the bias that the holder has just taken. Fails when the load of
    // ORD(blocks.claim) in `SharedWriter::claim_slowly` does not acquire: no holder is named.
    model(|| {
        let lives = Lives::new(3);
        let (writer, source) = new(4);
        let (mut bias, values) = (Bias::new(&writer), lives.clone());
        let holding = thread::spawn(move || {
            [0, 1].into_iter().for_each(|id| assert!(publish(&mut bias, values.value(id))));
        });
        assert!(claim_and_put(&writer, lives.value(2)));
        holding.join().unwrap();
        assert_eq!(source.tail(), 3);
        drop((writer, source));
        lives.assert_all_dropped();
    });
}

#[test]
fn revocation_drops_overwritten_values_once() {
    // Blocks of two: the holder and the other writer enter blocks, and overwrite values of each
    // other.
    model(|| {
        let lives = Lives::new(6);
        let (writer, source) = new(2);
        let mut bias = holder(&writer, &lives);
        let values = lives.clone();
        let holding = thread::spawn(move || {
            [1, 2, 3].into_iter().for_each(|id| assert!(publish(&mut bias, values.value(id))));
        });
        [4, 5].into_iter().for_each(|id| assert!(claim_and_put(&writer, lives.value(id))));
        holding.join().unwrap();
        assert_eq!(source.tail(), 6);
        drop((writer, source));
        lives.assert_all_dropped();
    });
}

#[test]
fn bias_changes_hands_and_keeps_order() {
    // Both writers take the bias from each other. Fails when a fence of ORD(bias.announced) is
    // missing.
    model(|| {
        let lives = Lives::new(5);
        let (writer, source) = new(8);
        let mut reader = source.reader(0).unwrap();
        let (mut first, mut second) = (holder(&writer, &lives), Bias::new(&writer));
        let values = lives.clone();
        let other = thread::spawn(move || {
            [1, 2].into_iter().for_each(|id| assert!(publish(&mut second, values.value(id))));
        });
        [3, 4].into_iter().for_each(|id| assert!(publish(&mut first, lives.value(id))));
        other.join().unwrap();
        let mut got = Vec::new();
        assert_eq!(read(&mut reader, &mut got), 0);
        assert!(got.len() == 5 && got[0] == 0, "{got:?}");
        assert!(are_in_order(&got, &[1, 2]) && are_in_order(&got, &[3, 4]), "{got:?}");
        drop((writer, source, reader, first));
        lives.assert_all_dropped();
    });
}

#[test]
fn two_writers_revoke_one_bias() {
    // One of the two gets the claim of the bias, the other one claims after it. Held to one
    // preemption: with two it takes more than a minute.
    model_with(1, || {
        let lives = Lives::new(4);
        let (writer, source) = new(4);
        let mut bias = holder(&writer, &lives);
        let (other, values) = (writer.clone(), lives.clone());
        let other = thread::spawn(move || assert!(claim_and_put(&other, values.value(1))));
        let (third, values) = (writer.clone(), lives.clone());
        let third = thread::spawn(move || assert!(claim_and_put(&third, values.value(2))));
        assert!(publish(&mut bias, lives.value(3)));
        other.join().unwrap();
        third.join().unwrap();
        let (mut reader, mut got) = (source.reader(0).unwrap(), Vec::new());
        assert_eq!(read(&mut reader, &mut got), 0);
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3]);
        drop((writer, source, reader, bias));
        lives.assert_all_dropped();
    });
}

#[test]
fn reader_sees_values_written_under_a_bias() {
    // Fails when the store of ORD(blocks.tail) in `Announced::put` does not release.
    model(|| {
        let lives = Lives::new(3);
        let (writer, source) = new(4);
        let mut reader = source.reader(0).unwrap();
        let mut bias = holder(&writer, &lives);
        let reading = thread::spawn(move || {
            let mut got = Vec::new();
            (0..2).for_each(|_| assert_eq!(read(&mut reader, &mut got), 0));
            (reader, got)
        });
        [1, 2].into_iter().for_each(|id| assert!(publish(&mut bias, lives.value(id))));
        let (mut reader, mut got) = reading.join().unwrap();
        assert_eq!(read(&mut reader, &mut got), 0);
        assert_eq!(got, [0, 1, 2]);
        drop((writer, source, reader, bias));
        lives.assert_all_dropped();
    });
}

#[test]
fn close_ends_a_bias_exactly() {
    // An accepted value is counted by the tail, and after a refused value none is accepted.
    model(|| {
        let lives = Lives::new(3);
        let (writer, source) = new(4);
        let mut bias = holder(&writer, &lives);
        let values = lives.clone();
        let holding = thread::spawn(move || [1, 2].map(|id| publish(&mut bias, values.value(id))));
        assert!(writer.close());
        let tail = source.tail();
        let accepted = holding.join().unwrap();
        assert!(accepted[0] || !accepted[1], "closed is final");
        assert_eq!(tail, 1 + accepted.into_iter().filter(|ok| *ok).count() as u64);
        assert_eq!((source.tail(), source.is_closed()), (tail, true));
        drop((writer, source));
        lives.assert_all_dropped();
    });
}

#[test]
fn drop_of_the_holder_frees_the_claim() {
    // The holder ends its bias by an exchange, which keeps the release of its last store: the other
    // writer sees its values.
    model(|| {
        let lives = Lives::new(3);
        let (writer, source) = new(2);
        let mut bias = holder(&writer, &lives);
        let values = lives.clone();
        let holding = thread::spawn(move || {
            assert!(publish(&mut bias, values.value(1)));
            drop(bias);
        });
        assert!(claim_and_put(&writer, lives.value(2)));
        holding.join().unwrap();
        assert_eq!(source.tail(), 3);
        drop((writer, source));
        lives.assert_all_dropped();
    });
}
