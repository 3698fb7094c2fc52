//! A queue: its worker, its close and its flush.

use buslane::queue::{Handler, QueueBuilder};
use buslane::sink::lane::{Lane, Lanes};
use buslane::stats::{CloseReport, DropReason, Finish, FlushReport, Ledger};
use buslane::time::Deadline;
use buslane::{BoxError, Overflow, Queue, Sink, WaitStrategy, WriteError};
use loom_tests::probe::Traces;
use loom_tests::{Gate, LIMIT, Lives, Steps, Tracked, after_drop, model, model_with, over, thread};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The events that the handler has seen, one bit for each event, and counts of its other calls.
#[derive(Clone, Default)]
struct Seen {
    words: Arc<[AtomicUsize; 3]>,
    /// The traces that must be ordered before a read of those words.
    traces: Traces,
    /// The steps at which the handler pauses with its event.
    steps: Option<Steps>,
    /// The gate at which the worker begins.
    gate: Gate,
    begun: bool,
    /// Whether the race ends when the worker reaches its end.
    ends: bool,
}

/// The traces that the handler leaves when it flushes and when it closes.
const FLUSH: usize = 3;
const CLOSE: usize = 4;

impl Seen {
    fn slowly(steps: &Steps) -> Self {
        Self { steps: Some(steps.clone()), ..Self::default() }
    }

    /// Returns the record for a race that ends when the worker has found the end.
    fn to_the_end() -> Self {
        Self { ends: true, ..Self::default() }
    }

    fn events(&self) -> usize {
        self.words[0].load(Ordering::Relaxed)
    }

    /// Returns the events, and checks that none is still in progress.
    fn done(&self) -> usize {
        self.traces.look(self.events());
        self.events()
    }

    fn flushes(&self) -> usize {
        self.words[1].load(Ordering::Relaxed)
    }

    fn closes(&self) -> usize {
        self.words[2].load(Ordering::Relaxed)
    }
}

impl Handler<Tracked> for Seen {
    fn handle(&mut self, event: Tracked) -> Result<(), BoxError> {
        if let Some(steps) = &self.steps {
            steps.step();
        }
        self.traces.leave(event.id());
        let before = self.words[0].fetch_or(1 << event.id(), Ordering::Relaxed);
        assert_eq!(before & (1 << event.id()), 0, "event {} is handled once", event.id());
        Ok(())
    }

    fn tick(&mut self, _now: Instant) -> Option<Instant> {
        if !std::mem::replace(&mut self.begun, true) {
            self.gate.pass();
        }
        None
    }

