//! Letters that a deadline causes: a close that times out ends the attempts, and the dead-letter
//! sink still gets the events in hand, unless it has no room or its writer is stuck.

use super::{By, HOUR, MILLI, describe, flaky};
use buslane::retry::{Attempt, DeadLetter, Next, Retry, RetryPolicy};
use buslane::stats::{CloseReport, Disposition, DropReason, Finish, FlushReport, RetryState, SinkStatus};
use buslane::testing::{Collect, Gate, ManualClock};
use buslane::time::{Deadline, Pause};
use buslane::{Bus, Channel, Overflow, Queue, Receiver, Sink, SinkExt, WriteError, sink_fn};
use std::sync::Arc;
use std::thread;
use test_support::{Log, Outcome, assert_balanced, ends, outcome, wait_for};

/// Waits an hour after each failure, by a clock that does not move.
const PATIENT: By<fn(u32) -> Next> = By(|_| Next::After(HOUR));
const GIVES_UP: By<fn(u32) -> Next> = By(|_| Next::GiveUp);

fn opened() -> Gate {
    let gate = Gate::closed();
    gate.open();
    gate
}

/// Returns a sink that fails, and the gate that counts its attempts.
fn down() -> (impl Sink<u64> + 'static, Gate) {
    let gate = opened();
    let at = gate.clone();
    let sink = sink_fn(move |_: &u64| {
        at.pass();
        Err("down")
    });
    (sink, gate)
}

/// Reads the letters until their channel is closed.
fn rest_of(mut dead: Receiver<DeadLetter<u64>>) -> Vec<u64> {
    ends(move || dead.iter().map(|letter| letter.event).collect())
}

fn sent_and_lost(retry: &RetryState) -> (u64, u64) {
    (retry.letters_sent, retry.letters_lost)
}

#[test]
fn channel_gets_the_letter_of_an_expired_close() {
    let (sink, gate) = down();
    let (letters, dead) = Channel::lossy(8).unwrap();
    let queue = sink.retry(PATIENT).clock(ManualClock::new()).dead_letters(letters).queue(16).unwrap();
    (0..5).for_each(|event| queue.write(event).unwrap());
    gate.wait_reached(1);
    let report = queue.close_timeout(MILLI);
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 5), "letters are undelivered");
    assert_eq!(rest_of(dead), [0]);
    wait_for(|| queue.state().ledger.pending == 0);
    let state = queue.state();
    let ledger = assert_balanced(&state);
    assert_eq!((ledger.dropped.failed, ledger.dropped.aborted), (1, 4));
    assert_eq!(sent_and_lost(&state.retries[0]), (1, 0));
}

#[test]
fn channel_gets_the_letters_of_every_key() {
    let (sink, gate) = down();
    let (letters, dead) = Channel::lossy(16).unwrap();
    let retry = sink.retry_by_key(|event| event % 3, PATIENT).clock(ManualClock::new());
    let queue = retry.dead_letters(letters).queue(16).unwrap();
    (0..10).for_each(|event| queue.write(event).unwrap());
    gate.wait_reached(3);
    wait_for(|| queue.state().depth == 0);
    assert_eq!(queue.state().ledger.pending, 10, "set aside");
    let report = queue.close_timeout(MILLI);
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 10), "letters are undelivered");
    let mut events = rest_of(dead);
    events.sort_unstable();
    assert_eq!(events, (0..10).collect::<Vec<_>>());
    wait_for(|| queue.state().ledger.pending == 0);
    let state = queue.state();
    assert_eq!(assert_balanced(&state).dropped.failed, 10);
    assert_eq!(sent_and_lost(&state.retries[0]), (10, 0));
}

