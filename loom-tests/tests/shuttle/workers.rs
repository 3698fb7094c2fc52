//! Queues with several workers, and a channel with several readers, while others flush and close.

use crate::support::{Event, LIMIT, Log, Progress, Source, Told};
use buslane::channel::SharedReceiver;
use buslane::queue::QueueBuilder;
use buslane::{Bus, Channel, Overflow, Queue, Sink, WaitStrategy, WriteError};
use loom_tests::schedules::explore;
use loom_tests::{Task, thread};
use std::task::{Context, Poll};

const PUBLISHERS: usize = 3;
const EVENTS: usize = 4;
const WORKERS: usize = 3;
/// Less than the number of events, so that publishers wait for room.
const CAPACITY: usize = 4;

fn builder() -> QueueBuilder<Event> {
    Queue::builder()
        .capacity(CAPACITY)
        .overflow(Overflow::Block)
        .wait_strategy(WaitStrategy::Park)
        .workers(WORKERS)
}

/// Returns a handler for each worker, which pauses with its event.
fn handlers(log: &Log) -> impl FnMut(usize) -> Box<dyn FnMut(Event) + Send> + use<> {
    let log = log.clone();
    move |_| {
        let log = log.clone();
        Box::new(move |event| {
            thread::yield_now();
            log.note(&event);
        })
    }
}

/// Reads to the end of the stream, as a thread or as a task.
fn read(mut receiver: SharedReceiver<Event>, log: &Log, is_task: bool) -> thread::JoinHandle<()> {
    let log = log.clone();
    thread::spawn(move || {
        let (task, waker) = Task::new();
        loop {
            let next = if is_task {
                match receiver.poll_recv(&mut Context::from_waker(&waker)) {
                    Poll::Ready(next) => next,
                    Poll::Pending => {
                        task.sleep();
                        continue;
                    }
                }
            } else {
                receiver.recv()
            };
            let Ok(event) = next else { return };
            log.note(&event);
        }
    })
}

/// Publishes, and flushes in the middle: every event accepted before the flush is handled when it
/// returns.
fn publish(
    me: usize,
    bus: Bus<Event>,
    source: Source,
    told: Told,
    progress: Progress,
    logs: Vec<(Log, Log)>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut publisher = bus.publisher();
        for number in 0..EVENTS {
            let event = source.event(me, number);
            let all = match publisher.publish(event.clone()) {
                Ok(published) => {
                    told.note(&event, Ok(published));
                    published.refused == 0
                }
                Err(closed) => told.note(&event, Err(closed)),
            };
            if all {
                logs.iter().for_each(|(sure, _)| sure.note(&event));
            }
            progress.step();
            if number == 1 && bus.flush_timeout(LIMIT).is_done() {
                for (sure, log) in &logs {
                    for number in sure.of(me) {
                        assert!(log.has(me, number), "event {number} of {me}, published before the flush");
                    }
                }
            }
        }
    })
}

#[test]
fn workers_and_readers_handle_each_event_once() {
    // Three publishers, each of which flushes in between; three workers of a queue, a thread and a
    // task that read a channel, three workers by key. There is less room than events, and a close
    // comes in between or at the end. Each accepted event is handled once, and for the queue by key
    // in the order of each publisher.
    explore(|| {
        let (bus, source, told, progress) = (Bus::new(), Source::new(), Told::default(), Progress::default());
        let logs: [Log; 3] = std::array::from_fn(|_| Log::default());
        let queue = builder().spawn_each(handlers(&logs[0])).expect("a small queue");
        let keyed = builder().ordered_by(|event: &Event| event.publisher).spawn_each(handlers(&logs[1]));
        let keyed = keyed.expect("a small queue");
        let (channel, receiver) = Channel::builder()
            .capacity(CAPACITY)
            .overflow(Overflow::Block)
            .wait_strategy(WaitStrategy::Park)
            .build_shared()
            .expect("a small channel");
        bus.add(queue.clone()).expect("open");
        bus.add(keyed.clone()).expect("open");
        bus.add(channel.clone()).expect("open");
        let readers = [read(receiver.clone(), &logs[2], false), read(receiver, &logs[2], true)];
        let sures: Vec<_> = logs.iter().map(|log| (Log::default(), log.clone())).collect();
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|me| publish(me, bus.clone(), source.clone(), told.clone(), progress.clone(), sures.clone()))
            .collect();
        let closing = bus.clone();
        let closer = thread::spawn(move || {
            progress.wait(PUBLISHERS * EVENTS);
            closing.close_timeout(LIMIT)
        });
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        let report = closer.join().unwrap();
        assert!(report.is_done(), "{report}");
        let handled = [logs[0].len(), logs[1].len()];
        readers.into_iter().for_each(|reader| reader.join().unwrap());

        assert_eq!(handled, [logs[0].len(), logs[1].len()], "the close waits for the workers");
        assert_eq!(told.accepted(), logs.iter().map(Log::len).sum::<usize>(), "the accepted events arrived");
        logs.iter().for_each(Log::assert_no_repetition);
        assert!(logs[1].runs(PUBLISHERS).iter().all(|(first, _)| *first == 0), "from the first event");
        for (sure, log) in &sures {
            for publisher in 0..PUBLISHERS {
                assert!(sure.of(publisher).into_iter().all(|number| log.has(publisher, number)));
            }
        }
        for sink in bus.snapshot().sinks {
            sink.state.ledger.check().unwrap();
            assert_eq!(sink.state.ledger.pending, 0);
        }
        drop((bus, queue, keyed, channel));
        source.assert_all_dropped();
    });
}

