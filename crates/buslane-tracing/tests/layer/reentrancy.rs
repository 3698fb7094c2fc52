//! Events that are logged while an event is made, published or written.

use super::{Kept, OnDebug, Written, alone, ledger, records, set_global};
use buslane::{Bus, Queue, SinkExt, sink_fn};
use buslane_tracing::{BusLayer, Guard, Record, RecordWriter, Records, Text, Unpublished, layer};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use test_support::bus::{flush_bus, ledger as ledger_of, sink as sink_of};
use test_support::{GUARD, wait_for};
use tracing::info;
use tracing::subscriber::with_default;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

/// Returns how many events the layer of the current subscriber has suppressed.
fn suppressed() -> u64 {
    tracing::dispatcher::get_default(|current| {
        current.downcast_ref::<BusLayer<Records<204>>>().unwrap().suppressed()
    })
}

#[test]
fn event_from_debug_is_suppressed_and_counted() {
    alone(module_path!(), "event_from_debug_is_suppressed_and_counted", || {
        let (bus, mut receiver) = records();
        let layer = layer(&bus);
        let unpublished = layer.unpublished();
        set_global(layer);
        info!(value = ?OnDebug(|| info!("nested")), "outer");
        assert_eq!((suppressed(), unpublished.suppressed()), (1, 1));
        info!("after");
        let messages: Vec<_> = receiver.drain().map(|record| record.message().to_owned()).collect();
        assert_eq!(messages, ["outer", "after"]);
    });
}

#[test]
fn writers_report_what_a_layer_suppresses() {
    alone(module_path!(), "writers_report_what_a_layer_suppresses", || {
        let bus: Bus<Record> = Bus::new();
        let layer = layer(&bus);
        let unpublished = layer.unpublished();
        let start = |name: &str, handles: &[Unpublished]| {
            let kept = Kept::default();
            let writer = RecordWriter::new(Text::new(), kept.clone()).name(name);
            let writer = handles.iter().cloned().fold(writer, RecordWriter::report_unpublished);
            (writer.start(&bus).unwrap(), kept)
        };
        let silent = start("silent", &[]);
        let reporting = start("reporting", std::slice::from_ref(&unpublished));
        // A second handle of the same layer changes nothing.
        let twice = start("twice", &[unpublished.clone(), unpublished.clone()]);
        set_global(layer);
        let nested = OnDebug(|| (0..3).for_each(|_| info!("nested")));
        (0..100).for_each(|_| info!(value = ?nested, "outer"));
        for ((guard, kept), suppressed) in [(&silent, 0), (&reporting, 300), (&twice, 300)] {
            assert!(guard.flush(GUARD).is_done());
            let ledger = ledger(guard);
            assert_eq!((ledger.delivered, ledger.refused.reentrant), (100, suppressed), "{ledger}");
            assert_eq!(told_as_reentrant(kept), suppressed);
        }
        assert!(bus.close().is_done());
        info!("late");
        let late = |log: &(Guard, Kept)| ledger(&log.0).refused.closed;
        assert_eq!((late(&silent), late(&reporting), late(&twice)), (0, 1, 1));
        assert_eq!((unpublished.suppressed(), unpublished.late()), (300, 1));
    });
}

/// Returns how many suppressed events the lines report.
fn told_as_reentrant(kept: &Kept) -> u64 {
    let reports = kept.lines().into_iter().filter(|line| line.contains("lost (reentrant)"));
    let count = |line: String| line.split(' ').find_map(|word| word.parse::<u64>().ok()).unwrap();
    reports.map(count).sum()
}

#[test]
fn panic_of_debug_leaves_the_thread_able_to_log() {
    let (bus, mut receiver) = records();
    with_default(tracing_subscriber::registry().with(layer(&bus).build()), || {
        let panicked = std::panic::catch_unwind(|| info!(value = ?OnDebug(|| panic!("on purpose"))));
        assert!(panicked.is_err());
        info!("after");
        assert_eq!(suppressed(), 0);
    });
    assert_eq!(receiver.drain().count(), 1);
}

#[test]
fn event_from_a_direct_sink_is_suppressed() {
    alone(module_path!(), "event_from_a_direct_sink_is_suppressed", || {
        let bus = Bus::new();
        bus.add(sink_fn(|_: &Record| info!("from the sink"))).unwrap();
        set_global(layer(&bus));
        // The first events of a thread take another way than the later ones.
        (0..100).for_each(|_| info!("event"));
        assert_eq!(suppressed(), 100);
    });
}

/// A writer that logs.
struct Logging(Kept);

impl Write for Logging {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        info!("from the writer");
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        info!("from the flush");
        Ok(())
    }
}

