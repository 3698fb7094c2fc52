//! The side that pays for the fences of parks changes with what the consumer does; idle lanes become
//! dormant.

use super::Reader;
use crate::mailbox::core::{Mailbox, MailboxConfig};
use crate::mailbox::intake::Intake;
use crate::mailbox::overflow::Overflow;
use crate::mailbox::shared_lane::Find;
use crate::sync::Arc;
use crate::sync::membarrier::{FencePair, process_pair};
use crate::time::Deadline;
use crate::wait::WaitStrategy;
use std::task::Waker;
use std::time::Duration;

const CAPACITY: usize = 64;
/// More events than a consumer that parks often has between two parks.
const MANY: u64 = 10_000;

fn open(wait: WaitStrategy) -> (Arc<Mailbox<u64>>, Reader<u64>) {
    let config = MailboxConfig { capacity: CAPACITY, overflow: Overflow::Refuse, ..MailboxConfig::new(wait) };
    Reader::open(config).unwrap()
}

/// Waits without an event until the publishers are asked for a full fence: after a few waits, unless
/// the machine takes milliseconds for them.
fn until_asked(mailbox: &Mailbox<u64>, mut wait: impl FnMut()) {
    while !mailbox.signals.cell.asks_for_fence() {
        wait();
    }
}

/// Publishes many events into a lane and takes them, and never parks.
fn flow(mailbox: &Arc<Mailbox<u64>>, reader: &mut Reader<u64>) {
    let mut lane = Mailbox::lane(mailbox).unwrap();
    for event in 0..MANY {
        assert!(lane.push(event, Deadline::NOW).is_ok());
        reader.linger_when_dry();
        assert_eq!(reader.take(Find::Filled), Some(event));
    }
}

#[test]
fn publishers_pay_while_a_thread_parks_often() {
    if process_pair() == FencePair::Symmetric {
        return;
    }
    for wait in [WaitStrategy::Park, WaitStrategy::SpinPark] {
        let (mailbox, mut reader) = open(wait);
        assert!(!mailbox.signals.cell.asks_for_fence());
        for _ in 0..3 {
            until_asked(&mailbox, || reader.wait(Some(Duration::ZERO), |_| false));
            flow(&mailbox, &mut reader);
            assert!(!mailbox.signals.cell.asks_for_fence());
            reader.wait(Some(Duration::ZERO), |_| false);
            assert!(!mailbox.signals.cell.asks_for_fence(), "one park is not often");
        }
    }
}

#[test]
fn publishers_pay_while_a_task_registers_often() {
    if process_pair() == FencePair::Symmetric {
        return;
    }
    // Whatever the strategy: a task parks whenever it finds no event.
    for wait in [WaitStrategy::SpinPark, WaitStrategy::nap()] {
        let (mailbox, mut reader) = open(wait);
        until_asked(&mailbox, || assert!(reader.register(Waker::noop())));
        assert!(mailbox.signals.cell.is_parked());
        reader.unregister();
        assert!(mailbox.signals.cell.asks_for_fence() && !mailbox.signals.cell.is_parked());
        flow(&mailbox, &mut reader);
        assert!(!mailbox.signals.cell.asks_for_fence());
    }
}

#[test]
fn idle_lanes_become_dormant_if_they_are_many() {
    for (lanes, dormant) in [(8, 0), (9, 9), (100, 100)] {
        let (mailbox, mut reader) = open(WaitStrategy::Park);
        let mut made: Vec<_> = (0..lanes).map(|_| Mailbox::lane(&mailbox).unwrap()).collect();
        (0..1000).for_each(|_| assert_eq!(reader.take(Find::Filled), None));
        assert_eq!(reader.dormant_lanes(), dormant);
        // An event brings back its lane, and no other.
        assert!(made[3].push(7, Deadline::NOW).is_ok());
        assert!(reader.has_work());
        assert_eq!((reader.take(Find::Filled), reader.take(Find::Filled)), (Some(7), None));
        assert_eq!(reader.dormant_lanes(), dormant.saturating_sub(1));
        drop(made);
        assert_eq!(reader.take(Find::Filled), None);
        assert_eq!((reader.dormant_lanes(), reader.lanes.len()), (0, 0));
    }
}
