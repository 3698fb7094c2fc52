//! Chains under test: an innermost sink that behaves as configured and records each event, and the
//! combinators around it.

use buslane::retry::{Backoff, DeadLetter};
use buslane::sink::Batch;
use buslane::stats::{RetryState, SinkState};
use buslane::testing::{Collect, ManualClock};
use buslane::{BoxError, Sink, SinkExt, WriteError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the innermost sink does with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    Accepts,
    IsFull,
    Fails,
    TimesOut,
    Panics,
    /// Accepts the first events, and is closed afterward.
    Closes,
    /// Each of the other behaviors, by the number of the event.
    Mixed,
}

pub(crate) const BEHAVIORS: [Behavior; 7] = [
    Behavior::Accepts,
    Behavior::IsFull,
    Behavior::Fails,
    Behavior::TimesOut,
    Behavior::Panics,
    Behavior::Closes,
    Behavior::Mixed,
];

/// An event, or a batch of them.
pub(crate) trait Events: Clone + Send + Sync + 'static {
    fn first(&self) -> u64;
    fn count(&self) -> u64;
}

impl Events for u64 {
    fn first(&self) -> u64 {
        *self
    }
    fn count(&self) -> u64 {
        1
    }
}

impl Events for Vec<u64> {
    fn first(&self) -> u64 {
        self[0]
    }
    fn count(&self) -> u64 {
        self.len() as u64
    }
}

/// The number of events that a sink accepts before it [closes](Behavior::Closes).
const OPEN_FOR: u64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Accepted,
    Refused,
    Panicked,
}

/// The innermost sink, which records its last outcome for each event.
#[derive(Clone)]
pub(crate) struct Probe {
    behavior: Behavior,
    answers: Arc<Mutex<BTreeMap<u64, (Answer, u64)>>>,
}

impl Probe {
    pub(crate) fn new(behavior: Behavior) -> Self {
        Self { behavior, answers: Arc::default() }
    }

    fn count(&self, answer: Answer) -> u64 {
        let answers = self.answers.lock().unwrap();
        answers.values().filter(|(last, _)| *last == answer).map(|(_, count)| count).sum()
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.count(Answer::Accepted)
    }

    pub(crate) fn panicked(&self) -> u64 {
        self.count(Answer::Panicked)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.count(Answer::Refused)
    }
}

impl<E: Events> Sink<E> for Probe {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        let first = event.first();
        let seen = self.answers.lock().unwrap().len() as u64;
        let behavior = match self.behavior {
            Behavior::Mixed => BEHAVIORS[(first % 5) as usize],
            Behavior::Closes if seen < OPEN_FOR => Behavior::Accepts,
            behavior => behavior,
        };
        let answer = match behavior {
            Behavior::Accepts => Answer::Accepted,
            Behavior::Panics => Answer::Panicked,
            _ => Answer::Refused,
        };
        self.answers.lock().unwrap().insert(first, (answer, event.count()));
        match behavior {
            Behavior::Accepts => Ok(()),
            Behavior::IsFull => Err(WriteError::Full(event)),
            Behavior::Fails => Err(WriteError::Failed { event, source: BoxError::from("no route") }),
            Behavior::TimesOut => Err(WriteError::Timeout(event)),
            Behavior::Closes => Err(WriteError::Closed(event)),
            Behavior::Panics | Behavior::Mixed => panic!("as requested"),
        }
    }
}

/// The dead letters received, in events.
pub(crate) type Letters<E> = Collect<DeadLetter<E>>;

pub(crate) fn letters<E: Events>(letters: &Letters<E>) -> u64 {
    letters.events().iter().map(|letter| letter.event.count()).sum()
}

/// A chain, and the dead letters of its retry.
pub(crate) struct Chain<E> {
    pub(crate) name: &'static str,
    pub(crate) sink: Box<dyn Sink<E>>,
    pub(crate) letters: Letters<E>,
    /// The chain decides later, so a bus upstream of it only learns that it accepted an event.
    pub(crate) defers: bool,
}

fn policy() -> Backoff {
    let wait = Duration::from_millis(1);
    Backoff::new(wait, wait).max_attempts(2)
}

