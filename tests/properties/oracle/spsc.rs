//! The ring between one producer and one consumer, compared with two queues: the committed values,
//! and the values written ahead.

use super::value::{Census, Step, Value, pick};
use buslane::ring::spsc::{Consumer, Producer, ring};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Push,
    Pop,
    WriteBatch(usize),
    Commit,
    Drain(usize),
    DrainFreeing(usize),
    DrainInPlace(usize),
    /// Drains with a callback that panics at its n-th value.
    DrainPanicking(usize),
    HasNext,
    Settle,
    Seal,
    DropProducer,
    DropConsumer,
}

impl Op {
    pub(crate) fn decode([code, number, _]: Step) -> Self {
        let number = pick(number, 12);
        match code % 64 {
            0..16 => Self::Push,
            16..28 => Self::Pop,
            28..34 => Self::WriteBatch(number),
            34..40 => Self::Commit,
            40..46 => Self::Drain(number),
            46..50 => Self::DrainFreeing(number),
            50..54 => Self::DrainInPlace(number),
            54..56 => Self::DrainPanicking(number),
            56..58 => Self::HasNext,
            58..61 => Self::Settle,
            61 => Self::Seal,
            62 => Self::DropProducer,
            _ => Self::DropConsumer,
        }
    }
}

struct Model {
    capacity: usize,
    /// The values that the consumer may take.
    accepted: VecDeque<u64>,
    /// The values that were written but not accepted: not committed, or after the end of a sealed
    /// ring.
    ahead: Vec<u64>,
    sealed: bool,
    /// The producer knows that the ring is sealed, and has taken back the values ahead.
    settled: bool,
    total: u64,
    popped: u64,
}

impl Model {
    fn len(&self) -> usize {
        self.accepted.len() + self.ahead.len()
    }

    fn room(&self) -> usize {
        self.capacity - self.len()
    }

    fn commit(&mut self) {
        if !self.sealed {
            self.total += self.ahead.len() as u64;
            self.accepted.extend(self.ahead.drain(..));
        }
    }
}

/// Runs a case; panics where ring and model differ.
pub(crate) fn run(capacity: usize, ops: &[Op]) {
    let census = Census::default();
    let (producer, consumer) = ring::<Value>(capacity).expect("a small ring");
    let sealer = producer.sealer();
    let (mut producer, mut consumer) = (Some(producer), Some(consumer));
    let mut model = Model {
        capacity,
        accepted: VecDeque::new(),
        ahead: Vec::new(),
        sealed: false,
        settled: false,
        total: 0,
        popped: 0,
    };
    let mut next = 0..;
    let mut make = || next.next().unwrap_or_default();
    for op in ops {
        match *op {
            Op::Push | Op::WriteBatch(_) | Op::Commit | Op::Settle => {
                let Some(producer) = &mut producer else { continue };
                produce(*op, producer, &mut model, &census, &mut make);
            }
            Op::DropProducer => {
                if producer.take().is_some() {
                    model.sealed = true;
                    model.settled = true;
                    model.ahead.clear();
                }
            }
            Op::Seal => {
                model.sealed = true;
                assert_eq!(sealer.seal(), model.total);
            }
            // The ring still holds the values that the consumer leaves.
            Op::DropConsumer => consumer = None,
            _ => {
                let Some(consumer) = &mut consumer else { continue };
                consume(*op, consumer, &mut model);
            }
        }
        assert_eq!(census.alive(), model.len(), "values alive");
        assert_eq!((sealer.accepted(), sealer.handled()), (model.total, model.popped));
        assert_eq!(sealer.is_sealed(), model.sealed);
        assert_eq!(sealer.is_drained(), model.sealed && model.accepted.is_empty());
        if let Some(producer) = &producer {
            assert_eq!(producer.len(), model.len());
            assert_eq!(producer.is_empty(), model.len() == 0);
            assert_eq!(producer.is_open(), !model.sealed);
        }
        if let Some(consumer) = &consumer {
            assert_eq!(consumer.position(), model.popped);
            assert_eq!(consumer.is_drained(), sealer.is_drained());
            assert!(consumer.known() <= model.accepted.len(), "knows of values that are not there");
        }
    }
    drop((producer, consumer));
    drop(sealer);
    assert_eq!(census.alive(), 0, "values outlive their ring");
}

fn produce(
    op: Op,
    producer: &mut Producer<Value>,
    model: &mut Model,
    census: &Census,
    make: &mut impl FnMut() -> u64,
) {
    match op {
        Op::Push => {
            let id = make();
            match producer.push(census.make(id)) {
                Ok(()) => {
                    assert!(model.room() > 0 && !model.settled, "a push without room");
                    model.ahead.push(id);
                    model.commit();
                }
                Err(back) => {
                    assert_eq!(back.id, id);
                    assert!(model.room() == 0 || model.sealed, "no push although there is room");
                }
            }
        }
        Op::WriteBatch(wanted) => {
            let room = producer.room_for(wanted);
            assert!(room <= wanted.min(model.room()), "more room than there is");
            assert!(model.sealed || room == wanted.min(model.room()), "less room than there is");
            assert!(!model.settled || room == 0, "room after the end");
            for _ in 0..room {
                let id = make();
                producer.write(census.make(id));
                model.ahead.push(id);
            }
        }
        Op::Commit => {
            producer.commit();
            model.commit();
        }
        _ => {
            let mut back = Vec::new();
            assert_eq!(producer.settle(|value| back.push(value.id)), !model.sealed);
            if model.sealed {
                model.settled = true;
                back.reverse();
                assert_eq!(back, model.ahead, "taken back");
                model.ahead.clear();
            } else {
                assert!(back.is_empty(), "an open ring gives nothing back");
            }
        }
    }
}

fn consume(op: Op, consumer: &mut Consumer<Value>, model: &mut Model) {
    let available = model.accepted.len();
    let mut seen = Vec::new();
    match op {
        Op::Pop => {
            seen.extend(consumer.pop().map(|value| value.id));
            assert_eq!(seen.len(), available.min(1));
        }
        Op::HasNext => {
            assert_eq!(consumer.has_next(), available > 0);
            assert_eq!(consumer.known() > 0, available > 0);
        }
        Op::Drain(max) | Op::DrainInPlace(max) => {
            let count = match op {
                Op::Drain(_) => consumer.drain(max, |value| seen.push(value.id)),
                _ => consumer.drain_in_place(max, |value| seen.push(value.id)),
            };
            assert_eq!(count, seen.len());
            assert!(count <= max.min(available), "took more values than available");
            assert!(count > 0 || max.min(available) == 0, "took no value although one is available");
        }
        Op::DrainFreeing(max) => {
            let mut freed = 0;
            let count = consumer.drain_freeing(max, |value| seen.push(value.id), || freed += 1);
            assert_eq!((count, freed), (seen.len(), seen.len()));
            assert_eq!(count, max.min(available));
        }
        Op::DrainPanicking(at) => {
            let drained = catch_unwind(AssertUnwindSafe(|| {
                consumer.drain(usize::MAX, |value| {
                    seen.push(value.id);
                    if seen.len() == at + 1 {
                        resume_unwind(Box::new("as requested"));
                    }
                })
            }));
            assert_eq!(drained.is_err(), seen.len() == at + 1);
        }
        _ => {}
    }
    for id in seen {
        assert_eq!(model.accepted.pop_front(), Some(id));
        model.popped += 1;
    }
}
