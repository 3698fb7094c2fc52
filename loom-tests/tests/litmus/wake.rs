//! A publish against a thread that parks: the parking thread finds the event, or its publisher sees
//! the parked thread.

use crate::rounds::{Apart, play, rounds, wait_until};
use buslane::time::Deadline;
use buslane::wait::{FencePair, Sleepers, WaitCell, WaitList};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

/// Returns each pair of fences, and its name.
fn pairs() -> [(&'static str, FencePair); 2] {
    let process = FencePair::process();
    let name =
        if process == FencePair::Asymmetric { "asymmetric" } else { "the process's, which is symmetric" };
    [(name, process), ("symmetric", FencePair::Symmetric)]
}

/// The state that both sides share, and the outcome of a round.
#[derive(Default)]
struct Shared {
    events: Apart<AtomicUsize>,
    /// The round whose publisher is done.
    published: Apart<AtomicUsize>,
    found: AtomicBool,
    woken: AtomicBool,
}

impl Shared {
    fn publish(&self, round: usize) {
        self.events.0.store(round + 1, Ordering::Release);
    }

    fn published(&self, round: usize) {
        self.published.0.store(round + 1, Ordering::Release);
    }

    /// Checks for the event, after the parking thread's fence.
    fn look(&self, round: usize) {
        self.found.store(self.events.0.load(Ordering::Acquire) == round + 1, Ordering::Relaxed);
    }

    /// Holds the parking thread in its check until the publisher is done; then it need not sleep.
    fn stay(&self, round: usize) -> bool {
        wait_until(|| self.published.0.load(Ordering::Acquire) == round + 1);
        true
    }
}

/// The outcomes of all rounds.
#[derive(Default)]
struct Score {
    found: usize,
    woken: usize,
    both: usize,
    lost: usize,
}

impl Score {
    fn count(&mut self, shared: &Shared) {
        let (found, woken) = (shared.found.load(Ordering::Relaxed), shared.woken.load(Ordering::Relaxed));
        *match (found, woken) {
            (true, true) => &mut self.both,
            (true, false) => &mut self.found,
            (false, true) => &mut self.woken,
            (false, false) => &mut self.lost,
        } += 1;
        shared.found.store(false, Ordering::Relaxed);
        shared.woken.store(false, Ordering::Relaxed);
    }

    fn show(&self, what: &str, pair: &str) {
        let Self { found, woken, both, lost } = self;
        eprintln!("{what}, {pair}: found {found}, woken {woken}, both {both}, lost {lost}");
    }

    fn none_lost(&self, what: &str, pair: &str) {
        self.show(what, pair);
        assert_eq!(self.lost, 0, "a wake-up was lost: {what}, {pair}");
    }
}

/// A task that only records that it was woken.
struct Woken(Arc<Shared>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.woken.store(true, Ordering::Relaxed);
    }
}

/// Runs a publisher that fences as `light` does, against a consumer that parks in `cell`.
fn park(light: &WaitCell, cell: &WaitCell) -> Score {
    let (shared, mut score) = (Shared::default(), Score::default());
    let publisher = |round| {
        shared.publish(round);
        light.fence();
        shared.woken.store(cell.is_parked(), Ordering::Relaxed);
        shared.published(round);
    };
    let consumer = |round| {
        cell.park_unless(None, || {
            shared.look(round);
            shared.stay(round)
        });
    };
    play(rounds(1), vec![Box::new(publisher), Box::new(consumer)], |_| score.count(&shared));
    score
}

#[test]
fn publish_reaches_a_parking_thread() {
    for (name, pair) in pairs() {
        let cell = WaitCell::new(pair);
        park(&cell, &cell).none_lost("publish against a park", name);
    }
    // The wake-ups lost with mixed pairs show how significant the rounds above are on this machine.
    let [light, cell] = [FencePair::Asymmetric, FencePair::Symmetric].map(WaitCell::new);
    park(&light, &cell).show("publish against a park", "mixed");
}

#[test]
fn publish_reaches_a_registering_task() {
    for (name, pair) in pairs() {
        let (shared, cell, mut score) = (Arc::new(Shared::default()), WaitCell::new(pair), Score::default());
        let task = Waker::from(Arc::new(Woken(shared.clone())));
        let publisher = |round| {
            shared.publish(round);
            cell.fence();
            cell.wake();
        };
        let consumer = |round| {
            assert!(cell.register(&task), "the cell is empty");
            shared.look(round);
        };
        play(rounds(1), vec![Box::new(publisher), Box::new(consumer)], |_| {
            score.count(&shared);
            // Empties the cell for the next round.
            cell.wake_now();
            shared.woken.store(false, Ordering::Relaxed);
        });
        score.none_lost("publish against a task", name);
    }
}

#[test]
fn publish_reaches_a_parking_journal_reader() {
    for (name, pair) in pairs() {
        let (shared, sleepers, mut score) =
            (Arc::new(Shared::default()), Sleepers::new(pair), Score::default());
        let (task, berth) = (Waker::from(Arc::new(Woken(shared.clone()))), Mutex::new(sleepers.berth()));
        let publisher = |round| {
            shared.publish(round);
            sleepers.wake();
        };
        let reader = |round| {
            sleepers.register(&mut berth.lock().unwrap(), &task);
            shared.look(round);
        };
        play(rounds(1), vec![Box::new(publisher), Box::new(reader)], |_| {
            score.count(&shared);
            sleepers.cancel(&mut berth.lock().unwrap());
        });
        score.none_lost("publish against a journal's reader", name);
    }
}

#[test]
fn progress_reaches_a_waiting_thread() {
    for (name, pair) in pairs() {
        let (shared, list, mut score) = (Shared::default(), WaitList::new(pair), Score::default());
        let notifier = |round| {
            shared.publish(round);
            list.notify();
            shared.published(round);
        };
        let waiter = |round| {
            let _done = list.wait_until(Deadline::NEVER, || {
                shared.look(round);
                shared.stay(round);
                // A woken waiter is taken off the list first.
                shared.woken.store(format!("{list:?}").contains("waiting: 0"), Ordering::Relaxed);
                Some(())
            });
        };
        play(rounds(1), vec![Box::new(notifier), Box::new(waiter)], |_| score.count(&shared));
        score.none_lost("progress against a wait", name);
    }
}
