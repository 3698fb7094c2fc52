//! The cost of a control operation grows with what it changes, not with the number of sinks on the
//! bus: counted in bytes and allocations.

use buslane::{Bus, Channel, Publisher, Sink, WaitStrategy, noop};
use test_support::heap::heap_of;

type Event = u64;

/// Returns a bus with `sinks` direct sinks, one channel and `publishers` publishers. Unless `idle`,
/// every publisher has seen every sink.
fn bus_with(sinks: usize, publishers: usize, idle: bool) -> (Bus<Event>, Vec<Publisher<Event>>) {
    let bus = Bus::new();
    let mut publishers: Vec<_> = (0..publishers).map(|_| bus.publisher()).collect();
    for _ in 0..sinks {
        bus.add(noop()).unwrap();
    }
    if !idle {
        publishers.iter_mut().for_each(|publisher| assert!(publisher.publish(1).is_ok()));
    }
    (bus, publishers)
}

/// Returns the bytes and allocations of `calls` calls, without the memory that they free.
fn asked(calls: usize, mut call: impl FnMut()) -> (u64, u64) {
    let (heap, ()) = heap_of(|| (0..calls).for_each(|_| call()));
    (heap.asked / calls as u64, heap.allocations / calls as u64)
}

#[track_caller]
fn assert_at_most_doubled(what: &str, few: (u64, u64), many: (u64, u64), slack: (u64, u64)) {
    println!("{what}: {few:?} bytes and allocations with few, {many:?} with many");
    assert!(many.0 <= 2 * few.0 + slack.0, "{what}: {few:?} bytes and allocations, {many:?} with many");
    assert!(many.1 <= 2 * few.1 + slack.1, "{what}: {few:?} bytes and allocations, {many:?} with many");
}

/// The bytes of the references to the chunks of 4096 sinks.
const SPINE: u64 = 4096 / 64 * 8 * 8;

#[test]
fn add_and_remove_allocate_independent_of_sink_count() {
    for idle in [true, false] {
        for publishers in [0, 4] {
            let cost = |sinks: usize| {
                let (bus, _publishers) = bus_with(sinks, publishers, idle);
                asked(64, || {
                    let id = bus.add(noop()).unwrap();
                    assert!(bus.remove(id).is_ok());
                })
            };
            // The chunk is full of sinks in both cases.
            let (few, many) = (cost(63), cost(4095));
            let what = format!("add and remove, {publishers} publishers, idle: {idle}");
            assert_at_most_doubled(&what, few, many, (SPINE, 16));
        }
    }
}

#[test]
fn adds_beside_idle_publishers_allocate_linearly() {
    let cost = |sinks: usize| {
        let bus: Bus<Event> = Bus::new();
        let _publishers: Vec<_> = (0..16).map(|_| bus.publisher()).collect();
        asked(sinks, || assert!(bus.add(noop()).is_ok()))
    };
    assert_at_most_doubled("an add beside 16 idle publishers", cost(64), cost(10_000), (4 * SPINE, 16));
}

#[test]
fn removals_in_add_order_allocate_linearly() {
    let cost = |sinks: usize| {
        let bus: Bus<Event> = Bus::new();
        let _publishers: Vec<_> = (0..4).map(|_| bus.publisher()).collect();
        let mut ids: Vec<_> = (0..sinks).map(|_| bus.add(noop()).unwrap()).collect();
        ids.reverse();
        asked(sinks, || assert!(bus.remove(ids.pop().unwrap()).is_ok()))
    };
    assert_at_most_doubled("a removal beside 4 idle publishers", cost(64), cost(4096), (SPINE, 16));
}

#[test]
fn registration_cost_ignores_the_publisher_count() {
    let cost = |publishers: usize| {
        let bus: Bus<Event> = Bus::new();
        let receivers: Vec<_> = (0..8)
            .map(|_| {
                let builder = Channel::builder().capacity(4).wait_strategy(WaitStrategy::Park);
                let (channel, receiver) = builder.build().unwrap();
                bus.add(channel).unwrap();
                receiver
            })
            .collect();
        let mut all: Vec<_> = (0..publishers).map(|_| bus.publisher()).collect();
        let cost = asked(64, || all.push(bus.publisher()));
        assert_eq!(bus.snapshot().publishers, publishers + 64);
        drop((receivers, all));
        cost
    };
    assert_at_most_doubled("a registration", cost(1), cost(1000), (1024, 16));
}