#[test]
fn keyed_close_that_expires_leaves_letters() {
    let (sink, _gate) = down();
    let (letters, dead) = Channel::lossy(16).unwrap();
    let retry = sink.retry_by_key(|event| *event, PATIENT).clock(ManualClock::new()).dead_letters(letters);
    (0..10).for_each(|event| assert_eq!(retry.offer(event).unwrap(), Disposition::Pending));
    let report = retry.close_by(Deadline::NOW);
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 10), "letters are undelivered");
    assert_eq!(rest_of(dead).len(), 10);
    assert_eq!(assert_balanced(&describe(&retry)).dropped.failed, 10);
}

#[test]
fn abort_leaves_a_queue_of_letters_open() {
    let seen = Log::new();
    let into = seen.clone();
    let letters = Queue::builder().spawn(move |letter: DeadLetter<u64>| into.push(letter.event)).unwrap();
    let (sink, gate) = down();
    let retry = sink.retry(PATIENT).clock(ManualClock::new()).dead_letters(letters.clone());
    let retry = Arc::new(retry);
    let writing = retry.clone();
    let writer = thread::spawn(move || writing.write(1));
    gate.wait_reached(1);
    retry.abort_now();
    assert_eq!(ends(move || outcome(writer.join().unwrap())), Outcome::Accepted);
    assert_eq!(retry.offer(2).unwrap(), Disposition::Dropped(DropReason::Failed));
    wait_for(|| seen.entries() == [1, 2]);
    assert!(!letters.reports_closed());
    assert_eq!(letters.state().ledger.dropped.aborted, 0);
    assert!(ends(move || retry.close_by(Deadline::NOW)).errors.is_empty());
    assert!(letters.reports_closed());
}

/// Gives event 0 up at once, and waits with the others.
struct GivesUpFirst;

impl RetryPolicy<u64> for GivesUpFirst {
    fn failure(&self, event: &u64, _attempt: &Attempt<'_>) -> Next {
        if *event == 0 { Next::GiveUp } else { Next::After(HOUR) }
    }
}

#[test]
fn stuck_queue_of_letters_is_aborted_last() {
    let (held, given_up) = (Gate::closed(), Log::new());
    let (at, hook) = (held.clone(), given_up.clone());
    let letters = Queue::builder()
        .on_drop(move |letter: DeadLetter<u64>, reason| hook.push((letter.event, reason)))
        .spawn(move |_: DeadLetter<u64>| at.pass())
        .unwrap();
    let (sink, gate) = down();
    let retry = sink.retry_by_key(|event| *event, GivesUpFirst).clock(ManualClock::new());
    let queue = retry.dead_letters(letters.clone()).queue(16).unwrap();
    (0..4).for_each(|event| queue.write(event).unwrap());
    gate.wait_reached(4);
    wait_for(|| queue.state().depth == 0);
    held.wait_reached(1);
    let closing = queue.clone();
    assert_eq!(ends(move || closing.close_timeout(MILLI)).finish, Finish::TimedOut);
    // The worker of the queue ends although that of the letters is stuck.
    wait_for(|| queue.state().status == SinkStatus::Drained);
    held.open();
    wait_for(|| letters.state().ledger.pending == 0);
    let ledger = assert_balanced(&letters.state());
    assert_eq!((ledger.delivered, ledger.dropped.aborted), (1, 3));
    assert_eq!(given_up.entries(), [1, 2, 3].map(|event| (event, DropReason::Aborted)));
    assert_eq!(sent_and_lost(&queue.state().retries[0]), (4, 0));
}

#[test]
fn abort_frees_a_writer_in_a_sink_that_waits() {
    for before in [false, true] {
        let (sink, gate) = down();
        let (held, seen) = (Gate::closed(), Collect::<DeadLetter<u64>>::new());
        let policy = if before { GIVES_UP } else { PATIENT };
        let retry = sink.retry(policy).clock(ManualClock::new()).dead_letters(held.before(seen.clone()));
        let retry = Arc::new(retry);
        let writing = retry.clone();
        let writer = thread::spawn(move || writing.write(1));
        gate.wait_reached(1);
        if before {
            held.wait_reached(1);
        }
        retry.abort_now();
        let told = ends(move || outcome(writer.join().unwrap()));
        assert_eq!(told, if before { Outcome::Failed(1) } else { Outcome::Closed(1) });
        let state = describe(&*retry);
        assert_balanced(&state);
        assert_eq!((sent_and_lost(&state.retries[0]), seen.len()), ((0, 1), 0));
    }
}

