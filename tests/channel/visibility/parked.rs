//! Reads that park until there is an event. No wake-up is lost at a position that another writer
//! has claimed and not yet written.
//!
//! In a round each writer writes one event, all concurrently. The next round starts when the
//! readers have all events. So a reader that parks at such a position, and is not woken for the
//! events after it, is never woken, and the test fails at its time limit.

use buslane::channel::{ChannelBuilder, Recv, SharedReceiver};
use buslane::{Channel, Receiver, Sink, WaitStrategy};
use std::future::poll_fn;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use test_support::{GUARD, block_on, ends};

const WRITERS: u64 = 4;
const ROUNDS: u64 = 200;

/// A number, with a small or large payload.
type Event<const WORDS: usize> = (u64, [u64; WORDS]);

/// Takes one event, or returns `None` at the end of the stream.
type Read<R, E> = fn(&mut R) -> Option<E>;

const STRATEGIES: [WaitStrategy; 4] = [
    WaitStrategy::Park,
    WaitStrategy::SpinPark,
    WaitStrategy::nap(),
    WaitStrategy::Poll {
        busy: std::time::Duration::from_micros(10),
        idle: std::time::Duration::from_millis(5),
    },
];

fn play<const WORDS: usize, R: Send + 'static>(
    (channel, readers): (Channel<Event<WORDS>>, Vec<R>),
    read: Read<R, Event<WORDS>>,
) {
    ends(move || {
        let (report, reports) = mpsc::channel();
        let barrier = Arc::new(Barrier::new(WRITERS as usize + 1));
        let readers: Vec<_> = readers
            .into_iter()
            .map(|mut reader| {
                let report = report.clone();
                thread::spawn(move || {
                    while let Some((n, ballast)) = read(&mut reader) {
                        assert!(ballast.iter().all(|word| *word == n));
                        report.send(n).unwrap();
                    }
                })
            })
            .collect();
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (channel, barrier) = (&channel, &barrier);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        barrier.wait();
                        let n = round * WRITERS + writer;
                        assert!(channel.write((n, [n; WORDS])).is_ok());
                    }
                });
            }
            for round in 0..ROUNDS {
                barrier.wait();
                let mut got: Vec<_> = (0..WRITERS)
                    .map(|_| {
                        reports
                            .recv_timeout(GUARD)
                            .expect("an event was written, but no reader was woken for it")
                    })
                    .collect();
                got.sort_unstable();
                assert!(got.into_iter().eq(round * WRITERS..(round + 1) * WRITERS));
            }
        });
        channel.close();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

fn builders<const WORDS: usize>() -> impl Iterator<Item = ChannelBuilder<Event<WORDS>>> {
    let builder = |wait| Channel::builder().capacity(16).wait_strategy(wait);
    STRATEGIES.into_iter().flat_map(move |wait| [builder(wait), builder(wait).unbounded()])
}

type SharedRecv<'a, E> = Recv<'a, E, buslane::channel::Shared>;

macro_rules! reads {
    ($name:ident, $reader:ident, $future:ident) => {
        /// Returns all ways to read that wait for an event.
        fn $name<const WORDS: usize>() -> [Read<$reader<Event<WORDS>>, Event<WORDS>>; 4] {
            [
                |receiver| receiver.recv().ok(),
                |receiver| receiver.recv_timeout(GUARD).ok(),
                |receiver| block_on(poll_fn(|context| receiver.poll_recv(context))).ok(),
                |receiver| {
                    let future: $future<'_, _> = receiver.recv_async();
                    block_on(future).ok()
                },
            ]
        }
    };
}

reads!(reads_of_one, Receiver, Recv);
reads!(reads_of_several, SharedReceiver, SharedRecv);

#[test]
fn a_parked_receiver_gets_every_event() {
    for read in reads_of_one::<64>() {
        for builder in builders() {
            let (channel, receiver) = builder.build().unwrap();
            play((channel, vec![receiver]), read);
        }
    }
}

#[test]
fn parked_shared_receivers_get_every_event() {
    for read in reads_of_several::<64>() {
        for builder in builders() {
            let (channel, receiver) = builder.build_shared().unwrap();
            play((channel, vec![receiver.clone(), receiver.clone(), receiver]), read);
        }
    }
}