/// Returns every combinator around the probe, and some around each other.
pub(crate) fn chains<E: Events>(behavior: Behavior) -> Vec<(Probe, Chain<E>)> {
    type Build<E> = fn(Probe, Letters<E>) -> Box<dyn Sink<E>>;
    fn retry<E: Events>(probe: impl Sink<E>, letters: Letters<E>) -> impl Sink<E> {
        probe.retry(policy()).clock(ManualClock::hurrying()).dead_letters(letters)
    }
    let builds: Vec<(&'static str, bool, Build<E>)> = vec![
        ("nothing", false, |probe, _| Box::new(probe)),
        ("filter", false, |probe, _| Box::new(probe.filter(|event: &E| event.first().is_multiple_of(2)))),
        ("filter that panics", false, |probe, _| {
            Box::new(probe.filter(|event: &E| event.first() % 4 != 1 || panic!("as requested")))
        }),
        ("map", false, |probe, _| Box::new(probe.map(|event: &E| event.clone()))),
        ("sample", false, |probe, _| Box::new(probe.sample(2))),
        ("rate_limit", false, |probe, _| Box::new(probe.rate_limit(1.0, 7).clock(ManualClock::new()))),
        ("timeout", false, |probe, _| Box::new(probe.timeout(Duration::from_secs(60)))),
        ("inspect", false, |probe, _| Box::new(SinkExt::<E>::inspect(probe, ()))),
        ("catch_panic", false, |probe, _| Box::new(SinkExt::<E>::catch_panic(probe))),
        ("retry", false, |probe, _| {
            Box::new(SinkExt::<E>::retry(probe, policy()).clock(ManualClock::hurrying()))
        }),
        ("retry with dead letters", false, |probe, letters| Box::new(retry(probe, letters))),
        ("retry in a row", false, |probe, letters| {
            Box::new(retry(probe, letters).retry(policy()).clock(ManualClock::hurrying()))
        }),
        ("retry in a filter in an inspect", false, |probe, letters| {
            let filter = retry(probe, letters).filter(|event: &E| event.first().is_multiple_of(2));
            Box::new(filter.inspect(()))
        }),
        ("retry by key", true, |probe, letters| {
            let retry = SinkExt::<E>::retry_by_key(probe, |event: &E| event.first() % 3, policy());
            Box::new(retry.clock(ManualClock::hurrying()).dead_letters(letters))
        }),
        ("retry by key without dead letters", true, |probe, _| {
            let retry = SinkExt::<E>::retry_by_key(probe, |event: &E| event.first() % 3, policy());
            Box::new(retry.clock(ManualClock::hurrying()))
        }),
        ("queue", true, |probe, _| Box::new(SinkExt::<E>::queue(probe, 64).unwrap())),
        ("queue", true, |probe, letters| Box::new(retry(probe, letters).queue(64).unwrap())),
        ("queue in a map", true, |probe, letters| {
            Box::new(retry(probe, letters).queue(64).unwrap().map(|event: &E| event.clone()))
        }),
        ("queue in a retry", true, |probe, letters| {
            Box::new(retry(probe, letters).queue(64).unwrap().retry(policy()))
        }),
        ("queue in a retry by key", true, |probe, letters| {
            let queue = retry(probe, letters).queue(64).unwrap();
            Box::new(queue.retry_by_key(|event: &E| event.first() % 3, policy()))
        }),
        ("queue in a queue", true, |probe, letters| {
            let queue =
                retry(probe, letters).filter(|event: &E| event.first().is_multiple_of(2)).queue(64).unwrap();
            Box::new(queue.queue(64).unwrap())
        }),
    ];
    let build = |(name, defers, build): (&'static str, bool, Build<E>)| {
        let (probe, letters) = (Probe::new(behavior), Letters::new());
        (probe.clone(), Chain { name, sink: build(probe, letters.clone()), letters, defers })
    };
    builds.into_iter().map(build).collect()
}

/// A batch upstream of any chain.
type AnyBatch = Batch<u64, Box<dyn Sink<Vec<u64>>>>;

/// Returns each chain, downstream of a batch.
pub(crate) fn batched(behavior: Behavior) -> Vec<(Probe, Chain<Vec<u64>>, Arc<AnyBatch>)> {
    let batched = |(probe, mut chain): (Probe, Chain<Vec<u64>>)| {
        let sink = std::mem::replace(&mut chain.sink, Box::new(buslane::noop()));
        (probe, chain, Arc::new(sink.batch(3)))
    };
    chains::<Vec<u64>>(behavior).into_iter().map(batched).collect()
}

/// Returns the sum of the retry counters in a state.
pub(crate) fn retries(state: &SinkState) -> RetryState {
    state.retries.iter().fold(RetryState::default(), |mut sum, retry| {
        sum.given_up += retry.given_up;
        sum.letters_sent += retry.letters_sent;
        sum.letters_lost += retry.letters_lost;
        sum
    })
}
