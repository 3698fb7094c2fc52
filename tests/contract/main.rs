//! What every sink and every public type guarantees: the sink contract with one line for each sink
//! and combinator, the extreme durations, the auto traits, and chains of errors.

mod adapters;
mod auto_traits;
mod durations;
mod error_chains;
mod test_sinks;

use buslane::error::OutOfMemory;
use buslane::journal::{Entry, Start};
use buslane::queue::QueueBuilder;
use buslane::retry::{Backoff, Breaker};
use buslane::sink::lane::{InnerLane, Internal, Lane, LaneWrite};
use buslane::sink::{Inner, SinkKey};
use buslane::stats::{Disposition, FlushReport};
use buslane::testing::{
    Collect, Flaky, Gate, ManualClock, Panicking, SinkContract, Slow, assert_sink_contract,
};
use buslane::time::Deadline;
use buslane::{Bus, Channel, Journal, Overflow, Queue, Sink, SinkExt, WriteError, noop, sink_fn};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Tests the contract of a sink at the end of a chain.
macro_rules! leaf {
    ($name:ident, $make:expr) => {
        #[test]
        fn $name() {
            assert_sink_contract($make, |n: u64| n);
        }
    };
}

/// Tests the contract of a sink upstream of another one, and that every event reaches the inner
/// sink. A second expression selects what is checked. A third one gives the events that arrive,
/// where they differ from the written ones.
/// are not the ones that were written.
macro_rules! chain {
    ($name:ident, $make:expr) => {
        chain!($name, $make, SinkContract::new());
    };
    ($name:ident, $make:expr, $contract:expr) => {
        chain!($name, $make, $contract, |n: u64| n, |n: u64| [n]);
    };
    ($name:ident, $make:expr, $contract:expr, $event:expr, $numbers:expr) => {
        #[test]
        fn $name() {
            $contract.check(|| $make(Collect::new()), $event);
            $contract.check_delivery($make, $event, $numbers);
        }
    };
}

/// Returns a builder of queues with enough room for all events that the contract writes.
fn roomy() -> QueueBuilder<u64> {
    Queue::builder().capacity(512)
}

/// Returns a policy that retries as often as necessary, with short waits.
fn patient() -> Backoff {
    Backoff::new(Duration::from_micros(1), Duration::from_micros(10))
}

/// Returns a queue with very little room.
fn tight(overflow: Overflow) -> impl Fn(Collect<u64>) -> Queue<u64> {
    move |behind| Queue::builder().capacity(8).overflow(overflow).spawn_sink(behind).unwrap()
}

/// Returns a channel whose reader forwards every event.
fn read_by(behind: Collect<u64>, overflow: Overflow) -> Channel<u64> {
    let (channel, mut receiver) = Channel::builder().capacity(512).overflow(overflow).build().unwrap();
    std::thread::spawn(move || receiver.iter().for_each(|event| drop(behind.write(event))));
    channel
}

/// Returns a journal whose publishers wait for a reader that forwards every event.
fn journal_read_by(behind: Collect<u64>) -> Journal<u64> {
    let journal = Journal::builder().capacity(8).gate_limit(Duration::from_secs(20)).build().unwrap();
    let mut reader = journal.subscription().gating().subscribe().unwrap();
    std::thread::spawn(move || {
        reader.iter().filter_map(Entry::event).for_each(|event| drop(behind.write(event)));
    });
    journal
}

/// Leaks a value, for sinks of which the test keeps no other handle.
fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn opened() -> Gate {
    let gate = Gate::closed();
    gate.open();
    gate
}

/// Returns a bus with one sink.
fn bus_of(behind: impl Sink<u64> + 'static) -> Bus<u64> {
    let bus = Bus::new();
    bus.add(behind).unwrap();
    bus
}

