//! The cost of a journal for its publishers, its subscribers, and new subscribers.
//!
//! | group | unit | method |
//! |---|---|---|
//! | `journal_publish` | ns per event: 1, 4, 16, 64 subscribers that read everything between the
//! timed parts | `benches::cost` |
//! | `journal_publish_slices` | the same in slices of 64, for one subscriber; includes the creation
//! of the slice | |
//! | `journal_moved_*` | the same with destructors; subtract `drop` | `benches::cost::moved` |
//! | `journal_read` | ns per event and reader | `benches::read` |
//! | `journal_subscribe` | ns to subscribe to a full journal, and to unsubscribe | below |
//! | `journal_stream` | events per second from one publisher to one subscriber on another processor
//! | `benches::stream` |
//! | `journal_publishers` | events per second of several publishers together |
//! `benches::publishers` |
//!
//! Here contenders run in sequence in one process. The program `compare journal` runs each in a
//! separate process, interleaves them, and produces the figures to quote.

use benches::cost::{self, bench, moved};
use benches::event::{Dropping, Event, Payload};
use benches::machine::{Ping, pin_producer, placement, processors};
use benches::peer::PhotonBounded;
use benches::publishers::{self, Place, Publishers};
use benches::read::{self, Readers};
use benches::route::lanes::Queued;
use benches::route::others::Disruptor;
use benches::route::spinning;
use benches::stream::{self, Stream};
use buslane::Journal;
use buslane::journal::{Entry, Start};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::sync::Arc;
use std::time::Duration;

type Group<'a> = BenchmarkGroup<'a, WallTime>;

const SUBSCRIBERS: [usize; 4] = [1, 4, 16, 64];

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let mut group = criterion.benchmark_group(name);
    group
        .throughput(Throughput::Elements(1))
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    group
}

fn publish(criterion: &mut Criterion) {
    let mut group = group(criterion, "journal_publish");
    bench(&mut group, "base", cost::base);
    for count in SUBSCRIBERS {
        let name = |name: &str| format!("{name}/{count}");
        bench(&mut group, &name("journal"), || cost::journal::single(count));
        bench(&mut group, &name("journal_one_of"), || cost::journal::single_beside(count));
        bench(&mut group, &name("shared_journal"), || cost::journal::shared(count));
        bench(&mut group, &name("journal_on_bus"), || cost::journal::on_bus(count));
        bench(&mut group, &name("tokio_broadcast"), || cost::tokio(count));
        bench(&mut group, &name("photon_ring"), || cost::photon(count));
        bench(&mut group, &name("photon_ring_mpmc"), || cost::photon_shared(count));
        bench(&mut group, &name("disruptor"), || cost::disruptor(count));
    }
    group.finish();
}

fn publish_slices(criterion: &mut Criterion) {
    let mut group = group(criterion, "journal_publish_slices");
    bench(&mut group, "journal/64", cost::journal::single_in_slices::<64>);
    bench(&mut group, "shared_journal/64", cost::journal::shared_in_slices::<64>);
    bench(&mut group, "photon_ring/64", cost::photon_in_slices::<64>);
    group.finish();
}

fn publish_moved<E: Payload>(criterion: &mut Criterion, kind: &str) {
    let mut group = group(criterion, &format!("journal_moved_{kind}"));
    bench(&mut group, "move", moved::base);
    bench(&mut group, "drop", moved::dropped::<E>);
    for count in SUBSCRIBERS {
        let name = |name: &str| format!("{name}/{count}");
        bench(&mut group, &name("journal"), || moved::single::<E>(count));
        bench(&mut group, &name("shared_journal"), || moved::shared::<E>(count));
        bench(&mut group, &name("tokio_broadcast"), || moved::tokio::<E>(count));
        bench(&mut group, &name("tokio_broadcast_kept"), || moved::tokio_kept::<E>(count));
        bench(&mut group, &name("photon_ring_events"), || moved::photon::<E>(count));
        bench(&mut group, &name("disruptor"), || moved::disruptor::<E>(count));
    }
    group.finish();
}

fn reader<R: Readers>(group: &mut Group<'_>, name: &str, make: impl Fn() -> R) {
    let mut meter = None;
    group.bench_function(name, |bencher| {
        let meter = meter.get_or_insert_with(|| read::Meter::new(make()));
        bencher.iter_custom(|events| meter.time(events));
    });
}

fn reading(criterion: &mut Criterion) {
    let mut group = group(criterion, "journal_read");
    reader(&mut group, "slice", read::slice);
    for count in [1, 64] {
        let name = |name: &str| format!("{name}/{count}");
        reader(&mut group, &name("try_recv"), || read::try_recv(count));
        reader(&mut group, &name("try_recv_with"), || read::try_recv_with(count));
        reader(&mut group, &name("try_recv_slice"), || read::try_recv_slice(count));
        reader(&mut group, &name("tokio_broadcast"), || read::tokio(count));
        reader(&mut group, &name("photon_ring"), || read::photon(count));
        reader(&mut group, &name("photon_ring_batch"), || read::photon_batch(count));
    }
    group.finish();
}

