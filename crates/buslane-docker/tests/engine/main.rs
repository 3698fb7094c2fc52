//! The source against a real engine: Debian's `docker.io`, started by `bash .ci/docker`.
//!
//! Each test knows what it did in the engine, and judges the feed by that. The figures that they
//! print are no assertions, but for the one that tells whether the engine waits for a client: see
//! `stalled`.
#![cfg(target_os = "linux")]

mod api;
mod container;
mod daemon;
mod demo;
mod feed;
mod happened;
mod judging;
mod relay;
mod stalled;

use buslane::source::{GapReason, Monitor, MonitorState, Update};
use buslane::testing::Collect;
use buslane_docker::{DockerSource, DockerToken, Filter, Kind};
use daemon::{Daemon, Shared};
use feed::{Feed, Listener};
use happened::{Deeds, judge};
use relay::Relay;
use std::fmt;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};
use test_support::{GUARD, wait_for};

/// Prints a figure, past the capture of what tests print.
fn report(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "engine: {what}");
}

#[test]
fn feed_shows_what_happened_across_restarts() {
    let Some(shared) = Shared::get() else { return };
    let mut daemon = shared.lock();
    let feed = Feed::start(DockerSource::builder().host(daemon.host()), None);
    // How each life of the engine ends, and whether the feed has shown everything before.
    let lives =
        [(Daemon::terminate as fn(&mut Daemon), true), (Daemon::kill, false), (Daemon::terminate, false)];
    let (mut deeds, mut connects) = (Deeds::default(), 0);
    for (life, (end, is_shown)) in lives.into_iter().enumerate() {
        let listener = Listener::start(daemon.socket());
        let before = deeds.0.len();
        // What happens before the source is connected again is no loss: the new history has it.
        deeds.volumes(daemon.socket(), &format!("early-{life}"), 50);
        connects += 1;
        feed.wait_connects(connects);
        deeds.volumes(daemon.socket(), &format!("late-{life}"), 50);
        if is_shown {
            feed.wait_shown(&deeds.0[deeds.0.len() - 1]);
        }
        end(&mut daemon);
        let heard = listener.ended();
        assert!(deeds.0[before..].starts_with(&heard), "the order of life {life}");
        assert!(!is_shown || heard.len() == 200, "{} events of life {life}", heard.len());
        daemon.start_again();
    }
    deeds.volumes(daemon.socket(), "last", 5);
    feed.wait_shown(&deeds.0[deeds.0.len() - 1]);
    feed.stop();

    let judgement = judge(&deeds.0, &feed.seen.events());
    assert_eq!(judgement.gaps.len(), lives.len(), "one for each restart: {:?}", judgement.gaps);
    // What was lost is the end of a life that ended before the feed has shown it.
    assert!(judgement.missing <= 2 * 100, "{judgement:?}");
    report(format_args!(
        "SIGTERM, SIGKILL, SIGTERM: {} events happened, {} shown, {} missing at {} gaps, {} duplicates",
        deeds.0.len(),
        judgement.shown,
        judgement.missing,
        judgement.gaps.len(),
        feed.monitor.snapshot().duplicates
    ));
}

#[test]
fn short_disconnect_is_resumed_without_a_gap() {
    let Some(shared) = Shared::get() else { return };
    let daemon = shared.lock();
    let relay = Relay::start(daemon.socket(), "resumed");
    let feed = Feed::start(DockerSource::builder().socket(relay.path()), None);
    let mut deeds = Deeds::default();
    deeds.volumes(daemon.socket(), "before", 5);
    feed.wait_shown(&deeds.0[deeds.0.len() - 1]);
    for round in 0..5 {
        relay.close();
        deeds.volumes(daemon.socket(), &format!("away-{round}"), 25);
        relay.open();
        feed.wait_connects(round + 2);
    }
    feed.wait_shown(&deeds.0[deeds.0.len() - 1]);
    feed.stop();
    let judgement = judge(&deeds.0, &feed.seen.events());
    assert_eq!((judgement.missing, judgement.gaps.len()), (0, 0));
    let resumed =
        feed.seen.events().iter().filter(|update| **update == Update::Connected { resumed: true }).count();
    assert_eq!(resumed, 5);
    let duplicates = feed.monitor.snapshot().duplicates;
    report(format_args!(
        "disconnects: {} events over 6 connections, {duplicates} duplicates, no gap",
        judgement.shown
    ));
}

