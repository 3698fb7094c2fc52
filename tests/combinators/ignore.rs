//! Ignore lists as filters, and the thread on which a filter runs.

use crate::describe;
use buslane::stats::Finish;
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Bus, Channel, Sink, SinkExt, noop};
use std::collections::HashSet;
use std::sync::mpsc;
use std::time::Duration;
use test_support::bus::{Closable, recorder, took};
use test_support::{GUARD, Log, Outcome, assert_balanced, ends, outcome};

/// The content of a notification that distribution sends to endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    action: &'static str,
    media: &'static str,
}

const LAYER: &str = "application/octet-stream";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Either list may be empty, and events in one of them are ignored. The cases of distribution's own
/// `TestIgnoredSink` are in `go_events/users.rs`.
#[test]
fn events_in_either_list_are_ignored() {
    let notes =
        [("push", MANIFEST), ("push", LAYER), ("pull", MANIFEST), ("pull", LAYER)].map(|(action, media)| {
            // One note for each combination.
            Note { action, media }
        });
    let cases: [(&[&str], &[&str], &[usize]); 7] = [
        (&[], &[], &[0, 1, 2, 3]),
        (&[LAYER], &[], &[0, 2]),
        (&[LAYER, MANIFEST], &[], &[]),
        (&["other"], &["other"], &[0, 1, 2, 3]),
        (&[], &["pull"], &[0, 1]),
        (&[], &["push", "pull"], &[]),
        (&[LAYER], &["pull"], &[0]),
    ];
    for (media, actions, kept) in cases {
        let media: HashSet<_> = media.iter().copied().collect();
        let actions: HashSet<_> = actions.iter().copied().collect();
        let (channel, mut receiver) = Channel::lossy(8).unwrap();
        let ignoring =
            channel.filter(move |note: &Note| !media.contains(note.media) && !actions.contains(note.action));
        notes.iter().for_each(|note| ignoring.write(*note).unwrap());
        let expected: Vec<_> = kept.iter().map(|index| notes[*index]).collect();
        assert_eq!(receiver.drain().collect::<Vec<_>>(), expected);
        assert_eq!(assert_balanced(&describe(&ignoring)).filtered, 4 - kept.len() as u64);
    }
}

/// distribution's ignored sink did not close its inner sink.
#[test]
fn e43_close_of_an_ignore_list_closes_the_inner_sink() {
    let (log, events) = (Log::new(), Log::new());
    let (closes, handled) = (log.clone(), events.clone());
    let sink = Closable::new(move |event: &u64| handled.push(*event), move || closes.push("closed"));
    let queue = sink.queue(1024).unwrap();
    let behind = queue.clone();
    let ignoring = queue.filter(|event: &u64| event.is_multiple_of(2));
    (0..1000).for_each(|event| ignoring.write(event).unwrap());
    assert!(ignoring.close_by(Deadline::after(GUARD)).is_done());
    assert_eq!(log.entries(), ["closed"]);
    assert_eq!(events.entries().len(), 500, "all accepted events are handled before the close");
    assert_eq!(outcome(behind.write(1)), Outcome::Closed(1));
    assert!(ignoring.close_by(Deadline::NOW).is_done());
    assert_eq!(log.entries(), ["closed"], "the sink is closed once");
    // The same through a bus.
    let closes = log.clone();
    let sink = Closable::new(|_: &u64| (), move || closes.push("by the bus"));
    let bus = Bus::new();
    bus.add(sink.filter(|_: &u64| false)).unwrap();
    assert!(bus.close().is_done());
    assert_eq!(log.entries(), ["closed", "by the bus"]);
}

/// moby: a matcher that waited for a lock held by a publisher blocked the whole bus.
#[test]
fn e41_hung_filter_downstream_stalls_only_its_worker() {
    let (gate, (log, other)) = (Gate::closed(), recorder());
    let at = gate.clone();
    let hanging = noop().filter(move |_: &u64| {
        at.pass();
        true
    });
    let bus = Bus::new();
    let id = bus.add(hanging.queue(1024).unwrap()).unwrap();
    bus.add(other).unwrap();
    let mut publisher = bus.publisher();
    let _ = publisher.publish(0).unwrap();
    gate.wait_reached(1);
    // Both ways to publish, adding and removing still work.
    let (publishing, log) = (bus.clone(), log.clone());
    ends(move || {
        for event in 1..500 {
            assert_eq!(publisher.publish(event), Ok(took(2, 0)));
            assert_eq!(publishing.publish(event), Ok(took(2, 0)));
        }
        let added = publishing.add(noop()).unwrap();
        assert!(publishing.remove(added).is_ok());
        assert!(publishing.remove(id).is_ok());
        assert_eq!(log.entries().len(), 999);
    });
    gate.open();
    assert!(bus.close().is_done());
}

/// A filter upstream of a queue runs on the publishing thread: one that hangs delays only its own
/// publisher.
#[test]
fn e41_hung_filter_upstream_stalls_only_its_publisher() {
    let gate = Gate::closed();
    let at = gate.clone();
    let (channel, mut receiver) = Channel::lossy(1024).unwrap();
    let bus = Bus::new();
    bus.add(channel.filter(move |event: &u64| {
        if *event == 0 {
            at.pass();
        }
        true
    }))
    .unwrap();
    let (mut stuck, mut free) = (bus.publisher(), bus.publisher());
    let (sender, published) = mpsc::channel();
    let publisher = std::thread::spawn(move || sender.send(stuck.publish(0)).unwrap());
    gate.wait_reached(1);
    let publishing = bus.clone();
    ends(move || {
        for event in 1..500 {
            assert_eq!(free.publish(event), Ok(took(1, 0)));
            assert_eq!(publishing.publish(event), Ok(took(1, 0)));
        }
    });
    assert_eq!(receiver.drain().count(), 998);
    // A close does not hang either, and its report names the sink that is still in use.
    let report = bus.close_timeout(Duration::from_millis(1));
    assert_ne!(report.finish, Finish::Pending);
    gate.open();
    publisher.join().unwrap();
    assert!(published.recv_timeout(GUARD).is_ok());
}