/// A sink that counts the queries whether it is closed.
struct Asked(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl Sink<Event> for Asked {
    fn write(&self, _: Event) -> Result<(), buslane::WriteError<Event>> {
        Ok(())
    }

    fn makes_lanes(&self, _: buslane::sink::lane::Internal) -> bool {
        true
    }

    fn reports_closed(&self) -> bool {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        false
    }
}

#[test]
fn add_checks_a_few_sinks_for_closure_in_turn() {
    let (bus, asked) = (Bus::new(), std::sync::Arc::default());
    for _ in 0..1000 {
        bus.add(Asked(std::sync::Arc::clone(&asked))).unwrap();
    }
    let asked = || asked.load(std::sync::atomic::Ordering::Relaxed);
    assert!(asked() <= 1000 * 16, "{} checks for 1000 adds", asked());
    let (mut receivers, before) = (Vec::new(), asked());
    for _ in 0..100 {
        receivers.push(bus.subscribe_lossy(4).unwrap());
    }
    assert!(asked() > before);
    receivers.clear();
    // No thread publishes: only adds find the receivers that were dropped.
    let mut adds = 0;
    while bus.sink_count() > 1000 + adds {
        assert!(bus.add(noop()).is_ok());
        adds += 1;
        assert!(adds < 200, "{} sinks are left", bus.sink_count());
    }
}

#[test]
fn removed_sinks_free_all_their_memory() {
    let bus: Bus<Event> = Bus::new();
    let mut publishers: Vec<_> = (0..4).map(|_| bus.publisher()).collect();
    let mut come_and_go = || {
        let ids: Vec<_> = (0..1000).map(|_| bus.add(noop()).unwrap()).collect();
        let published: Vec<_> =
            publishers[..2].iter_mut().map(|publisher| publisher.publish(1).unwrap().accepted).collect();
        assert_eq!(published, [1000, 1000]);
        ids.into_iter().for_each(|id| assert!(bus.remove(id).is_ok()));
        publishers.iter_mut().for_each(|publisher| assert_eq!(publisher.publish(1).unwrap().accepted, 0));
        drop(bus.snapshot());
    };
    come_and_go();
    let (heap, ()) = heap_of(|| (0..3).for_each(|_| come_and_go()));
    assert!(heap.bytes.abs() < 4096, "{heap:?}");
}

#[test]
fn long_list_is_published_to_in_order_once() {
    let (bus, log) = (Bus::<Event>::new(), std::sync::Arc::new(std::sync::Mutex::new(Vec::new())));
    let add = |number: usize| {
        let log = std::sync::Arc::clone(&log);
        bus.add(buslane::sink_fn(move |_: &Event| log.lock().unwrap().push(number))).unwrap()
    };
    let ids: Vec<_> = (0..200).map(add).collect();
    let reached = || {
        let accepted = bus.publish(1).unwrap().accepted;
        let numbers = std::mem::take(&mut *log.lock().unwrap());
        assert_eq!(accepted, numbers.len());
        numbers
    };
    assert_eq!(reached(), (0..200).collect::<Vec<_>>());
    ids.iter().enumerate().filter(|(at, _)| at % 3 > 0).for_each(|(_, id)| assert!(bus.remove(*id).is_ok()));
    assert_eq!(reached(), (0..200).step_by(3).collect::<Vec<_>>());
    // The last sink of the list lies in a chunk, and receives the event itself.
    for id in &ids[192..] {
        let _ = bus.remove(*id);
    }
    assert_eq!(reached(), (0..192).step_by(3).collect::<Vec<_>>());
    assert_eq!((bus.sink_count(), bus.snapshot().sinks.len()), (64, 64));
    add(1000);
    assert_eq!(reached().last(), Some(&1000));
}