leaf!(noop_keeps_the_contract, noop);
leaf!(a_function_keeps_the_contract, || sink_fn(|_: &u64| ()));
leaf!(a_function_with_a_result_keeps_the_contract, || sink_fn(|_: &u64| Ok::<(), String>(())));
leaf!(a_bus_without_sinks_keeps_the_contract, Bus::new);
leaf!(a_collecting_sink_keeps_the_contract, Collect::new);
leaf!(a_sink_that_could_panic_keeps_the_contract, Panicking::new);
leaf!(a_channel_that_is_read_keeps_the_contract, || read_by(Collect::new(), Overflow::Block));
leaf!(an_unread_channel_keeps_the_contract, || {
    // The receiver is kept: without one the channel is closed.
    let (channel, receiver) = Channel::lossy(512).unwrap();
    leaked(receiver);
    channel
});
leaf!(a_full_channel_that_refuses_keeps_the_contract, || {
    let (channel, receiver) = Channel::builder().capacity(8).overflow(Overflow::Refuse).build().unwrap();
    leaked(receiver);
    channel
});
leaf!(an_unbounded_channel_keeps_the_contract, || {
    let (channel, receiver) = Channel::builder().unbounded().build().unwrap();
    leaked(receiver);
    channel
});
leaf!(an_unsubscribed_journal_keeps_the_contract, || Journal::new(4).unwrap());
leaf!(an_unread_journal_keeps_the_contract, || {
    let journal = Journal::new(4).unwrap();
    leaked(journal.subscribe(Start::Oldest).unwrap());
    journal
});
leaf!(a_gated_journal_keeps_the_contract, || journal_read_by(Collect::new()));
leaf!(a_filter_upstream_of_a_journal_keeps_the_contract, || {
    Journal::new(512).unwrap().filter(|n| n % 2 == 0)
});
leaf!(a_map_upstream_of_a_journal_keeps_the_contract, || {
    Journal::<String>::new(512).unwrap().map(|n: &u64| n.to_string())
});
leaf!(a_queue_upstream_of_a_journal_keeps_the_contract, || {
    Journal::new(512).unwrap().queue(512).unwrap()
});
leaf!(a_retry_upstream_of_a_journal_keeps_the_contract, || Journal::new(512).unwrap().retry(patient()));
leaf!(a_tee_of_journals_keeps_the_contract, || {
    Journal::new(512).unwrap().tee(Journal::new(512).unwrap())
});
leaf!(a_bus_with_a_journal_keeps_the_contract, || bus_of(Journal::new(512).unwrap()));
leaf!(a_queue_with_a_closure_keeps_the_contract, || roomy().spawn(|_| {}).unwrap());

chain!(a_reference_keeps_the_contract, |behind: Collect<u64>| leaked(behind));
chain!(a_box_keeps_the_contract, |behind: Collect<u64>| Box::new(behind) as Box<dyn Sink<u64>>);
chain!(an_arc_keeps_the_contract, |behind: Collect<u64>| Arc::new(behind) as Arc<dyn Sink<u64>>);
chain!(a_reference_to_a_queue_keeps_the_contract, |behind| leaked(roomy().spawn_sink(behind).unwrap()));

chain!(a_queue_that_drops_the_newest_keeps_the_contract, tight(Overflow::DropNewest));
chain!(a_queue_that_drops_the_oldest_keeps_the_contract, tight(Overflow::DropOldest));
chain!(a_queue_that_refuses_keeps_the_contract, tight(Overflow::Refuse));
chain!(a_queue_that_blocks_keeps_the_contract, tight(Overflow::Block));
chain!(a_queue_that_blocks_for_a_time_keeps_the_contract, tight(Overflow::BlockFor(Duration::from_secs(5))));
chain!(a_queue_that_closes_on_overflow_keeps_the_contract, |behind| {
    roomy().overflow(Overflow::Close).spawn_sink(behind).unwrap()
});
chain!(an_unbounded_queue_keeps_the_contract, |behind| roomy().unbounded().spawn_sink(behind).unwrap());
chain!(a_queue_upstream_of_a_queue_keeps_the_contract, |behind: Collect<u64>| {
    behind.queue(512).unwrap().queue(512).unwrap()
});

