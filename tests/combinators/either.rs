//! A sink that is one of two types.

use crate::fixtures::took;
use crate::support::{Outcome, WAYS, assert_balanced, outcome};
use crate::{channel, describe, entry};
use buslane::sink::lane::Lanes;
use buslane::sink::{Either, Noop};
use buslane::time::Deadline;
use buslane::{Bus, Channel, Overflow, Sink, SinkExt, noop};
use std::sync::Arc;

fn choose(left: Option<Channel<u64>>) -> Either<Channel<u64>, Noop<u64>> {
    left.map_or_else(|| Either::Right(noop()), Either::Left)
}

#[test]
fn either_is_the_sink_that_it_holds() {
    for way in WAYS {
        let (channel, mut receiver) = channel(1, Overflow::Refuse);
        let sink = Arc::new(choose(Some(channel.clone())));
        assert!(sink.has_lanes() && sink.key() == channel.key());
        let mut entry = entry(&sink, way);
        assert_eq!(outcome(entry.write(1)), Outcome::Accepted, "{way:?}");
        assert_eq!(outcome(entry.write(2)), Outcome::Full(2));
        assert_eq!(receiver.recv(), Ok(1));
        let ledger = assert_balanced(&describe(&sink));
        assert_eq!((ledger.offered, ledger.delivered, ledger.refused.full), (2, 1, 1));
        assert!(sink.close_by(Deadline::NOW).is_done());
        assert_eq!(outcome(entry.write(3)), Outcome::Closed(3));
    }
    let other = choose(None);
    assert!(!other.has_lanes() && other.lane().unwrap().is_none() && other.key().is_none());
    assert_eq!(outcome(other.write(1)), Outcome::Accepted);
}

#[test]
fn a_choice_stands_inside_a_chain_on_a_bus() {
    let (channel, mut receiver) = channel(8, Overflow::Refuse);
    let bus = Bus::new();
    for side in [Some(channel), None] {
        bus.add(choose(side).map(|event: &u64| event * 2).filter(|event| *event > 1)).unwrap();
    }
    assert_eq!(bus.publisher().publish(2), Ok(took(2, 0)));
    assert_eq!(bus.publish(1), Ok(took(2, 0)));
    assert_eq!(receiver.drain().collect::<Vec<_>>(), [4]);
}
