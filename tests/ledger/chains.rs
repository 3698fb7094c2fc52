//! One end for each event, whatever chain of sinks it passes: the ledger of the outermost sink
//! agrees with the innermost sink and with the dead letters. Every combinator, at every position,
//! around sinks of every behavior.

mod aborted_close;
mod batches;
mod probe;
mod published;

use buslane::stats::{Ledger, SinkState};
use buslane::{Bus, Published, Queue, Sink, SinkExt, noop};
use probe::{BEHAVIORS, Behavior, Events, Letters, Probe, batched, chains, letters, retries};
use std::time::Duration;
use test_support::limit;

/// The number of events that each chain receives.
const EVENTS: u64 = 20;
const LIMIT: Duration = limit::scaled(Duration::from_secs(30));

/// Returns the state of the only sink of a bus, after closing the bus.
fn closed(bus: &Bus<u64>) -> SinkState {
    let _ = bus.close_timeout(LIMIT);
    bus.snapshot().sinks.remove(0).state
}

/// Publishes all events, alternately through a publisher and through the bus, and returns the sum
/// of the outcomes.
fn publish(bus: &Bus<u64>) -> Published {
    let (mut publisher, mut told) = (bus.publisher(), Published::default());
    for event in 0..EVENTS {
        let published = if event % 2 == 0 { publisher.publish(event) } else { bus.publish(event) };
        told += published.expect("the bus is open");
    }
    told
}

/// Asserts that the ledger agrees with what the probe and the dead letters saw.
#[track_caller]
fn agrees<E: Events>(context: &str, state: &SinkState, probe: &Probe, dead: &Letters<E>) {
    let ledger = state.ledger;
    let seen = format!(
        "{context}: {ledger}; accepted {}, refused {}, panicked {}, letters {}",
        probe.accepted(),
        probe.refused(),
        probe.panicked(),
        letters(dead),
    );
    assert_eq!(ledger.check(), Ok(()), "{seen}");
    assert_eq!((ledger.offered, ledger.pending), (EVENTS, 0), "{seen}");
    assert_eq!(ledger.delivered, probe.accepted(), "{seen}");
    // Events that panicked in the probe, or in a filter upstream of it.
    let unseen = EVENTS - ledger.refused.closed - probe.accepted() - probe.refused() - probe.panicked();
    assert!((probe.panicked()..=probe.panicked() + unseen).contains(&ledger.dropped.panicked), "{seen}");
    assert!(ledger.dropped.failed >= letters(dead), "{seen}");
    let lost = ledger.refused.total() + ledger.dropped.total() + ledger.filtered;
    assert_eq!(ledger.delivered + lost, EVENTS, "{seen}");
    if letters(dead) > 0 {
        assert!(state.last_error.is_some(), "{seen}: no last error");
        assert_eq!(retries(state).letters_lost, 0, "{seen}");
        assert!(retries(state).letters_sent > 0 && retries(state).given_up > 0, "{seen}");
    }
}

/// Asserts that the ledger agrees with what the publishes returned.
#[track_caller]
fn was_told(context: &str, told: Published, ledger: &Ledger) {
    assert_eq!(
        (told.accepted as u64, u64::from(told.dropped), u64::from(told.refused)),
        (ledger.delivered + ledger.filtered, ledger.dropped.total(), ledger.refused.total()),
        "{context}: {told}, and {ledger}"
    );
}

#[test]
fn chains_on_a_bus_count_each_event_once() {
    for behavior in BEHAVIORS {
        for (probe, chain) in chains::<u64>(behavior) {
            let (name, dead, bus) = (chain.name, chain.letters, Bus::new());
            bus.add(chain.sink).unwrap();
            let told = publish(&bus);
            let state = closed(&bus);
            let context = format!("{name}, {behavior:?}, on a bus");
            if behavior == Behavior::Closes {
                // The bus detaches a closed sink, and offers it no further events.
                assert_eq!(state.ledger.check(), Ok(()), "{context}");
                assert_eq!(state.ledger.delivered, probe.accepted(), "{context}: {}", state.ledger);
                continue;
            }
            agrees(&context, &state, &probe, &dead);
            if !chain.defers {
                was_told(&context, told, &state.ledger);
            }
        }
    }
}

#[test]
fn chains_after_a_queue_count_each_event_once() {
    for behavior in BEHAVIORS {
        for workers in [1, 3] {
            for (probe, chain) in chains::<u64>(behavior) {
                let context = format!("{}, {behavior:?}, queue of {workers} workers", chain.name);
                let queue = Queue::builder().workers(workers).spawn_sink(chain.sink).unwrap();
                let bus = Bus::new();
                bus.add(queue).unwrap();
                if behavior == Behavior::Closes {
                    // A queue whose inner sink is closed closes, too.
                    let _ = publish_while_open(&bus);
                    let ledger = closed(&bus).ledger;
                    assert_eq!(ledger.check(), Ok(()), "{context}");
                    assert_eq!(
                        (ledger.delivered, ledger.pending),
                        (probe.accepted(), 0),
                        "{context}: {ledger}"
                    );
                    continue;
                }
                assert!(publish(&bus).is_complete(), "{context}");
                let state = closed(&bus);
                agrees(&context, &state, &probe, &chain.letters);
                assert_eq!(state.ledger.refused.total(), 0, "{context}: {}", state.ledger);
            }
        }
    }
}

