//! The sink while the server is killed, stopped, full, or without its stream.

use super::admin::Admin;
use super::{Daemon, LIMIT, Setup, assert_each_once, numbers, patient, report, wait_for};
use buslane::Bus;
use buslane::testing::Gate;
use buslane_nats::async_nats::jetstream::stream::DiscardPolicy;
use buslane_nats::{JetStreamBuilder, JetStreamStats};
use std::thread;
use std::time::{Duration, Instant};
use test_support::bus::{ledger, sink as sink_of};

/// Publishes numbers on a thread of its own.
fn publish(bus: &Bus<u64>, numbers: std::ops::Range<u64>) -> thread::JoinHandle<()> {
    let bus = bus.clone();
    thread::spawn(move || {
        let mut publisher = bus.publisher();
        for number in numbers {
            let _ = publisher.publish(number).unwrap();
        }
    })
}

fn wait_acknowledged(stats: &JetStreamStats, count: u64) {
    wait_for(|| stats.read().acknowledged >= count);
}

/// Makes the sink wait at a gate before it encodes one of the numbers.
fn held_at(settings: JetStreamBuilder<u64>, held: u64, gate: &Gate) -> JetStreamBuilder<u64> {
    let gate = gate.clone();
    settings.encode(move |number, payload| {
        if *number == held {
            gate.pass();
        }
        payload.extend_from_slice(number.to_string().as_bytes());
        Ok(())
    })
}

/// Stops the server while nothing is in flight, and then lets the sink send until its window is full:
/// what it sends is lost with the server.
fn fill_window(setup: &Setup, bus: &Bus<u64>, stats: &JetStreamStats, gate: &Gate, window: u64) {
    gate.wait_reached(1);
    setup.daemon.stop();
    // More than a batch, so that the batch is complete.
    wait_for(|| sink_of(bus, "jetstream").state.ledger.pending >= 4096);
    gate.open();
    wait_for(|| {
        let counts = stats.read();
        counts.published.saturating_sub(counts.acknowledged) >= window
    });
}

#[test]
fn kills_in_the_middle_store_each_event_once() {
    const COUNT: u64 = 200_000;
    const LAST: u64 = COUNT * 3 / 4;
    const WINDOW: u64 = 512;
    for is_strict in [false, true] {
        let Some(mut setup) = Setup::start() else { return };
        let gate = Gate::closed();
        // No age ends a batch at the gate.
        let settings = held_at(setup.sink(), LAST, &gate).window(WINDOW as usize).age(LIMIT);
        let sink = if is_strict { settings.strict_order() } else { settings }.connect_lazy().unwrap();
        let stats = sink.stats();
        let bus = Bus::new();
        bus.add_named("jetstream", patient(sink)).unwrap();
        let begun = Instant::now();
        let publisher = publish(&bus, 0..COUNT);
        let mut down = Duration::ZERO;
        for (kills, part) in (1..).zip([COUNT / 4, COUNT / 2, LAST]) {
            if part < LAST {
                wait_acknowledged(&stats, part);
            } else {
                fill_window(&setup, &bus, &stats, &gate, WINDOW);
            }
            let killed = Instant::now();
            setup.daemon.kill();
            setup.daemon.start_again();
            down += killed.elapsed();
            wait_for(|| stats.read().connects > kills);
        }
        publisher.join().unwrap();
        let flushed = bus.flush_timeout(LIMIT);
        assert!(flushed.is_done(), "{flushed}");
        let took = begun.elapsed();
        let counts = stats.read();
        let stored = setup.stored();
        let disorder = assert_each_once(&stored, COUNT);
        assert!(!is_strict || disorder == 0, "{disorder} out of order");
        let ledger = ledger(&bus, "jetstream");
        assert_eq!((ledger.delivered, ledger.pending), (COUNT, 0));
        assert_eq!((counts.published, counts.acknowledged), (COUNT, COUNT));
        assert!(counts.connects >= 4 && counts.retried >= WINDOW, "{counts:?}");
        report(format_args!(
            "3 kills, strict order {is_strict}: {COUNT} sent, {} stored, {} sent again, {} duplicates removed, \
             0 lost, {disorder} out of order; {took:.1?}, of which the server was away {down:.1?}; {} connections",
            stored.len(),
            counts.retried,
            counts.duplicates,
            counts.connects
        ));
        let _ = bus.close();
    }
}

#[test]
fn stopped_server_loses_nothing() {
    const COUNT: u64 = 50_000;
    // These are published while the server is stopped, so that something waits for its answer.
    const MEANWHILE: u64 = 1000;
    let Some(setup) = Setup::start() else { return };
    let sink = setup.sink().ack_timeout(Duration::from_secs(2)).connect_lazy().unwrap();
    let stats = sink.stats();
    let bus = Bus::new();
    bus.add_named("jetstream", patient(sink)).unwrap();
    let publisher = publish(&bus, 0..COUNT);
    wait_acknowledged(&stats, COUNT / 4);
    setup.daemon.stop();
    let stopped = Instant::now();
    let meanwhile = publish(&bus, COUNT..COUNT + MEANWHILE);
    // The connection is replaced after three time-outs in a row. Ten seconds are the fault, and no wait
    // for something.
    wait_for(|| stats.read().replaced > 0 && stopped.elapsed() >= Duration::from_secs(10));
    setup.daemon.signal("CONT");
    let resumed = Instant::now();
    [publisher, meanwhile].into_iter().for_each(|publisher| publisher.join().unwrap());
    assert!(bus.flush_timeout(LIMIT).is_done());
    let counts = stats.read();
    assert!(counts.timed_out > 0 && counts.retried > 0 && counts.connects >= 2, "{counts:?}");
    let sent = COUNT + MEANWHILE;
    let disorder = assert_each_once(&setup.stored(), sent);
    report(format_args!(
        "SIGSTOP for {:.1?}: {sent} sent, {sent} stored, {} time-outs, {} sent again, {} duplicates removed, \
         {disorder} out of order; done {:.1?} after SIGCONT; {} connections, {} replaced",
        resumed - stopped,
        counts.timed_out,
        counts.retried,
        counts.duplicates,
        resumed.elapsed(),
        counts.connects,
        counts.replaced
    ));
    let _ = bus.close();
}

