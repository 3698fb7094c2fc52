//! Models of the unbounded queue: pushes against each other and against pops, across blocks, which
//! hold two values in a model.

use super::Segments;
use crate::wait::{FencePair, WaitCell};
use loom_tests::{Arc, Lives, Tracked, model, thread};

type Queue = Arc<Segments<Tracked>>;

fn new() -> Queue {
    Arc::new(Segments::new())
}

/// Starts a thread that pushes these values.
fn pusher<const N: usize>(queue: &Queue, lives: &Lives, ids: [usize; N]) -> thread::JoinHandle<()> {
    let (queue, values) = (queue.clone(), ids.map(|id| lives.value(id)));
    thread::spawn(move || values.into_iter().for_each(|value| queue.push(value)))
}

/// The contents of the queue while no other thread uses it.
fn rest(queue: &Queue) -> Vec<usize> {
    std::iter::from_fn(|| queue.pop()).map(|value| value.id()).collect()
}

/// Whether the values of one pusher come in the order in which it pushed them.
fn are_in_order(got: &[usize], ids: &[usize]) -> bool {
    got.iter().filter(|id| ids.contains(id)).eq(ids)
}

#[test]
fn two_pushers_meet_at_the_end_of_a_block() {
    // One claims the last position, and the other waits until the next block is in its place.
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
fn pops_follow_a_pusher_from_block_to_block() {
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
    // A push that has returned is found, although an earlier position may still be empty.
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
    // A consumer that parks beside an empty position takes the value after it as well, once that
    // position is filled. Fails when it does not check again after it has announced itself, and
    // meets loom's limit of branches when `has_filled` counts claims.
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
fn two_poppers_and_a_pusher_across_a_block() {
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
fn what_is_left_is_dropped_with_the_queue() {
    model(|| {
        let (queue, lives) = (new(), Lives::new(8));
        let pushing = pusher(&queue, &lives, [0, 1, 2]);
        drop(queue.pop());
        pushing.join().unwrap();
        drop(queue);
        lives.assert_all_dropped();
    });
}
