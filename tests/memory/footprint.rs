//! The memory of a bus, a publisher and a lane: the figures that the documentation states.
//!
//! The tests measure the bytes that this thread allocates and does not free.
//! `cargo test --test memory -- footprint --nocapture` prints them.

use buslane::director::Director;
use buslane::journal::Start;
use buslane::wait::{FencePair, WaitList};
use buslane::{Bus, Channel, Journal, Publisher, Queue, Sink, SinkExt, WaitStrategy, noop};
use test_support::heap::heap_of;

/// The size of the events of the design's measurements.
type Event = [u64; 4];
const CAPACITY: usize = 1024;
/// The bytes of the slots of one lane, without anything around them.
const SLOTS: i64 = (CAPACITY * size_of::<Event>()) as i64;

/// Returns the bytes that `make` allocates and its result retains.
fn cost<R>(what: &str, make: impl FnOnce() -> R) -> (i64, R) {
    let (heap, made) = heap_of(make);
    println!("{what}: {} bytes", heap.bytes);
    (heap.bytes, made)
}

/// Returns a bus whose lists and tables have reached their size.
fn warm_bus() -> Bus<Event> {
    let bus = Bus::new();
    let _ = bus.publish([0; 4]).unwrap();
    bus
}

fn queue() -> Queue<Event> {
    Queue::builder().capacity(CAPACITY).spawn(|_: Event| {}).unwrap()
}

#[track_caller]
fn assert_within(bytes: i64, most: i64) {
    assert!((1..=most).contains(&bytes), "{bytes} bytes, at most {most} expected");
}

#[test]
fn empty_bus_takes_less_than_4_kib() {
    // A thread's record of the lists it reads is created once for all buses.
    drop(warm_bus());
    let (bytes, _bus) = cost("a bus without sinks", Bus::<Event>::new);
    assert_within(bytes, 4096);
}

#[test]
fn publisher_without_lanes_takes_less_than_1_kib() {
    let bus = warm_bus();
    let _first = bus.publisher();
    let (bytes, _publisher) = cost("a publisher without lanes", || bus.publisher());
    assert_within(bytes, 1024);
}

#[test]
fn lane_takes_its_slots_plus_less_than_3_kib() {
    let bus = warm_bus();
    bus.add(queue()).unwrap();
    let _first = bus.publisher();
    let none = {
        let empty = warm_bus();
        let _first = empty.publisher();
        heap_of(|| empty.publisher()).0.bytes
    };
    let (bytes, _publisher) = cost("a publisher with one lane of 1024 events", || bus.publisher());
    println!("  of it the lane: {} bytes, {} around its slots", bytes - none, bytes - none - SLOTS);
    assert!(bytes - none > SLOTS, "{bytes} bytes cannot be all");
    assert_within(bytes - none - SLOTS, 3072);
}

#[test]
fn queue_takes_its_shared_lane_plus_less_than_4_kib() {
    // Each slot of the shared lane has a stamp next to the event.
    let slots = SLOTS + (CAPACITY * size_of::<u64>()) as i64;
    let (bytes, _queue) = cost("a queue of 1024 events, without the worker's stack", queue);
    println!("  of it around its slots: {} bytes", bytes - slots);
    assert_within(bytes - slots, 4096);
    let (bytes, _channel) = cost("a channel of 1024 events", || Channel::<Event>::lossy(CAPACITY).unwrap());
    println!("  of it around its slots: {} bytes", bytes - slots);
    assert_within(bytes - slots, 4096);
}

#[test]
fn direct_sink_takes_2_kib_plus_3_per_idle_publisher() {
    let bus = warm_bus();
    bus.add(noop()).unwrap();
    let (bytes, _id) = cost("a direct sink on a bus without publishers", || bus.add(noop()).unwrap());
    assert_within(bytes, 2048);
    let publishers: Vec<Publisher<Event>> = (0..10).map(|_| bus.publisher()).collect();
    let (with, _id) = cost("a direct sink on a bus with ten publishers", || bus.add(noop()).unwrap());
    // A publisher that has not seen the change yet has both its table and the next one.
    println!("  of it for each publisher that has not published since: {} bytes", (with - bytes) / 10);
    assert_within((with - bytes) / 10, 3072);
    drop(publishers);
}