chain!(a_bus_keeps_the_contract, bus_of);
chain!(a_bus_with_a_queue_keeps_the_contract, |behind| bus_of(roomy().spawn_sink(behind).unwrap()));
chain!(a_bus_on_a_bus_keeps_the_contract, |behind| bus_of(bus_of(behind)));

chain!(a_filter_keeps_the_contract, |behind: Collect<u64>| behind.filter(|_| true));
chain!(a_filter_upstream_of_a_queue_keeps_the_contract, |behind| {
    roomy().spawn_sink(behind).unwrap().filter(|_| true)
});
chain!(a_filter_of_half_the_events_keeps_the_contract, |behind: Collect<u64>| {
    behind.filter(|n| n % 2 == 0)
});
chain!(a_filter_that_panics_keeps_the_contract, |behind: Collect<u64>| {
    behind.filter(|n| if n % 2 == 0 { true } else { panic!("odd") })
});
chain!(a_map_keeps_the_contract, |behind: Collect<u64>| behind.map(|n: &u64| *n));
chain!(
    a_type_changing_map_keeps_the_contract,
    |behind: Collect<String>| behind.queue(512).unwrap().map(|n: &u64| n.to_string()),
    SinkContract::new(),
    |n: u64| n,
    |text: String| [text.parse::<u64>().unwrap()]
);
chain!(a_filter_upstream_of_a_map_keeps_the_contract, |behind: Collect<u64>| {
    roomy().spawn_sink(behind).unwrap().map(|n: &u64| *n).filter(|n| n % 3 > 0)
});

chain!(a_retry_keeps_the_contract, |behind: Collect<u64>| behind.retry(patient()));
chain!(a_retry_of_a_sink_that_fails_keeps_the_contract, |behind| {
    Flaky::new(behind).rate(0.5, 1).retry(patient()).clock(ManualClock::hurrying())
});
chain!(a_retry_with_dead_letters_keeps_the_contract, |behind| {
    let hopeless = patient().max_attempts(2);
    Flaky::new(behind).rate(0.5, 1).retry(hopeless).dead_letters(noop()).clock(ManualClock::hurrying())
});
chain!(a_retry_with_a_breaker_keeps_the_contract, |behind| {
    let breaker = Breaker::new(3, Duration::from_millis(1));
    Flaky::new(behind).rate(0.5, 1).retry(breaker).queue(512).unwrap()
});
chain!(a_retry_by_key_keeps_the_contract, |behind| {
    Flaky::new(behind).rate(0.5, 1).retry_by_key(|n| n / 64, patient()).queue(512).unwrap()
});
chain!(a_timeout_keeps_the_contract, |behind: Collect<u64>| behind.timeout(Duration::from_secs(60)));
chain!(a_timeout_upstream_of_a_queue_keeps_the_contract, |behind| {
    tight(Overflow::Block)(behind).timeout(Duration::from_secs(60))
});
chain!(an_inspection_keeps_the_contract, |behind: Collect<u64>| behind.inspect_fn(|_| {}));
chain!(an_inspected_queue_keeps_the_contract, |behind| {
    roomy().spawn_sink(behind).unwrap().inspect_fn(|_| {})
});
chain!(a_sample_keeps_the_contract, |behind: Collect<u64>| behind.sample(3));
chain!(a_sample_upstream_of_a_queue_keeps_the_contract, |behind| {
    roomy().spawn_sink(behind).unwrap().sample(3)
});
chain!(a_rate_limit_keeps_the_contract, |behind: Collect<u64>| behind.rate_limit(0.001, 4));
chain!(a_rate_limited_queue_keeps_the_contract, |behind| {
    roomy().spawn_sink(behind).unwrap().rate_limit(0.001, 9)
});
chain!(a_tee_keeps_the_contract, |behind: Collect<u64>| behind.tee(noop()));
chain!(the_other_side_of_a_tee_keeps_the_contract, |behind: Collect<u64>| noop().tee(behind));
chain!(a_tee_of_two_queues_keeps_the_contract, |behind| {
    roomy().spawn_sink(behind).unwrap().tee(roomy().spawn(|_| {}).unwrap())
});
chain!(a_panic_catcher_keeps_the_contract, |behind: Collect<u64>| behind.catch_panic());
chain!(a_panic_catching_queue_keeps_the_contract, |behind| {
    roomy().spawn_sink(behind).unwrap().catch_panic()
});
/// Tests a chain of batches.
macro_rules! batches {
    ($name:ident, $make:expr) => {
        chain!($name, $make, SinkContract::new(), |n: u64| n, |batch: Vec<u64>| batch);
    };
}
batches!(a_batch_keeps_the_contract, |behind: Collect<Vec<u64>>| behind.batch(10));
batches!(a_batch_upstream_of_a_queue_keeps_the_contract, |behind: Collect<Vec<u64>>| {
    behind.queue(512).unwrap().batch(10)
});
batches!(a_batch_downstream_of_a_queue_keeps_the_contract, |behind: Collect<Vec<u64>>| {
    let batch = behind.batch(10).age(Duration::from_secs(60));
    roomy().spawn_sink(batch).unwrap()
});
batches!(a_batch_upstream_of_a_retry_keeps_the_contract, |behind| {
    Flaky::new(behind).rate(0.5, 1).retry(patient()).batch(10).queue(512).unwrap()
});

