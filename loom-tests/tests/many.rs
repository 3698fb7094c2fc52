//! Several consumers of the same events: shared receivers, and a queue with two workers.

use buslane::channel::SharedReceiver;
use buslane::error::RecvError;
use buslane::queue::{Handler, QueueBuilder};
use buslane::sink::lane::Lanes;
use buslane::stats::{CloseReport, FlushReport, Ledger};
use buslane::time::Deadline;
use buslane::{BoxError, Channel, Overflow, Queue, Sink, SinkExt, WaitStrategy, WriteError};
use loom_tests::probe::Traces;
use loom_tests::{Gate, LIMIT, Lives, Steps, Task, Tracked, before, model, model_with, over, thread};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

fn channel(capacity: usize, overflow: Overflow) -> (Channel<Tracked>, SharedReceiver<Tracked>) {
    Channel::builder()
        .capacity(capacity)
        .overflow(overflow)
        .wait_strategy(WaitStrategy::Park)
        .build_shared()
        .expect("a small channel")
}

/// Returns a write's outcome as a bit of the event's number; `Closed` returns the event.
fn write(sink: &impl Sink<Tracked>, value: Tracked) -> usize {
    let id = value.id();
    match sink.write(value) {
        Ok(()) => 1 << id,
        Err(WriteError::Closed(back)) => {
            assert_eq!(back.id(), id, "the event that comes back");
            0
        }
        Err(error) => panic!("{error}"),
    }
}

/// Returns all remaining events up to the end of the stream, one bit for each event.
fn rest(receiver: &mut SharedReceiver<Tracked>) -> usize {
    let mut got = 0;
    while let Ok(event) = receiver.recv() {
        assert_eq!(got & (1 << event.id()), 0, "event {} is read once", event.id());
        got |= 1 << event.id();
    }
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
    got
}

/// As [`rest`], with a race that ends when one reader has found the end.
fn rest_first(receiver: &mut SharedReceiver<Tracked>) -> usize {
    let got = rest(receiver);
    over();
    got
}

fn balanced(ledger: Ledger) -> Ledger {
    ledger.check().expect("the ledger balances");
    ledger
}

#[test]
fn two_readers_share_events_of_one_writer() {
    // Each event goes to one of the readers, and the stream ends for both after the last event.
    // Fails when ORD(mpmc.stamp) is Relaxed. Held to two preemptions: 14 s.
    model_with(2, || {
        let lives = Lives::new(2);
        let (channel, mut one, writer, reader) = before(|| {
            let (channel, one) = channel(2, Overflow::DropNewest);
            let mut other = one.clone();
            assert_ne!(write(&channel, lives.value(0)), 0);
            let (sink, value) = (channel.clone(), lives.value(1));
            let writer = thread::spawn(move || {
                assert_ne!(write(&sink, value), 0);
                sink.close();
                sink
            });
            (channel, one, writer, thread::spawn(move || (rest_first(&mut other), other)))
        });
        let mine = rest_first(&mut one);
        let (theirs, other) = reader.join().unwrap();
        let sink = writer.join().unwrap();
        assert_eq!((mine | theirs, mine & theirs), (0b11, 0));
        let books = balanced(channel.state().ledger);
        assert_eq!((books.accepted, books.delivered, books.pending), (2, 2, 0));
        drop((channel, sink, one, other));
        lives.assert_all_dropped();
    });
}

#[test]
fn two_writes_wake_two_parked_readers() {
    // Two events wake two readers: each reader gets one, and does not return. Fails when the fence
    // of `Signals::wake` or the heavy one of `Crowd::park_unless` is missing, or when a wake-up
    // leaves the woken reader on the list. Held to two preemptions: 5 s; three take 63.
    model_with(2, || {
        let lives = Lives::new(2);
        let (mut one, writer, reader) = before(|| {
            let (channel, one) = channel(2, Overflow::DropNewest);
            let (mut other, values) = (one.clone(), lives.clone());
            let reader = thread::spawn(move || (other.recv().expect("open").id(), other));
            let writer = thread::spawn(move || {
                (write(&channel, values.value(0)) | write(&channel, values.value(1)), channel)
            });
            (one, writer, reader)
        });
        let mine = one.recv().expect("open").id();
        let (theirs, other) = reader.join().unwrap();
        assert_eq!(mine + theirs, 1);
        let (written, channel) = writer.join().unwrap();
        over();
        assert_eq!(written, 0b11);
        drop((channel, one, other));
        lives.assert_all_dropped();
    });
}