#[test]
fn journal_takes_events_plus_a_third_and_10_kib() {
    let (bytes, journal) = cost("a journal of 1024 events", || Journal::<Event>::new(CAPACITY).unwrap());
    println!("  of it around its events: {} bytes", bytes - SLOTS);
    // The ring has one block more than the capacity needs, and each block has padding of a quarter
    // of its slots, which its writer prefetches.
    assert_within(bytes - SLOTS, SLOTS / 3 + 10240);
    let _first = journal.subscribe(Start::Now).unwrap();
    let block = 64 * size_of::<Event>() as i64;
    let (bytes, _second) = cost("a subscriber of it", || journal.subscribe(Start::Now).unwrap());
    assert_within(bytes, block + block / 4 + 2048);
    let (bytes, _small) = cost("a journal of 1024 small events", || Journal::<u64>::new(CAPACITY).unwrap());
    assert_within(bytes - SLOTS / 4, SLOTS / 12 + 10240);
}

/// Returns the bytes of a member without a thread, beside another one.
fn member() -> i64 {
    let director = Director::<Event>::builder().history(CAPACITY).build().unwrap();
    let _first = director.join_manual("first").unwrap();
    let (bytes, second) = cost("a member without a thread", || {
        let (member, mut outbox) = director.join_manual("second").unwrap();
        outbox.try_packet().unwrap().ack().unwrap(); // the state, which is freed
        (member, outbox)
    });
    drop(second);
    bytes
}

#[test]
fn member_without_a_thread_takes_a_block_and_4_kib() {
    // An event is kept with its sender and its receivers.
    let block = 64 * (size_of::<Event>() as i64 + 16);
    assert_within(member(), block + block / 4 + 4096);
}

#[test]
fn lane_memory_scales_and_is_freed() {
    let bus = warm_bus();
    let sinks: Vec<_> = (0..4).map(|_| queue()).collect();
    for sink in &sinks {
        bus.add(sink.clone().filter(|_: &Event| true)).unwrap();
    }
    let (heap, publishers) = heap_of(|| (0..4).map(|_| bus.publisher()).collect::<Vec<_>>());
    let lanes = 16;
    println!("4 publishers, 4 filtered sinks: {} bytes, {} a lane", heap.bytes, heap.bytes / lanes);
    assert!(heap.bytes > lanes * SLOTS);
    assert_within(heap.bytes, lanes * (SLOTS + 4096));
    drop((publishers, sinks, bus));
}

#[test]
fn removed_sink_frees_its_lanes_after_next_publishes() {
    let bus = warm_bus();
    let mut publishers: Vec<Publisher<Event>> = (0..4).map(|_| bus.publisher()).collect();
    let _steady = bus.add(noop()).unwrap();
    publishers.iter_mut().for_each(|publisher| assert!(publisher.publish([0; 4]).is_ok()));
    let (channel, mut receiver) = Channel::<Event>::lossy(CAPACITY).unwrap();
    let (heap, _) = heap_of(|| {
        let id = bus.add(channel.clone()).unwrap();
        publishers.iter_mut().for_each(|publisher| assert!(publisher.publish([0; 4]).is_ok()));
        assert_eq!(receiver.drain().count(), 4);
        assert!(bus.remove(id).is_ok());
        publishers.iter_mut().for_each(|publisher| assert!(publisher.publish([0; 4]).is_ok()));
        // The receiver drops ended lanes, and the bus drops returned tables.
        assert!(receiver.try_recv().is_err());
        drop(bus.snapshot());
        // A query folds the counters of ended lanes into the channel, too.
        assert_eq!(channel.state().lanes, 0);
    });
    println!("a sink of 1024 events that was added and removed beside 4 publishers: {} bytes", heap.bytes);
    assert!(heap.bytes < SLOTS, "{heap:?}");
}

#[test]
fn idle_publisher_does_not_accumulate_memory() {
    let bus = warm_bus();
    let _steady = bus.add(noop()).unwrap();
    let mut idle = bus.publisher();
    let change = || {
        let id = bus.add(noop()).unwrap();
        assert!(bus.remove(id).is_ok());
    };
    (0..10).for_each(|_| change());
    let (heap, ()) = heap_of(|| (0..1000).for_each(|_| change()));
    println!("1000 changes beside an idle publisher: {} bytes", heap.bytes);
    assert!(heap.bytes.abs() < 1024, "{heap:?}");
    let _ = idle.publish([0; 4]).unwrap();
    change();
    let (heap, ()) = heap_of(|| (0..1000).for_each(|_| change()));
    assert!(heap.bytes.abs() < 1024, "{heap:?}");
}