chain!(
    a_queue_with_four_workers_keeps_the_contract,
    |behind| roomy().workers(4).spawn_sink(behind).unwrap(),
    SinkContract::new().unordered()
);
chain!(
    four_workers_that_drop_keep_the_contract,
    |behind| roomy().capacity(8).workers(4).spawn_sink(behind).unwrap(),
    SinkContract::new().unordered()
);
chain!(
    four_unbounded_workers_keep_the_contract,
    |behind| roomy().unbounded().workers(4).spawn_sink(behind).unwrap(),
    SinkContract::new().unordered()
);
chain!(a_queue_ordered_by_key_keeps_the_contract, |behind| {
    roomy().workers(4).ordered_by(|n: &u64| n / 64).spawn_sink(behind).unwrap()
});
leaf!(a_shared_channel_keeps_the_contract, || {
    let (channel, receiver) = Channel::shared_lossy(512).unwrap();
    leaked(receiver);
    channel
});
chain!(a_flaky_sink_keeps_the_contract, Flaky::new);
chain!(an_open_gate_keeps_the_contract, |behind: Collect<u64>| opened().before(behind));
chain!(a_slow_sink_keeps_the_contract, |behind: Collect<u64>| {
    Slow::new(behind, Duration::from_secs(60), ManualClock::hurrying())
});

#[test]
fn sink_without_close_keeps_the_rest_of_the_contract() {
    struct Plain;
    impl Sink<u64> for Plain {
        fn write(&self, _: u64) -> Result<(), WriteError<u64>> {
            Ok(())
        }
    }
    SinkContract::new().stays_open().check(|| Plain, |n| n);
}

#[test]
fn handles_to_one_sink_have_one_key() {
    let queue = roomy().spawn(|_| {}).unwrap();
    assert_eq!(queue.key(), queue.clone().key());
    let (channel, _receiver) = Channel::<u64>::lossy(1).unwrap();
    assert_eq!(channel.key(), channel.clone().key());
    let journal = Journal::<u64>::new(1).unwrap();
    assert_eq!(journal.key(), journal.clone().key());
    assert_ne!(journal.key(), Journal::<u64>::new(1).unwrap().key());
    let bus = Bus::<u64>::new();
    assert_eq!(bus.key(), bus.clone().key());
    let collect = Collect::<u64>::new();
    assert_eq!(collect.key(), collect.clone().key());
}

