//! The ring for many producers and many consumers, compared with a queue.

use super::value::{Census, Step, Value};
use buslane::ring::mpmc::{Pop, PushError, Ring};
use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Push,
    Pop,
    PopAt,
    PushEvicting,
    Close,
}

impl Op {
    pub(crate) fn decode([code, ..]: Step) -> Self {
        match code % 64 {
            0..26 => Self::Push,
            26..40 => Self::Pop,
            40..48 => Self::PopAt,
            48..63 => Self::PushEvicting,
            _ => Self::Close,
        }
    }
}

/// Runs a case; panics where ring and model differ.
pub(crate) fn run(capacity: usize, ops: &[Op]) {
    let census = Census::default();
    let ring = Ring::<Value>::new(capacity).expect("a small ring");
    let mut model: VecDeque<u64> = VecDeque::new();
    let (mut accepted, mut claimed, mut closed) = (0_u64, 0_u64, false);
    for (id, op) in (0..).zip(ops) {
        match op {
            Op::Push | Op::PushEvicting => {
                let mut evicted = Vec::new();
                let outcome = match op {
                    Op::Push => ring.push(census.make(id)),
                    _ => ring.push_evicting(census.make(id), |value| evicted.push(value.id)),
                };
                match outcome {
                    Ok(()) => {
                        assert!(!closed, "a push into a closed ring");
                        if model.len() == capacity {
                            assert_eq!(*op, Op::PushEvicting, "a push into a full ring");
                            assert_eq!(evicted, [model.pop_front().unwrap_or_default()]);
                            claimed += 1;
                        } else {
                            assert!(evicted.is_empty(), "an eviction although there is room");
                        }
                        model.push_back(id);
                        accepted += 1;
                    }
                    Err(PushError::Closed(back)) => {
                        assert_eq!((back.id, closed, evicted.len()), (id, true, 0));
                    }
                    Err(PushError::Full(back)) => {
                        assert_eq!((back.id, *op, closed), (id, Op::Push, false));
                        assert_eq!(model.len(), capacity);
                    }
                }
            }
            Op::Pop => match ring.pop() {
                Pop::Value(value) => {
                    assert_eq!(Some(value.id), model.pop_front());
                    claimed += 1;
                }
                Pop::Empty => assert!(model.is_empty(), "an empty ring that is not"),
                Pop::Pending => panic!("no push is in progress"),
            },
            Op::PopAt => match ring.pop_at() {
                Pop::Value((position, value)) => {
                    assert_eq!((position, Some(value.id)), (claimed, model.pop_front()));
                    claimed += 1;
                }
                Pop::Empty => assert!(model.is_empty(), "an empty ring that is not"),
                Pop::Pending => panic!("no push is in progress"),
            },
            Op::Close => {
                assert_eq!(ring.close(), accepted);
                closed = true;
            }
        }
        assert_eq!((ring.position(), ring.claimed()), (accepted, claimed));
        assert_eq!((ring.len(), ring.is_empty()), (model.len(), model.is_empty()));
        assert_eq!(ring.has_filled(), !model.is_empty());
        assert_eq!((ring.is_closed(), ring.is_drained()), (closed, closed && model.is_empty()));
        assert_eq!(census.alive(), model.len(), "values alive");
    }
    drop(ring);
    assert_eq!(census.alive(), 0, "values outlive their ring");
}