fn publish_while_open(bus: &Bus<u64>) -> usize {
    (0..EVENTS).map_while(|event| bus.publish(event).ok()).map(|told| told.accepted).sum()
}

#[test]
fn chains_after_a_batch_count_each_event_once() {
    for behavior in BEHAVIORS {
        for queued in [false, true] {
            for (probe, chain, batch) in batched(behavior) {
                let context =
                    format!("{}, {behavior:?}, downstream of a batch, queued: {queued}", chain.name);
                let bus = Bus::new();
                if queued {
                    bus.add(batch.clone().queue(64).unwrap()).unwrap();
                } else {
                    bus.add(batch.clone()).unwrap();
                }
                let _ = publish_while_open(&bus);
                let state = closed(&bus);
                assert_eq!(state.ledger.check(), Ok(()), "{context}");
                assert_eq!(batch.state().ledger.check(), Ok(()), "{context}");
                assert_eq!(state.ledger.pending, 0, "{context}: {}", state.ledger);
                assert_eq!(state.ledger.delivered, probe.accepted(), "{context}: {}", state.ledger);
                assert_eq!(batch.state().ledger.delivered, probe.accepted(), "{context}");
                assert!(
                    state.ledger.dropped.failed >= letters(&chain.letters),
                    "{context}: {}",
                    state.ledger
                );
                assert!(state.ledger.dropped.panicked >= probe.panicked(), "{context}: {}", state.ledger);
                if letters(&chain.letters) > 0 {
                    assert!(state.last_error.is_some(), "{context}: no last error");
                }
            }
        }
    }
}

#[test]
fn chains_on_a_nested_bus_count_each_event_once() {
    for behavior in BEHAVIORS {
        for queued in [false, true] {
            for (probe, chain) in chains::<u64>(behavior) {
                let context = format!("{}, {behavior:?}, on a nested bus, queued: {queued}", chain.name);
                let (outer, inner) = (Bus::new(), Bus::new());
                inner.add(chain.sink).unwrap();
                if queued {
                    outer.add(inner.clone().queue(64).unwrap()).unwrap();
                } else {
                    outer.add(inner.clone()).unwrap();
                }
                let told = publish(&outer);
                assert!(outer.flush_timeout(LIMIT).finish == buslane::stats::Finish::Done, "{context}");
                let outside = outer.snapshot().sinks.remove(0).state;
                let inside = inner.snapshot().sinks.first().map(|sink| sink.state.clone());
                assert_eq!(outside.ledger.check(), Ok(()), "{context}");
                assert_eq!(outside.ledger.offered, EVENTS, "{context}");
                let Some(inside) = inside.filter(|_| behavior != Behavior::Closes) else { continue };
                if !chain.defers {
                    // Events that a filter of the inner bus rejects count in the inner ledger only:
                    // another sink may accept them.
                    let (out, within) = (outside.ledger, inside.ledger);
                    assert_eq!(
                        out.delivered,
                        within.delivered + within.filtered,
                        "{context}: {out}; {within}"
                    );
                    assert_eq!(out.dropped.panicked, within.dropped.panicked, "{context}: {out}; {within}");
                    let failed = within.dropped.failed + if queued { within.refused.total() } else { 0 };
                    assert_eq!(out.dropped.failed, failed, "{context}: {out}; {within}");
                }
                if !queued {
                    was_told(&context, told, &outside.ledger);
                }
                let _ = outer.close_timeout(LIMIT);
                let inside = inner.snapshot().sinks.remove(0).state;
                agrees(&format!("{context}, inside"), &inside, &probe, &chain.letters);
            }
        }
    }
}

#[test]
fn chains_after_a_tee_count_each_event_once() {
    for behavior in BEHAVIORS {
        for (probe, chain) in chains::<u64>(behavior) {
            let context = format!("{}, {behavior:?}, on one side of a tee", chain.name);
            let bus = Bus::new();
            bus.add(chain.sink.tee(noop())).unwrap();
            let told = publish(&bus);
            assert!(told.is_complete(), "{context}: the other side accepts every event");
            let mut state = closed(&bus);
            let ledger = &mut state.ledger;
            assert_eq!(ledger.check(), Ok(()), "{context}");
            // Subtracts the events of the other side.
            ledger.offered -= EVENTS;
            ledger.accepted -= EVENTS;
            ledger.delivered -= EVENTS;
            if behavior == Behavior::Closes {
                assert_eq!(ledger.delivered, probe.accepted(), "{context}: {ledger}");
            } else {
                agrees(&context, &state, &probe, &chain.letters);
            }
        }
    }
}

#[test]
fn a_queue_before_a_tee_counts_an_event_once() {
    for behavior in BEHAVIORS {
        for (_, chain) in chains::<u64>(behavior) {
            let context = format!("{}, {behavior:?}, on a side of a queued tee", chain.name);
            let queue = chain.sink.tee(noop()).queue(64).unwrap();
            (0..EVENTS).for_each(|event| queue.write(event).unwrap());
            let _ = queue.close_timeout(LIMIT);
            let state = queue.state();
            assert_eq!(state.ledger.check(), Ok(()), "{context}");
            assert_eq!((state.ledger.offered, state.ledger.delivered), (EVENTS, EVENTS), "{context}");
            assert_eq!(retries(&state).letters_sent, chain.letters.events().len() as u64, "{context}");
        }
    }
}