/// Times a subscription from the oldest event on, and its drop at once; with `first_event`, one
/// event is read in between. `copy` is the time to copy the history. tokio's channel cannot replay
/// it.
fn subscribing(criterion: &mut Criterion) {
    let mut group = group(criterion, "journal_subscribe");
    for capacity in [1024, 65_536] {
        let events: Vec<Event> = (0..2 * capacity as u64).map(Event::new).collect();
        let kept = &events[capacity..];
        let sum = kept.iter().map(Event::sum).fold(0, u64::wrapping_add);

        let (mut writer, feed) = Journal::single(capacity).expect("the settings are valid");
        writer.publish_batch(&events).expect("the journal is open");
        let subscribe = || feed.subscribe(Start::Oldest).expect("there is memory");
        let mut read = 0_u64;
        for entry in subscribe().try_iter() {
            let Entry::Event(_, event) = entry else { unreachable!("nothing is lost: {entry:?}") };
            read = read.wrapping_add(event.sum());
        }
        assert_eq!(read, sum, "the history of a journal");
        group.bench_function(format!("journal/{capacity}"), |bencher| bencher.iter(subscribe));
        group.bench_function(format!("journal/first_event/{capacity}"), |bencher| {
            bencher.iter(|| subscribe().try_recv());
        });

        let (mut publisher, subscribable) = photon_ring::channel::<[u64; 4]>(capacity);
        events.iter().for_each(|event| publisher.publish((*event).into()));
        let mut subscriber = subscribable.subscribe_from_oldest();
        let read = std::iter::from_fn(|| subscriber.try_recv().ok()).map(|words| Event::from(words).sum());
        assert_eq!(read.fold(0, u64::wrapping_add), sum, "the history of photon-ring");
        group.bench_function(format!("photon_ring/{capacity}"), |bencher| {
            bencher.iter(|| subscribable.subscribe_from_oldest());
        });

        let (sender, _receiver) = tokio::sync::broadcast::channel::<Event>(capacity);
        group.bench_function(format!("tokio_broadcast/without_history/{capacity}"), |bencher| {
            bencher.iter(|| sender.subscribe());
        });
        group.bench_function(format!("copy/{capacity}"), |bencher| bencher.iter(|| kept.to_vec()));
    }
    group.finish();
}

/// The number of events of an iteration of a stream.
const EVENTS: u64 = 16 * benches::CAPACITY as u64;

fn transfer<S: Stream>(group: &mut Group<'_>, name: &str, make: impl Fn() -> S) {
    let mut meter = None;
    group.bench_function(name, |bencher| {
        let meter = meter.get_or_insert_with(|| stream::Meter::new(make()));
        bencher.iter_custom(|iterations| {
            let events = iterations * EVENTS;
            meter.transfer(events).time_for(events)
        });
    });
}

fn streaming(criterion: &mut Criterion) {
    let mut group = group(criterion, "journal_stream");
    group.throughput(Throughput::Elements(EVENTS));
    transfer(&mut group, "journal/gated", stream::journal::gated);
    transfer(&mut group, "journal/gated/batches", stream::journal::gated_batches);
    transfer(&mut group, "journal/gated/batches/parking", stream::journal::gated_parking);
    transfer(&mut group, "journal/free", stream::journal::free);
    transfer(&mut group, "journal/free/batches", stream::journal::free_batches);
    transfer(&mut group, "queue", || stream::pinned(Queued::SPINNING));
    transfer(&mut group, "ring_spsc", stream::ring);
    transfer(&mut group, "photon_ring_bounded", || stream::pinned(spinning::<PhotonBounded>()));
    transfer(&mut group, "photon_ring_bounded/batches", stream::photon);
    transfer(&mut group, "photon_ring/free", stream::photon_free);
    transfer(&mut group, "disruptor", || stream::pinned(Disruptor));
    transfer(&mut group, "tokio_broadcast/free", stream::tokio);
    group.finish();
}

fn race<P: Publishers>(
    group: &mut Group<'_>,
    name: &str,
    (count, place): (usize, Place),
    make: impl Fn() -> P,
) {
    let mut meter = None;
    group.bench_function(name, |bencher| {
        let meter = meter.get_or_insert_with(|| publishers::Meter::new(make(), count, place));
        bencher.iter_custom(|events| meter.time(events));
    });
}

fn several_publishers(criterion: &mut Criterion) {
    let mut group = group(criterion, "journal_publishers");
    for (label, count, place) in
        [("2_pinned", 2, Place::Pinned), ("2", 2, Place::Anywhere), ("4", 4, Place::Anywhere)]
    {
        let name = |name: &str| format!("{name}/{label}");
        race(&mut group, &name("journal"), (count, place), publishers::journal);
        race(&mut group, &name("locked_journal"), (count, place), publishers::locked);
        race(&mut group, &name("tokio_broadcast"), (count, place), publishers::tokio);
        race(&mut group, &name("photon_ring_mpmc"), (count, place), publishers::photon);
    }
    group.finish();
}

fn print_ping() {
    let ping = Ping::new().measure();
    println!("the two processors are {ping:.0} ns apart, one way: {}", placement(ping));
}

fn main() {
    let two = processors().is_some();
    pin_producer();
    let mut criterion = Criterion::default().configure_from_args();
    publish(&mut criterion);
    publish_slices(&mut criterion);
    publish_moved::<Dropping>(&mut criterion, "drop");
    publish_moved::<Arc<[u8]>>(&mut criterion, "arc");
    publish_moved::<String>(&mut criterion, "string");
    reading(&mut criterion);
    subscribing(&mut criterion);
    if two {
        print_ping();
        streaming(&mut criterion);
        several_publishers(&mut criterion);
        print_ping();
    } else {
        println!("the rest needs two processors");
    }
    criterion.final_summary();
}
