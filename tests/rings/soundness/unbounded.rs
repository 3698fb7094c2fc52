//! The queue of unbounded channels, whose blocks are allocated and freed.

use super::{Census, rounds};
use buslane::{Channel, Sink};
use std::thread;

/// A number of values that fills several blocks.
const COUNT: usize = rounds(150, 70);

#[test]
fn unbounded_channel_drops_values_left_in_blocks() {
    for taken in [0, 1, 32, 33, COUNT] {
        let census = Census::default();
        let (channel, mut receiver) = Channel::builder().unbounded().build().unwrap();
        (0..COUNT).for_each(|n| assert!(channel.write(census.value(n)).is_ok()));
        for n in 0..taken {
            assert_eq!(receiver.recv().unwrap().look(), n);
        }
        assert_eq!(census.living(), COUNT - taken);
        if taken % 2 == 0 {
            drop(receiver);
            drop(channel);
        } else {
            drop(channel);
            drop(receiver);
        }
        assert_eq!(census.living(), 0);
    }
}

#[test]
fn threads_write_and_take_soundly() {
    let each = rounds(5000, 35);
    let census = Census::default();
    let (channel, receiver) = Channel::builder().unbounded().build_shared().unwrap();
    thread::scope(|scope| {
        let writers = [(); 2].map(|()| {
            scope.spawn(|| (0..each).for_each(|n| assert!(channel.write(census.value(n)).is_ok())))
        });
        let readers = [receiver.clone(), receiver].map(|mut receiver| {
            scope.spawn(move || {
                let mut count = 0;
                while receiver.recv().is_ok_and(|value| value.look() < each) {
                    count += 1;
                }
                count
            })
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        channel.close();
        let taken: usize = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        assert_eq!(taken, 2 * each);
    });
    assert_eq!(census.living(), 0);
}
