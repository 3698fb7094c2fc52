//! A queue: its worker, its close and its flush.

use buslane::{
    BoxError, CloseReport, Deadline, DropReason, Finish, FlushReport, Handler, Lane, Ledger, Overflow,
    Patience, Queue, QueueBuilder, Signal, Sink, WaitStrategy, WriteError,
};
use loom_tests::probe::Traces;
use loom_tests::{Lives, Steps, Tracked, model, model_with, thread};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Long enough on real threads; in a model it never ends.
const LIMIT: Duration = Duration::from_secs(60);

/// What the handler has seen: one bit for each event, and counts of its other calls.
#[derive(Clone, Default)]
struct Seen {
    words: Arc<[AtomicUsize; 3]>,
    /// What has to be ordered before a look at those words.
    traces: Traces,
    /// Where the handler takes its time with an event in its hands.
    steps: Option<Steps>,
}

/// Where the handler leaves its trace when it flushes, and when it closes.
const FLUSH: usize = 3;
const CLOSE: usize = 4;

impl Seen {
    fn slowly(steps: &Steps) -> Self {
        Self { steps: Some(steps.clone()), ..Self::default() }
    }

    fn events(&self) -> usize {
        self.words[0].load(Ordering::Relaxed)
    }

    /// The events, of which nothing is under way.
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