static ONE_FOR_ALL: LazyLock<Arc<()>> = LazyLock::new(Arc::default);

/// A sink that keeps the contract except for one mistake.
struct Wrong {
    mistake: &'static str,
    behind: Collect<u64>,
    closed: AtomicBool,
}

impl Wrong {
    fn is(&self, mistake: &str) -> bool {
        self.mistake == mistake
    }
}

struct WrongLane {
    behind: Collect<u64>,
    deaf: bool,
}

impl LaneWrite<u64> for WrongLane {
    fn offer(&mut self, event: u64, _: Deadline) -> Result<Disposition, WriteError<u64>> {
        if self.deaf && !self.behind.is_closed() {
            Err(WriteError::Full(event))
        } else {
            self.behind.offer(event)
        }
    }

    fn inner(&self) -> Option<&dyn InnerLane> {
        None
    }

    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
        None
    }
}

impl Sink<u64> for Wrong {
    fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: u64) -> Result<Disposition, WriteError<u64>> {
        let closed = self.closed.load(Ordering::Acquire);
        match self.mistake {
            "refuses at once" => Err(WriteError::Full(event)),
            "accepts events when it is closed" if closed => Ok(Disposition::Delivered),
            "is full when it is closed" if closed => Err(WriteError::Full(event)),
            "returns another event" if closed => Err(WriteError::Closed(event + 1)),
            _ if closed => Err(WriteError::Closed(event)),
            "loses an event" if event == 100 => Ok(Disposition::Delivered),
            "delivers twice" if event == 100 => {
                self.behind.write(event).and_then(|()| self.behind.offer(event))
            }
            "delivers what it refuses" if event == 100 => {
                let _ = self.behind.write(event);
                Err(WriteError::Full(event))
            }
            "delivers out of order" if event.is_multiple_of(2) => {
                let _ = self.behind.write(event + 1);
                self.behind.offer(event)
            }
            "delivers out of order" => Ok(Disposition::Delivered),
            "panics in concurrent writes" if event == 100 => panic!("a defect"),
            "reports every event as delivered" => self.behind.offer(event).map(|_| Disposition::Delivered),
            "reports every loss as filtered" => {
                let told = self.behind.offer(event)?;
                Ok(if told.is_dropped() { Disposition::Filtered } else { told })
            }
            "reports a pending event as delivered" => {
                let told = self.behind.offer(event)?;
                Ok(if told == Disposition::Pending { Disposition::Delivered } else { told })
            }
            _ => self.behind.offer(event),
        }
    }

    fn close_by(&self, deadline: Deadline) -> buslane::stats::CloseReport {
        let second = self.closed.swap(true, Ordering::AcqRel);
        assert!(!(second && self.is("panics when it is closed twice")), "closed already");
        match self.mistake {
            "never finishes its close" => buslane::stats::CloseReport::timed_out(1),
            "does not forward a close" => buslane::stats::CloseReport::done(),
            _ => self.behind.close_by(deadline),
        }
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<u64>>, OutOfMemory> {
        let deaf = self.is("has a lane that refuses every event");
        let has = deaf || self.is("has lanes and reports that it has none");
        Ok(has.then(|| Lane::staged(WrongLane { behind: self.behind.clone(), deaf })))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        self.is("reports lanes that it does not have") || self.is("has a lane that refuses every event")
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        if !self.is("does not name its inner sink") {
            visit.sink(&self.behind);
        }
    }

    fn flush_by(&self, deadline: Deadline, report: &mut FlushReport) {
        if !self.is("does not forward a flush") && !self.is("does not name its inner sink") {
            self.behind.flush_by(deadline, report);
        }
    }

    fn abort_now(&self) {
        if !self.is("does not forward an abort") {
            self.behind.abort_now();
        }
    }

    fn end_of_batch(&self) {
        assert!(!self.is("panics at the end of a batch"), "a defect");
    }

    fn reports_closed(&self) -> bool {
        match self.mistake {
            "reports that it is closed" => true,
            "does not report that it is closed" => false,
            _ => self.closed.load(Ordering::Acquire),
        }
    }

    fn key(&self) -> Option<SinkKey> {
        match self.mistake {
            "has a key that changes" => Some(SinkKey::of(Box::leak(Box::new(Arc::new(()))))),
            "has the same key as others" => Some(SinkKey::of(&*ONE_FOR_ALL)),
            _ => self.behind.key(),
        }
    }
}