/// Runs two writers of one event each against two readers of one event each. The race ends when the
/// second event is taken.
fn two_writers_against_two_readers(recv: fn(&mut SharedReceiver<Tracked>) -> usize) {
    let (lives, steps, reads) = (Lives::new(2), Steps::new(), Arc::new(AtomicUsize::new(0)));
    let read = move |receiver: &mut SharedReceiver<Tracked>| {
        let id = recv(receiver);
        if reads.fetch_add(1, Ordering::Relaxed) == 1 {
            over();
        }
        id
    };
    let (channel, mut one, reader, writer) = before(|| {
        let (channel, one) = channel(2, Overflow::DropNewest);
        let (mut other, read) = (one.clone(), read.clone());
        // This reader starts first, so that a model parks it before the writer continues.
        let reader = thread::spawn(move || (read(&mut other), other));
        let (sink, value, turns) = (channel.clone(), lives.value(0), steps.clone());
        let writer = thread::spawn(move || {
            turns.step();
            assert_ne!(write(&sink, value), 0);
            sink
        });
        (channel, one, reader, writer)
    });
    steps.step();
    assert_ne!(write(&channel, lives.value(1)), 0);
    let mine = read(&mut one);
    let (theirs, other) = reader.join().unwrap();
    assert_eq!(mine + theirs, 1);
    let sink = writer.join().unwrap();
    drop((channel, sink, one, other));
    lives.assert_all_dropped();
}

#[test]
fn reader_wakes_another_for_an_overtaken_write() {
    // Both readers may find the first position still empty, and park although the second one is
    // filled. The reader that takes the first event then wakes the other reader. Fails when
    // `Mailbox::pass_on` does not wake another reader. Exceeds loom's limit of branches when a
    // blocking read waits for the writer of the first position instead of parking. Held to two
    // preemptions, because three take 100 s of processor time (they pass).
    model_with(2, || two_writers_against_two_readers(|receiver| receiver.recv().expect("open").id()));
}

#[test]
fn task_wakes_another_for_an_overtaken_write() {
    // As above, for tasks: a poll that was woken for the second event and finds the first position
    // empty parks again. Held to two preemptions.
    model_with(2, || {
        two_writers_against_two_readers(|receiver| {
            let (task, waker) = Task::new();
            loop {
                match receiver.poll_recv(&mut Context::from_waker(&waker)) {
                    Poll::Ready(event) => return event.expect("open").id(),
                    Poll::Pending => task.sleep(),
                }
            }
        });
    });
}

#[test]
fn close_wakes_two_parked_readers() {
    // Both readers learn of the end. Fails when the seal wakes only one, or when its wake has no
    // fence.
    model(|| {
        let (mut one, closer, reader) = before(|| {
            let (channel, one) = channel(1, Overflow::DropNewest);
            let mut other = one.clone();
            let closer = thread::spawn(move || {
                channel.close();
                // The handle is kept: its drop would close once more.
                channel
            });
            (one, closer, thread::spawn(move || (rest(&mut other), other)))
        });
        assert_eq!(rest(&mut one), 0);
        let (theirs, other) = reader.join().unwrap();
        assert_eq!(theirs, 0);
        let channel = closer.join().unwrap();
        over();
        drop((channel, one, other));
    });
}

#[test]
fn close_reaches_two_readers_after_a_claimed_write() {
    // A writer may have claimed a position and not filled it when the channel closes: then both
    // readers park, the writer wakes one, and that one wakes the other at the end. An event with
    // `Ok` is read. Fails when `Mailbox::pass_on` does not wake all readers at the end.
    model(|| {
        let (lives, steps) = (Lives::new(1), Steps::new());
        let (channel, mut one, reader, writer) = before(|| {
            let (channel, one) = channel(1, Overflow::DropNewest);
            let mut other = one.clone();
            // This reader starts first, as above.
            let reader = thread::spawn(move || (rest(&mut other), other));
            let (sink, value, turns) = (channel.clone(), lives.value(0), steps.clone());
            let writer = thread::spawn(move || {
                turns.step();
                (write(&sink, value), sink)
            });
            (channel, one, reader, writer)
        });
        steps.step();
        channel.close();
        let mine = rest(&mut one);
        let (theirs, other) = reader.join().unwrap();
        let (accepted, sink) = writer.join().unwrap();
        over();
        assert_eq!(accepted, mine | theirs);
        balanced(channel.state().ledger);
        drop((channel, sink, one, other));
        lives.assert_all_dropped();
    });
}

