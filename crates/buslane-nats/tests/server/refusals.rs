//! What a real server refuses: large payloads, other streams, wrong credentials.

use super::admin::Admin;
use super::{Daemon, LIMIT, Setup, numbers, report, wait_for};
use buslane::source::{Monitor, MonitorState, StopReason};
use buslane::testing::Collect;
use buslane::{Sink, SinkExt};
use buslane_nats::async_nats::ConnectOptions;
use buslane_nats::{JetStream, JetStreamSource, PublishError, Rejected, Server};
use std::time::Duration;

#[test]
fn payload_above_the_limit_goes_to_the_dead_letters() {
    let Some(setup) = Setup::start() else { return };
    let rejected = Collect::<Rejected<usize>>::new();
    let sink = JetStream::builder(setup.daemon.url())
        .subject(format!("{}.bytes", setup.stream))
        .encode(|size: &usize, payload| {
            payload.resize(*size, b'1');
            Ok(())
        })
        .dead_letters(rejected.clone())
        .connect_lazy()
        .unwrap();
    let queue = sink.queue(64).unwrap();
    let limit = 1 << 20;
    for size in [1, limit + 1, limit - 1000, limit, 2] {
        queue.write(size).unwrap();
    }
    assert!(queue.flush_timeout(LIMIT).is_done());
    assert_eq!(setup.admin.count(&setup.stream), 3);
    let letters = rejected.events();
    let refused: Vec<_> = letters.iter().map(|letter| (letter.event, letter.error.clone())).collect();
    // With its headers, a payload of exactly the limit is too large.
    assert_eq!(refused, [(limit + 1, PublishError::TooLarge), (limit, PublishError::TooLarge)]);
    report(format_args!("payload too large: 5 sent, 3 stored, 2 dead letters"));
}

#[test]
fn subject_of_another_stream_is_refused() {
    let Some(setup) = Setup::start() else { return };
    setup.admin.create(setup.admin.config("OTHER"));
    let rejected = Collect::<Rejected<u64>>::new();
    let sink = setup.sink().subject("OTHER.all").dead_letters(rejected.clone()).connect_lazy().unwrap();
    let queue = sink.queue(64).unwrap();
    queue.write(1).unwrap();
    assert!(queue.flush_timeout(LIMIT).is_done());
    let letters = rejected.events();
    assert!(matches!(letters[0].error, PublishError::Refused { code: 10060, .. }), "{letters:?}");
    assert_eq!(setup.admin.count("OTHER"), 0);
}

#[test]
fn wrong_credentials_are_told_and_right_ones_work() {
    let more = "authorization { user: me, password: secret }";
    let Some(daemon) = Daemon::start(more) else { return };
    let sink = numbers(daemon.url()).subject("A.all").connect_lazy().unwrap();
    let mut told = String::new();
    wait_for(|| match sink.wait_connected(Duration::from_millis(50)) {
        Err(error) => {
            told = error.to_string();
            told.contains("authorization violation")
        }
        Ok(()) => panic!("connected without credentials"),
    });
    drop(sink);
    // A source says the same, and its monitor tries again.
    let source = JetStreamSource::<u64>::builder(daemon.url(), "A", "reader").json().build().unwrap();
    let monitor = Monitor::builder(source).spawn(Collect::new()).unwrap();
    wait_for(|| monitor.snapshot().last_error.is_some_and(|error| error.contains("authorization violation")));
    assert!(monitor.stop().is_done());

    let options = ConnectOptions::with_user_and_password("me".into(), "secret".into());
    let sink = JetStream::<u64>::builder(Server::new(daemon.url()).options(options)).subject("A.all").json();
    assert_eq!(sink.connect_lazy().unwrap().wait_connected(LIMIT), Ok(()));
    report(format_args!("wrong credentials: {told}"));
}

#[test]
fn forbidden_subject_is_refused_and_holds_nothing_up() {
    let more = "no_auth_user: admin, authorization { users: [{ user: admin, password: a }, \
                { user: me, password: secret, permissions: { publish: { deny: [\"A.forbidden\"] } } }] }";
    let Some(daemon) = Daemon::start(more) else { return };
    let admin = Admin::connect(daemon.url());
    admin.create(admin.config("A"));
    let options = ConnectOptions::with_user_and_password("me".into(), "secret".into());
    let rejected = Collect::<Rejected<u64>>::new();
    let subject = |number: &u64| if number % 10 == 7 { "A.forbidden" } else { "A.allowed" }.to_owned();
    let sink = JetStream::builder(Server::new(daemon.url()).options(options)).json();
    let sink = sink.subject_by(subject).ack_timeout(Duration::from_millis(500));
    let sink = sink.dead_letters(rejected.clone()).connect_lazy().unwrap();
    let stats = sink.stats();
    let queue = sink.queue(1024).unwrap();
    for number in 0..100 {
        queue.write(number).unwrap();
    }
    assert!(queue.flush_timeout(LIMIT).is_done());
    let mut stored = admin.read("A");
    stored.sort_unstable();
    assert_eq!(stored, (0..100).filter(|number| number % 10 != 7).collect::<Vec<_>>());
    let letters = rejected.events();
    let refused: Vec<_> = letters.iter().map(|letter| letter.event).collect();
    assert_eq!(refused, [7, 17, 27, 37, 47, 57, 67, 77, 87, 97]);
    let reason = letters[0].error.to_string();
    assert!(reason.ends_with("the server does not permit to publish to its subject"), "{reason}");
    assert_eq!((stats.read().acknowledged, stats.read().replaced), (90, 0));
}

#[test]
fn consumer_with_other_settings_stops_the_monitor() {
    let Some(setup) = Setup::start() else { return };
    let first = setup.source("reader").build().unwrap().monitor().spawn_events(Collect::new()).unwrap();
    first.wait_live(LIMIT).unwrap();
    assert!(first.stop().is_done());
    let filtered = setup.source("reader").filter(format!("{}.1", setup.stream)).build().unwrap();
    let monitor = filtered.monitor().spawn_events(Collect::new()).unwrap();
    wait_for(|| matches!(monitor.state(), MonitorState::Stopped(_)));
    let MonitorState::Stopped(StopReason::Fatal(text)) = monitor.state() else {
        panic!("{:?}", monitor.state())
    };
    assert!(text.contains("another filter"), "{text}");
}

#[test]
fn missing_stream_is_waited_for_by_the_source() {
    let Some(setup) = Setup::start() else { return };
    let seen = Collect::new();
    let source =
        JetStreamSource::<u64>::builder(setup.daemon.url(), "SOON", "reader").json().build().unwrap();
    let quick = buslane::retry::Backoff::new(Duration::from_millis(10), Duration::from_millis(50));
    let monitor = source.monitor().backoff(quick).spawn_events(seen.clone()).unwrap();
    wait_for(|| monitor.snapshot().failures > 0);
    setup.admin.create(setup.admin.config("SOON"));
    setup.admin.publish("SOON.1", "7");
    seen.wait_for(1);
    assert_eq!(seen.events(), [7]);
    assert!(monitor.stop().is_done());
}