    fn flush(&mut self, _deadline: Deadline) -> Result<(), BoxError> {
        self.traces.leave(FLUSH);
        self.words[1].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn close(&mut self) -> Result<(), BoxError> {
        self.traces.leave(CLOSE);
        self.words[2].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn builder(capacity: usize, overflow: Overflow) -> QueueBuilder<Tracked> {
    Queue::builder().capacity(capacity).overflow(overflow).wait(WaitStrategy::Park)
}

fn queue(capacity: usize, overflow: Overflow) -> (Queue<Tracked>, Seen) {
    queue_with(Seen::default(), builder(capacity, overflow))
}

fn queue_with(seen: Seen, builder: QueueBuilder<Tracked>) -> (Queue<Tracked>, Seen) {
    (builder.spawn_handler(seen.clone()).expect("a small queue"), seen)
}

fn lane(queue: &Queue<Tracked>) -> Lane<Tracked> {
    queue.lane().expect("memory").expect("a queue gives out lanes")
}

/// What a write came to, as a bit of the event's; `Closed` gives the event back.
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
    settled(lane.push(value, Patience::Wait), id)
}

fn write(queue: &Queue<Tracked>, value: Tracked) -> usize {
    let id = value.id();
    settled(queue.write(value), id)
}

fn close(queue: &Queue<Tracked>) -> CloseReport {
    queue.close_timeout(LIMIT)
}

/// A flush, which comes to its end.
fn flush(queue: &Queue<Tracked>) {
    let mut report = FlushReport::default();
    queue.signal(&mut Signal::Flush(Deadline::NEVER, &mut report));
    assert!(report.is_done());
}

/// The books, which add up.
fn books(queue: &Queue<Tracked>) -> Ledger {
    let ledger = queue.state().ledger;
    ledger.check().expect("the books add up");
    ledger
}

#[test]
fn close_against_a_parked_worker() {
    // A worker that parks, or is about to, sees the close, ends and says so: no deadlock. Fails when the seal does not wake
    // with a fence, or when `finish` does not notify.
    model(|| {
        let (queue, seen) = queue(1, Overflow::DropNewest);
        assert!(close(&queue).is_done());
        seen.traces.look(1 << CLOSE);
        assert_eq!(seen.closes(), 1);
    });
}

#[test]
fn close_against_lane_push() {
    // When the close returns, exactly what was accepted was handled. Fails when the fence of `Lane::push` or the heavy one
    // of the seal is missing (ORD(spsc.fin)), or when a worker that finds a lane being sealed trusts an older tail. Two
    // preemptions.
    model_with(2, || {
        let lives = Lives::new(2);
        let (queue, seen) = queue(2, Overflow::DropNewest);
        let (mut lane, values) = (lane(&queue), lives.clone());
        let publisher =
            thread::spawn(move || push(&mut lane, values.value(0)) | push(&mut lane, values.value(1)));
        assert!(close(&queue).is_done());
        let handled = seen.done();
        let accepted = publisher.join().unwrap();
        assert_eq!((handled, seen.events()), (accepted, accepted));
        let books = books(&queue);
        assert_eq!((books.delivered, books.pending), (u64::from(accepted.count_ones()), 0));
        drop(queue);
        lives.assert_all_dropped();
    });
}

#[test]
fn close_against_shared_write() {
    // As above, through the shared lane. Fails when the ring's close is a flag beside the tail (ORD(mpmc.tail)). Two
    // preemptions.
    model_with(2, || {
        let (lives, steps) = (Lives::new(1), Steps::new());
        let (queue, seen) = queue(1, Overflow::DropNewest);
        let (writer, value, turns) = (queue.clone(), lives.value(0), steps.clone());
        let writer = thread::spawn(move || {
            turns.step();
            write(&writer, value)
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
fn two_closes_get_the_same_report() {
    // Whoever closes gets the one report, and the handler is closed once. Fails when `finish` notifies before the report is
    // there, or wakes only one. Two preemptions.
    model_with(2, || {
        let (queue, seen) = queue(1, Overflow::DropNewest);
        let other = queue.clone();
        let other = thread::spawn(move || close(&other));
        let report = close(&queue);
        assert!(report.is_done());
        seen.traces.look(1 << CLOSE);
        assert_eq!(other.join().unwrap(), report);
        assert_eq!(close(&queue), report);
        assert_eq!(seen.closes(), 1);
    });
}

#[test]
fn last_handle_dropped_against_the_worker() {
    // The drop of the last handle seals, and waits for the worker to handle what was accepted. Fails when the drop waits
    // for something that a worker at its end does not notify, or ORD(inbox.finished) is Relaxed.
    model(|| {
        let lives = Lives::new(1);
        let (queue, seen) = queue(1, Overflow::DropNewest);
        let accepted = write(&queue, lives.value(0));
        drop(queue);
        seen.traces.look(1 << CLOSE);
        assert_eq!((accepted, seen.done(), seen.closes()), (1, 1, 1));
        lives.assert_all_dropped();
    });
}

#[test]
fn close_without_time_against_the_worker() {
    // A close whose time is over at once gives the backlog up: each event is handled, or counted as aborted and told to the
    // hook. Fails when an aborted event is counted twice or not at all. Two preemptions.
    model_with(2, || {
        let lives = Lives::new(2);
        let (seen, aborted) = (Seen::default(), Arc::new(AtomicUsize::new(0)));
        let hook = aborted.clone();
        let queue = builder(2, Overflow::DropNewest)
            .on_drop(move |event: Tracked, reason| {
                assert_eq!(reason, DropReason::Aborted);
                hook.fetch_or(1 << event.id(), Ordering::Relaxed);
            })
            .spawn_handler(seen.clone())
            .expect("a queue");
        assert_eq!(write(&queue, lives.value(0)) | write(&queue, lives.value(1)), 0b11);
        let report = queue.close_timeout(Duration::ZERO);
        assert!(matches!(report.finish, Finish::Done | Finish::TimedOut));
        // The first report stands, and says nothing of the worker: a flush waits until nothing is left.
        flush(&queue);
        let books = books(&queue);
        let (handled, aborted) = (seen.events(), aborted.load(Ordering::Relaxed));
        assert_eq!((handled | aborted, handled & aborted), (0b11, 0));
        let counts = (books.accepted, books.delivered, books.dropped.aborted, books.pending);
        assert_eq!(counts, (2, u64::from(handled.count_ones()), u64::from(aborted.count_ones()), 0));
        drop(queue);
        assert_eq!(seen.closes(), 1);
        lives.assert_all_dropped();
    });
}

#[test]
fn blocked_lane_against_the_worker() {
    // A publisher that waits for room is woken by the worker, which is woken by it. Fails when a fence of the wait list or
    // of the wait cell is missing. Two preemptions.
    model_with(2, || {
        let lives = Lives::new(2);
        let (queue, seen) = queue(1, Overflow::Block);
        let mut lane = lane(&queue);
        assert_eq!(push(&mut lane, lives.value(0)) | push(&mut lane, lives.value(1)), 0b11);
        assert!(close(&queue).is_done());
        assert_eq!(seen.events(), 0b11);
        drop((lane, queue));
        lives.assert_all_dropped();
    });
}

#[test]
fn flush_against_publish_on_the_shared_lane() {
    // protocols A7: when the flush returns, what was published before it was handled and the handler has flushed, whoever
    // else publishes meanwhile. Fails when the flush goes by counts and not by the ring's index, or ORD(lane.handled),
    // ORD(desk.asked) or ORD(desk.answered) is Relaxed. One preemption.
    model_with(1, || {
        let (lives, steps) = (Lives::new(2), Steps::new());
        let (queue, seen) = queue_with(Seen::slowly(&steps), builder(2, Overflow::DropNewest));
        let (writer, value) = (queue.clone(), lives.value(1));
        let other = thread::spawn(move || write(&writer, value));
        assert_eq!(write(&queue, lives.value(0)), 1);
        steps.step();
        flush(&queue);
        seen.traces.look(1 | 1 << FLUSH);
        assert_eq!(seen.events() & 1, 1, "published before the flush and not handled");
        assert_eq!(seen.flushes(), 1);
        other.join().unwrap();
        drop(queue);
        assert_eq!(seen.events(), 0b11);
        lives.assert_all_dropped();
    });
}

#[test]
fn flush_of_a_lane_against_the_worker() {
    // The slots of a lane count as handled when the handler has returned. Fails when ORD(spsc.head) is stored before. Two
    // preemptions.
    model_with(2, || {
        let (lives, steps) = (Lives::new(1), Steps::new());
        let (queue, seen) = queue_with(Seen::slowly(&steps), builder(1, Overflow::DropNewest));
        let mut lane = lane(&queue);
        assert_eq!(push(&mut lane, lives.value(0)), 1);
        flush(&queue);
        seen.traces.look(1 | 1 << FLUSH);
        assert_eq!(seen.events(), 1);
        drop((lane, queue));
        lives.assert_all_dropped();
    });
}

#[test]
fn flush_of_an_unbounded_queue_against_the_worker() {
    // As above, where no ring says how far the worker is: an event in its hands is not handled yet. Fails when the flush's
    // target leaves out the event in hand. Two preemptions.
    model_with(2, || {
        let (lives, steps) = (Lives::new(1), Steps::new());
        let unbounded = builder(1, Overflow::DropNewest).unbounded();
        let (queue, seen) = queue_with(Seen::slowly(&steps), unbounded);
        assert_eq!(write(&queue, lives.value(0)), 1);
        steps.step();
        flush(&queue);
        seen.traces.look(1 | 1 << FLUSH);
        assert_eq!(seen.events(), 1, "published before the flush and not handled");
        drop(queue);
        lives.assert_all_dropped();
    });
}

#[test]
fn flush_against_close() {
    // A flush that meets the end of the worker returns. Fails when the worker's end does not notify flushes. Two
    // preemptions.
    model_with(2, || {
        let (queue, seen) = queue(1, Overflow::DropNewest);
        let (flusher, handler) = (queue.clone(), seen.clone());
        let flusher = thread::spawn(move || {
            flush(&flusher);
            // It has flushed, or it was closed.
            handler.traces.look(if handler.flushes() > 0 { 1 << FLUSH } else { 1 << CLOSE });
        });
        assert!(close(&queue).is_done());
        flusher.join().unwrap();
        assert_eq!(seen.closes(), 1);
    });
}

#[test]
fn close_against_an_evicting_writer() {
    // A writer that evicts the last event and then finds the queue closed leaves exact books and a worker that ends. (Where
    // two such writers leave a consumer asleep needs more threads than fit here: see the channel's scenario.) Fails when
    // the seal does not change the generation. Two preemptions.
    model_with(2, || {
        let lives = Lives::new(2);
        let (queue, seen) = queue(1, Overflow::DropOldest);
        let (writer, values) = (queue.clone(), lives.clone());
        let writer = thread::spawn(move || {
            let first = write(&writer, values.value(0));
            // Here the others take their turn without a preemption.
            thread::yield_now();
            (first | write(&writer, values.value(1))).count_ones()
        });
        thread::yield_now();
        assert!(close(&queue).is_done());
        let accepted = writer.join().unwrap();
        let books = books(&queue);
        assert_eq!(books.delivered, u64::from(seen.events().count_ones()));
        assert_eq!(books.accepted, u64::from(accepted));
        drop(queue);
        lives.assert_all_dropped();
    });
}

#[test]
fn unbounded_write_against_close() {
    // No exact close, and exact books: what is accepted too late is counted as aborted, told to the hook, and dropped.
    // Fails when the fence of `push_unbounded` or that of `finish` is missing. Two preemptions.
    model_with(2, || {
        let lives = Lives::new(1);
        let (seen, aborted) = (Seen::default(), Arc::new(AtomicUsize::new(0)));
        let hook = aborted.clone();
        let queue = builder(1, Overflow::DropNewest)
            .unbounded()
            .on_drop(move |event: Tracked, reason| {
                assert_eq!(reason, DropReason::Aborted);
                hook.fetch_or(1 << event.id(), Ordering::Relaxed);
            })
            .spawn_handler(seen.clone())
            .expect("a queue");
        let (writer, value) = (queue.clone(), lives.value(0));
        let writer = thread::spawn(move || write(&writer, value));
        assert!(close(&queue).is_done());
        let accepted = writer.join().unwrap();
        let books = books(&queue);
        let (handled, aborted) = (seen.events(), aborted.load(Ordering::Relaxed));
        assert_eq!((handled | aborted, handled & aborted), (accepted, 0));
        assert_eq!((books.delivered, books.dropped.aborted), (handled as u64, aborted as u64));
        assert_eq!(books.pending, 0);
        drop(queue);
        lives.assert_all_dropped();
    });
}
