//! The order of lines across threads.

use crate::{Recorder, balanced, close, flush, log, numbers, put, put_all, put_and_hold};
use buslane_tracing::{Clock, LineOrder, ManualTime, NonBlocking, NonBlockingBuilder, Timestamp};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const THREADS: usize = 8;
const LINES: usize = 50;

/// Returns a builder whose order is that of the time that it returns, too.
fn by_manual_time() -> (ManualTime, NonBlockingBuilder) {
    let time = ManualTime::new(Timestamp::from_nanos(1));
    let order = LineOrder::Clock(Clock::Manual(time.clone()));
    (time, NonBlockingBuilder::default().order(order))
}

/// A thread that writes the lines that it is told, one by one.
struct Writer {
    orders: mpsc::Sender<usize>,
    done: mpsc::Receiver<()>,
    thread: thread::JoinHandle<()>,
}

impl Writer {
    fn new(log: &NonBlocking) -> Self {
        let ((orders, lines), (finished, done)) = (mpsc::channel(), mpsc::channel());
        let log = log.clone();
        let thread = thread::spawn(move || {
            for line in lines {
                put(&log, line);
                finished.send(()).unwrap();
            }
        });
        Self { orders, done, thread }
    }

    fn write(&self, line: usize) {
        self.orders.send(line).unwrap();
        self.done.recv().unwrap();
    }

    fn end(self) {
        drop(self.orders);
        self.thread.join().unwrap();
    }
}

/// Lets eight threads write one line after another, in turns that change, and returns the lines that
/// were written. `before` is called before each line.
fn lines_of_eight_threads(builder: NonBlockingBuilder, mut before: impl FnMut(usize)) -> Vec<String> {
    let (recorder, gate) = Recorder::gated();
    let (log, guard) = builder.build(recorder.writer()).unwrap();
    put_and_hold(&log, &gate);
    let writers: Vec<_> = (0..THREADS).map(|_| Writer::new(&log)).collect();
    // The threads move from the shared lane to their own meanwhile.
    for line in 0..THREADS * LINES {
        before(line);
        writers[(line * 5 + line / THREADS) % THREADS].write(line);
    }
    writers.into_iter().for_each(Writer::end);
    gate.open();
    close(guard);
    assert_eq!(balanced(&log).delivered as usize, THREADS * LINES + 1);
    let mut lines = recorder.lines();
    assert_eq!(lines.remove(0), "held");
    lines
}

#[test]
fn lines_of_eight_threads_are_in_time_order() {
    let (time, builder) = by_manual_time();
    let lines = lines_of_eight_threads(builder, |line| time.set(Timestamp::from_nanos(1000 + line as u64)));
    assert_eq!(lines, numbers(0..THREADS * LINES));
}

#[test]
fn counter_of_the_processor_keeps_the_order() {
    // Each thread is told to write by a channel, so its line begins after the one before it ended.
    let lines = lines_of_eight_threads(NonBlockingBuilder::default(), |_| {});
    assert_eq!(lines, numbers(0..THREADS * LINES));
}

#[test]
fn shared_lane_keeps_the_order_without_a_clock() {
    let builder = NonBlockingBuilder::default().private_lanes(false).order(LineOrder::Arrival);
    assert_eq!(lines_of_eight_threads(builder, |_| {}), numbers(0..THREADS * LINES));
}

#[test]
fn later_time_of_an_earlier_line_decides() {
    // The second thread's line is written later, and its time is earlier.
    let (time, builder) = by_manual_time();
    let (recorder, gate) = Recorder::gated();
    let (log, guard) = builder.build(recorder.writer()).unwrap();
    put_and_hold(&log, &gate);
    let (one, other) = (Writer::new(&log), Writer::new(&log));
    time.set(Timestamp::from_nanos(200));
    one.write(2);
    time.set(Timestamp::from_nanos(100));
    other.write(1);
    gate.open();
    close(guard);
    assert_eq!(recorder.lines(), ["held", "1", "2"]);
    one.end();
    other.end();
}

