//! The way to one endpoint: a queue, batches, retries, HTTP.

use crate::notification::Notification;
use crate::observer::Observer;
use crate::options::Options;
use buslane::retry::{Breaker, DeadLetter, Retry};
use buslane::sink::Batch;
use buslane::{BoxError, Queue, SinkExt, sink_fn};
use buslane_http::{HttpBatchSink, HttpRetry, HttpSink};
use demo_support::{Failure, Mark, Story, number_of};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

const MEDIA_TYPE: &str = "application/vnd.docker.distribution.events.v2+json";

type Policy = Observer<HttpRetry<Arc<Breaker>>>;
type Batches = Batch<Notification, Retry<Vec<Notification>, HttpBatchSink<Notification>, Policy>>;

/// The way to one endpoint.
pub(crate) struct Delivery {
    pub(crate) queue: Queue<Notification>,
    /// The sink of the queue, for its ledger.
    pub(crate) batches: Arc<Batches>,
    dead: Arc<Mutex<HashSet<u64>>>,
}

impl Delivery {
    pub(crate) fn start(
        name: &'static str,
        url: &str,
        options: &Options,
        story: &Story,
    ) -> Result<Self, Failure> {
        let cannot = |error| Failure::setup(format!("cannot deliver to {name}"), error);
        let dead = Arc::<Mutex<HashSet<u64>>>::default();
        let batches = Arc::new(batches(name, url, options, story.clone(), dead.clone()).map_err(cannot)?);
        let queue = Queue::builder().name(name).capacity(options.capacity).spawn_sink(batches.clone());
        let queue = queue.map_err(|error| Failure::setup(format!("cannot deliver to {name}"), error))?;
        Ok(Self { queue, batches, dead })
    }

    /// The ids of the dead letters.
    pub(crate) fn dead_letters(&self) -> HashSet<u64> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn batches(
    name: &'static str,
    url: &str,
    options: &Options,
    story: Story,
    dead: Arc<Mutex<HashSet<u64>>>,
) -> Result<Batches, BoxError> {
    let breaker = Breaker::new(options.threshold, options.backoff).max_attempts(options.attempts);
    let breaker = Arc::new(breaker);
    let policy = Observer::new(HttpRetry::new(breaker.clone()), breaker, name, story.clone());
    let letters = sink_fn(move |letter: &DeadLetter<Vec<Notification>>| {
        let events = number_of(letter.event.len() as u64, "event");
        story.tell_as(Mark::Notice, name, format_args!("dead letter with {events}, {letter}"));
        dead.lock().unwrap_or_else(PoisonError::into_inner).extend(letter.event.iter().map(|event| event.id));
    });
    let sink =
        HttpSink::builder(url).direct().media_type(MEDIA_TYPE).timeout(options.timeout).build()?.batches();
    Ok(sink.retry(policy).dead_letters(letters).batch(options.batch).age(options.age))
}
