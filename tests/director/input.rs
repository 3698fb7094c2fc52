//! Bad input: a typed error each, with the event where there is one.

use crate::{director, join, small};
use buslane::director::{
    Delivery, Director, DirectorReport, JoinError, MemberSnapshot, Packet, PacketKind, Roster, SendError,
};
use buslane::error::{BuildError, ConfigErrorKind};
use buslane::retry::Backoff;
use serde_json::{from_value, json, to_value};
use std::time::Duration;

#[test]
fn invalid_settings_are_refused() {
    let kind = |builder: buslane::director::DirectorBuilder<u32>| match builder.build() {
        Err(BuildError::Config(error)) => error.kind(),
        other => panic!("{other:?}"),
    };
    let builder = || Director::<u32>::builder();
    assert_eq!(kind(builder().history(0)), ConfigErrorKind::Capacity);
    assert_eq!(kind(builder().packet(0)), ConfigErrorKind::BatchSize);
    assert_eq!(kind(builder().packet_bytes(0, |_| 1)), ConfigErrorKind::BatchBytes);
    assert_eq!(kind(builder().root_capacity(0)), ConfigErrorKind::Capacity);
    assert_eq!(kind(builder().in_flight(0)), ConfigErrorKind::Other);
    assert_eq!(kind(builder().ack_timeout(Duration::ZERO)), ConfigErrorKind::Other);
    let backwards = Backoff::new(Duration::from_secs(2), Duration::from_secs(1));
    assert_eq!(kind(builder().retry(backwards)), ConfigErrorKind::Backoff);
    let (director, _clock) = director();
    let error = director.member("bob").packet(0).join_manual().unwrap_err();
    assert!(matches!(error, JoinError::Config(error) if error.kind() == ConfigErrorKind::BatchSize));
}

#[test]
fn names_are_checked() {
    let (director, _clock) = director();
    let (_bob, _outbox) = join(&director, "bob");
    let node = |_: &Packet<u32>| Delivery::Done;
    assert!(matches!(director.join("", node), Err(JoinError::EmptyName)));
    assert!(matches!(director.join_manual("bob"), Err(JoinError::AlreadyMember { name }) if name == "bob"));
    assert!(
        matches!(director.rejoin("carol", node), Err(JoinError::UnknownMember { name }) if name == "carol")
    );
    // Any other text is a name, also one that is no name of a thread.
    let _odd = director.join("nul \0 and ünïcode", node).unwrap();
    assert_eq!(director.roster().members.len(), 2);
}

#[test]
fn joins_of_one_name_at_the_same_time_make_one_member() {
    let (director, _clock) = director();
    let barrier = std::sync::Barrier::new(4);
    let joined: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    director.join_manual("bob")
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap().ok()).collect()
    });
    assert_eq!((joined.len(), director.roster().members.len()), (1, 1));
}

#[test]
fn events_come_back_when_they_are_refused() {
    let (director, _clock) = director();
    let (mut alice, outbox) = join(&director, "alice");
    assert!(matches!(alice.unicast("alice", 1), Err(SendError::SelfTarget(1))));
    assert!(matches!(alice.unicast("bob", 2), Err(SendError::UnknownMember { event: 2, .. })));
    assert!(matches!(director.unicast("", 3), Err(SendError::UnknownMember { event: 3, .. })));
    let mut publisher = alice.publisher();
    drop(outbox); // detached
    assert!(matches!(alice.broadcast(4), Err(SendError::NotMember(4))));
    assert!(matches!(alice.unicast("bob", 5), Err(SendError::NotMember(5))));
    assert!(matches!(publisher.broadcast_acked(6, Duration::ZERO), Err(SendError::NotMember(6))));
    let error = publisher.broadcast(7).unwrap_err();
    assert_eq!(error.to_string(), "the sender has left, is detached, or was replaced: rejoin first");
    assert_eq!((error.is_closed(), error.into_event()), (false, 7));
    assert_eq!(director.snapshot().published, 0);
}

#[test]
fn nothing_joins_a_closed_director() {
    let (builder, _clock) = small();
    let director = builder.build().unwrap();
    let (bob, _outbox) = join(&director, "bob");
    bob.detach();
    drop(director.close());
    assert!(matches!(director.join_manual("carol"), Err(JoinError::Closed)));
    assert!(matches!(director.rejoin_manual("bob"), Err(JoinError::Closed)));
}

#[test]
fn reports_are_serialized_by_the_names_of_their_fields() {
    let (director, _clock) = director();
    let (bob, mut outbox) = join(&director, "bob");
    director.announce(7).unwrap();
    outbox.try_packet().unwrap().ack().unwrap();
    let snapshot = bob.snapshot();
    let value = to_value(&snapshot).unwrap();
    assert_eq!((&value["status"], &value["delivered"]), (&json!("attached"), &json!(1)));
    assert_eq!(from_value::<MemberSnapshot>(value).unwrap(), snapshot);
    let value = to_value(director.snapshot()).unwrap();
    assert_eq!((&value["published"], &value["members"][0]["name"]), (&json!(1), &json!("bob")));
    let roster = director.roster();
    assert_eq!(from_value::<Roster>(to_value(&roster).unwrap()).unwrap(), roster);
    let report = director.close();
    assert_eq!(from_value::<DirectorReport>(to_value(&report).unwrap()).unwrap(), report);
    assert_eq!(to_value(PacketKind::State).unwrap(), json!("state"));
}