#[test]
fn abort_frees_a_worker_in_a_sink_that_waits() {
    let (sink, gate) = down();
    let (held, seen) = (Gate::closed(), Collect::<DeadLetter<u64>>::new());
    let retry = sink.retry_by_key(|event| *event, PATIENT).clock(ManualClock::new());
    let queue = retry.dead_letters(held.before(seen.clone())).queue(16).unwrap();
    (0..10).for_each(|event| queue.write(event).unwrap());
    gate.wait_reached(10);
    wait_for(|| queue.state().depth == 0);
    let closing = queue.clone();
    assert_eq!(ends(move || closing.close_timeout(MILLI)).finish, Finish::TimedOut);
    wait_for(|| queue.state().ledger.pending == 0);
    let state = queue.state();
    let ledger = assert_balanced(&state);
    assert_eq!((ledger.dropped.aborted, sent_and_lost(&state.retries[0]), seen.len()), (10, (0, 10), 0));
}

#[test]
fn abort_frees_a_writer_that_waits_for_room() {
    let (letters, dead) = Channel::lossless(1).unwrap();
    let retry = Arc::new(flaky(|_, _| true).retry(GIVES_UP).dead_letters(letters));
    assert_eq!(outcome(retry.write(1)), Outcome::Accepted);
    let writing = retry.clone();
    let writer = thread::spawn(move || writing.write(2));
    wait_for(|| retry_state(&*retry).given_up == 2);
    retry.abort_now();
    assert_eq!(ends(move || outcome(writer.join().unwrap())), Outcome::Failed(2));
    assert_eq!(sent_and_lost(&retry_state(&*retry)), (1, 1));
    drop(retry);
    assert_eq!(rest_of(dead), [1], "accepted letters stay readable");
}

fn retry_state(retry: &impl Sink<u64>) -> RetryState {
    describe(retry).retries.remove(0)
}

#[test]
fn late_letters_are_refused_only_without_room() {
    let (letters, mut dead) = Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
    let retry = flaky(|_, _| true).retry(PATIENT).dead_letters(letters);
    retry.abort_now();
    assert_eq!(outcome(retry.write(1)), Outcome::Accepted);
    assert_eq!(outcome(retry.write(2)), Outcome::Closed(2), "no room");
    assert_eq!(dead.recv().map(|letter| letter.event), Ok(1));
    assert_eq!(outcome(retry.write(3)), Outcome::Accepted, "the channel is open");
    assert_eq!(dead.recv().map(|letter| letter.event), Ok(3));
    let state = describe(&retry);
    assert_balanced(&state);
    assert_eq!(sent_and_lost(&state.retries[0]), (2, 1));
}

#[test]
fn attempt_that_an_abort_ends_becomes_a_letter() {
    type Chain = fn(Gate, Channel<DeadLetter<u64>>) -> Box<dyn Sink<u64>>;
    let chains: [(&str, Chain); 3] = [
        ("retry", |held, letters| Box::new(held.before(Collect::new()).retry(PATIENT).dead_letters(letters))),
        ("retry by key", |held, letters| {
            let retry = held.before(Collect::new()).retry_by_key(|event| *event, PATIENT);
            Box::new(retry.dead_letters(letters))
        }),
        ("retry of a retry", |held, letters| {
            let inner = held.before(Collect::new()).retry(PATIENT);
            Box::new(inner.retry(PATIENT).dead_letters(letters))
        }),
    ];
    for (name, chain) in chains {
        let (held, (letters, dead)) = (Gate::closed(), Channel::lossy(8).unwrap());
        let queue = chain(held.clone(), letters).queue(16).unwrap();
        queue.write(7).unwrap();
        held.wait_reached(1);
        assert_eq!(queue.close_timeout(MILLI).finish, Finish::TimedOut, "{name}");
        assert_eq!(rest_of(dead), [7], "{name}");
        wait_for(|| queue.state().ledger.pending == 0);
        assert_eq!(assert_balanced(&queue.state()).dropped.failed, 1, "{name}");
    }
}

