//! The tests of moby's events and their publisher, by behavior and at the same sizes.

use crate::{Pen, books, event, journals, now, numbers, rest};
use buslane::Journal;
use buslane::error::SubscribeError;
use buslane::error::{RecvError, RecvTimeoutError, TryRecvError};
use buslane::journal::{Entry, Sequence, Start, Until};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use test_support::ends;

/// Moby's message: an action, and its time in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    action: String,
    nanos: u64,
}

/// Returns a time in the past, plus `nanos` nanoseconds.
fn at(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(1_000_000_000_000_000_000 + nanos)
}

fn message(nanos: u64) -> Message {
    Message { action: format!("action_{nanos}"), nanos }
}

/// Returns a journal with messages of these times.
fn messages(times: impl IntoIterator<Item = u64>) -> Journal<Message> {
    let journal = Journal::builder().capacity(256).time_by(|message: &Message| at(message.nanos));
    let journal = journal.build().unwrap();
    times.into_iter().for_each(|nanos| assert!(journal.publish(message(nanos)).is_ok()));
    journal
}

/// Returns the times of the messages that a client gets for a time window.
fn window(journal: &Journal<Message>, since: u64, until: Option<u64>) -> Vec<u64> {
    let subscription = journal.subscription().start(Start::Since(at(since)));
    let mut subscriber = match until {
        Some(until) => subscription.until(Until::Time(at(until))).subscribe().unwrap(),
        None => subscription.subscribe().unwrap(),
    };
    let seen = now(&mut subscriber).into_iter().map(|message| message.nanos).collect();
    // The end of the window is in the past: no event follows, and the read does not wait.
    assert_eq!(matches!(subscriber.try_recv(), Err(TryRecvError::Closed)), until.is_some());
    books(&journal.feed());
    seen
}

#[test]
fn event_reaches_one_subscriber() {
    for mut pen in journals(10) {
        let mut one = pen.feed().subscribe(Start::Now).unwrap();
        pen.publish("hi").unwrap();
        assert_eq!(one.recv(), Ok(Entry::Event(Sequence::new(0), "hi")));
        books(&pen.feed());
    }
}

#[test]
fn event_reaches_every_subscriber() {
    for mut pen in journals(10) {
        let mut three = [(); 3].map(|()| pen.feed().subscribe(Start::Now).unwrap());
        pen.publish("hi").unwrap();
        assert!(three.iter_mut().all(|one| one.recv().unwrap().event() == Some("hi")));
        books(&pen.feed());
    }
}

#[test]
fn evicted_subscriber_gets_no_further_event() {
    for mut pen in journals(10) {
        let feed = pen.feed();
        let (one, mut other) = (feed.subscribe(Start::Now).unwrap(), feed.subscribe(Start::Now).unwrap());
        assert_eq!(books(&feed).subscribers.len(), 2);
        drop(one);
        pen.publish("hi").unwrap();
        assert_eq!(now(&mut other), ["hi"]);
        assert_eq!(books(&feed).subscribers.len(), 1);
        drop(other);
        assert_eq!(books(&feed).subscribers.len(), 0);
    }
}

#[test]
fn a_close_ends_every_subscriber() {
    for pen in journals::<&str>(10) {
        let mut three = [(); 3].map(|()| pen.feed().subscribe(Start::Now).unwrap());
        pen.close();
        assert!(three.iter_mut().all(|one| one.recv() == Err(RecvError::Closed)));
    }
}

#[test]
fn subscribers_read_everything_while_others_leave() {
    for mut pen in journals(1024) {
        let (feed, start) = (pen.feed(), Barrier::new(51));
        let seen: Vec<Vec<u64>> = ends(move || {
            thread::scope(|scope| {
                let readers: Vec<_> = (0..50)
                    .map(|reader| {
                        let (feed, start) = (&feed, &start);
                        scope.spawn(move || {
                            let mut subscriber = feed.subscribe(Start::Now).unwrap();
                            start.wait();
                            let most = if reader % 2 == 0 { 1000 } else { 20 * reader };
                            subscriber.iter().take(most).map(|entry| event(entry).1).collect()
                        })
                    })
                    .collect();
                start.wait();
                pen.all(0..1000);
                pen.close();
                readers.into_iter().map(|reader| reader.join().unwrap()).collect()
            })
        });
        for (reader, seen) in seen.into_iter().enumerate() {
            let count = if reader % 2 == 0 { 1000 } else { 20 * reader as u64 };
            assert_eq!(seen, numbers(0..count), "reader {reader}");
        }
    }
}

#[test]
fn an_event_reaches_two_clients_and_the_history() {
    for mut pen in journals(256) {
        let feed = pen.feed();
        let mut clients = [(); 2].map(|()| feed.subscribe(Start::Oldest).unwrap());
        assert_eq!(books(&feed).subscribers.len(), 2);
        pen.publish("test").unwrap();
        assert!(clients.iter_mut().all(|client| client.recv().unwrap().event() == Some("test")));
        assert_eq!((feed.oldest().get(), feed.next().get()), (0, 1));
        assert_eq!(now(&mut feed.subscribe(Start::Oldest).unwrap()), ["test"]);
    }
}