    fn flush(&mut self, _deadline: Deadline) -> Result<(), BoxError> {
        self.traces.leave(FLUSH);
        self.words[1].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn close(&mut self) -> Result<(), BoxError> {
        if self.ends {
            over();
        }
        self.traces.leave(CLOSE);
        self.words[2].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn builder(capacity: usize, overflow: Overflow) -> QueueBuilder<Tracked> {
    Queue::builder().capacity(capacity).overflow(overflow).wait_strategy(WaitStrategy::Park)
}

fn queue_of(seen: &Seen, builder: QueueBuilder<Tracked>) -> Queue<Tracked> {
    builder.spawn_handler(seen.clone()).expect("a small queue")
}

fn lane(queue: &Queue<Tracked>) -> Lane<Tracked> {
    queue.lane().expect("memory").expect("a queue gives out lanes")
}

/// Returns a write's outcome as a bit of the event's number; `Closed` returns the event.
fn settled(outcome: Result<(), WriteError<Tracked>>, id: usize) -> usize {
    match outcome {
        Ok(()) => 1 << id,
        Err(WriteError::Closed(back)) => {
            assert_eq!(back.id(), id, "the event that comes back");
            0
        }
        Err(error) => panic!("{error}"),
    }
}

fn push(lane: &mut Lane<Tracked>, value: Tracked) -> usize {
    let id = value.id();
    settled(lane.push(value, Deadline::NEVER), id)
}

fn write(queue: &Queue<Tracked>, value: Tracked) -> usize {
    let id = value.id();
    settled(queue.write(value), id)
}

fn close(queue: &Queue<Tracked>) -> CloseReport {
    queue.close_timeout(LIMIT)
}

/// Closes and ends the race: the remaining threads then run without choices.
fn close_first(queue: &Queue<Tracked>) -> CloseReport {
    let report = close(queue);
    over();
    report
}

/// Runs a flush, which must be done.
fn flush(queue: &Queue<Tracked>) {
    let mut report = FlushReport::default();
    queue.flush_by(Deadline::NEVER, &mut report);
    assert!(report.is_done());
}

/// Returns the ledger, which balances.
fn books(queue: &Queue<Tracked>) -> Ledger {
    let ledger = queue.state().ledger;
    ledger.check().expect("the ledger balances");
    ledger
}

#[test]
fn close_ends_a_parked_worker() {
    // A worker that is parked or about to park sees the close, ends, and reports its end: no
    // deadlock. Fails when the seal does not wake with a fence, or when `set_drained` does not
    // notify.
    model(|| {
        let seen = Seen::default();
        let queue = queue_of(&seen, builder(1, Overflow::DropNewest));
        assert!(close(&queue).is_done());
        seen.traces.look(1 << CLOSE);
        assert_eq!(seen.closes(), 1);
    });
}

#[test]
fn close_returns_or_delivers_each_lane_push() {
    // When the close returns, exactly the accepted events were handled. Fails when the fence of
    // `Lane::push` or the heavy one of the seal is missing (ORD(spsc.fin)), or when a worker that
    // finds a lane being sealed trusts an older tail. Held to two preemptions; at three it takes a
    // minute.
    model_with(2, || {
        let (lives, seen) = (Lives::new(1), Seen::to_the_end());
        let (queue, publisher) = seen.gate.before(|| {
            let queue = queue_of(&seen, builder(1, Overflow::DropNewest));
            let (mut lane, value) = (lane(&queue), lives.value(0));
            (queue, thread::spawn(move || (push(&mut lane, value), lane)))
        });
        assert!(close(&queue).is_done());
        let handled = seen.done();
        let (accepted, lane) = publisher.join().unwrap();
        assert_eq!((handled, seen.events()), (accepted, accepted));
        let books = books(&queue);
        assert_eq!((books.delivered, books.pending), (u64::from(accepted.count_ones()), 0));
        drop((lane, queue));
        lives.assert_all_dropped();
    });
}

#[test]
fn close_handles_each_accepted_shared_write() {
    // As above, through the shared lane. Fails when the ring's close is a flag separate from the
    // tail (ORD(mpmc.tail)).
    model(|| {
        let (lives, steps, seen) = (Lives::new(1), Steps::new(), Seen::to_the_end());
        let (queue, writer) = seen.gate.before(|| {
            let queue = queue_of(&seen, builder(1, Overflow::DropNewest));
            let (writer, value, turns) = (queue.clone(), lives.value(0), steps.clone());
            let writer = thread::spawn(move || {
                turns.step();
                write(&writer, value)
            });
            (queue, writer)
        });
        steps.step();
        assert!(close(&queue).is_done());
        let handled = seen.done();
        assert_eq!(writer.join().unwrap(), handled);
        let _ = books(&queue);
        drop(queue);
        lives.assert_all_dropped();
    });
}

#[test]
fn two_closes_return_the_same_report() {
    // Every closing caller gets the same report, and the handler is closed once. Fails when
    // `set_drained` notifies before the report is stored, or wakes only one caller. Held to two
    // preemptions (4 s; three take more than 45): a single close has three.
    model_with(2, || {
        let seen = Seen::default();
        let (queue, other) = seen.gate.before(|| {
            let queue = queue_of(&seen, builder(1, Overflow::DropNewest));
            let other = queue.clone();
            (queue, thread::spawn(move || (close_first(&other), other)))
        });
        let report = close_first(&queue);
        assert!(report.is_done());
        seen.traces.look(1 << CLOSE);
        let (theirs, other) = other.join().unwrap();
        assert_eq!(theirs, report);
        assert_eq!(close(&queue), report);
        assert_eq!(seen.closes(), 1);
        drop((queue, other));
    });
}

#[test]
fn last_handle_drop_drains_the_queue() {
    // The drop of the last handle seals, and waits until the worker has handled the accepted
    // events. Fails when the drop waits for a condition that an ending worker does not notify, or
    // when ORD(mailbox.drained) is Relaxed.
    model(|| {
        let (lives, seen) = (Lives::new(1), Seen::default());
        let queue = seen.gate.before(|| {
            let queue = queue_of(&seen, builder(1, Overflow::DropNewest));
            assert_eq!(write(&queue, lives.value(0)), 1);
            queue
        });
        drop(queue);
        after_drop(|| seen.closes() == 1 && !lives.is_alive(0));
        seen.traces.look(1 << CLOSE);
        assert_eq!((seen.done(), seen.closes()), (1, 1));
        lives.assert_all_dropped();
    });
}

#[test]
fn expired_close_handles_or_aborts_each_event() {
    // A close with an expired deadline abandons the backlog: each event is handled, or counted as
    // aborted and passed to the hook. Fails when an aborted event is counted twice or not at all.
    model(|| {
        let (lives, seen, aborted) = (Lives::new(1), Seen::default(), Arc::new(AtomicUsize::new(0)));
        let queue = seen.gate.before(|| {
            let hook = aborted.clone();
            let builder = builder(1, Overflow::DropNewest).on_drop(move |event: Tracked, reason| {
                assert_eq!(reason, DropReason::Aborted);
                hook.fetch_or(1 << event.id(), Ordering::Relaxed);
            });
            let queue = queue_of(&seen, builder);
            assert_eq!(write(&queue, lives.value(0)), 1);
            queue
        });
        let report = queue.close_timeout(Duration::ZERO);
        assert!(matches!(report.finish, Finish::Done | Finish::TimedOut));
        over();
        // The first report is final, and does not cover the worker: a flush waits until no event is
        // left.
        flush(&queue);
        let books = books(&queue);
        let (handled, aborted) = (seen.events(), aborted.load(Ordering::Relaxed));
        assert_eq!((handled | aborted, handled & aborted), (1, 0));
        let counts = (books.accepted, books.delivered, books.dropped.aborted, books.pending);
        assert_eq!(counts, (1, handled as u64, aborted as u64, 0));
        drop(queue);
        after_drop(|| seen.closes() == 1 && !lives.is_alive(0));
        assert_eq!(seen.closes(), 1);
        lives.assert_all_dropped();
    });
}

#[test]
fn worker_wakes_a_blocked_lane() {
    // The worker wakes a publisher that waits for room, and the publisher wakes the worker. Fails
    // when the fence of `WaitList::notify`, that of `WaitCell::park_unless`, or the check before
    // either park is missing.
    model(|| {
        let (lives, seen) = (Lives::new(2), Seen::default());
        let (queue, mut lane) = seen.gate.before(|| {
            let queue = queue_of(&seen, builder(1, Overflow::Block));
            let lane = lane(&queue);
            (queue, lane)
        });
        assert_eq!(push(&mut lane, lives.value(0)) | push(&mut lane, lives.value(1)), 0b11);
        over();
        assert!(close(&queue).is_done());
        assert_eq!(seen.events(), 0b11);
        drop((lane, queue));
        lives.assert_all_dropped();
    });
}

#[test]
fn flush_waits_for_events_of_the_shared_lane() {
    // protocols A7: when the flush returns, every event published before it was handled and the
    // handler has flushed; an earlier event of another publisher does not count. Fails when the
    // flush does not wait for the lane, or waits for one event less. (Its progress may run ahead of
    // the handler here, because the worker flushes after the handler has returned: see the
    // channel's scenarios.)
    model(|| {
        let (lives, seen) = (Lives::new(2), Seen::default());
        let queue = seen.gate.before(|| {
            let queue = queue_of(&seen, builder(2, Overflow::DropNewest));
            assert_eq!(write(&queue, lives.value(1)) | write(&queue, lives.value(0)), 0b11);
            queue
        });
        flush(&queue);
        seen.traces.look(1 | 1 << FLUSH);
        assert_eq!(seen.events() & 1, 1, "published before the flush, but not handled");
        assert_eq!(seen.flushes(), 1);
        over();
        drop(queue);
        lives.assert_all_dropped();
    });
}

#[test]
fn flush_waits_for_an_earlier_shared_write() {
    // As above, despite other publishes meanwhile. Fails when the flush uses counts and not the
    // ring's index. Held to one preemption (3 s): without the other publisher, as above, it has
    // three.
    model_with(1, || {
        let (lives, steps) = (Lives::new(2), Steps::new());
        let seen = Seen::slowly(&steps);
        let (queue, other) = seen.gate.before(|| {
            let queue = queue_of(&seen, builder(2, Overflow::DropNewest));
            let (writer, value) = (queue.clone(), lives.value(1));
            let other = thread::spawn(move || write(&writer, value));
            (queue, other)
        });
        assert_eq!(write(&queue, lives.value(0)), 1);
        steps.step();
        flush(&queue);
        seen.traces.look(1 | 1 << FLUSH);
        assert_eq!(seen.events() & 1, 1, "published before the flush, but not handled");
        assert_eq!(seen.flushes(), 1);
        over();
        other.join().unwrap();
        drop(queue);
        assert_eq!(seen.events(), 0b11);
        lives.assert_all_dropped();
    });
}

#[test]
fn flush_waits_for_events_of_a_lane() {
    // As above, for a publisher's lane. Fails when the flush does not wait for it.
    model(|| {
        let (lives, seen) = (Lives::new(2), Seen::default());
        let (queue, lane) = seen.gate.before(|| {
            let queue = queue_of(&seen, builder(2, Overflow::DropNewest));
            let mut lane = lane(&queue);
            assert_eq!(push(&mut lane, lives.value(0)) | push(&mut lane, lives.value(1)), 0b11);
            (queue, lane)
        });
        flush(&queue);
        seen.traces.look(0b11 | 1 << FLUSH);
        assert_eq!((seen.events(), seen.flushes()), (0b11, 1), "published before the flush, but not handled");
        over();
        drop((lane, queue));
        lives.assert_all_dropped();
    });
}

#[test]
fn flush_waits_for_events_of_an_unbounded_queue() {
    // As above, without a ring that shows the worker's progress. Fails when the flush does not wait
    // for the lane, or waits for one event less.
    model(|| {
        let (lives, seen) = (Lives::new(2), Seen::default());
        let queue = seen.gate.before(|| {
            let queue = queue_of(&seen, builder(1, Overflow::DropNewest).unbounded());
            assert_eq!(write(&queue, lives.value(0)) | write(&queue, lives.value(1)), 0b11);
            queue
        });
        flush(&queue);
        seen.traces.look(0b11 | 1 << FLUSH);
        assert_eq!((seen.events(), seen.flushes()), (0b11, 1), "published before the flush, but not handled");
        over();
        drop(queue);
        lives.assert_all_dropped();
    });
}

/// A closed sink: its worker closes the queue by itself.
struct Gone(Gate);

impl Sink<Tracked> for Gone {
    fn write(&self, event: Tracked) -> Result<(), WriteError<Tracked>> {
        self.0.pass();
        Err(WriteError::Closed(event))
    }
}

#[test]
fn flush_returns_when_the_worker_ends() {
    // A flush that meets the end of the worker returns. Fails when the worker's end does not notify
    // flushes.
    model(|| {
        let (lives, gate) = (Lives::new(1), Gate::default());
        let queue = gate.before(|| {
            let queue = builder(1, Overflow::DropNewest).spawn_sink(Gone(gate.clone())).expect("a queue");
            assert_eq!(write(&queue, lives.value(0)), 1);
            queue
        });
        flush(&queue);
        over();
        assert_eq!(books(&queue).dropped.failed, 1);
        drop(queue);
        lives.assert_all_dropped();
    });
}

#[test]
fn flush_returns_when_the_queue_closes() {
    // As above, with a close. Fails as above. Held to two preemptions (4 s): without the close, as
    // above, it has three.
    model_with(2, || {
        let seen = Seen::default();
        let (queue, flusher) = seen.gate.before(|| {
            let queue = queue_of(&seen, builder(1, Overflow::DropNewest));
            let (flusher, handler) = (queue.clone(), seen.clone());
            let flusher = thread::spawn(move || {
                flush(&flusher);
                over();
                // The handler has flushed, or it was closed.
                handler.traces.look(if handler.flushes() > 0 { 1 << FLUSH } else { 1 << CLOSE });
                flusher
            });
            (queue, flusher)
        });
        assert!(close_first(&queue).is_done());
        let other = flusher.join().unwrap();
        assert_eq!(seen.closes(), 1);
        drop((queue, other));
    });
}

#[test]
fn close_keeps_counters_exact_beside_an_eviction() {
    // A writer that evicts the last event and then finds the queue closed leaves exact counters and
    // a worker that ends. (The case where two such writers leave a consumer parked needs more
    // threads than fit here: see the channel's scenario.) Fails when the seal does not change the
    // generation. Held to two preemptions; at three it takes two minutes.
    model_with(2, || {
        let (lives, seen) = (Lives::new(2), Seen::to_the_end());
        let (queue, writer) = seen.gate.before(|| {
            let queue = queue_of(&seen, builder(1, Overflow::DropOldest));
            assert_eq!(write(&queue, lives.value(0)), 1);
            let (writer, value) = (queue.clone(), lives.value(1));
            (queue, thread::spawn(move || write(&writer, value)))
        });
        assert!(close(&queue).is_done());
        let accepted = 1 + writer.join().unwrap().count_ones();
        let books = books(&queue);
        assert_eq!(books.delivered, u64::from(seen.events().count_ones()));
        assert_eq!(books.accepted, u64::from(accepted));
        drop(queue);
        lives.assert_all_dropped();
    });
}

#[test]
fn close_counts_a_late_unbounded_write_as_aborted() {
    // No exact close, but exact counters: an event that is accepted too late counts as aborted, is
    // passed to the hook, and is dropped. Fails when the fence of `push_unbounded` or that of
    // `set_drained` is missing.
    model(|| {
        let (lives, seen, aborted) = (Lives::new(1), Seen::default(), Arc::new(AtomicUsize::new(0)));
        let (queue, writer) = seen.gate.before(|| {
            let hook = aborted.clone();
            let builder =
                builder(1, Overflow::DropNewest).unbounded().on_drop(move |event: Tracked, reason| {
                    assert_eq!(reason, DropReason::Aborted);
                    hook.fetch_or(1 << event.id(), Ordering::Relaxed);
                });
            let queue = queue_of(&seen, builder);
            let (writer, value) = (queue.clone(), lives.value(0));
            (queue, thread::spawn(move || write(&writer, value)))
        });
        assert!(close(&queue).is_done());
        let accepted = writer.join().unwrap();
        over();
        let books = books(&queue);
        let (handled, aborted) = (seen.events(), aborted.load(Ordering::Relaxed));
        assert_eq!((handled | aborted, handled & aborted), (accepted, 0));
        assert_eq!((books.delivered, books.dropped.aborted), (handled as u64, aborted as u64));
        assert_eq!(books.pending, 0);
        drop(queue);
        lives.assert_all_dropped();
    });
}
