//! The registry: publishes notifications, and reports what became of them.

use crate::delivery::Delivery;
use crate::endpoint::{Endpoint, Mood};
use crate::notification::Notification;
use crate::options::Options;
use crate::report::Outcome;
use buslane::{Bus, SinkExt};
use demo_support::{Failure, Interrupt, Story, console, number_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const HEALTHY: &str = "healthy";
pub(crate) const TROUBLED: &str = "troubled";

/// How long the endpoints may take to receive what was accepted for them.
const CLOSE_LIMIT: Duration = Duration::from_secs(20);
/// How long the registry sleeps at most before it checks whether its end was requested.
const NAP: Duration = Duration::from_millis(20);

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    // Without a reader of standard output, the run continues.
    let story = Story::start(options.json, || {});
    let progress = Arc::new(AtomicU64::new(0));
    let healthy = Endpoint::start(HEALTHY, story.clone(), Box::new(|| Mood::Well))?;
    let troubled = Endpoint::start(TROUBLED, story.clone(), moods(options, progress.clone()))?;
    let to_healthy = Delivery::start(HEALTHY, &healthy.url, options, &story)?;
    let to_troubled = Delivery::start(TROUBLED, &troubled.url, options, &story)?;

    let bus = Bus::new();
    bus.add_named(HEALTHY, to_healthy.queue.clone())
        .and_then(|_| bus.add_named(TROUBLED, to_troubled.queue.clone().filter(Notification::is_push)))
        .map_err(|error| Failure::setup("cannot add a sink", error))?;
    let interrupt = Interrupt::listen(|| {})?;
    let published = publish(options, &bus, &progress, &interrupt, &story);

    // After the last notification the endpoint accepts batches again.
    progress.store(u64::MAX, Ordering::Relaxed);
    let report = bus.close_timeout(CLOSE_LIMIT);
    story.tell("registry", format_args!("closed the bus: {report}"));
    let mut outcome = Outcome::new(published, interrupt.is_asked(), report, &bus.snapshot());
    outcome.audit(HEALTHY, &to_healthy, &healthy.stop());
    outcome.audit(TROUBLED, &to_troubled, &troubled.stop());
    outcome.print(&story);
    outcome.verdict()?;
    console::finish()
}

/// Well for a quarter of the events, failing for one, hanging for one, and then well again.
fn moods(options: &Options, progress: Arc<AtomicU64>) -> Box<dyn Fn() -> Mood + Send> {
    let events = options.events.get();
    Box::new(move || match progress.load(Ordering::Relaxed).saturating_mul(4) / events {
        1 => Mood::Failing,
        2 => Mood::Hanging,
        _ => Mood::Well,
    })
}

/// Publishes at the rate of the options, and returns how many events.
fn publish(
    options: &Options,
    bus: &Bus<Notification>,
    progress: &AtomicU64,
    interrupt: &Interrupt,
    story: &Story,
) -> u64 {
    let mut publisher = bus.publisher();
    let begun = Instant::now();
    let interval = Duration::from_secs(1).div_f64(options.rate.get() as f64);
    for id in 0..options.events.get() {
        let due = begun + interval.mul_f64(id as f64);
        loop {
            if interrupt.is_asked() {
                story.tell("registry", format_args!("ended by Ctrl-C after {}", number_of(id, "event")));
                return id;
            }
            match due.saturating_duration_since(Instant::now()) {
                Duration::ZERO => break,
                left => thread::sleep(left.min(NAP)),
            }
        }
        if publisher.publish(Notification::number(id)).is_err() {
            return id;
        }
        progress.store(id + 1, Ordering::Relaxed);
    }
    story.tell("registry", format_args!("published {}", number_of(options.events.get(), "event")));
    options.events.get()
}
