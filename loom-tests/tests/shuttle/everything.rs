//! A bus under all operations at the same time.

use crate::support::{Direct, Event, Flag, LIMIT, Log, Progress, Source, Told, unwind};
use buslane::bus::Removed;
use buslane::{Bus, Channel, Queue, Receiver, SinkId, WaitStrategy};
use loom_tests::schedules::explore;
use loom_tests::thread;
use shuttle::rand::{Rng, thread_rng};

const PUBLISHERS: usize = 4;
const EVENTS: usize = 4;

/// Returns whether the queue's handler unwinds on this event.
fn is_bad(event: &Event) -> bool {
    (event.publisher + event.number).is_multiple_of(3)
}

fn channel() -> (Channel<Event>, Receiver<Event>) {
    Channel::builder()
        .capacity(PUBLISHERS * EVENTS)
        .wait_strategy(WaitStrategy::Park)
        .build()
        .expect("a small channel")
}

/// Reads to the end of the stream.
fn read(mut receiver: Receiver<Event>) -> thread::JoinHandle<Log> {
    thread::spawn(move || {
        let log = Log::default();
        while let Ok(event) = receiver.recv() {
            log.note(&event);
        }
        log
    })
}

/// The steps of the control threads, as publishers see them.
#[derive(Clone, Default)]
struct Times {
    progress: Progress,
    added: Flag,
    removing: Flag,
    closing: Flag,
}

/// The events that a sink must have received.
#[derive(Clone, Default)]
struct Sure {
    /// The events published before the close.
    kept: Log,
    /// Those of them published before the removal.
    before_removal: Log,
    /// Those of them published after the add.
    after_add: Log,
}

fn publish(
    me: usize,
    bus: Bus<Event>,
    source: Source,
    times: Times,
    told: Told,
    sure: Sure,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        // The last publisher uses the shared lanes.
        let mut publisher = (me + 1 < PUBLISHERS).then(|| bus.publisher());
        for number in 0..EVENTS {
            let event = source.event(me, number);
            let after_add = times.added.is_set();
            let outcome = match &mut publisher {
                Some(publisher) => publisher.publish(event.clone()),
                None => bus.publish(event.clone()),
            };
            if !told.note(&event, outcome) {
                assert!(times.closing.is_set(), "only a close closes");
            } else if !times.closing.is_set() {
                sure.kept.note(&event);
                if after_add {
                    sure.after_add.note(&event);
                }
                if !times.removing.is_set() {
                    sure.before_removal.note(&event);
                }
            }
            times.progress.step();
        }
    })
}

/// Asserts that every event in `sure` arrived.
fn assert_has(log: &Log, sure: &Log, what: &str) {
    for publisher in 0..PUBLISHERS {
        for number in sure.of(publisher) {
            assert!(log.has(publisher, number), "{what}: event {number} of publisher {publisher} is missing");
        }
    }
}