#[test]
fn three_hundred_missed_events_leave_a_gap() {
    let Some(shared) = Shared::get() else { return };
    let daemon = shared.lock();
    let relay = Relay::start(daemon.socket(), "overrun");
    let feed = Feed::start(DockerSource::builder().socket(relay.path()), None);
    let mut deeds = Deeds::default();
    deeds.volumes(daemon.socket(), "kept", 5);
    feed.wait_shown(&deeds.0[deeds.0.len() - 1]);
    relay.close();
    deeds.volumes(daemon.socket(), "missed", 150);
    relay.open();
    feed.wait_connects(2);
    deeds.volumes(daemon.socket(), "later", 5);
    feed.wait_shown(&deeds.0[deeds.0.len() - 1]);
    feed.stop();
    let judgement = judge(&deeds.0, &feed.seen.events());
    let reasons: Vec<_> = judgement.gaps.iter().map(|gap| gap.reason).collect();
    assert_eq!(reasons, [GapReason::HistoryLost]);
    // The history keeps 256 of the 300.
    assert!((40..=300).contains(&judgement.missing), "{judgement:?}");
    report(format_args!("overrun: {} shown, {} missing at one gap", judgement.shown, judgement.missing));
}

#[test]
fn token_resumes_exactly_at_the_boundary() {
    let Some(shared) = Shared::get() else { return };
    let daemon = shared.lock();
    // Without a margin, the last event itself is what proves that nothing is missing.
    for (name, margin) in [("exact", Duration::ZERO), ("margin", Duration::from_secs(2))] {
        let source = || DockerSource::builder().host(daemon.host()).margin(margin);
        let mut deeds = Deeds::default();
        let first = Feed::start(source(), None);
        deeds.volumes(daemon.socket(), &format!("{name}-first"), 5);
        let mut updates = first.wait_shown(&deeds.0[deeds.0.len() - 1]);
        first.stop();
        let stored = first.monitor.token().unwrap().to_string();

        let nothing = Feed::start(source(), Some(stored.parse::<DockerToken>().unwrap()));
        nothing.stop();
        let seen = nothing.seen.events();
        assert_eq!(seen[0], Update::Connected { resumed: true }, "{name}");
        assert!(
            !seen.iter().any(|update| matches!(update, Update::Event(_) | Update::Gap(_))),
            "{name}: {seen:?}"
        );

        deeds.volumes(daemon.socket(), &format!("{name}-second"), 5);
        let again = Feed::start(source(), Some(nothing.monitor.token().unwrap()));
        deeds.volumes(daemon.socket(), &format!("{name}-third"), 5);
        again.wait_shown(&deeds.0[deeds.0.len() - 1]);
        again.stop();
        updates.extend(again.seen.events());
        let judgement = judge(&deeds.0, &updates);
        assert_eq!((judgement.shown, judgement.missing, judgement.gaps.len()), (30, 0, 0), "{name}");
    }
}

#[test]
fn filter_and_since_choose_events() {
    let Some(shared) = Shared::get() else { return };
    let daemon = shared.lock();
    let before = SystemTime::now();
    let mut deeds = Deeds::default();
    deeds.volumes(daemon.socket(), "chosen", 3);
    let history = Feed::start(DockerSource::builder().host(daemon.host()).since(before), None);
    history.wait_shown(&deeds.0[5]);
    history.stop();
    assert_eq!(judge(&deeds.0, &history.seen.events()).shown, 6);

    let filter = Filter::new().kind(Kind::Volume).volume("chosen-1");
    let one = Feed::start(DockerSource::builder().host(daemon.host()).since(before).filter(filter), None);
    one.wait_shown(&deeds.0[3]);
    one.stop();
    assert_eq!(judge(&deeds.0[2..4], &one.seen.events()).shown, 2);

    // A range of the past: from the second event to the last one but one, both included.
    let events: Vec<_> = history.seen.events().into_iter().filter_map(Update::into_event).collect();
    let time = |index: usize| events[index].time().unwrap();
    let range = DockerSource::builder().host(daemon.host()).since(time(1)).until(time(4));
    let seen = Collect::new();
    let monitor = Monitor::builder(range.build().unwrap()).spawn(seen.clone()).unwrap();
    wait_for(|| matches!(monitor.state(), MonitorState::Stopped(_)));
    let reason = monitor.stop().reason.unwrap().to_string();
    assert!(reason.contains("until the end that was asked for"), "{reason}");
    let judgement = judge(&deeds.0[1..5], &seen.events());
    assert_eq!((judgement.shown, judgement.gaps.len()), (4, 0));
}

#[test]
fn stop_ends_a_silent_stream() {
    let Some(shared) = Shared::get() else { return };
    let daemon = shared.lock();
    let feed = Feed::start(DockerSource::builder().host(daemon.host()), None);
    assert!(feed.monitor.stop_timeout(GUARD).is_done());
    assert_eq!(feed.seen.events()[0], Update::Connected { resumed: false });
}
