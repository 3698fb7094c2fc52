//! Models of the unbounded queue: pushes against pushes and pops, across blocks, which hold two
//! values in a model.

use super::Segments;
use crate::wait::{FencePair, WaitCell};
use loom_tests::{Arc, Lives, Tracked, model, thread};

type Queue = Arc<Segments<Tracked>>;

fn new() -> Queue {
    Arc::new(Segments::new())
}

/// Spawns a thread that pushes these values.
fn pusher<const N: usize>(queue: &Queue, lives: &Lives, ids: [usize; N]) -> thread::JoinHandle<()> {
    let (queue, values) = (queue.clone(), ids.map(|id| lives.value(id)));
    thread::spawn(move || values.into_iter().for_each(|value| queue.push(value)))
}

/// Pops all values, while no other thread uses the queue.
fn rest(queue: &Queue) -> Vec<usize> {
    std::iter::from_fn(|| queue.pop()).map(|value| value.id()).collect()
}

/// Returns whether the values of one pusher are in the order in which it pushed them.
fn are_in_order(got: &[usize], ids: &[usize]) -> bool {
    got.iter().filter(|id| ids.contains(id)).eq(ids)
}

#[test]
fn two_pushers_cross_the_end_of_a_block() {
    // One push claims the last position, and the other waits until the next block is linked.
    model(|| {
        let (queue, lives) = (new(), Lives::new(8));
        queue.push(lives.value(0));
        let other = pusher(&queue, &lives, [1, 2]);
        [3, 4].into_iter().for_each(|id| queue.push(lives.value(id)));
        other.join().unwrap();
        assert_eq!(queue.len(), 5);
        let got = rest(&queue);
        assert_eq!(got.len(), 5);
        assert!(got[0] == 0 && are_in_order(&got, &[1, 2]) && are_in_order(&got, &[3, 4]), "{got:?}");
        assert!(queue.is_empty());
        drop(queue);
        lives.assert_all_dropped();
    });
}

#[test]
fn pops_follow_a_pusher_across_blocks() {
    // Blocks are freed after the last pop from them. Fails when ORD(segments.filled) is Relaxed.
    model(|| {
        let (queue, lives) = (new(), Lives::new(8));
        let pushing = pusher(&queue, &lives, [0, 1, 2]);
        let mut got: Vec<usize> = (0..2).filter_map(|_| queue.pop()).map(|value| value.id()).collect();
        pushing.join().unwrap();
        got.extend(rest(&queue));
        assert_eq!(got, [0, 1, 2]);
        drop(queue);
        lives.assert_all_dropped();
    });
}

#[test]
fn pop_finds_a_value_after_an_unfinished_push() {
    // A pop finds the value of a push that has returned, even while an earlier position is not
    // filled.
    model(|| {
        let (queue, lives) = (new(), Lives::new(8));
        let slow = pusher(&queue, &lives, [7]);
        queue.push(lives.value(0));
        let mut got = Vec::new();
        while !got.contains(&0) {
            got.push(queue.pop().expect("a push has returned").id());
        }
        slow.join().unwrap();
        got.extend(rest(&queue));
        got.sort_unstable();
        assert_eq!(got, [0, 7]);
        drop(queue);
        lives.assert_all_dropped();
    });
}

#[test]
fn push_that_fills_a_gap_wakes_a_parked_consumer() {
    // A consumer that parks at a gap also takes the value after the gap, once the gap is filled.
    // Fails if the consumer does not recheck after it has announced itself, and exceeds loom's
    // limit of branches if `has_filled` counts claims.
    model(|| {
        let (queue, lives) = (new(), Lives::new(2));
        let cell = Arc::new(WaitCell::new(FencePair::process()));
        let pushing = [0, 1].map(|id| {
            let (queue, cell, value) = (queue.clone(), cell.clone(), lives.value(id));
            thread::spawn(move || {
                queue.push(value);
                cell.fence();
                cell.wake();
            })
        });
        let mut got = 0;
        while got < 2 {
            match queue.pop_filled() {
                Some(_) => got += 1,
                None => cell.park_unless(None, || queue.has_filled()),
            }
        }
        pushing.into_iter().for_each(|pushing| pushing.join().unwrap());
        drop(queue);
        lives.assert_all_dropped();
    });
}

#[test]
fn two_poppers_take_each_value_once_across_blocks() {
    model(|| {
        let (queue, lives) = (new(), Lives::new(8));
        queue.push(lives.value(0));
        let pushing = pusher(&queue, &lives, [1, 2]);
        let other = queue.clone();
        let popping = thread::spawn(move || other.pop().map(|value| value.id()));
        let mut got: Vec<usize> = queue.pop().map(|value| value.id()).into_iter().collect();
        pushing.join().unwrap();
        got.extend(popping.join().unwrap());
        got.extend(rest(&queue));
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2]);
        drop(queue);
        lives.assert_all_dropped();
    });
}

#[test]
fn queue_drop_drops_every_value_left() {
    model(|| {
        let (queue, lives) = (new(), Lives::new(8));
        let pushing = pusher(&queue, &lives, [0, 1, 2]);
        drop(queue.pop());
        pushing.join().unwrap();
        drop(queue);
        lives.assert_all_dropped();
    });
}