#[test]
fn bus_delivers_despite_changes_and_panics() {
    // Four publishers, one of them without private lanes; a queue whose handler unwinds on some
    // events, a channel and a sink that is called directly. One thread adds a channel, one removes
    // any of the first three sinks, one takes snapshots, and two close the bus.
    explore(|| {
        let (bus, source) = (Bus::new(), Source::new());
        let (times, told, sure) = (Times::default(), Told::default(), Sure::default());
        let handled = Log::default();
        let handler = handled.clone();
        let queue = Queue::builder()
            .capacity(PUBLISHERS * EVENTS)
            .wait_strategy(WaitStrategy::Park)
            .spawn(move |event: Event| {
                handler.note(&event);
                if is_bad(&event) {
                    unwind();
                }
            })
            .expect("a small queue");
        let (first, first_receiver) = channel();
        let direct = Direct::default();
        let ids: [SinkId; 3] = [
            bus.add(queue.clone()).expect("open"),
            bus.add(first.clone()).expect("open"),
            bus.add(direct.clone()).expect("open"),
        ];
        let (second, second_receiver) = channel();
        let removed = thread_rng().gen_range(0..ids.len());
        let readers = [read(first_receiver), read(second_receiver)];
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|me| publish(me, bus.clone(), source.clone(), times.clone(), told.clone(), sure.clone()))
            .collect();

        let (adding, sink, time) = (bus.clone(), second.clone(), times.clone());
        let adder = thread::spawn(move || {
            time.progress.wait(PUBLISHERS * EVENTS);
            let added = adding.add(sink).is_ok();
            if added {
                time.added.set();
            }
            added
        });

        let (removing, time) = (bus.clone(), times.clone());
        let (the_queue, the_channel, the_direct) = (queue.clone(), first.clone(), direct.clone());
        let remover = thread::spawn(move || {
            time.progress.wait(PUBLISHERS * EVENTS);
            time.removing.set();
            let outcome = removing.remove(ids[removed]);
            if outcome.is_err() {
                assert!(time.closing.is_set(), "the sink was attached");
                return None;
            }
            assert_eq!(outcome, Ok(Removed::Quiet));
            // The number of events that have entered the sink; none may enter from here on.
            Some(match removed {
                0 => the_queue.state().ledger.accepted as usize,
                1 => the_channel.state().ledger.accepted as usize,
                _ => {
                    the_direct.end();
                    the_direct.log.len()
                }
            })
        });

        let closers: Vec<_> = (0..2)
            .map(|_| {
                let (closing, time) = (bus.clone(), times.clone());
                thread::spawn(move || {
                    time.progress.wait(PUBLISHERS * EVENTS);
                    time.closing.set();
                    closing.close_timeout(LIMIT)
                })
            })
            .collect();

        let (watched, time) = (bus.clone(), times.clone());
        let onlooker = thread::spawn(move || {
            time.progress.wait(PUBLISHERS * EVENTS);
            for _ in 0..2 {
                assert!(watched.snapshot().sinks.len() <= 4);
            }
        });

        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        onlooker.join().unwrap();
        let (added, entered) = (adder.join().unwrap(), remover.join().unwrap());
        for closer in closers {
            let report = closer.join().unwrap();
            assert!(report.is_done(), "{report}");
            assert_eq!(bus.close_timeout(LIMIT), report, "every caller gets the same report");
        }
        // The bus does not close a sink that was removed or never added.
        assert!(queue.close_timeout(LIMIT).is_done());
        first.close();
        second.close();
        let [first_log, second_log] = readers.map(|reader| reader.join().unwrap());

        direct.assert_right();
        let logs = [&handled, &first_log, &direct.log];
        for (at, log) in logs.into_iter().enumerate() {
            assert!(log.runs(PUBLISHERS).iter().all(|(first, _)| *first == 0), "from the first event");
            match entered {
                Some(entered) if at == removed => {
                    assert_eq!(log.len(), entered, "no event enters after the removal, and none is lost");
                    assert_has(log, &sure.before_removal, "before the removal");
                }
                _ => assert_has(log, &sure.kept, "a sink that stays"),
            }
        }
        second_log.runs(PUBLISHERS);
        if added {
            assert_has(&second_log, &sure.after_add, "after the add");
        } else {
            assert_eq!(second_log.len(), 0);
        }
        let seen: usize = logs.iter().map(|log| log.len()).sum();
        assert_eq!(told.accepted(), seen + second_log.len(), "the accepted events arrived");

        let books = queue.state().ledger;
        let bad = (0..PUBLISHERS)
            .flat_map(|publisher| handled.of(publisher).into_iter().map(move |number| (publisher, number)))
            .filter(|(publisher, number)| is_bad(&source.event(*publisher, *number)))
            .count();
        assert_eq!((books.dropped.panicked as usize, books.pending), (bad, 0));
        for ledger in [books, first.state().ledger, second.state().ledger] {
            ledger.check().unwrap();
        }
        for sink in bus.snapshot().sinks {
            sink.state.ledger.check().unwrap();
        }
        drop((bus, queue, first, second, direct));
        source.assert_all_dropped();
    });
}