#[test]
fn unread_events_are_still_published() {
    for mut pen in journals(256) {
        let feed = pen.feed();
        let idle = feed.subscribe(Start::Now).unwrap();
        ends(move || pen.all(0..10_000));
        let state = books(&feed);
        assert_eq!((state.ledger.accepted, idle.behind()), (10_000, 10_000));
    }
}

#[test]
fn newest_256_events_are_kept_and_live_ones_follow() {
    for mut pen in journals(256) {
        pen.all((0..256 + 16).map(|n| format!("action_{n}")));
        let mut client = pen.feed().subscribe(Start::Oldest).unwrap();
        let expected = |range: std::ops::Range<u64>| range.map(|n| format!("action_{n}")).collect::<Vec<_>>();
        let history = now(&mut client);
        assert_eq!(history.len(), 256);
        assert_eq!(history, expected(16..272));
        for n in 272..282 {
            pen.publish(format!("action_{n}")).unwrap();
        }
        let live: Vec<String> = (0..10).map(|_| event(client.recv().unwrap()).1).collect();
        assert_eq!(live, expected(272..282));
        books(&pen.feed());
    }
}

#[test]
fn the_window_since_a_time_begins_between_nanoseconds() {
    // moby#20999: nanoseconds were ignored, and all three messages arrived.
    let journal = messages([1, 3, 5]);
    assert_eq!(window(&journal, 4, None), [5]);
}

#[test]
fn past_time_window_yields_its_event_and_ends() {
    let journal = messages([1, 3, 5]);
    assert_eq!(window(&journal, 2, Some(4)), [3]);
}

#[test]
fn default_start_replays_no_history() {
    // moby#13753: the history was replayed without a request.
    let journal = messages([1, 3, 5]);
    let mut client = journal.subscribe(Start::Now).unwrap();
    assert_eq!(client.try_recv(), Err(TryRecvError::Empty));
    let mut by_default = journal.subscription().subscribe().unwrap();
    assert_eq!(by_default.try_recv(), Err(TryRecvError::Empty));
    journal.publish(message(7)).unwrap();
    assert_eq!((now(&mut client), now(&mut by_default)), (vec![message(7)], vec![message(7)]));
}

#[test]
fn both_ends_of_a_window_lie_within_it() {
    let journal = messages([1, 3, 5, 7]);
    assert_eq!(window(&journal, 3, Some(5)), [3, 5]);
    assert_eq!(window(&journal, 3, Some(3)), [3]);
    assert_eq!(window(&journal, 5, None), [5, 7]);
    assert_eq!(window(&journal, 0, Some(1)), [1]);
    assert!(window(&journal, 8, None).is_empty());
    assert!(window(&journal, 8, Some(9)).is_empty());
    assert!(window(&journal, 4, Some(4)).is_empty());
    assert_eq!(window(&journal, 0, Some(9)), [1, 3, 5, 7]);
}

#[test]
fn a_window_that_ends_before_it_begins_is_refused() {
    let journal = messages([1, 3, 5]);
    let subscription = journal.subscription().start(Start::Since(at(5))).until(Until::Time(at(4)));
    assert_eq!(
        subscription.subscribe().err(),
        Some(SubscribeError::InvertedTime { since: at(5), until: at(4) })
    );
    assert_eq!(journal.state().subscribers.len(), 0);
}

#[test]
fn past_window_is_read_to_its_end_without_waiting() {
    let journal = messages([1, 3, 5]);
    let mut client =
        journal.subscription().start(Start::Oldest).until(Until::Time(at(4))).subscribe().unwrap();
    let seen = ends(move || {
        let seen = rest(&mut client);
        assert_eq!(client.recv(), Err(RecvError::Closed));
        seen
    });
    assert_eq!(seen, [message(1), message(3)]);
    // The journal itself stays open.
    assert!(journal.publish(message(6)).is_ok());
}

#[test]
fn an_empty_journal_answers_at_once() {
    for pen in journals::<u64>(256) {
        let mut client = pen.feed().subscribe(Start::Oldest).unwrap();
        assert_eq!(client.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(client.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    }
}

#[test]
fn filter_applies_to_history_and_live_events() {
    let journal = messages(0..10);
    let client = journal.subscription().start(Start::Oldest);
    let mut client = client.filter(|message| message.nanos % 3 == 0).subscribe().unwrap();
    (10..20).for_each(|nanos| assert!(journal.publish(message(nanos)).is_ok()));
    let seen: Vec<u64> = now(&mut client).into_iter().map(|message| message.nanos).collect();
    assert_eq!(seen, [0, 3, 6, 9, 12, 15, 18]);
    let state = books(&journal.feed());
    assert_eq!(state.subscribers[0].ledger.filtered, 13);
}

#[test]
fn publishing_without_subscribers_only_makes_history() {
    for mut pen in journals(4) {
        pen.all(0..3);
        let state = books(&pen.feed());
        assert_eq!((state.depth, state.subscribers.len(), state.ledger.accepted), (0, 0, 3));
        if let Pen::Many(journal) = &pen {
            assert_eq!(now(&mut journal.subscribe(Start::Last(2)).unwrap()), [1, 2]);
        }
    }
}