#[test]
fn thread_keeps_its_order_with_equal_times() {
    let (_time, builder) = by_manual_time();
    let recorder = Recorder::new();
    let (log, guard) = builder.build(recorder.writer()).unwrap();
    put_all(&log, 0..500);
    close(guard);
    assert_eq!(recorder.lines(), numbers(0..500));
}

#[test]
fn thread_keeps_its_order_when_its_clock_is_set_back() {
    let (time, builder) = by_manual_time();
    let (recorder, gate) = Recorder::gated();
    let (log, guard) = builder.build(recorder.writer()).unwrap();
    put_and_hold(&log, &gate);
    for line in 0..100 {
        time.set(Timestamp::from_nanos(1000 - line as u64));
        put(&log, line);
    }
    gate.open();
    close(guard);
    assert_eq!(recorder.lines()[1..], numbers(0..100));
}

#[test]
fn threads_keep_their_orders_under_overload() {
    // Far more lines than a batch has.
    let recorder = Recorder::new();
    let (log, guard) = NonBlockingBuilder::default().lossy(false).build(recorder.writer()).unwrap();
    let writers = (0..4).map(|thread| {
        let log = log.clone();
        thread::spawn(move || put_all(&log, (0..20_000).map(|line| thread * 100_000 + line)))
    });
    writers.collect::<Vec<_>>().into_iter().for_each(|writer| writer.join().unwrap());
    close(guard);
    let lines: Vec<usize> = recorder.lines().iter().map(|line| line.parse().unwrap()).collect();
    assert_eq!(lines.len(), 80_000);
    for thread in 0..4 {
        let of_thread = lines.iter().copied().filter(|line| line / 100_000 == thread);
        assert!(of_thread.eq((0..20_000).map(|line| thread * 100_000 + line)), "thread {thread}");
    }
}

#[test]
fn flush_writes_lines_within_their_grace() {
    let recorder = Recorder::new();
    let builder = NonBlockingBuilder::default().grace(Duration::from_secs(3600));
    let (log, guard) = builder.build(recorder.writer()).unwrap();
    put_all(&log, 0..10);
    flush(&guard);
    assert_eq!(recorder.lines(), numbers(0..10));
    put_all(&log, 10..20);
    close(guard);
    assert_eq!(recorder.lines(), numbers(0..20));
}

#[test]
fn line_below_what_was_forced_out_is_counted() {
    let (time, builder) = by_manual_time();
    let recorder = Recorder::new();
    let builder = builder.grace(Duration::from_secs(3600)).lossy(false);
    let (log, guard) = builder.build(recorder.writer()).unwrap();
    time.set(Timestamp::from_nanos(1000));
    // More lines than are held back.
    put_all(&log, 0..70_000);
    test_support::wait_for(|| !recorder.text().is_empty());
    time.set(Timestamp::from_nanos(500));
    let other = log.clone();
    thread::spawn(move || put(&other, "late")).join().unwrap();
    flush(&guard);
    assert_eq!((guard.lines_out_of_order(), recorder.lines().len()), (1, 70_001));
    close(guard);
    assert_eq!(balanced(&log).delivered, 70_001);
}

#[test]
fn grace_ends_without_a_further_line() {
    let recorder = Recorder::new();
    let (log, _guard) =
        NonBlockingBuilder::default().grace(Duration::from_millis(1)).build(recorder.writer()).unwrap();
    put(&log, "line");
    recorder.wait_for_writes(1);
}

#[test]
fn full_batch_is_written_without_a_further_line() {
    // A batch of exactly this size does not tell whether more lines wait.
    let (recorder, gate) = Recorder::gated();
    let (log, _guard) = NonBlockingBuilder::default().capacity(4096).build(recorder.writer()).unwrap();
    put_and_hold(&log, &gate);
    let other = thread::spawn({
        let log = log.clone();
        move || put_all(&log, 0..512)
    });
    put_all(&log, 0..512);
    other.join().unwrap();
    gate.open();
    test_support::wait_for(|| recorder.lines().len() == 1025);
}

#[test]
fn log_of_one_thread_is_in_order() {
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    put_all(&log, 0..1000);
    close(guard);
    assert_eq!(recorder.lines(), numbers(0..1000));
}
