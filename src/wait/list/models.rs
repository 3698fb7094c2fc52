//! Models of the list on which blocked publishers, flushes, closes and pauses wait.

use super::task::{Condition, TaskWait};
use super::{WaitList, Waiter, Want};
use crate::time::{Deadline, Pause};
use crate::wait::FencePair;
use loom_tests::{Arc, AtomicUsize, Ordering, Task, model, model_with, thread};
use std::task::Waker;

/// A list, and the progress that its threads wait for.
struct Place {
    list: WaitList,
    progress: AtomicUsize,
}

impl Place {
    fn new() -> Arc<Self> {
        Arc::new(Self { list: WaitList::new(FencePair::process()), progress: AtomicUsize::new(0) })
    }

    fn advance(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
        self.list.notify();
    }

    fn await_progress(&self, progress: usize) {
        let seen = self.list.wait_until(Deadline::NEVER, || {
            let seen = self.progress.load(Ordering::Relaxed);
            (seen >= progress).then_some(seen)
        });
        assert!(seen.is_some_and(|seen| seen >= progress));
    }
}

/// What a task waits for that waits throughout a model.
struct Never(Arc<Place>);

impl Condition for Never {
    fn list(&self) -> &WaitList {
        &self.0.list
    }

    fn holds(&self) -> bool {
        false
    }
}

#[test]
fn notify_wakes_a_waiter() {
    // The waiter sees the progress, or its notifier wakes it: no deadlock. Fails when the fence of
    // `notify` or that of `wait_until` is missing.
    model(|| {
        let place = Place::new();
        let worker = place.clone();
        let worker = thread::spawn(move || worker.advance());
        place.await_progress(1);
        worker.join().unwrap();
    });
}

#[test]
fn two_notifies_wake_a_waiter_twice() {
    // A waiter that was woken too early waits again and is woken again. Fails when a fence is
    // missing, or when the waiter keeps an entry that was taken off the list.
    model(|| {
        let place = Place::new();
        let worker = place.clone();
        let worker = thread::spawn(move || {
            worker.advance();
            worker.advance();
        });
        place.await_progress(2);
        worker.join().unwrap();
    });
}