/// Checks that the contract detects the mistake, and names the clause.
#[track_caller]
fn found(mistake: &'static str, clause: &str) {
    let make = |behind| Wrong { mistake, behind, closed: AtomicBool::new(false) };
    let checked = std::panic::catch_unwind(|| {
        SinkContract::new().check(|| make(Collect::new()), |n| n);
        SinkContract::new().check_delivery(make, |n| n, |n| [n]);
    });
    let payload = checked.expect_err(mistake);
    let text = payload.downcast_ref::<String>().expect("a text");
    let start = format!("the sink breaks its contract: {clause}: ");
    assert!(text.starts_with(&start), "{mistake}: {text}");
}

#[test]
fn contract_accepts_a_correct_sink() {
    let make = |behind| Wrong { mistake: "none", behind, closed: AtomicBool::new(false) };
    SinkContract::new().check(|| make(Collect::new()), |n| n);
    SinkContract::new().check_delivery(make, |n| n, |n| [n]);
}

#[test]
fn contract_detects_faults_in_open_and_close() {
    found("refuses at once", "accepts");
    found("reports that it is closed", "accepts");
    found("panics when it is closed twice", "closes");
    found("never finishes its close", "closes");
    found("accepts events when it is closed", "stays closed");
    found("is full when it is closed", "stays closed");
    found("returns another event", "stays closed");
    found("does not report that it is closed", "stays closed");
}

#[test]
fn contract_detects_faults_in_keys_and_lanes() {
    found("has a key that changes", "identity");
    found("has the same key as others", "identity");
    found("panics at the end of a batch", "controls");
    found("reports lanes that it does not have", "lanes");
    found("has lanes and reports that it has none", "lanes");
    found("has a lane that refuses every event", "lanes");
    found("panics in concurrent writes", "threads");
}

#[test]
fn contract_detects_faults_in_delivery() {
    found("does not name its inner sink", "forwards");
    found("does not forward a flush", "forwards");
    found("does not forward a close", "forwards");
    found("does not forward an abort", "forwards");
    found("loses an event", "delivery");
    found("delivers twice", "delivery");
    found("delivers what it refuses", "delivery");
    found("delivers out of order", "delivery");
}

#[test]
fn contract_detects_a_wrong_disposition() {
    found("reports every event as delivered", "offer");
    found("reports every loss as filtered", "offer");
    found("reports a pending event as delivered", "offer");
}

/// A wrapper with the default of `offer`.
struct ByWrite<S>(S);

impl<S: Sink<u64>> Sink<u64> for ByWrite<S> {
    fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
        self.0.write(event)
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.0);
    }
}

#[test]
#[should_panic(expected = "the sink breaks its contract: offer: `offer` returned `delivered` for an event \
                           that was `dropped(full)` in the inner sink")]
fn contract_detects_a_wrapper_without_offer() {
    SinkContract::new().check_delivery(ByWrite, |n| n, |n| [n]);
}

#[test]
fn contract_accepts_several_outcomes_downstream() {
    let contract = SinkContract::new();
    contract.check_delivery(|behind: Collect<u64>| behind.tee(noop()).filter(|_| true), |n| n, |n| [n]);
    contract.check_delivery(|behind: Collect<u64>| bus_of(behind).retry(patient()), |n| n, |n| [n]);
}
