//! A consumer that stalls does not slow the engine.

use super::daemon::Shared;
use super::feed::Feed;
use super::happened::{Deeds, Happened, judge};
use super::report;
use buslane::retry::Backoff;
use buslane::source::{GapReason, Monitor, Update};
use buslane::testing::{Collect, Gate};
use buslane_docker::{DockerEvent, DockerSource, DockerSourceBuilder};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use test_support::{GUARD, wait_for};

/// Pairs of events while the consumer is stalled.
const PAIRS: usize = 2500;
/// Those while its source keeps few of them.
const FEW_PAIRS: usize = 1000;
/// The events that such a source keeps.
const FEW: usize = 500;

/// How long the engine waits, by a timer of its own, for a client that does not read, with each event.
/// A request that makes an event takes at least that long then, and a pair twice as long.
const PENALTY: Duration = Duration::from_millis(100);
/// The most that the median pair may take while no client makes the engine wait.
///
/// This is no bound on a speed of this crate. It tells two states of the engine apart: where it waits,
/// a pair cannot take less than twice [`PENALTY`], and where it does not, a pair takes 10 ms even on a
/// machine that compiles meanwhile. It is far from both, and the median of at least a thousand pairs,
/// so a slow machine does not blur it.
const UNHINDERED: Duration = Duration::from_millis(50);

/// The times that pairs of requests took.
struct Times(Vec<Duration>);

impl Times {
    /// Creates and removes volumes one by one, and measures each pair.
    fn of(deeds: &mut Deeds, socket: &Path, prefix: &str, pairs: usize) -> Self {
        let timed = (0..pairs).map(|n| {
            let begun = Instant::now();
            deeds.volumes(socket, &format!("{prefix}-{n}"), 1);
            begun.elapsed()
        });
        let mut times: Vec<_> = timed.collect();
        times.sort_unstable();
        Self(times)
    }

    fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(times) = self;
        let (median, high, most) = (self.median(), times[times.len() * 99 / 100], times[times.len() - 1]);
        write!(f, "{} pairs, p50 {median:.2?}, p99 {high:.2?}, max {most:.2?}", times.len())
    }
}

/// Runs a monitor whose sink is stalled while pairs of events happen, and returns what it forwards
/// then.
fn stalled(
    shared: &Shared,
    name: &str,
    pairs: usize,
    source: impl FnOnce(DockerSourceBuilder) -> DockerSourceBuilder,
) -> (Deeds, Vec<Update<DockerEvent>>) {
    let daemon = shared.lock();
    let (gate, seen) = (Gate::closed(), Collect::new());
    let source = source(DockerSource::builder().host(daemon.host())).build().unwrap();
    let monitor = Monitor::builder(source).backoff(Backoff::default());
    // Without a queue, the sink is called by the thread of the monitor, which so reads nothing.
    let monitor = monitor.spawn(gate.before(seen.clone())).unwrap();
    gate.wait_reached(1);
    let listener = Feed::start(DockerSource::builder().host(daemon.host()), None);

    let mut deeds = Deeds::default();
    let times = Times::of(&mut deeds, daemon.socket(), name, pairs);
    assert!(times.median() < UNHINDERED, "the engine waits for the source: {times}");
    // The listener got all, so the engine has sent all.
    let heard = listener.wait_shown(&deeds.0[deeds.0.len() - 1]);
    assert_eq!(judge(&deeds.0, &heard).missing, 0, "the engine lost events of a client that reads");
    listener.stop();
    report(format_args!("{name}, stalled consumer of the source: {times}"));

    gate.open();
    let last = &deeds.0[deeds.0.len() - 1];
    wait_for(|| {
        thread::sleep(Duration::from_millis(1));
        seen.events()
            .iter()
            .rev()
            .any(|update| matches!(update, Update::Event(event) if Happened::of(event) == *last))
    });
    assert!(monitor.stop_timeout(GUARD).is_done());
    (deeds, seen.events())
}

#[test]
fn stalled_consumer_gets_every_event_later() {
    let Some(shared) = Shared::get() else { return };
    let (deeds, updates) = stalled(&shared, "buffered", PAIRS, |source| source);
    let judgement = judge(&deeds.0, &updates);
    assert_eq!((judgement.shown, judgement.missing, judgement.gaps.len()), (2 * PAIRS as u64, 0, 0));
}

#[test]
fn stalled_consumer_learns_the_number_of_lost_events() {
    let Some(shared) = Shared::get() else { return };
    let (deeds, updates) = stalled(&shared, "bounded", FEW_PAIRS, |source| source.buffer(FEW));
    // The number in each gap is checked against the list.
    let judgement = judge(&deeds.0, &updates);
    assert!(judgement.gaps.iter().all(|gap| gap.reason == GapReason::SinkRefused && gap.missed.is_some()));
    // What the monitor has in its hands is not in the buffer.
    assert!(judgement.missing >= (2 * FEW_PAIRS - FEW - 100) as u64, "{judgement:?}");
    report(format_args!(
        "bounded: {} shown, {} missing, as its gaps count",
        judgement.shown, judgement.missing
    ));
}

/// The comparison, in figures: no client, the source, and a client that reads nothing from its
/// socket.
#[test]
fn engine_is_measured_with_other_clients() {
    let Some(shared) = Shared::get() else { return };
    let daemon = shared.lock();
    let mut deeds = Deeds::default();
    let alone = Times::of(&mut deeds, daemon.socket(), "alone", 500);
    report(format_args!("no client: {alone}"));
    let feed = Feed::start(DockerSource::builder().host(daemon.host()), None);
    let followed = Times::of(&mut deeds, daemon.socket(), "followed", 500);
    feed.wait_shown(&deeds.0[deeds.0.len() - 1]);
    feed.stop();
    report(format_args!("a source whose consumer reads: {followed}"));

    let mut client = UnixStream::connect(daemon.socket()).unwrap();
    write!(client, "GET /events HTTP/1.0\r\nHost: engine\r\n\r\n").unwrap();
    let mut deeds = Deeds::default();
    // As many as find room between the engine and the client, until one has to wait.
    let (mut count, mut slow_in_a_row) = (0, 0);
    while slow_in_a_row < 3 && count < 5000 {
        let begun = Instant::now();
        deeds.volumes(daemon.socket(), &format!("unread-{count}"), 1);
        count += 1;
        slow_in_a_row = if begun.elapsed() > PENALTY { slow_in_a_row + 1 } else { 0 };
    }
    let slow = Times::of(&mut deeds, daemon.socket(), "slow", 20);
    // Otherwise the bound of the tests above could not fail.
    assert!(slow.median() >= PENALTY, "this engine does not wait for a client that does not read: {slow}");
    client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut bytes = Vec::new();
    let _ = client.read_to_end(&mut bytes);
    let got = String::from_utf8_lossy(&bytes).matches(r#""Type":"volume""#).count();
    report(format_args!(
        "a client that does not read, after {count} pairs: {slow}; it got {got} of {} events",
        deeds.0.len()
    ));
}
