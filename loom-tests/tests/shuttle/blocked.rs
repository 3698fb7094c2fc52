//! Publishers that wait for room which only a removal or a close will end.

use crate::support::{Event, Flag, LIMIT, Log, Source, Told};
use buslane::{Bus, Channel, Overflow, Queue, Receiver, RemoveError, Removed, WaitStrategy};
use loom_tests::schedules::explore;
use loom_tests::thread;

const PUBLISHERS: usize = 3;
const EVENTS: usize = 4;

fn channel() -> (Channel<Event>, Receiver<Event>) {
    let builder = Channel::builder().capacity(1).overflow(Overflow::Block).wait(WaitStrategy::Park);
    builder.build().expect("a small channel")
}

/// What is left in a channel that is closed.
fn rest(receiver: &mut Receiver<Event>) -> Log {
    let log = Log::default();
    while let Ok(event) = receiver.recv() {
        log.note(&event);
    }
    log
}

#[test]
fn publishers_that_wait_against_remove_and_close() {
    // Three publishers into lanes for one event each: those of a queue, which goes on, and those of two channels that nobody
    // reads. One is taken off the bus, then the bus is closed, and each time those who waited there go on, with their event.
    explore(|| {
        let (bus, source, told) = (Bus::new(), Source::new(), Told::default());
        let handled = Log::default();
        let handler = handled.clone();
        let builder = Queue::builder().capacity(1).overflow(Overflow::Block).wait(WaitStrategy::Park);
        let queue = builder.spawn(move |event: Event| handler.note(&event)).expect("a small queue");
        let (removed, mut removed_receiver) = channel();
        let (closed, mut closed_receiver) = channel();
        bus.add(queue.clone()).expect("open");
        let id = bus.add(removed.clone()).expect("open");
        bus.add(closed.clone()).expect("open");
        let closing = Flag::default();
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|me| {
                let (bus, source, told, closing) = (bus.clone(), source.clone(), told.clone(), closing.clone());
                thread::spawn(move || {
                    let mut publisher = (me + 1 < PUBLISHERS).then(|| bus.publisher());
                    for number in 0..EVENTS {
                        let event = source.event(me, number);
                        let outcome = match &mut publisher {
                            Some(publisher) => publisher.publish(event.clone()),
                            None => bus.publish(event.clone()),
                        };
                        assert!(told.note(&event, outcome) || closing.is_set(), "only a close closes");
                    }
                })
            })
            .collect();
        let (removing, sink) = (bus.clone(), removed.clone());
        let remover = thread::spawn(move || {
            for _ in 0..4 {
                thread::yield_now();
            }
            let outcome = removing.remove(id);
            (outcome, sink.state().ledger.accepted as usize)
        });
        let (shutting, time) = (bus.clone(), closing.clone());
        let closer = thread::spawn(move || {
            for _ in 0..8 {
                thread::yield_now();
            }
            time.set();
            shutting.close_timeout(LIMIT)
        });
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        let report = closer.join().unwrap();
        assert!(report.is_done(), "{report}");
        let (outcome, entered) = remover.join().unwrap();
        removed.close();
        let logs = [handled, rest(&mut removed_receiver), rest(&mut closed_receiver)];
        match outcome {
            Ok(Removed::Quiet) => assert_eq!(logs[1].len(), entered, "nothing enters after the removal"),
            other => assert_eq!(other, Err(RemoveError::Unknown), "the close was first"),
        }
        for log in &logs {
            assert!(log.runs(PUBLISHERS).iter().all(|(first, _)| *first == 0), "from the first one on");
        }
        // Nobody reads the channels: one event for each lane, and one in the lane that all share.
        assert!(logs[1..].iter().all(|log| log.len() <= PUBLISHERS));
        assert_eq!(told.accepted(), logs.iter().map(Log::len).sum::<usize>(), "what was accepted came");
        for ledger in [queue.state().ledger, removed.state().ledger, closed.state().ledger] {
            ledger.check().unwrap();
            assert_eq!(ledger.pending, 0);
        }
        drop((bus, queue, removed, closed));
        source.assert_all_dropped();
    });
}
