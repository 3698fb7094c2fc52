//! The states of a journal and of its subscribers: exact at rest, always possible in between, and
//! readable.

use crate::{HOUR, Pen, books, event, forms, journals, now, own};
use buslane::error::TryRecvError;
use buslane::journal::{Entry, Sequence, Start, Until};
use buslane::stats::{SinkKind, SinkStatus, SubscriberState};
use buslane::{Bus, Journal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use test_support::{WAYS, Way, ends, wait_for};

/// Returns the state of the subscriber with this name.
#[track_caller]
fn named(pen: &Pen<u64>, name: &str) -> SubscriberState {
    let subscribers = books(&pen.feed()).subscribers;
    let found = subscribers.into_iter().find(|subscriber| subscriber.name.as_deref() == Some(name));
    found.unwrap_or_else(|| panic!("no subscriber named {name}"))
}

#[test]
fn journal_state_reports_kind_depth_and_ledger() {
    for mut pen in journals(100) {
        let feed = pen.feed();
        let state = books(&feed);
        assert_eq!((state.kind, state.status, state.capacity), (SinkKind::Journal, SinkStatus::Open, 100));
        assert_eq!((state.depth, state.ledger.offered, state.subscribers.len()), (0, 0, 0));
        pen.all(0..10);
        pen.batch(vec![10; 20]);
        let _late = feed.subscribe(Start::Last(7)).unwrap();
        let state = books(&feed);
        assert_eq!((state.depth, state.ledger.offered, state.ledger.delivered), (7, 30, 30));
        drop(pen);
        assert_eq!(books(&feed).status, SinkStatus::Drained);
        assert!(format!("{feed:?}").contains("Feed"));
    }
}

#[test]
fn subscriber_state_reports_position_and_lag() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let mut quick = feed.subscription().name("quick").subscribe().unwrap();
        let mut slow = feed.subscription().name("slow").start(Start::Oldest).subscribe().unwrap();
        let mut odd = feed.subscription().name("odd").filter(|n| n % 2 == 1).subscribe().unwrap();
        for n in 0..1000 {
            pen.publish(n).unwrap();
            assert_eq!(quick.recv().map(event), Ok((n, n)));
            assert_ne!(odd.try_recv(), Err(TryRecvError::Closed));
        }
        let state = named(&pen, "quick");
        assert_eq!((state.next, state.behind, state.gating, state.ended), (1000, 0, false, false));
        assert_eq!((state.ledger.delivered, state.ledger.dropped.total()), (1000, 0));
        let state = named(&pen, "odd");
        assert_eq!((state.behind, state.ledger.delivered, state.ledger.filtered), (0, 500, 500));
        let state = named(&pen, "slow");
        assert_eq!(
            (state.next, state.behind, state.ledger.pending),
            (0, 1000, 1000),
            "the lag is not reported yet"
        );
        assert_eq!(slow.recv(), Ok(Entry::Lagged(936)));
        let state = named(&pen, "slow");
        assert_eq!((state.next, state.behind, state.ledger.dropped.evicted), (936, 64, 936));
        assert_eq!(books(&feed).depth, 64, "the depth is that of the slowest subscriber");
        assert_eq!(slow.state(), state);
        // The subscriber is dropped, and its ledger with it.
        drop(slow);
        assert_eq!((books(&feed).depth, books(&feed).subscribers.len()), (0, 2));
        drop((quick, odd));
    }
}

#[test]
fn ledger_balances_after_every_read_method() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let mut reader = feed.subscription().filter(|n| n % 5 != 0).subscribe().unwrap();
        for step in 0..60 {
            pen.all(20 * step..20 * step + 20);
            match step % 6 {
                0 => drop(reader.try_recv()),
                1 => _ = reader.try_recv_slice().is_ok(),
                2 => drop(reader.try_recv_with(|n| assert!(n % 2 == 0, "panic requested by the test"))),
                3 => drop(reader.try_iter().count()),
                4 => drop(reader.recv_timeout(HOUR)),
                _ => {}
            }
            let ledger = own(&reader);
            assert_eq!(ledger.accepted, 20 * step + 20);
            books(&feed);
        }
    }
}

#[test]
fn ended_subscriber_reports_no_backlog() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let until = feed.subscription().name("short").until(Until::Sequence(Sequence::new(4)));
        let mut short = until.subscribe().unwrap();
        pen.all(0..50);
        assert_eq!(short.iter().count(), 5);
        let state = named(&pen, "short");
        assert!(state.ended, "{state}");
        assert_eq!((state.next, state.behind, state.ledger.accepted), (5, 0, 5));
        assert_eq!(short.behind(), 0, "the subscriber reports the same");
    }
}

