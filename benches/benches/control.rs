//! The cost of the control plane: adding and removing an existing sink, creating a publisher,
//! taking a snapshot.
//!
//! One publisher is registered and alive: it publishes, untimed, after each change, so each change
//! finds it up to date and its lanes of old sinks returned. The bench checks that the publisher
//! then reaches every attached sink. Receivers are drained, also untimed. Each call is timed
//! separately, which adds two clock reads (about 50 ns) to every figure. There are no peers: none
//! of them can change its consumers while a producer publishes, except by locking the producer out.
//!
//! Without `under_load` the bench measures the cheap case, with no other thread running. While
//! others run, the removal of a sink with lanes costs a `membarrier` that interrupts them (about 10
//! µs): under load another thread publishes without a pause, on the other processor, into a queue
//! and into each added sink.

use benches::CAPACITY;
use benches::event::Event;
use benches::machine::on_consumer;
use buslane::{Bus, Channel, Publisher, Queue, Receiver, Sink, SinkId, noop};
use criterion::{BatchSize, Criterion};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const OPEN: &str = "the bus is open";
const SETTINGS: &str = "the settings are valid";

/// Times `timed` for `iterations` calls; `untimed` undoes or drops the result outside the time.
fn total<R>(iterations: u64, mut timed: impl FnMut() -> R, mut untimed: impl FnMut(R)) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..iterations {
        let start = Instant::now();
        let result = black_box(timed());
        total += start.elapsed();
        untimed(result);
    }
    total
}

/// Asserts that the publisher sees a change, and reaches `sinks` sinks.
fn reaches(publisher: &mut Publisher<Event>, sinks: usize) {
    let published = publisher.publish(Event::default()).expect(OPEN);
    assert_eq!((published.accepted, published.refused), (sinks, 0));
}

fn add_and_remove<S: Sink<Event> + Clone + 'static>(
    criterion: &mut Criterion,
    name: &str,
    sink: &S,
    mut empty: impl FnMut(),
) {
    let bus = Bus::new();
    let mut publisher = bus.publisher();
    criterion.bench_function(&format!("control/add/{name}"), |bencher| {
        bencher.iter_custom(|iterations| {
            total(
                iterations,
                || bus.add(sink.clone()).expect(OPEN),
                |id| {
                    reaches(&mut publisher, 1);
                    bus.remove(id).expect("the sink is attached");
                    reaches(&mut publisher, 0);
                    empty();
                },
            )
        });
    });
    criterion.bench_function(&format!("control/remove/{name}"), |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                let id = bus.add(sink.clone()).expect(OPEN);
                reaches(&mut publisher, 1);
                let start = Instant::now();
                bus.remove(id).expect("the sink is attached");
                total += start.elapsed();
                reaches(&mut publisher, 0);
                empty();
            }
            total
        });
    });
}

/// Returns a bus with `channels` channels, and their receivers.
fn bus_with(channels: usize) -> (Bus<Event>, Vec<Receiver<Event>>) {
    let bus = Bus::new();
    let receivers = (0..channels).map(|_| bus.subscribe_lossy(CAPACITY).expect(OPEN)).collect();
    (bus, receivers)
}

fn empty(receivers: &mut [Receiver<Event>]) {
    for receiver in receivers {
        while receiver.drain_with(drop) > 0 {}
    }
}

/// Adds and removes an existing channel while another thread publishes.
fn under_load(criterion: &mut Criterion) {
    let builder = Queue::builder().capacity(CAPACITY);
    let queue = builder.spawn(|event: Event| {
        black_box(event);
    });
    let bus = Bus::new();
    bus.add(queue.expect(SETTINGS)).expect(OPEN);
    let mut publisher = bus.publisher();
    let over = Arc::new(AtomicBool::new(false));
    let seen = over.clone();
    let load = on_consumer(|| {
        thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                let _ = publisher.publish(Event::default()).expect(OPEN);
            }
        })
    });
    let (channel, receiver) = Channel::lossy(CAPACITY).expect(SETTINGS);
    let mut receivers = [receiver];
    criterion.bench_function("control/add/under_load", |bencher| {
        bencher.iter_custom(|iterations| {
            total(
                iterations,
                || bus.add(channel.clone()).expect(OPEN),
                |id| {
                    bus.remove(id).expect("the sink is attached");
                    empty(&mut receivers);
                },
            )
        });
    });
    criterion.bench_function("control/remove/under_load", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                let id = bus.add(channel.clone()).expect(OPEN);
                let start = Instant::now();
                bus.remove(id).expect("the sink is attached");
                total += start.elapsed();
                empty(&mut receivers);
            }
            total
        });
    });
    over.store(true, Ordering::Relaxed);
    load.join().expect("publishing does not panic");
}

fn publisher(criterion: &mut Criterion, channels: usize) {
    let (bus, mut receivers) = bus_with(channels);
    criterion.bench_function(&format!("control/publisher/{channels}"), |bencher| {
        bencher.iter_custom(|iterations| {
            total(
                iterations,
                || bus.publisher(),
                |mut publisher| {
                    reaches(&mut publisher, channels);
                    drop(publisher);
                    empty(&mut receivers);
                },
            )
        });
    });
}