#[test]
fn letter_is_tried_once_by_a_retry_downstream() {
    let (sink, gate) = down();
    let store = flaky(|_, _| true);
    let (letters, dead) = Channel::lossy(8).unwrap();
    let (event, error) = (Log::new(), Log::new());
    let (events, errors) = (event.clone(), error.clone());
    let (attempted, count) = (store.clone(), store);
    let to_store = sink_fn(move |letter: &DeadLetter<u64>| attempted.write(letter.event).map_err(drop_event));
    let second = to_store.retry(By(|_| Next::After(HOUR))).clock(ManualClock::new());
    let second = second.dead_letters(letters);
    let queue = sink.retry(PATIENT).clock(ManualClock::new()).dead_letters(second).queue(16).unwrap();
    queue.write(7).unwrap();
    gate.wait_reached(1);
    let _ = queue.close_timeout(MILLI);
    let mut dead: Receiver<DeadLetter<DeadLetter<u64>>> = dead;
    ends(move || {
        dead.iter().for_each(|letter| {
            events.push(letter.event.event);
            errors.push((letter.attempts, letter.event.error.is_closed()));
        });
    });
    assert_eq!((event.entries(), error.entries()), (vec![7], vec![(1, true)]));
    assert_eq!(count.attempts(), 1);
}

fn drop_event(error: WriteError<u64>) -> String {
    error.to_string()
}

#[test]
fn last_letter_reaches_the_last_dead_letters() {
    let down = || sink_fn(|_: &Vec<u64>| Err("down"));
    let no_store = sink_fn(|_: &DeadLetter<Vec<u64>>| Err("full disk"));
    let (letters, mut dead) = Channel::lossy(8).unwrap();
    let store = no_store.retry(By(|_| Next::After(HOUR))).dead_letters(letters);
    let batch = down().retry(By(|_| Next::After(HOUR))).dead_letters(store).batch(3);
    assert!(batch.write(7_u64).is_ok());
    assert!(batch.close_by(Deadline::NOW).errors.is_empty());
    let letter = ends(move || dead.recv()).unwrap();
    assert_eq!((letter.event.event, letter.attempts), (vec![7], 1));
}

#[test]
fn batch_in_hand_and_held_events_become_letters() {
    let gate = opened();
    let at = gate.clone();
    let sink = sink_fn(move |_: &Vec<u64>| {
        at.pass();
        Err("down")
    });
    let (letters, mut dead) = Channel::lossy(8).unwrap();
    let retry = sink.retry(PATIENT).clock(ManualClock::new()).dead_letters(letters);
    let queue = retry.batch(3).queue(16).unwrap();
    (0..10).for_each(|event| queue.write(event).unwrap());
    gate.wait_reached(1);
    assert_eq!(queue.close_timeout(MILLI).finish, Finish::TimedOut);
    let events: Vec<u64> = ends(move || dead.iter().flat_map(|letter| letter.event).collect());
    assert_eq!(events[..3], [0, 1, 2]);
    wait_for(|| queue.state().ledger.pending == 0);
    let state = queue.state();
    let ledger = assert_balanced(&state);
    assert_eq!(
        (ledger.dropped.failed, ledger.dropped.aborted),
        (events.len() as u64, 10 - events.len() as u64)
    );
    assert_eq!(state.retries[0].letters_lost, 0);
}