#[test]
fn bus_snapshot_names_subscribers_and_their_lag() {
    let (bus, journal) = (Bus::new(), Journal::new(64).unwrap());
    bus.add_named("history", journal.clone()).unwrap();
    let mut audit = journal.subscription().name("audit").gating().subscribe().unwrap();
    let mut slow = journal.subscription().start(Start::Oldest).subscribe().unwrap();
    let mut short = journal.subscription().name("short").until(Until::Sequence(Sequence::new(1)));
    short = short.filter(|n| *n != 0);
    let mut short = short.subscribe().unwrap();
    let mut publisher = bus.publisher();
    for n in 0..200_u64 {
        let _ = publisher.publish(n).unwrap();
        assert_eq!(audit.recv().map(event), Ok((n, n)));
    }
    assert_eq!((slow.recv(), slow.recv().map(event)), (Ok(Entry::Lagged(136)), Ok((136, 136))));
    assert_eq!(short.try_recv(), Ok(Entry::Lagged(136)));
    assert!(short.recv().is_err());
    let snapshot = bus.snapshot();
    let sink = &snapshot.sinks[0];
    assert_eq!((sink.name.as_str(), sink.state.kind, sink.state.depth), ("history", SinkKind::Journal, 63));
    sink.state.ledger.check().unwrap();
    let subscribers = &sink.state.subscribers;
    assert_eq!(subscribers.len(), 3);
    subscribers.iter().for_each(|subscriber| subscriber.ledger.check().unwrap());
    let text = snapshot.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert_eq!(lines[0], "bus open, 1 publisher, 1 sink");
    assert_eq!(
        lines[1],
        "history (journal, open, depth 63 of 64, high water 0): offered 200 = accepted 200; accepted 200 = delivered 200"
    );
    assert_eq!(
        lines[2],
        "  audit (next 200, behind 0, gating): offered 200 = accepted 200; accepted 200 = delivered 200"
    );
    assert_eq!(
        lines[3],
        "  subscriber (next 137, behind 63): offered 200 = accepted 200; accepted 200 = delivered 1 + dropped(evicted) 136 \
         + pending 63"
    );
    assert_eq!(
        lines[4],
        "  short (next 136, behind 0, ended): offered 136 = accepted 136; accepted 136 = delivered 0 + dropped(evicted) 136"
    );
    assert!(bus.close().is_done());
    assert_eq!(bus.snapshot().sinks[0].state.status, SinkStatus::Drained);
    assert_eq!(books(&journal.feed()).status, SinkStatus::Drained);
}

#[test]
fn refusals_are_counted_by_reason() {
    for mut pen in forms(|| Journal::builder().capacity(4).gate_limit(Duration::ZERO)) {
        let feed = pen.feed();
        let gate = feed.subscription().gating().subscribe().unwrap();
        while pen.try_publish(0).is_ok() {}
        (0..2).for_each(|n| assert!(pen.publish(n).is_err()));
        let accepted = feed.next().get();
        drop(gate);
        let ledger = books(&feed).ledger;
        assert_eq!((ledger.refused.full, ledger.refused.timeout, ledger.refused.closed), (1, 2, 0));
        assert_eq!((ledger.offered, ledger.accepted), (accepted + 3, accepted));
    }
    for way in WAYS {
        let journal = Journal::new(4).unwrap();
        let mut entry = test_support::Entry::into(&journal, way);
        entry.write(1).unwrap();
        journal.close();
        assert!(entry.write(2).is_err());
        let ledger = books(&journal.feed()).ledger;
        assert_eq!((ledger.offered, ledger.refused.closed), (2, 1), "{way:?}");
    }
    assert_eq!(WAYS, [Way::Private, Way::Shared]);
}

#[test]
fn snapshot_under_churn_is_consistent() {
    for mut pen in journals(64) {
        let (feed, over) = (pen.feed(), AtomicBool::new(false));
        ends(move || {
            thread::scope(|scope| {
                for start in [Start::Now, Start::Oldest, Start::Last(3)] {
                    let (feed, over) = (&feed, &over);
                    scope.spawn(move || {
                        while !over.load(Ordering::Acquire) {
                            let mut reader = feed.subscribe(start).unwrap();
                            let _ = (reader.try_recv(), reader.try_recv());
                            own_at_rest(reader.next_sequence(), &reader.state());
                        }
                    });
                }
                let (feed, over) = (&feed, &over);
                scope.spawn(move || {
                    while !over.load(Ordering::Acquire) {
                        let state = feed.state();
                        for one in &state.subscribers {
                            assert!(one.behind <= state.ledger.accepted, "{one}, {}", state.ledger);
                            assert!(one.ledger.accepted <= feed.next().get(), "{one}");
                        }
                    }
                });
                pen.all(0..20_000);
                over.store(true, Ordering::Release);
            });
        });
    }
}

/// Checks that an idle subscriber is at the position that it reports, although events are
/// published.
#[track_caller]
fn own_at_rest(next: Sequence, state: &SubscriberState) {
    assert_eq!(state.next, next.get());
    state.ledger.check().unwrap();
}

#[test]
fn journal_debug_texts_show_no_event() {
    let journal = Journal::new(4).unwrap();
    let mut reader = journal.subscription().name("reader").subscribe().unwrap();
    journal.publish(String::from("hunter2")).unwrap();
    let texts = [
        format!("{journal:?} {:?} {:?} {reader:?}", journal.feed(), journal.subscription().name("x")),
        format!("{:?} {}", journal.state(), journal.state().subscribers[0]),
        format!("{:?}", reader.recv_async()),
        format!("{:?}", Journal::<String>::builder()),
        format!("{:?}", Journal::<String>::single(1).unwrap()),
    ];
    assert!(texts.iter().all(|text| !text.contains("hunter2")), "{texts:?}");
    wait_for(|| reader.behind() == 1);
    assert_eq!(now(&mut reader), ["hunter2"]);
}