/// Times the first publish after a change of the list, in which the publisher takes over its new
/// lanes; the receivers' part is not timed.
fn first_publish(criterion: &mut Criterion, channels: usize) {
    let (bus, mut receivers) = bus_with(channels);
    let mut publisher = bus.publisher();
    let sink = Arc::new(noop());
    criterion.bench_function(&format!("control/first_publish/{channels}"), |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                let id = bus.add(sink.clone()).expect(OPEN);
                let start = Instant::now();
                reaches(&mut publisher, channels + 1);
                total += start.elapsed();
                bus.remove(id).expect("the sink is attached");
                reaches(&mut publisher, channels);
                empty(&mut receivers);
            }
            total
        });
    });
}

fn snapshot(criterion: &mut Criterion, channels: usize) {
    let (bus, mut receivers) = bus_with(channels);
    let mut publisher = bus.publisher();
    reaches(&mut publisher, channels);
    empty(&mut receivers);
    assert_eq!(bus.snapshot().sinks.len(), channels);
    criterion.bench_function(&format!("control/snapshot/{channels}"), |bencher| {
        bencher.iter(|| bus.snapshot());
    });
}

/// Times one add on a bus with `sinks` direct sinks and idle publishers, and one with publishers
/// that apply each change.
fn add_beside(criterion: &mut Criterion, sinks: usize, publishers: usize) {
    for idle in [true, false] {
        let bus = Bus::new();
        let mut publishers: Vec<_> = (0..publishers).map(|_| bus.publisher()).collect();
        (0..sinks).for_each(|_| assert!(bus.add(noop()).is_ok()));
        let which = if idle { "idle" } else { "busy" };
        let name = format!("control/growth/add/{sinks}_sinks_{}_{which}_publishers", publishers.len());
        criterion.bench_function(&name, |bencher| {
            bencher.iter_custom(|iterations| {
                total(
                    iterations,
                    || bus.add(noop()).expect(OPEN),
                    |id| {
                        bus.remove(id).expect("the sink is attached");
                        if !idle {
                            publishers.iter_mut().for_each(|publisher| reaches(publisher, sinks));
                        }
                    },
                )
            });
        });
    }
}

/// Times ten thousand adds on a new bus with `publishers` publishers that have not published yet,
/// and their removals.
fn ten_thousand(criterion: &mut Criterion, publishers: usize) {
    let fill = || {
        let bus: Bus<Event> = Bus::new();
        let publishers: Vec<_> = (0..publishers).map(|_| bus.publisher()).collect();
        (bus, publishers)
    };
    let add = |bus: &Bus<Event>| (0..10_000).map(|_| bus.add(noop()).expect(OPEN)).collect::<Vec<_>>();
    criterion.bench_function(&format!("control/growth/10000_adds/{publishers}_publishers"), |bencher| {
        bencher.iter_batched_ref(fill, |(bus, _)| add(bus), BatchSize::PerIteration);
    });
    criterion.bench_function(&format!("control/growth/10000_removes/{publishers}_publishers"), |bencher| {
        let filled = || {
            let (bus, publishers) = fill();
            let ids = add(&bus);
            (bus, publishers, ids)
        };
        let remove = |(bus, _, ids): &mut (Bus<Event>, Vec<Publisher<Event>>, Vec<SinkId>)| {
            ids.drain(..).for_each(|id| assert!(bus.remove(id).is_ok()));
        };
        bencher.iter_batched_ref(filled, remove, BatchSize::PerIteration);
    });
}

/// Times a registration on a bus with `channels` channels of a small capacity and `publishers`
/// publishers.
fn register_beside(criterion: &mut Criterion, channels: usize, publishers: usize) {
    let bus = Bus::new();
    let _receivers: Vec<Receiver<Event>> =
        (0..channels).map(|_| bus.subscribe_lossy(16).expect(OPEN)).collect();
    let _publishers: Vec<_> = (0..publishers).map(|_| bus.publisher()).collect();
    let name = format!("control/growth/publisher/{channels}_channels_{publishers}_publishers");
    criterion.bench_function(&name, |bencher| {
        bencher.iter_custom(|iterations| total(iterations, || bus.publisher(), drop));
    });
}

fn main() {
    let mut criterion = Criterion::default()
        .configure_from_args()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));

    add_and_remove(&mut criterion, "direct", &Arc::new(noop()), || {});
    let (channel, receiver) = Channel::lossy(CAPACITY).expect(SETTINGS);
    let mut receivers = [receiver];
    add_and_remove(&mut criterion, "channel", &channel, || empty(&mut receivers));
    let queue = Queue::builder().capacity(CAPACITY).spawn(|event: Event| {
        black_box(event);
    });
    add_and_remove(&mut criterion, "queue", &queue.expect(SETTINGS), || {});

    under_load(&mut criterion);
    for channels in [0, 1, 16] {
        publisher(&mut criterion, channels);
        first_publish(&mut criterion, channels);
        snapshot(&mut criterion, channels);
    }
    for publishers in [0, 16] {
        ten_thousand(&mut criterion, publishers);
    }
    add_beside(&mut criterion, 100, 1000);
    add_beside(&mut criterion, 10_000, 16);
    for publishers in [1, 1000] {
        register_beside(&mut criterion, 100, publishers);
    }
    first_publish(&mut criterion, 1000);
    criterion.final_summary();
}
