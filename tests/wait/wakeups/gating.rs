//! Publishers at the gates of a journal: a subscriber wakes as many as it makes room for, and none
//! for a poll that makes no room.

use super::{Blocked, EVENTS, WRITERS, assert_few, dawdle, sleeps_per_event};
use buslane::error::TryRecvError;
use buslane::journal::Entry;
use buslane::sink::lane::Lanes;
use buslane::time::Deadline;
use buslane::{Bus, Journal, Sink, Subscriber, WaitStrategy, WriteError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use test_support::{GUARD, ends, wait_for};

const HOUR: Duration = Duration::from_secs(3600);

fn journal(capacity: usize) -> Journal<u64> {
    Journal::builder().capacity(capacity).gate_limit(HOUR).build().unwrap()
}

fn gate(journal: &Journal<u64>, wait: WaitStrategy) -> Subscriber<u64> {
    journal.subscription().gating().wait_strategy(wait).subscribe().unwrap()
}

fn publishes_to(journal: &Journal<u64>) -> Vec<Box<dyn FnMut(u64) + Send>> {
    let writer = |_| {
        let journal = journal.clone();
        Box::new(move |n| assert!(journal.publish(n).is_ok())) as Box<dyn FnMut(u64) + Send>
    };
    (0..WRITERS).map(writer).collect()
}

fn read_all(mut gate: Subscriber<u64>) -> impl FnOnce() + Send {
    move || {
        for _ in 0..EVENTS {
            assert!(matches!(gate.recv(), Ok(Entry::Event(..))), "a gating subscriber misses nothing");
            dawdle();
        }
    }
}

#[test]
fn opening_gate_wakes_one_publisher_per_slot() {
    // The smallest blocks have one slot; blocks of 64 make room for many publishers at once.
    for capacity in [1, 2, 64, 256] {
        let journal = journal(capacity);
        let read = read_all(gate(&journal, WaitStrategy::Park));
        let what = format!("gate of {capacity}");
        assert_few(sleeps_per_event(publishes_to(&journal), read), &what);
    }
}

#[test]
fn two_gates_wake_one_publisher_per_slot() {
    let journal = journal(1);
    let (one, other) = (gate(&journal, WaitStrategy::Park), gate(&journal, WaitStrategy::Park));
    let read = move || {
        thread::scope(|scope| {
            scope.spawn(read_all(one));
            scope.spawn(read_all(other));
        });
    };
    assert_few(sleeps_per_event(publishes_to(&journal), read), "two gates");
}

#[test]
fn polling_subscriber_wakes_no_publisher_twice() {
    // The subscriber polls without a pause between two events, and so much more often than
    // publishers run.
    for capacity in [1, 64] {
        let journal = journal(capacity);
        let read = read_all(gate(&journal, WaitStrategy::BusySpin));
        let what = format!("gate of {capacity} that polls");
        assert_few(sleeps_per_event(publishes_to(&journal), read), &what);
    }
}

#[test]
fn lanes_at_a_gate_are_woken_one_by_one() {
    let journal = journal(1);
    let read = read_all(gate(&journal, WaitStrategy::Park));
    let writer = |_| {
        let mut lane = journal.lane().unwrap().unwrap();
        Box::new(move |n| assert!(lane.push(n, Deadline::NEVER).is_ok())) as Box<dyn FnMut(u64) + Send>
    };
    let writers = (0..WRITERS).map(writer).collect();
    assert_few(sleeps_per_event(writers, read), "lanes at a gate");
}

#[test]
fn batches_at_a_gate_are_woken_one_by_one() {
    let journal = journal(1);
    let read = read_all(gate(&journal, WaitStrategy::Park));
    let writer = |_| {
        let (journal, mut batch) = (journal.clone(), Vec::new());
        Box::new(move |n| {
            batch.push(n);
            if batch.len() == 5 {
                assert!(journal.publish_batch(std::mem::take(&mut batch)).is_ok());
            }
        }) as Box<dyn FnMut(u64) + Send>
    };
    let writers = (0..WRITERS).map(writer).collect();
    assert_few(sleeps_per_event(writers, read), "batches at a gate");
}

#[test]
fn fast_gate_beside_a_stalled_one_wakes_no_publisher() {
    // The fast subscriber reads and polls all the time, and makes no room, because another one
    // stalls.
    ends(|| {
        let journal = journal(64);
        let stalled = gate(&journal, WaitStrategy::Park);
        let mut fast = gate(&journal, WaitStrategy::BusySpin);
        let refused = (0..).find_map(|n| journal.try_publish(n).err());
        assert!(matches!(refused, Some(WriteError::Full(_))));
        let publisher = || {
            let journal = journal.clone();
            Box::new(move || assert!(journal.publish(0).is_ok())) as Box<dyn FnOnce() + Send>
        };
        let blocked = Blocked::begin(50, publisher);
        // The subscriber reads no position twice, so each of these reads advances it.
        let mut read = 0;
        while let Ok(entry) = fast.try_recv() {
            read += u64::from(matches!(entry, Entry::Event(..)));
        }
        for _ in 0..100_000 {
            assert_eq!(fast.try_recv(), Err(TryRecvError::Empty));
        }
        drop((stalled, fast));
        let slept = blocked.end();
        // Each publisher sleeps until its release, occasionally at a lock, and until its own time
        // to check.
        assert!(read >= 64 && slept < 50 * 20, "{slept} sleeps of 50 publishers");
    });
}

#[test]
fn end_of_a_gate_releases_every_publisher() {
    // One more gate stays open, so the publishers get room from no other subscriber. With blocks of
    // one slot, only the chain of wake-ups helps them.
    for capacity in [1, 64] {
        ends(move || {
            let journal = journal(capacity);
            let stalled = gate(&journal, WaitStrategy::Park);
            while journal.try_publish(0).is_ok() {}
            let publisher = || {
                let journal = journal.clone();
                Box::new(move || assert!(journal.publish(1).is_ok())) as Box<dyn FnOnce() + Send>
            };
            let blocked = Blocked::begin(100, publisher);
            drop(stalled);
            blocked.end();
            assert_eq!(journal.state().ledger.refused.timeout, 0);
        });
    }
}

#[test]
fn timed_out_publishers_leave_their_room_to_others() {
    // A publisher may be woken when its time is over; a remaining one gets the slot instead.
    ends(|| {
        let (journal, patient) = (journal(1), WRITERS as u64 / 8);
        let hurried = Arc::new(journal.clone());
        let mut gate = gate(&journal, WaitStrategy::Park);
        let (done, over) = (AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            for n in 0..2 * patient {
                let (journal, hurried, done) = (&journal, &hurried, &done);
                scope.spawn(move || {
                    use buslane::SinkExt;
                    for _ in 0..20 {
                        if n % 2 == 0 {
                            assert!(journal.publish(n).is_ok());
                            done.fetch_add(1, Ordering::Relaxed);
                        } else {
                            // The shortest wait that is still a wait.
                            let _ = hurried.clone().timeout(Duration::from_micros(200)).write(n);
                        }
                    }
                });
            }
            let (done, over) = (&done, &over);
            scope.spawn(move || {
                let mut read = 0;
                while read < 20 * patient {
                    let entry = gate.recv_timeout(GUARD).expect("a publisher that waits is woken");
                    read += u64::from(entry.event().is_some_and(|n| n % 2 == 0));
                }
                over.store(true, Ordering::Relaxed);
            });
            wait_for(|| done.load(Ordering::Relaxed) == 20 * patient && over.load(Ordering::Relaxed));
        });
        assert!(journal.state().ledger.check().is_ok());
    });
}

#[test]
fn removal_wakes_only_the_publishers_of_its_bus() {
    // Many lanes end one after the other; publishers that wait at the same gate for themselves stay
    // parked.
    ends(|| {
        let (bus, journal) = (Bus::new(), journal(1));
        let id = bus.add(journal.clone()).unwrap();
        let gate = gate(&journal, WaitStrategy::Park);
        while journal.try_publish(0).is_ok() {}
        let direct = || {
            let journal = journal.clone();
            Box::new(move || assert!(journal.publish(1).is_ok())) as Box<dyn FnOnce() + Send>
        };
        let blocked = Blocked::begin(50, direct);
        let of_bus = || {
            let mut publisher = bus.publisher();
            Box::new(move || {
                assert_eq!(publisher.publish(2).map(|published| published.accepted).unwrap_or(0), 0)
            }) as Box<dyn FnOnce() + Send>
        };
        let removed = Blocked::begin(100, of_bus);
        bus.remove(id).unwrap();
        removed.end();
        drop(gate);
        let slept = blocked.end();
        assert!(slept < 50 * 20, "{slept} sleeps of 50 publishers beside 100 lanes that ended");
    });
}
