//! Faults with a separate setup: a sink that never returns, and no memory for new lanes.

use crate::event::{Event, Follower, Seen, Stream};
use crate::guest::{check_books, check_close};
use crate::memory::with_at_most;
use crate::watch::{GUARD, beat, fail, in_time, pauses, require};
use buslane::error::AddError;
use buslane::stats::Finish;
use buslane::{Bus, Queue, WaitStrategy};
use std::sync::mpsc;
use std::time::Duration;

/// Checks that a close ends by its deadline, and names the unfinished sink.
pub(crate) fn a_sink_never_returns() {
    beat("close a bus whose sink never returns");
    let (release, released) = mpsc::channel::<()>();
    let bus = Bus::new();
    let stuck = Queue::builder().capacity(64).spawn(move |_: Event| {
        // Until the release is dropped.
        let _ = released.recv();
    });
    let seen = Seen::default();
    let mut follower = Follower::new("next to a sink that is stuck", true, &seen);
    let well = Queue::builder().capacity(64).spawn(move |event: Event| follower.see(&event));
    let (Ok(stuck), Ok(well)) = (stuck, well) else { fail("no thread for a queue") };
    // The close takes the sinks in this order, so a sink after the stuck one has no time left.
    for (name, queue) in [("well", &well), ("stuck", &stuck)] {
        if let Err(error) = bus.add_named(name, queue.clone()) {
            fail(&format!("{name}: {error}"));
        }
    }
    let (mut publisher, mut stream) = (bus.publisher(), Stream::new());
    for _ in 0..32 {
        require(publisher.publish(stream.event()).is_ok(), || "an open bus accepts events".to_owned());
    }
    let report = bus.close_timeout(Duration::from_millis(200));
    require(report.finish == Finish::TimedOut, || format!("a sink is stuck: {report}"));
    require(report.unfinished == ["stuck"], || format!("wrong unfinished sinks: {report}"));
    drop(release);
    let before = pauses();
    // The abandoned events are counted, and the worker ends.
    let _ = stuck.close_timeout(GUARD);
    in_time(stuck.flush_timeout(GUARD).is_done(), before, || {
        "the stuck queue continues after its release".to_owned()
    });
    if let Err(imbalance) = stuck.state().ledger.check() {
        fail(&format!("stuck: {imbalance}"));
    }
    check_close("well", &well.close_timeout(GUARD), before);
    let ledger = well.state().ledger;
    require(ledger.check().is_ok() && ledger.delivered == seen.count(), || format!("well: {ledger}"));
}

/// Checks that a sink cannot be added, that a publisher without a lane uses the shared lane, and
/// that the bus continues.
pub(crate) fn no_memory_for_lanes() {
    beat("do without memory");
    const CAPACITY: usize = 1 << 16;
    const LITTLE: usize = 1 << 18;
    let bus = Bus::new();
    let queue = || {
        let seen = Seen::default();
        let mut follower = Follower::new("without memory", true, &seen);
        let queue = Queue::builder()
            .capacity(CAPACITY)
            .wait_strategy(WaitStrategy::nap())
            .spawn(move |event: Event| follower.see(&event));
        (queue.unwrap_or_else(|error| fail(&format!("{error}"))), seen)
    };
    let ((first, first_seen), (second, second_seen)) = (queue(), queue());
    let (mut before, mut stream) = (bus.publisher(), Stream::new());
    require(bus.add(first.clone()).is_ok(), || "there is memory".to_owned());
    let refused = with_at_most(LITTLE, || bus.add(second.clone()));
    require(matches!(refused, Err(AddError::OutOfMemory(_))), || {
        format!("a sink without memory for its lanes: {refused:?}")
    });
    let made = with_at_most(LITTLE, || Queue::<Event>::builder().capacity(CAPACITY).spawn(|_| {}).is_err());
    require(made, || "a queue was created without memory".to_owned());
    let (mut poor, mut poor_stream) = (with_at_most(LITTLE, || bus.publisher()), Stream::new());
    for _ in 0..1_000 {
        for published in [before.publish(stream.event()), poor.publish(poor_stream.event())] {
            let took = published.map(|published| published.accepted).unwrap_or(0);
            require(took == 1, || "the bus continues with its other sink".to_owned());
        }
    }
    require(bus.add(second.clone()).is_ok(), || "there is memory again".to_owned());
    let published = before.publish(stream.event()).map(|published| published.accepted);
    require(matches!(published, Ok(2)), || "the late sink accepts events".to_owned());
    let pauses = pauses();
    check_close("without memory", &bus.close_timeout(GUARD), pauses);
    check_books("with memory", || first.state(), &first_seen);
    check_books("without memory at first", || second.state(), &second_seen);
    require((first_seen.count(), second_seen.count()) == (2_001, 1), || "events are missing".to_owned());
}
