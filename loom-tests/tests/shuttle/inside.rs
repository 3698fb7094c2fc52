//! Handlers and sinks that use their own bus, and a bus that closes with its last handle.

use crate::support::{Event, Flag, LIMIT, Log, Source, Told};
use buslane::bus::Removed;
use buslane::error::RemoveError;
use buslane::{Bus, Channel, Queue, Sink, SinkId, WaitStrategy, WeakBus, WriteError};
use loom_tests::schedules::explore;
use loom_tests::thread;
use shuttle::rand::{Rng, thread_rng};
use std::sync::{Arc, OnceLock};

const PUBLISHERS: usize = 3;
const EVENTS: usize = 3;
/// The offset added to a publisher's number for the events that a handler publishes on its behalf.
const ECHO: usize = PUBLISHERS;

/// A handler that publishes an echo of each event that is not an echo, on the bus that calls it.
#[derive(Clone)]
struct Echo {
    bus: WeakBus<Event>,
    source: Source,
    told: Told,
}

impl Echo {
    fn handle(&self, event: &Event) {
        // This handle may be the last one for now; then its drop closes the bus, on the bus's own
        // worker.
        if event.publisher < PUBLISHERS
            && let Some(bus) = self.bus.upgrade()
        {
            let echo = self.source.event(event.publisher + ECHO, event.number);
            self.told.note(&echo, bus.publish(echo.clone()));
        }
    }
}

/// A sink that removes itself from the bus at the first event.
#[derive(Clone)]
struct Once {
    bus: WeakBus<Event>,
    id: Arc<OnceLock<SinkId>>,
    log: Log,
    gone: Flag,
    wrong: Flag,
}

impl Sink<Event> for Once {
    fn write(&self, event: Event) -> Result<(), WriteError<Event>> {
        self.log.note(&event);
        if let (Some(bus), Some(id)) = (self.bus.upgrade(), self.id.get()) {
            match bus.remove(*id) {
                Ok(Removed::FromInside) | Err(RemoveError::Unknown) => self.gone.set(),
                _ => self.wrong.set(),
            }
        }
        Ok(())
    }
}

#[test]
fn reentrant_sinks_end_with_the_last_bus_handle() {
    // Three publishers; a queue whose handler publishes an echo of each event, a channel, and a
    // sink that removes itself from inside, all through handles that do not keep the bus open. Only
    // the drop of the last handle, by any thread, closes the bus; or a thread closes it from inside
    // the handler.
    explore(|| {
        let (bus, source, told) = (Bus::new(), Source::new(), Told::default());
        let echo = Echo { bus: bus.downgrade(), source: source.clone(), told: told.clone() };
        let handled = Log::default();
        let (log, closes) = (handled.clone(), thread_rng().gen_bool(0.25));
        let queue = Queue::builder()
            .capacity(2 * PUBLISHERS * EVENTS)
            .wait_strategy(WaitStrategy::Park)
            .spawn(move |event: Event| {
                log.note(&event);
                echo.handle(&event);
                if closes
                    && event.number == 1
                    && let Some(bus) = echo.bus.upgrade()
                {
                    // The close continues in the background.
                    let _ = bus.close_timeout(LIMIT);
                }
            })
            .expect("a small queue");
        let builder = Channel::builder().capacity(2 * PUBLISHERS * EVENTS).wait_strategy(WaitStrategy::Park);
        let (channel, mut receiver) = builder.build().expect("a small channel");
        let once = Once {
            bus: bus.downgrade(),
            id: Arc::default(),
            log: Log::default(),
            gone: Flag::default(),
            wrong: Flag::default(),
        };
        bus.add(queue.clone()).expect("open");
        bus.add(channel.clone()).expect("open");
        let id = bus.add(once.clone()).expect("open");
        once.id.set(id).expect("once");
        let reader = thread::spawn(move || {
            let log = Log::default();
            while let Ok(event) = receiver.recv() {
                log.note(&event);
            }
            log
        });
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|me| {
                let (bus, source, told, once) = (bus.clone(), source.clone(), told.clone(), once.clone());
                thread::spawn(move || {
                    let mut publisher = bus.publisher();
                    drop(bus);
                    for number in 0..EVENTS {
                        let event = source.event(me, number);
                        let gone = once.gone.is_set();
                        let open = told.note(&event, publisher.publish(event.clone()));
                        assert!(open || closes, "its publisher keeps it open");
                        assert!(!gone || !once.log.has(me, number), "a publish entered after the removal");
                    }
                })
            })
            .collect();
        drop(bus);
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        // The handler may hold the bus for a short time longer.
        let report = queue.close_timeout(LIMIT);
        assert!(report.is_done(), "{report}");
        let seen = reader.join().unwrap();
        assert!(!once.wrong.is_set(), "inside, a removal does not wait");
        for log in [&handled, &seen] {
            let runs = log.runs(2 * PUBLISHERS);
            assert!(runs.iter().all(|(first, _)| *first == 0), "from the first event");
            assert!(closes || runs[..PUBLISHERS].iter().all(|(_, end)| *end == EVENTS), "all of them");
        }
        once.log.assert_no_repetition();
        let seen_by_all = handled.len() + seen.len() + once.log.len();
        assert_eq!(told.accepted(), seen_by_all, "the accepted events arrived");
        for ledger in [queue.state().ledger, channel.state().ledger] {
            ledger.check().unwrap();
            assert_eq!(ledger.pending, 0);
        }
        drop((queue, channel, once));
        source.assert_all_dropped();
    });
}
