//! The models of a consumer that wakes another one. In a queue, other fences hide a missing fence
//! here, and only a preemption at one particular step shows it.

use super::{Mailbox, MailboxConfig, Member};
use crate::mailbox::end::End;
use crate::mailbox::intake::Intake;
use crate::mailbox::shared_lane::Find;
use crate::sync::Arc;
use crate::time::Deadline;
use crate::wait::WaitStrategy;
use loom_tests::{model_with, thread};

const FIRST: usize = 0;
const SECOND: usize = 1;

/// Makes a mailbox whose consumers park, and its first consumer.
fn open(capacity: usize) -> (Arc<Mailbox<usize>>, Member<usize>) {
    let config = MailboxConfig { capacity, ..MailboxConfig::new(WaitStrategy::Park) };
    Member::open(config).expect("a small mailbox")
}

/// Pushes an event like a writer that stalls before it checks for a parked consumer.
fn put(mailbox: &Mailbox<usize>, event: usize) -> bool {
    mailbox.push_shared(event).is_ok()
}

/// Takes the next event like each consumer that parks when it finds none.
fn take(member: &mut Member<usize>) -> Option<usize> {
    member.take(Find::Filled)
}

/// Returns whether the mailbox is closed and all events were taken.
fn is_drained(member: &Member<usize>) -> bool {
    member.mailbox().shared_end().is_some()
}

/// Parks first, and returns with an event, or without one when the mailbox is closed and empty.
fn park(mut member: Member<usize>) -> Option<usize> {
    loop {
        member.wait(None, |_| false);
        let event = take(&mut member);
        if event.is_some() || is_drained(&member) {
            return event;
        }
    }
}

#[test]
fn consumer_wakes_another_past_a_stalled_writer() {
    // A writer has pushed the first event, and never checks for a parked consumer. The consumer
    // that takes that event wakes the one that parked while the first position was empty, for the
    // second event. Fails when the fence of `Mailbox::pass_on` is missing, or when it does not wake
    // another consumer. Two preemptions.
    model_with(2, || {
        let (mailbox, mut awake) = open(2);
        let parking = awake.another();
        let stalled = mailbox.clone();
        let stalled = thread::spawn(move || assert!(put(&stalled, FIRST)));
        let parking = thread::spawn(move || park(parking));
        // Lets the other threads run without a preemption.
        thread::yield_now();
        // The event was accepted; the writer may not have filled its slot yet.
        if mailbox.shared.position().expect("made with a capacity") == 1 {
            assert!(mailbox.write(SECOND, Deadline::NOW).is_ok());
            let mine = loop {
                match take(&mut awake) {
                    Some(event) => break event,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(parking.join().unwrap().map(|theirs| theirs + mine), Some(FIRST + SECOND));
            stalled.join().unwrap();
        } else {
            // The writer has not started yet: there is nothing to test.
            stalled.join().unwrap();
            mailbox.seal(End::Closed);
            assert_eq!(parking.join().unwrap(), Some(FIRST));
        }
    });
}

#[test]
fn consumer_reports_the_end_past_a_stalled_writer() {
    // As above, with that event as the last one. The consumer that takes it wakes the one that
    // parked in the closed mailbox while the position was empty. Fails when the fence of
    // `Mailbox::pass_on` is missing, or when it does not wake all consumers at the end. Two
    // preemptions.
    model_with(2, || {
        let (mailbox, mut awake) = open(1);
        let (stalled, parking) = (mailbox.clone(), awake.another());
        let stalled = thread::spawn(move || put(&stalled, FIRST));
        let parking = thread::spawn(move || {
            mailbox.seal(End::Closed);
            park(parking)
        });
        let mine = loop {
            let event = take(&mut awake);
            if event.is_some() || is_drained(&awake) {
                break event;
            }
            thread::yield_now();
        };
        let theirs = parking.join().unwrap();
        assert_eq!(mine.or(theirs), stalled.join().unwrap().then_some(FIRST));
    });
}
