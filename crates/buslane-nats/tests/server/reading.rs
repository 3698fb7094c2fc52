//! The source while the server, the reader or both are killed, and what it reports as missing.

use super::{LIMIT, Setup, assert_each_once, patient, report, wait_for};
use buslane::Queue;
use buslane::retry::Backoff;
use buslane::source::{Gap, GapReason, Monitor, Update};
use buslane::testing::{Collect, Gate};
use buslane_nats::async_nats::jetstream::stream::DiscardPolicy;
use buslane_nats::{JetStreamSource, StreamPosition};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The variable by which a test starts the reader's process: URL, stream and file.
const READER: &str = "BUSLANE_NATS_READER";

fn quick() -> Backoff {
    Backoff::new(Duration::from_millis(10), Duration::from_millis(100))
}

/// Starts a monitor that acknowledges what the sink has handled.
fn follow(setup: &Setup, consumer: &str, seen: &Collect<Update<u64>>) -> Monitor<StreamPosition> {
    setup.source(consumer).build().unwrap().monitor().backoff(quick()).spawn(seen.clone()).unwrap()
}

fn events(seen: &Collect<Update<u64>>) -> Vec<u64> {
    seen.events().into_iter().filter_map(Update::into_event).collect()
}

fn gaps(seen: &Collect<Update<u64>>) -> Vec<Gap> {
    let gap = |update| if let Update::Gap(gap) = update { Some(gap) } else { None };
    seen.events().into_iter().filter_map(gap).collect()
}

fn publish(setup: &Setup, numbers: std::ops::Range<u64>) {
    numbers.for_each(|number| {
        setup.admin.publish(&format!("{}.{}", setup.stream, number % 8), &number.to_string())
    });
    setup.admin.flush();
}

#[test]
fn source_reads_each_event_once_across_kills_of_the_server() {
    const COUNT: u64 = 60_000;
    let Some(mut setup) = Setup::start() else { return };
    let seen = Collect::new();
    let monitor = follow(&setup, "reader", &seen);
    let sink = setup.sink().strict_order().connect_lazy().unwrap();
    let stats = sink.stats();
    let bus = buslane::Bus::new();
    bus.add(patient(sink)).unwrap();
    let begun = Instant::now();
    let publisher = thread::spawn({
        let bus = bus.clone();
        move || {
            for number in 0..COUNT {
                let _ = bus.publish(number).unwrap();
            }
        }
    });
    for part in [COUNT / 4, COUNT / 2] {
        wait_for(|| stats.read().acknowledged >= part && monitor.snapshot().events >= part / 2);
        setup.daemon.kill();
        setup.daemon.start_again();
    }
    publisher.join().unwrap();
    assert!(bus.flush_timeout(LIMIT).is_done());
    wait_for(|| events(&seen).len() as u64 >= COUNT);
    let took = begun.elapsed();
    assert!(monitor.stop().is_done());
    assert_eq!((assert_each_once(&events(&seen), COUNT), gaps(&seen)), (0, vec![]));
    // What the sink has handled is acknowledged, all of it.
    wait_for(|| setup.admin.unacknowledged(&setup.stream, "reader") == 0);
    let snapshot = monitor.snapshot();
    report(format_args!(
        "source, 2 kills of the server: {COUNT} stored, {COUNT} read in order, {} duplicates recognized, \
         {} connections; {took:.1?}",
        snapshot.duplicates, snapshot.connects
    ));
    let _ = bus.close();
}

/// The process of a reader, which `both_sides` starts and kills.
#[test]
fn reader_process() {
    let Ok(task) = std::env::var(READER) else { return };
    let [url, stream, file] = task.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{task}") };
    let mut log = fs::File::options().create(true).append(true).open(file).unwrap();
    let source = JetStreamSource::<u64>::builder(url, stream, "reader")
        .json()
        .ack_wait(Duration::from_secs(1))
        .build()
        .unwrap();
    // One line is one write, so a kill leaves whole lines.
    let queue =
        Queue::builder().spawn(move |number: u64| log.write_all(format!("{number}\n").as_bytes())).unwrap();
    let _monitor = source.monitor().backoff(quick()).spawn_events(queue).unwrap();
    loop {
        thread::park();
    }
}