#[test]
fn evicting_writer_keeps_counters_exact() {
    // Every event is read once, evicted once, or dropped because a reader was just taking the
    // oldest; the counters are exact. Fails when the claim of a position is not a
    // read-modify-write, or when the stamp of a filled slot (ORD(mpmc.stamp)) is Relaxed. Held to
    // two preemptions; at three it takes some six minutes.
    model_with(2, || {
        let (lives, steps) = (Lives::new(2), Steps::new());
        let (channel, readers) = before(|| {
            let (channel, one) = channel(1, Overflow::DropOldest);
            assert_ne!(write(&channel, lives.value(0)), 0);
            let readers = [one.clone(), one].map(|mut receiver| {
                let turns = steps.clone();
                thread::spawn(move || {
                    turns.step();
                    let got = receiver.try_recv().map_or(0, |event| 1_usize << event.id());
                    (got, receiver)
                })
            });
            (channel, readers)
        });
        steps.step();
        assert_ne!(write(&channel, lives.value(1)), 0);
        let [(first, one), (second, other)] = readers.map(|reader| reader.join().unwrap());
        assert_eq!(first & second, 0, "each event is read once");
        over();
        let books = balanced(channel.state().ledger);
        assert_eq!(books.delivered, u64::from((first | second).count_ones()));
        assert_eq!((books.accepted, books.pending), (2, 2 - books.delivered - books.dropped.total()));
        drop((channel, one, other));
        lives.assert_all_dropped();
    });
}

#[test]
fn last_receiver_drop_counts_an_accepted_write() {
    // The drop of the last receiver closes the channel: each accepted event counts as dropped with
    // the receiver, every other event comes back, and nothing leaks. Fails when both drops take the
    // other receiver for the last one, or none does.
    model(|| {
        let (lives, steps) = (Lives::new(1), Steps::new());
        let (channel, one) = channel(1, Overflow::DropNewest);
        let other = one.clone();
        let (sink, value) = (channel.clone(), lives.value(0));
        let [first, second] = [steps.clone(), steps.clone()];
        let writer = thread::spawn(move || {
            first.step();
            write(&sink, value)
        });
        let dropper = thread::spawn(move || {
            second.step();
            drop(other);
        });
        steps.step();
        drop(one);
        dropper.join().unwrap();
        let accepted = writer.join().unwrap();
        let books = balanced(channel.state().ledger);
        assert_eq!((books.dropped.receiver_dropped, books.pending), (accepted as u64, 0));
        assert!(!lives.is_alive(0), "no reader is left");
        drop(channel);
        lives.assert_all_dropped();
    });
}

#[test]
fn dropped_task_passes_its_wake_up_on() {
    // A task that was woken and does not poll again passes its wake-up on to a parked thread. Fails
    // when `Member::unregister` does not pass it on.
    model(|| {
        let lives = Lives::new(2);
        let (channel, reader, task) = before(|| {
            let (channel, mut one) = channel(2, Overflow::DropNewest);
            let mut other = one.clone();
            let reader = thread::spawn(move || (one.recv().expect("open").id(), one));
            let (sink, values) = (channel.clone(), lives.clone());
            let task = thread::spawn(move || {
                let (_task, waker) = Task::new();
                if other.poll_recv(&mut Context::from_waker(&waker)).is_ready() {
                    // The task has the reader's event: this is another one.
                    assert_ne!(write(&sink, values.value(1)), 0);
                }
                drop(other);
                sink
            });
            (channel, reader, task)
        });
        assert_ne!(write(&channel, lives.value(0)), 0);
        let (_, one) = reader.join().unwrap();
        let sink = task.join().unwrap();
        over();
        drop((channel, sink, one));
        lives.assert_all_dropped();
    });
}

/// The events that the handlers of two workers have seen, one bit for each event, and counts of
/// their other calls.
#[derive(Clone, Default)]
struct Seen {
    words: Arc<[AtomicUsize; 3]>,
    /// The traces that must be ordered before a read of the events.
    traces: Traces,
    /// The steps at which a handler pauses with its event.
    steps: Option<Steps>,
    /// Whether a handler yields, so that the others run without a preemption.
    yields: bool,
    /// The gate at which a worker with a handler begins.
    gate: Gate,
    begun: bool,
    /// Whether the race ends when the first worker reaches its end.
    ends: bool,
}

impl Seen {
    fn get(&self) -> (usize, usize, usize) {
        let [events, flushes, closes] = [0, 1, 2].map(|at| self.words[at].load(Ordering::Relaxed));
        self.traces.look(events);
        (events, flushes, closes)
    }
}