#[test]
fn dropped_publishers_free_all_their_memory() {
    let bus = warm_bus();
    // This test reads the channel on its own thread, so that all memory counts on this thread.
    let (channel, mut receiver) =
        Channel::builder().capacity(16).wait_strategy(WaitStrategy::Park).build().unwrap();
    bus.add(channel.clone()).unwrap();
    bus.add(noop()).unwrap();
    bus.add(Bus::new()).unwrap();
    let mut come_and_go = || {
        let mut publisher = bus.publisher();
        let _ = publisher.publish([1; 4]).unwrap();
        drop(publisher);
        assert!(receiver.try_recv().is_ok() && receiver.try_recv().is_err());
    };
    (0..10).for_each(|_| come_and_go());
    let (heap, ()) = heap_of(|| (0..500).for_each(|_| come_and_go()));
    println!("500 publishers that came and went: {} bytes", heap.bytes);
    assert!(heap.bytes.abs() < 4096, "{heap:?}");
    assert!(channel.write([2; 4]).is_ok());
}

/// The text of `docs::memory`.
const MEMORY: &str = include_str!("../../src/docs/memory.md");

/// Returns the figure in a row of its table.
fn documented(what: &str) -> i64 {
    let row = MEMORY
        .lines()
        .find_map(|line| line.strip_prefix("| ")?.strip_prefix(what)?.strip_prefix(" | "))
        .unwrap_or_else(|| panic!("no row for {what}"));
    let digits = row.chars().take_while(|c| c.is_ascii_digit() || *c == ' ');
    digits.filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

#[test]
#[cfg(target_pointer_width = "64")]
fn documented_figures_match_the_measured_ones() {
    let (empty, bus) = (warm_bus(), warm_bus());
    let _first = empty.publisher();
    bus.add(noop()).unwrap();
    let journal = Journal::<Event>::new(CAPACITY).unwrap();
    let _subscriber = journal.subscribe(Start::Now).unwrap();
    let none = heap_of(|| empty.publisher()).0.bytes;
    let queued = warm_bus();
    queued.add(queue()).unwrap();
    let _lane = queued.publisher();
    let direct = heap_of(|| bus.add(noop()).unwrap()).0.bytes;
    let publishers: Vec<_> = (0..10).map(|_| bus.publisher()).collect();
    let direct_with_ten = heap_of(|| bus.add(noop()).unwrap()).0.bytes;
    let figures = [
        ("a bus without sinks", heap_of(Bus::<Event>::new).0.bytes),
        ("a publisher without lanes", none),
        ("a private lane", heap_of(|| queued.publisher()).0.bytes - none),
        ("a queue", heap_of(queue).0.bytes),
        ("a channel", heap_of(|| Channel::<Event>::lossy(CAPACITY).unwrap()).0.bytes),
        ("a journal", heap_of(|| Journal::<Event>::new(CAPACITY).unwrap()).0.bytes),
        ("a subscriber of it", heap_of(|| journal.subscribe(Start::Now).unwrap()).0.bytes),
        ("a member of a director, without a thread", member()),
        ("a sink that is called directly", direct),
        ("the same, for each publisher until it publishes next", (direct_with_ten - direct) / 10),
    ];
    drop(publishers);
    for (what, measured) in figures {
        let documented = documented(what);
        // The standard library's own types may change by a few bytes.
        assert!(
            (measured - documented).abs() <= documented / 50,
            "{what}: {measured}, documented {documented}"
        );
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn wait_list_has_room_for_sixteen_in_384_bytes() {
    let (heap, _list) = heap_of(|| WaitList::new(FencePair::process()));
    assert_eq!(heap.bytes, 384);
    let page = MEMORY.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = page.split(". ").find(|sentence| sentence.contains("384 bytes"));
    assert!(sentence.is_some_and(|sentence| sentence.contains(" 16 ")), "{sentence:?}");
}