#[test]
fn both_sides_of_a_tee_get_their_letters() {
    type Side = (Retry<u64, Box<dyn Sink<u64>>, By<fn(u32) -> Next>>, Gate, Receiver<DeadLetter<u64>>);
    let side = || -> Side {
        let ((sink, gate), (letters, dead)) = (down(), Channel::lossy(8).unwrap());
        let sink: Box<dyn Sink<u64>> = Box::new(sink);
        (sink.retry(PATIENT).clock(ManualClock::new()).dead_letters(letters), gate, dead)
    };
    let ((one, gate, of_one), (other, _, of_other)) = (side(), side());
    let queue = one.timeout(HOUR).tee(other).queue(16).unwrap();
    queue.write(7).unwrap();
    gate.wait_reached(1);
    assert_eq!(queue.close_timeout(MILLI).finish, Finish::TimedOut);
    assert_eq!((rest_of(of_one), rest_of(of_other)), (vec![7], vec![7]));
}

#[test]
fn publisher_in_back_off_leaves_a_letter() {
    let (sink, gate) = down();
    let (letters, dead) = Channel::lossy(8).unwrap();
    let bus = Bus::new();
    bus.add(sink.retry(PATIENT).clock(ManualClock::new()).dead_letters(letters)).unwrap();
    let publishing = bus.clone();
    let publisher = thread::spawn(move || publishing.publish(7).map(|published| published.dropped));
    gate.wait_reached(1);
    let closing = bus.clone();
    let _ = ends(move || closing.close_timeout(MILLI));
    assert_eq!(ends(move || publisher.join().unwrap()).ok(), Some(1));
    assert_eq!(rest_of(dead), [7]);
    let state = &bus.snapshot().sinks[0].state;
    assert_eq!((assert_balanced(state).dropped.failed, sent_and_lost(&state.retries[0])), (1, (1, 0)));
}

#[test]
fn close_waits_for_the_letter_in_hand() {
    let (sink, gate) = down();
    let (letters, dead) = Channel::lossy(8).unwrap();
    let retry = Arc::new(sink.retry(PATIENT).clock(ManualClock::new()).dead_letters(letters));
    let writing = retry.clone();
    let writer = thread::spawn(move || writing.write(7));
    gate.wait_reached(1);
    assert!(retry.close_by(Deadline::NEVER).is_done());
    assert_eq!(rest_of(dead), [7]);
    assert_eq!(ends(move || outcome(writer.join().unwrap())), Outcome::Accepted);
    assert_eq!(sent_and_lost(&retry_state(&*retry)), (1, 0));
}

/// A dead-letter sink whose close and flush end only when it is aborted.
struct Endless {
    pause: Pause,
    entered: Gate,
}

impl Endless {
    fn wait(&self) {
        self.entered.pass();
        self.pause.wait(Deadline::NEVER, || false);
    }
}

impl Sink<DeadLetter<u64>> for Endless {
    fn write(&self, _: DeadLetter<u64>) -> Result<(), WriteError<DeadLetter<u64>>> {
        Ok(())
    }

    fn close_by(&self, _: Deadline) -> CloseReport {
        self.wait();
        CloseReport::done()
    }

    fn flush_by(&self, _: Deadline, _: &mut FlushReport) {
        self.wait();
    }

    fn abort_now(&self) {
        self.pause.interrupt();
    }
}

#[test]
fn abort_frees_a_stuck_close_or_flush_of_letters() {
    type Call = fn(&dyn Sink<u64>);
    let calls: [Call; 2] = [
        |retry| drop(retry.close_by(Deadline::NEVER)),
        |retry| retry.flush_by(Deadline::NEVER, &mut FlushReport::default()),
    ];
    for call in calls {
        let entered = opened();
        let letters = Endless { pause: Pause::new(), entered: entered.clone() };
        let retry = Arc::new(down().0.retry(PATIENT).clock(ManualClock::new()).dead_letters(letters));
        let calling = retry.clone();
        let stuck = thread::spawn(move || call(&*calling));
        entered.wait_reached(1);
        retry.abort_now();
        ends(move || stuck.join().unwrap());
    }
}