#[test]
fn full_stream_holds_events_until_it_has_room() {
    let Some(setup) = Setup::start() else { return };
    let name = &setup.stream;
    setup.admin.update(&setup.admin.bounded(name, 1000, DiscardPolicy::New));
    let sink = setup.sink().strict_order().connect_lazy().unwrap();
    let stats = sink.stats();
    let bus = Bus::new();
    bus.add_named("jetstream", patient(sink)).unwrap();
    publish(&bus, 0..3000).join().unwrap();
    let mut stored = Vec::new();
    for _ in 0..3 {
        wait_for(|| setup.admin.count(name) == 1000);
        stored.extend(setup.stored());
        setup.admin.purge(name);
    }
    assert!(bus.flush_timeout(LIMIT).is_done());
    stored.extend(setup.stored());
    assert_eq!(assert_each_once(&stored, 3000), 0);
    let counts = stats.read();
    assert!(counts.refused > 0, "{counts:?}");
    report(format_args!("full stream: 3000 sent, 3000 stored in order, {} refusals", counts.refused));
    let _ = bus.close();
}

#[test]
fn stream_that_is_made_again_gets_the_rest() {
    let Some(setup) = Setup::start() else { return };
    let sink = setup.sink().connect_lazy().unwrap();
    let stats = sink.stats();
    let bus = Bus::new();
    bus.add_named("jetstream", patient(sink)).unwrap();
    publish(&bus, 0..1000).join().unwrap();
    assert!(bus.flush_timeout(LIMIT).is_done());
    assert_each_once(&setup.stored(), 1000);
    setup.admin.delete(&setup.stream);
    publish(&bus, 1000..2000).join().unwrap();
    wait_for(|| stats.read().refused > 0);
    setup.admin.create(setup.admin.config(&setup.stream));
    assert!(bus.flush_timeout(LIMIT).is_done());
    let stored: Vec<_> = setup.stored().into_iter().map(|number| number.checked_sub(1000).unwrap()).collect();
    assert_each_once(&stored, 1000);
    let counts = stats.read();
    report(format_args!("stream made again: 2000 sent, 1000 in each, {} without a stream", counts.refused));
    let _ = bus.close();
}

#[test]
fn server_that_starts_later_gets_all_events() {
    let Some(mut daemon) = Daemon::prepare("") else { return };
    let sink = numbers(daemon.url()).subject("LATE.all").connect_lazy().unwrap();
    let stats = sink.stats();
    let bus = Bus::new();
    bus.add_named("jetstream", patient(sink)).unwrap();
    publish(&bus, 0..1000).join().unwrap();
    // While the worker moves events into the batch, the terms of the ledger are read one after the other.
    wait_for(|| sink_of(&bus, "jetstream").state.ledger.check().is_ok());
    assert_eq!((stats.read().published, ledger(&bus, "jetstream").pending), (0, 1000));
    daemon.start_again();
    let admin = Admin::connect(daemon.url());
    admin.create(admin.config("LATE"));
    assert!(bus.flush_timeout(LIMIT).is_done());
    assert_each_once(&admin.read("LATE"), 1000);
    report(format_args!("server absent at the start: 1000 sent, 1000 stored"));
    let _ = bus.close();
}

#[test]
fn close_in_an_outage_counts_what_is_left() {
    const COUNT: u64 = 10_000;
    let Some(mut setup) = Setup::start() else { return };
    let sink = setup.sink().connect_lazy().unwrap();
    let stats = sink.stats();
    let bus = Bus::new();
    bus.add_named("jetstream", patient(sink)).unwrap();
    publish(&bus, 0..COUNT / 2).join().unwrap();
    assert!(bus.flush_timeout(LIMIT).is_done());
    setup.daemon.kill();
    publish(&bus, COUNT / 2..COUNT).join().unwrap();
    let begun = Instant::now();
    let closed = bus.close_timeout(Duration::from_millis(300));
    let took = begun.elapsed();
    assert_eq!(closed.unfinished, ["jetstream"]);
    // The worker counts what it had in a batch when the abort has ended its wait.
    wait_for(|| sink_of(&bus, "jetstream").state.ledger.dropped.aborted == COUNT / 2);
    assert_eq!(ledger(&bus, "jetstream").pending, 0);
    assert_eq!(stats.read().acknowledged, COUNT / 2);
    setup.daemon.start_again();
    assert_each_once(&setup.stored(), COUNT / 2);
    report(format_args!(
        "close in an outage, limit 300 ms: {COUNT} accepted, {} stored, {} aborted; it returned after {took:.1?}",
        COUNT / 2,
        COUNT / 2
    ));
}
