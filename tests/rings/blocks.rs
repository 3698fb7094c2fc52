//! The ring of blocks through its public items: what stays readable, exact lag and exact drops.

mod accounting;
mod drops;
mod reading;
mod writing;

use buslane::ring::blocks::{Look, Reader, Writer};
use test_support::blocks::publish;

/// Publishes values that equal their position, up to a position.
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