/// Row 17: the workers of the crate are mute. This needs a subscriber on the worker, which a scoped
/// one is not; so it has a process of its own.
#[test]
fn event_from_the_writer_is_suppressed() {
    alone(module_path!(), "event_from_the_writer_is_suppressed", || {
        let kept = Kept::default();
        let guard = buslane_tracing::init(Logging(kept.clone())).unwrap();
        info!("event");
        assert!(guard.flush(GUARD).is_done());
        let written = ledger(&guard);
        assert_eq!(written.delivered, 1);
        assert!(written.refused.reentrant >= 2, "{written}");
        // The log tells it: these are lines that an operator misses.
        wait_for(|| guard.flush(GUARD).is_done() && kept.text().contains("lost (reentrant)"));
    });
}

#[test]
fn bus_of_another_layer_gets_no_nested_event() {
    // Two layers, one after the other, each with a bus: neither is nested in the other.
    let ((one, mut first), (other, mut second)) = (records(), records());
    let subscriber = tracing_subscriber::registry().with(layer(&one).build()).with(layer(&other).build());
    with_default(subscriber, || (0..3).for_each(|_| info!("event")));
    assert_eq!((first.drain().count(), second.drain().count()), (3, 3));
}

#[test]
fn closed_bus_counts_what_comes_late() {
    let written = Written::start(Text::new());
    let bus = written.bus.clone();
    written.log(|| {
        info!("before");
        assert!(bus.close().is_done());
        (0..20).for_each(|_| info!("late"));
        tracing::dispatcher::get_default(|current| {
            assert_eq!(current.downcast_ref::<BusLayer<Records<204>>>().unwrap().late(), 20);
        });
    });
    assert_eq!(written.close().len(), 1);
}

#[test]
fn writer_is_dropped_before_close_returns() {
    struct Dropped(std::sync::mpsc::Sender<()>);
    impl Write for Dropped {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let (sender, dropped) = std::sync::mpsc::channel();
    let bus = Bus::new();
    let guard = RecordWriter::new(Text::new(), Dropped(sender)).start::<204>(&bus).unwrap();
    assert!(guard.close(GUARD).is_done());
    assert_eq!(dropped.try_recv(), Ok(()));
}

/// Returns a user's queue that logs an event for each of its first `most` records.
fn paging(most: u64) -> Queue<Record> {
    let pages = AtomicU64::new(0);
    let page = move |_: Record| {
        if pages.fetch_add(1, Ordering::Relaxed) < most {
            info!(target: "pager", "paged an operator");
        }
    };
    Queue::builder().spawn(page).unwrap()
}

#[test]
fn loop_of_a_queue_is_counted_as_other_events() {
    alone(module_path!(), "loop_of_a_queue_is_counted_as_other_events", || {
        let bus = Bus::new();
        bus.add_named("pager", paging(100)).unwrap();
        set_global(layer(&bus));
        info!("event");
        // One event leads to all the others. Only the limit of this test ends the loop.
        wait_for(|| sink_of(&bus, "pager").state.ledger.delivered == 101);
        flush_bus(&bus);
        let ledger = ledger_of(&bus, "pager");
        assert_eq!((ledger.offered, ledger.delivered, suppressed()), (101, 101, 0), "{ledger}");
        assert!(bus.close().is_done());
    });
}

#[test]
fn filter_of_a_target_ends_the_loop_of_a_queue() {
    alone(module_path!(), "filter_of_a_target_ends_the_loop_of_a_queue", || {
        let (bus, pages) = (Bus::new(), Arc::new(AtomicU64::new(0)));
        let queue = paging(u64::MAX).filter(|record: &Record| record.target() != "pager");
        bus.add_named("pager", queue).unwrap();
        let counted = pages.clone();
        let count = move |record: &Record| {
            counted.fetch_add(u64::from(record.target() == "pager"), Ordering::Relaxed);
        };
        bus.add(sink_fn(count)).unwrap();
        set_global(layer(&bus));
        (0..8).for_each(|_| info!("event"));
        flush_bus(&bus);
        let ledger = ledger_of(&bus, "pager");
        assert_eq!((ledger.delivered, ledger.filtered, suppressed()), (8, 8, 0), "{ledger}");
        // The other sinks get the events of the queue.
        assert_eq!(pages.load(Ordering::Relaxed), 8);
        assert!(bus.close().is_done());
    });
}

#[test]
fn levels_of_the_layer_end_the_loop_of_a_queue() {
    alone(module_path!(), "levels_of_the_layer_end_the_loop_of_a_queue", || {
        let bus = Bus::new();
        bus.add_named("pager", paging(u64::MAX)).unwrap();
        set_global(layer(&bus).targets("info,pager=off".parse::<Targets>().unwrap()));
        (0..8).for_each(|_| info!("event"));
        flush_bus(&bus);
        let ledger = ledger_of(&bus, "pager");
        assert_eq!((ledger.offered, ledger.delivered, suppressed()), (8, 8, 0), "{ledger}");
        assert!(bus.close().is_done());
    });
}