fn start_reader(setup: &Setup, file: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "reading::reader_process", "--nocapture", "--test-threads=1"])
        .env(READER, format!("{} {} {}", setup.daemon.url(), setup.stream, file.display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn lines(file: &Path) -> Vec<u64> {
    fs::read_to_string(file).unwrap_or_default().lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn source_resumes_after_kills_of_both_sides() {
    const COUNT: u64 = 20_000;
    let Some(mut setup) = Setup::start() else { return };
    let file = setup.daemon.folder().join("read");
    publish(&setup, 0..COUNT);
    wait_for(|| setup.admin.count(&setup.stream) == COUNT);
    let begun = Instant::now();
    for part in [3000, 9000] {
        let mut reader = start_reader(&setup, &file);
        wait_for(|| lines(&file).len() >= part);
        reader.kill().unwrap();
        reader.wait().unwrap();
        setup.daemon.kill();
        setup.daemon.start_again();
    }
    let mut reader = start_reader(&setup, &file);
    wait_for(|| lines(&file).last() == Some(&(COUNT - 1)));
    let took = begun.elapsed();
    reader.kill().unwrap();
    reader.wait().unwrap();
    let read = lines(&file);
    let mut once = read.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(assert_each_once(&once, COUNT), 0);
    report(format_args!(
        "kills of reader and server, twice: {COUNT} stored, {COUNT} handled, {} of them twice, 0 lost; {took:.1?}",
        read.len() - once.len()
    ));
}

#[test]
fn event_that_was_not_handled_comes_again() {
    let Some(setup) = Setup::start() else { return };
    publish(&setup, 0..10);
    let settings = || setup.source("reader").acknowledge_every(1);
    let seen = Collect::new();
    // A monitor that acknowledges nothing, as a process that is killed.
    let first = Monitor::builder(settings().build().unwrap()).spawn_events(seen.clone()).unwrap();
    seen.wait_for(10);
    assert!(first.stop().is_done());
    assert_eq!(setup.admin.unacknowledged(&setup.stream, "reader"), 10);
    publish(&setup, 10..20);
    // The later one gets these first, and in their order.
    let again = Collect::new();
    let second = settings().build().unwrap().monitor().spawn_events(again.clone()).unwrap();
    again.wait_for(20);
    assert_eq!(again.events(), (0..20).collect::<Vec<_>>());
    wait_for(|| setup.admin.unacknowledged(&setup.stream, "reader") == 0);
    assert!(second.stop().is_done());
    assert_eq!(second.snapshot().duplicates, 0);
}

#[test]
fn slow_sink_gets_each_event_once() {
    const ACK_WAIT: Duration = Duration::from_secs(2);
    let Some(setup) = Setup::start() else { return };
    publish(&setup, 0..3);
    let (gate, seen) = (Gate::closed(), Collect::new());
    let queue = Queue::builder().spawn_sink(gate.before(seen.clone())).unwrap();
    let source = setup.source("reader").ack_wait(ACK_WAIT).build().unwrap();
    let monitor = source.monitor().spawn_events(queue).unwrap();
    gate.wait_reached(1);
    // This is the slow sink, and no wait for something.
    thread::sleep(ACK_WAIT * 3);
    assert_eq!(setup.admin.unacknowledged(&setup.stream, "reader"), 3);
    assert_eq!(setup.admin.redelivered(&setup.stream, "reader"), 0);
    gate.open();
    // What was delivered again would come before this one.
    publish(&setup, 3..4);
    seen.wait_for(4);
    wait_for(|| setup.admin.unacknowledged(&setup.stream, "reader") == 0);
    assert!(monitor.stop().is_done());
    assert_eq!(seen.events(), [0, 1, 2, 3]);
    assert_eq!((monitor.snapshot().duplicates, monitor.snapshot().connects), (0, 1));
}

#[test]
fn token_of_an_earlier_process_is_trusted() {
    let Some(setup) = Setup::start() else { return };
    publish(&setup, 0..10);
    let seen = Collect::new();
    let first = Monitor::builder(setup.source("reader").build().unwrap()).spawn_events(seen.clone()).unwrap();
    seen.wait_for(10);
    assert!(first.stop().is_done());
    let token: StreamPosition = first.token().unwrap().to_string().parse().unwrap();
    publish(&setup, 10..12);
    // Nothing was acknowledged, but the token says that ten events were handled.
    let rest = Collect::new();
    let source = setup.source("reader").acknowledge_every(1).build().unwrap();
    let second = source.monitor().resume(Some(token)).spawn_events(rest.clone()).unwrap();
    rest.wait_for(2);
    assert_eq!(rest.events(), [10, 11]);
    wait_for(|| second.snapshot().duplicates == 10);
    assert!(second.stop().is_done());
}

#[test]
fn discarded_events_are_a_gap_with_their_number() {
    let Some(setup) = Setup::start() else { return };
    setup.admin.update(&setup.admin.bounded(&setup.stream, 100, DiscardPolicy::Old));
    publish(&setup, 0..10);
    let seen = Collect::new();
    let monitor = follow(&setup, "reader", &seen);
    wait_for(|| events(&seen).len() == 10);
    assert!(monitor.stop().is_done());
    wait_for(|| setup.admin.unacknowledged(&setup.stream, "reader") == 0);
    publish(&setup, 10..500);
    let later = Collect::new();
    let monitor = follow(&setup, "reader", &later);
    wait_for(|| events(&later).len() == 100);
    assert!(monitor.stop().is_done());
    assert_eq!(events(&later), (400..500).collect::<Vec<_>>());
    // The server may still discard what it delivers next: then there are two gaps.
    let gaps = gaps(&later);
    assert!(gaps.iter().all(|gap| gap.reason == GapReason::HistoryLost), "{gaps:?}");
    assert_eq!(gaps.iter().filter_map(|gap| gap.missed).sum::<u64>(), 390, "{gaps:?}");
    report(format_args!("stream of 100 overrun: 490 published, 100 read, 390 told as a gap"));
}

#[test]
fn first_event_of_a_purged_stream_is_no_gap() {
    let Some(setup) = Setup::start() else { return };
    publish(&setup, 0..10);
    setup.admin.purge(&setup.stream);
    publish(&setup, 10..12);
    let seen = Collect::new();
    let monitor = follow(&setup, "reader", &seen);
    wait_for(|| events(&seen).len() == 2);
    assert!(monitor.stop().is_done());
    assert_eq!((events(&seen), gaps(&seen)), (vec![10, 11], vec![]));
}

#[test]
fn stream_that_is_made_again_is_a_gap() {
    let Some(setup) = Setup::start() else { return };
    publish(&setup, 0..5);
    let seen = Collect::new();
    let monitor = follow(&setup, "reader", &seen);
    wait_for(|| events(&seen).len() == 5);
    setup.admin.delete(&setup.stream);
    setup.admin.create(setup.admin.config(&setup.stream));
    publish(&setup, 5..8);
    wait_for(|| events(&seen).len() == 8);
    assert!(monitor.stop().is_done());
    assert_eq!(events(&seen), (0..8).collect::<Vec<_>>());
    assert_eq!(gaps(&seen), [Gap::new(GapReason::StaleToken)]);
}

#[test]
fn filter_selects_subjects_and_decoder_counts_failures() {
    let Some(setup) = Setup::start() else { return };
    publish(&setup, 0..16);
    setup.admin.publish(&format!("{}.3", setup.stream), "no number");
    setup.admin.publish(&format!("{}.3", setup.stream), "19");
    let seen = Collect::new();
    let filter = format!("{}.3", setup.stream);
    let source = setup.source("reader").filter(filter).acknowledge_every(1).build().unwrap();
    let monitor = source.monitor().spawn(seen.clone()).unwrap();
    wait_for(|| events(&seen).len() == 3);
    wait_for(|| setup.admin.unacknowledged(&setup.stream, "reader") == 0);
    assert!(monitor.stop().is_done());
    assert_eq!(events(&seen), [3, 11, 19]);
    assert_eq!(gaps(&seen), [Gap::new(GapReason::Undecodable).missed(1)]);
}

#[test]
fn stop_interrupts_every_wait() {
    let Some(mut setup) = Setup::start() else { return };
    let seen = Collect::<Update<u64>>::new();
    // Waiting for a message.
    let monitor = follow(&setup, "reader", &seen);
    monitor.wait_live(LIMIT).unwrap();
    assert!(monitor.stop().is_done());
    // Waiting for the answer to a connect.
    setup.daemon.signal("STOP");
    let monitor = follow(&setup, "reader", &seen);
    wait_for(|| monitor.snapshot().attempts > 0);
    assert!(monitor.stop().is_done());
    setup.daemon.signal("CONT");
    // Waiting for deliveries of an earlier process to come again.
    publish(&setup, 0..3);
    let first = Monitor::builder(setup.source("reader").build().unwrap()).spawn(seen.clone()).unwrap();
    wait_for(|| events(&seen).len() == 3);
    assert!(first.stop().is_done());
    let monitor = follow(&setup, "reader", &Collect::new());
    monitor.wait_live(LIMIT).unwrap();
    assert!(monitor.stop().is_done());
    // Waiting before the next attempt.
    setup.daemon.kill();
    let monitor = follow(&setup, "reader", &seen);
    wait_for(|| monitor.snapshot().failures > 1);
    assert!(monitor.stop().is_done());
}

#[test]
fn stopped_server_is_noticed_by_its_heartbeats() {
    let Some(setup) = Setup::start() else { return };
    let seen = Collect::new();
    let monitor = follow(&setup, "reader", &seen);
    publish(&setup, 0..5);
    wait_for(|| events(&seen).len() == 5);
    setup.daemon.signal("STOP");
    let stopped = Instant::now();
    wait_for(|| monitor.snapshot().failures > 0);
    let noticed = stopped.elapsed();
    setup.daemon.signal("CONT");
    publish(&setup, 5..10);
    wait_for(|| events(&seen).len() == 10);
    assert!(monitor.stop().is_done());
    assert_eq!((events(&seen), gaps(&seen)), ((0..10).collect::<Vec<_>>(), vec![]));
    report(format_args!("SIGSTOP under a source: noticed after {noticed:.1?}, 10 of 10 events read once"));
}