impl Seen {
    fn see(&self, event: &Tracked) {
        if let Some(steps) = &self.steps {
            steps.step();
        }
        if self.yields {
            thread::yield_now();
        }
        self.traces.leave(event.id());
        let before = self.words[0].fetch_or(1 << event.id(), Ordering::Relaxed);
        assert_eq!(before & (1 << event.id()), 0, "event {} is handled once", event.id());
    }
}

impl Handler<Tracked> for Seen {
    fn handle(&mut self, event: Tracked) -> Result<(), BoxError> {
        self.see(&event);
        Ok(())
    }

    fn tick(&mut self, _now: Instant) -> Option<Instant> {
        if !std::mem::replace(&mut self.begun, true) {
            self.gate.pass();
        }
        None
    }

    fn flush(&mut self, _deadline: Deadline) -> Result<(), BoxError> {
        self.words[1].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn close(&mut self) -> Result<(), BoxError> {
        if self.ends {
            over();
        }
        self.words[2].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// A single sink for both workers.
impl Sink<Tracked> for Seen {
    fn write(&self, event: Tracked) -> Result<(), WriteError<Tracked>> {
        self.see(&event);
        Ok(())
    }

    fn close_by(&self, _deadline: Deadline) -> CloseReport {
        // The last worker closes the sink, after the writes of the others.
        let _ = self.get();
        CloseReport::done()
    }

    fn flush_by(&self, _: Deadline, _: &mut FlushReport) {
        self.words[1].fetch_add(1, Ordering::Relaxed);
    }
}

/// The inner sink of a batch.
struct Batches(Seen);

impl Sink<Vec<Tracked>> for Batches {
    fn write(&self, batch: Vec<Tracked>) -> Result<(), WriteError<Vec<Tracked>>> {
        batch.iter().for_each(|event| self.0.see(event));
        Ok(())
    }
}

fn builder(capacity: usize) -> QueueBuilder<Tracked> {
    Queue::builder().capacity(capacity).wait_strategy(WaitStrategy::Park).workers(2)
}

fn queue(builder: QueueBuilder<Tracked>, seen: &Seen) -> Queue<Tracked> {
    builder.spawn_each_handler(|_| seen.clone()).expect("a small queue")
}

/// Runs a flush, which must be done.
fn flush(queue: &Queue<Tracked>) {
    let mut report = FlushReport::default();
    queue.flush_by(Deadline::NEVER, &mut report);
    assert!(report.is_done());
}

#[test]
fn close_waits_for_both_workers() {
    // When the close returns, each handler was closed once. Fails when the report does not wait for
    // the last worker, or when the end does not reach both. Held to two preemptions: 4 s; three
    // take 68.
    model_with(2, || {
        let seen = Seen::default();
        let queue = seen.gate.before(|| queue(builder(1), &seen));
        assert!(queue.close_timeout(LIMIT).is_done());
        assert_eq!(seen.get(), (0, 0, 2));
        over();
        drop(queue);
    });
}

#[test]
fn close_of_two_workers_handles_accepted_writes() {
    // When the close returns, exactly the accepted events were handled, and each handler was closed
    // once. Fails when the report does not wait for the last worker, or when the end does not reach
    // both. Held to two preemptions: 27 s.
    model_with(2, || {
        let (lives, seen) = (Lives::new(1), Seen { ends: true, ..Seen::default() });
        let (queue, writer) = seen.gate.before(|| {
            let queue = queue(builder(1), &seen);
            let (writer, value) = (queue.clone(), lives.value(0));
            (queue, thread::spawn(move || (write(&writer, value), writer)))
        });
        assert!(queue.close_timeout(LIMIT).is_done());
        let (handled, _, closes) = seen.get();
        let (accepted, writer) = writer.join().unwrap();
        assert_eq!((accepted, closes), (handled, 2));
        assert_eq!(balanced(queue.state().ledger).pending, 0);
        drop((queue, writer));
        lives.assert_all_dropped();
    });
}

#[test]
fn flush_asks_both_handlers() {
    // When the flush returns, both events were handled and both handlers have flushed. Fails when
    // the flush asks only one worker. The workers yield where the handler does, and are preempted
    // once elsewhere: one preemption, 49 s.
    model_with(1, || {
        let (lives, seen) = (Lives::new(2), Seen { yields: true, ..Seen::default() });
        let queue = seen.gate.before(|| {
            let queue = queue(builder(2), &seen);
            assert_eq!(write(&queue, lives.value(0)) | write(&queue, lives.value(1)), 0b11);
            queue
        });
        flush(&queue);
        let (handled, flushes, _) = seen.get();
        assert_eq!((handled, flushes), (0b11, 2), "published before the flush, but not handled");
        over();
        drop(queue);
        lives.assert_all_dropped();
    });
}

#[test]
fn flush_waits_for_writes_done_out_of_order() {
    // Two workers write to one sink, and one of them answers the flush for both: when it does, the
    // other must be done too, in either order. Fails when the mark is cleared before the sink's
    // write returns. The workers yield where the sink does, and nowhere else: no preemption. One
    // preemption takes more than 15 s.
    model_with(0, || {
        let (lives, seen) = (Lives::new(2), Seen { yields: true, ..Seen::default() });
        let queue = before(|| {
            let queue = builder(2).spawn_sink(seen.clone()).expect("a small queue");
            assert_eq!(write(&queue, lives.value(0)) | write(&queue, lives.value(1)), 0b11);
            queue
        });
        flush(&queue);
        let (handled, flushes, _) = seen.get();
        assert_eq!((handled, flushes), (0b11, 1), "published before the flush, but not handled");
        over();
        drop(queue);
        lives.assert_all_dropped();
    });
}

#[test]
fn flush_waits_for_both_workers_of_unbounded_queue() {
    // As above, for a lane without positions, where claims are counted after the pop. Fails when no
    // mark is set before the claim, or when the mark is cleared before the sink's write returns.
    // Held to one preemption: with two, loom lets a worker load an old count in an endless loop.
    model_with(1, || {
        let (lives, steps) = (Lives::new(2), Steps::new());
        let seen = Seen { steps: Some(steps.clone()), ..Seen::default() };
        let queue = before(|| {
            let queue = builder(2).unbounded().spawn_sink(seen.clone()).expect("a small queue");
            assert_eq!(write(&queue, lives.value(0)) | write(&queue, lives.value(1)), 0b11);
            queue
        });
        steps.step();
        flush(&queue);
        let (handled, flushes, _) = seen.get();
        assert_eq!((handled, flushes), (0b11, 1), "published before the flush, but not handled");
        drop(queue);
        lives.assert_all_dropped();
    });
}

#[test]
fn close_of_keyed_workers_handles_accepted_pushes() {
    // A lane into a queue that is ordered by a key is one lane to its publisher and a ring for each
    // worker: its accepted events are handled when the close returns. Fails when the report does
    // not wait for both workers. Held to one preemption: two take more than 20 s.
    model_with(1, || {
        let (lives, seen) = (Lives::new(1), Seen::default());
        let (queue, publisher) = seen.gate.before(|| {
            let queue = queue(builder(1).ordered_by(Tracked::id), &seen);
            let (mut lane, value) = (queue.lane().expect("memory").expect("lanes"), lives.value(0));
            let publisher = thread::spawn(move || match lane.push(value, Deadline::NEVER) {
                Ok(()) => (1, lane),
                Err(error) => (usize::from(!error.is_closed()), lane),
            });
            (queue, publisher)
        });
        assert!(queue.close_timeout(LIMIT).is_done());
        let (handled, _, closes) = seen.get();
        let (accepted, lane) = publisher.join().unwrap();
        assert_eq!((accepted, closes), (handled, 2));
        over();
        assert_eq!(balanced(queue.state().ledger).pending, 0);
        drop((lane, queue));
        lives.assert_all_dropped();
    });
}

#[test]
fn each_worker_fills_its_own_batch() {
    // Both workers complete a batch each, and the sink handles both at once: no batch is refused,
    // and one flush covers both. Held to one preemption, and the yields of the sink: two take more
    // than 20 s.
    model_with(1, || {
        let (lives, seen) = (Lives::new(3), Seen { yields: true, ..Seen::default() });
        let (queue, written) = before(|| {
            let queue =
                builder(4).spawn_each_sink(|_| Batches(seen.clone()).batch(1)).expect("a small queue");
            let written = (0..3).map(|id| write(&queue, lives.value(id))).fold(0, |all, bit| all | bit);
            (queue, written)
        });
        assert!(queue.close_timeout(LIMIT).is_done());
        assert_eq!((written, seen.get().0), (0b111, 0b111));
        over();
        let books = balanced(queue.state().ledger);
        assert_eq!((books.delivered, books.pending), (3, 0));
        drop(queue);
        lives.assert_all_dropped();
    });
}