#[test]
fn direct_writers_flush_and_close_exactly() {
    // As above through `Sink::write`, where a refusal returns the event, and each writer's flush
    // covers its own writes.
    explore(|| {
        let (source, log, progress) = (Source::new(), Log::default(), Progress::default());
        let queue = builder().spawn_each(handlers(&log)).expect("a small queue");
        let writers: Vec<_> = (0..PUBLISHERS)
            .map(|me| {
                let (queue, source, log) = (queue.clone(), source.clone(), log.clone());
                let progress = progress.clone();
                thread::spawn(move || {
                    let mut accepted = 0;
                    for number in 0..EVENTS {
                        match queue.write(source.event(me, number)) {
                            Ok(()) => accepted += 1,
                            Err(WriteError::Closed(back)) => {
                                assert_eq!((back.publisher, back.number), (me, number))
                            }
                            Err(error) => panic!("{error}"),
                        }
                        progress.step();
                    }
                    if queue.flush_timeout(LIMIT).is_done() {
                        assert_eq!(log.of(me).len(), accepted, "handled when the flush returns");
                    }
                    accepted
                })
            })
            .collect();
        let closing = queue.clone();
        let closer = thread::spawn(move || {
            progress.wait(PUBLISHERS * EVENTS);
            closing.close_timeout(LIMIT)
        });
        let accepted: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        assert!(closer.join().unwrap().is_done());
        assert_eq!(log.len(), accepted, "accepted events are handled when the close returns");
        log.assert_no_repetition();
        let books = queue.state().ledger;
        books.check().unwrap();
        assert_eq!((books.delivered as usize, books.pending), (accepted, 0));
        drop(queue);
        source.assert_all_dropped();
    });
}

#[test]
fn each_shared_reader_is_woken_for_one_event() {
    // Three writers, and for each event a reader of a shared channel, which takes one event and
    // does not return. No close and no flush wakes a reader, so an unread event next to a parked
    // reader is a deadlock.
    explore(|| {
        let (source, log) = (Source::new(), Log::default());
        let (channel, receiver) = Channel::builder()
            .capacity(CAPACITY)
            .overflow(Overflow::Block)
            .wait_strategy(WaitStrategy::Park)
            .build_shared()
            .expect("a small channel");
        let readers: Vec<_> = (0..PUBLISHERS * EVENTS)
            .map(|_| {
                let (mut receiver, log) = (receiver.clone(), log.clone());
                thread::spawn(move || {
                    log.note(&receiver.recv().expect("open"));
                    receiver
                })
            })
            .collect();
        let writers: Vec<_> = (0..PUBLISHERS)
            .map(|me| {
                let (channel, source) = (channel.clone(), source.clone());
                thread::spawn(move || {
                    for number in 0..EVENTS {
                        assert!(channel.write(source.event(me, number)).is_ok());
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let receivers: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        log.assert_no_repetition();
        assert_eq!(log.len(), PUBLISHERS * EVENTS);
        let books = channel.state().ledger;
        books.check().unwrap();
        assert_eq!((books.delivered as usize, books.pending), (PUBLISHERS * EVENTS, 0));
        drop((channel, receiver, receivers));
        source.assert_all_dropped();
    });
}