#[test]
fn notify_wakes_both_waiters() {
    // Both are woken, in either order of arrival, and neither takes the other's position. Fails
    // when a fence is missing, or when `Place::leave` removes more than the caller's own entry.
    model(|| {
        let place = Place::new();
        let waiters = [0, 1].map(|_| {
            let place = place.clone();
            thread::spawn(move || place.await_progress(1))
        });
        place.advance();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn leaving_waiter_keeps_the_count_of_others() {
    // One waiter needs only the first step and leaves; the count still includes the other. Fails
    // when `Place::leave` stores a count of its own instead of the list's.
    model(|| {
        let place = Place::new();
        let (first, second) = (place.clone(), place.clone());
        let first = thread::spawn(move || first.await_progress(1));
        let second = thread::spawn(move || second.await_progress(2));
        place.advance();
        place.advance();
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn own_room_wakes_its_waiter_beside_one_for_other_room() {
    // The count alone says nothing, since another waiter is on the list all the time: either the
    // notifier sees that this one waits, or its attempt sees the room. Twice, so that a waiter that was
    // woken waits again. Fails when a fence is missing, or when the waiter marks itself after its fence.
    model(|| {
        let place = Place::new();
        let (own, other) = (Waiter::for_own_room(), Waiter::for_own_room());
        let mut other = TaskWait::new(std::sync::Arc::new(Never(place.clone())), other);
        assert!(other.poll(Waker::noop()).is_pending());
        let (worker, of_worker) = (place.clone(), own.clone());
        let worker = thread::spawn(move || {
            for _ in 0..2 {
                worker.progress.fetch_add(1, Ordering::Relaxed);
                worker.list.notify_room(&of_worker);
            }
        });
        for goal in 1..=2 {
            let attempt = || (place.progress.load(Ordering::Relaxed) >= goal).then_some(());
            assert!(place.list.wait_as(&own, Deadline::NEVER, attempt).is_some());
        }
        worker.join().unwrap();
    });
}

/// What a task waits for that waits until there is this much progress.
struct Reached {
    place: Arc<Place>,
    goal: usize,
}

impl Condition for Reached {
    fn list(&self) -> &WaitList {
        &self.place.list
    }

    fn holds(&self) -> bool {
        self.place.progress.load(Ordering::Acquire) >= self.goal
    }
}

#[test]
fn own_room_wakes_its_task_whoever_pays() {
    // A task waits three times: it pays for the fence, asks the notifiers to pay, and no longer pays.
    // In the end no task waits, and the notifiers pay no more. Fails when the bit is stored before the
    // task is on the list or stays for ever, or when a notifier that finds the bit does not look at the
    // mark. What the fences are worth: `store_buffer::paid_room`.
    model(|| {
        let list = WaitList::new(FencePair::Asymmetric);
        let place = Arc::new(Place { list, progress: AtomicUsize::new(0) });
        let waiter = Waiter::for_own_room();
        let (worker, of_worker) = (place.clone(), waiter.clone());
        let worker = thread::spawn(move || {
            for _ in 0..3 {
                worker.progress.fetch_add(1, Ordering::Release);
                worker.list.notify_room(&of_worker);
            }
        });
        for goal in 1..=3 {
            let reached = std::sync::Arc::new(Reached { place: place.clone(), goal });
            let mut wait = TaskWait::new(reached, waiter.clone());
            let (task, waker) = Task::new();
            while wait.poll(&waker).is_pending() {
                task.sleep();
            }
        }
        worker.join().unwrap();
        (0..3).for_each(|_| place.list.notify_room(&waiter));
        assert!(!place.list.is_waited_at());
    });
}

#[test]
fn passed_deadline_still_finds_earlier_progress() {
    // With an expired deadline, progress made before the call is found, and the list is left
    // unchanged. Fails when the attempt comes after the check of the deadline.
    model(|| {
        let place = Place::new();
        let worker = place.clone();
        let worker = thread::spawn(move || worker.advance());
        let seen = place.list.wait_until(Deadline::NOW, || {
            let seen = place.progress.load(Ordering::Relaxed);
            (seen > 0).then_some(seen)
        });
        worker.join().unwrap();
        assert!(matches!(seen, None | Some(1)));
        place.await_progress(1);
    });
}

#[test]
fn interruption_ends_a_pause() {
    // The wait ends, and the waiting thread sees what precedes the interruption. Fails when the
    // interruption does not notify, or ORD(pause.interrupted) is Relaxed.
    model(|| {
        let pause = Arc::new(Pause::new());
        let before = Arc::new(AtomicUsize::new(0));
        let (other, done) = (pause.clone(), before.clone());
        let other = thread::spawn(move || {
            done.store(1, Ordering::Relaxed);
            other.interrupt();
        });
        assert!(!pause.wait(Deadline::NEVER, || false), "the wait must end by the interruption");
        assert_eq!(before.load(Ordering::Relaxed), 1, "the waiter must see what precedes the interruption");
        other.join().unwrap();
    });
}

/// Free slots; one thread waits for each.
struct Room {
    line: WaitList,
    free: AtomicUsize,
}

impl Room {
    fn new() -> Arc<Self> {
        Arc::new(Self { line: WaitList::new(FencePair::process()), free: AtomicUsize::new(0) })
    }

    fn free(&self) {
        self.free.fetch_add(1, Ordering::Release);
        self.line.notify_made(Want::SHARED_ROOM);
    }

    fn take(&self, deadline: Deadline) -> bool {
        let attempt = || {
            let one = |free: usize| free.checked_sub(1);
            self.free.fetch_update(Ordering::Acquire, Ordering::Relaxed, one).ok().map(drop)
        };
        let is_more = || self.free.load(Ordering::Relaxed) > 0;
        self.line.wait_for(&Waiter::wanting(Want::SHARED_ROOM), deadline, attempt, is_more).is_some()
    }
}

#[test]
fn two_free_slots_wake_two_waiters() {
    // Each of two waiters gets one of two slots, whichever is woken for which. Fails when a fence
    // is missing, or when a waiter that finds a slot by itself keeps the wake-up that it got for
    // another.
    model(|| {
        let room = Room::new();
        let waiters = [0, 1].map(|_| {
            let room = room.clone();
            thread::spawn(move || assert!(room.take(Deadline::NEVER)))
        });
        room.free();
        room.free();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}

#[test]
fn timed_out_waiter_leaves_the_slot_to_another() {
    // One waiter has an expired deadline, and may be woken when it gives up: it takes the slot
    // then, or the other one is woken. Fails when it makes no attempt after it has left the list.
    model(|| {
        let room = Room::new();
        let (hurried, patient) = (room.clone(), room.clone());
        let hurried = thread::spawn(move || {
            if hurried.take(Deadline::NOW) {
                hurried.free();
            }
        });
        let patient = thread::spawn(move || assert!(patient.take(Deadline::NEVER)));
        room.free();
        hurried.join().unwrap();
        patient.join().unwrap();
    });
}

/// What a task waits for: a free slot, which it does not take.
struct FreeSlot(Arc<Room>);

impl Condition for FreeSlot {
    fn list(&self) -> &WaitList {
        &self.0.line
    }

    fn holds(&self) -> bool {
        self.0.free.load(Ordering::Acquire) > 0
    }
}

/// Two waits use one entry: that of a publisher which has gone, and that of the next user of its lane.
/// The earlier one is dropped while the later one waits, and `free` makes room.
fn two_waits_of(waiter: fn() -> Waiter, free: fn(&Room, &Waiter)) {
    model(move || {
        let (room, waiter) = (Room::new(), waiter());
        let wait = || TaskWait::new(std::sync::Arc::new(FreeSlot(room.clone())), waiter.clone());
        let (mut earlier, mut later) = (wait(), wait());
        assert!(earlier.poll(Waker::noop()).is_pending());
        let task = thread::spawn(move || {
            let (task, waker) = Task::new();
            while later.poll(&waker).is_pending() {
                task.sleep();
            }
        });
        let (worker, of_worker) = (room.clone(), waiter.clone());
        let worker = thread::spawn(move || free(&worker, &of_worker));
        drop(earlier);
        task.join().unwrap();
        worker.join().unwrap();
    });
}

#[test]
fn earlier_wait_leaves_the_entry_to_a_later_one() {
    // Fails when the drop of the earlier one takes the waker of the later one away: a deadlock.
    two_waits_of(|| Waiter::wanting(Want::SHARED_ROOM), |room, _| room.free());
}

#[test]
fn earlier_wait_for_own_room_leaves_the_mark_to_a_later_one() {
    // Fails when the drop of the earlier one says that the later one does not wait: a deadlock.
    two_waits_of(Waiter::for_own_room, |room, waiter| {
        room.free.fetch_add(1, Ordering::Release);
        room.line.notify_room(waiter);
    });
}

/// Handled events, and flushes that wait for some of them.
struct Flow {
    goals: WaitList,
    handled: AtomicUsize,
}

impl Flow {
    fn new() -> Arc<Self> {
        Arc::new(Self { goals: WaitList::new(FencePair::process()), handled: AtomicUsize::new(0) })
    }

    fn handle(&self) {
        self.handled.fetch_add(1, Ordering::Release);
        self.goals.notify_progress();
    }

    fn flush(this: &Arc<Self>, deadline: Deadline, goal: usize) -> bool {
        let flow = this.clone();
        let is_reached = move || flow.handled.load(Ordering::Acquire) >= goal;
        this.goals.wait_for_goal(&Waiter::for_goal(is_reached), deadline, || ())
    }
}

#[test]
fn one_report_ends_two_flushes() {
    // One report reaches both goals, and wakes one thread. Fails when a fence is missing, or when
    // the scout does not check the goals of others: a deadlock.
    model(|| {
        let flow = Flow::new();
        let flushes = [0, 1].map(|_| {
            let flow = flow.clone();
            thread::spawn(move || assert!(Flow::flush(&flow, Deadline::NEVER, 1)))
        });
        flow.handle();
        flushes.into_iter().for_each(|flush| flush.join().unwrap());
    });
}

#[test]
fn two_reports_end_two_flushes_of_other_goals() {
    // The thread with the higher goal may be the scout for both reports. Fails when a fence is
    // missing, when a scout that parks again does not check the goals of others, or when it stays
    // the scout while it is parked: deadlocks.
    model_with(2, || {
        let flow = Flow::new();
        let flushes = [2, 1].map(|goal| {
            let flow = flow.clone();
            thread::spawn(move || assert!(Flow::flush(&flow, Deadline::NEVER, goal)))
        });
        flow.handle();
        flow.handle();
        flushes.into_iter().for_each(|flush| flush.join().unwrap());
    });
}

#[test]
fn timed_out_scout_checks_the_goals_of_others() {
    // The scout's deadline may have passed. Fails when it leaves without performing its duty: a
    // deadlock.
    model(|| {
        let flow = Flow::new();
        let hurried = flow.clone();
        let hurried = thread::spawn(move || Flow::flush(&hurried, Deadline::NOW, 2));
        let patient = flow.clone();
        let patient = thread::spawn(move || assert!(Flow::flush(&patient, Deadline::NEVER, 1)));
        flow.handle();
        assert!(!hurried.join().unwrap(), "its goal must not be reached");
        patient.join().unwrap();
    });
}
