//! Every number and text that a user can pass to a builder: none panics, and every object that is
//! built works.
#![no_main]

use arbitrary::Arbitrary;
use buslane::error::TryRecvError;
use buslane::journal::{Sequence, Start, Until};
use buslane::retry::{Attempt, AttemptError, Backoff, Breaker, Next, RetryPolicy};
use buslane::testing::Collect;
use buslane::time::Deadline;
use buslane::{Bus, Channel, Journal, Overflow, Queue, Sink, SinkExt, WaitStrategy, noop};
use buslane_http::HttpSink;
use libfuzzer_sys::fuzz_target;
use std::time::{Duration, SystemTime};

/// Returns a value if a bus accepts a sink with these settings.
fn valid(sink: impl Sink<u8> + 'static) -> Option<()> {
    Bus::new().add(sink).ok().map(drop)
}

/// The limit for every operation that must end.
const GUARD: Duration = Duration::from_secs(10);

#[derive(Arbitrary, Clone, Debug)]
enum Input {
    Channel {
        capacity: u64,
        overflow: (u8, Duration),
        wait: Wait,
    },
    Queue {
        capacity: u64,
        overflow: (u8, Duration),
        wait: Wait,
        name: String,
        batch: usize,
        workers: usize,
    },
    Journal {
        capacity: u64,
        gate_limit: Duration,
        start: (u8, u64),
        until: (u8, u64),
    },
    Backoff {
        base: Duration,
        most: Duration,
        factor: f64,
        jitter: f64,
        attempts: u32,
        elapsed: Duration,
        number: u32,
    },
    Breaker {
        threshold: u32,
        backoff: Duration,
        attempts: u32,
        elapsed: Duration,
        number: u32,
    },
    Rate {
        per_second: f64,
        burst: u64,
    },
    Sample {
        one_in: u64,
    },
    Batch {
        count: usize,
        bytes: usize,
        age: Duration,
    },
    Http {
        url: String,
        name: String,
        value: String,
        timeout: Duration,
        certificates: Vec<u8>,
    },
    Deadline {
        limit: Duration,
    },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Wait {
    Nap(Duration, Duration),
    SpinPark,
    Park,
    Poll(Duration, Duration),
}

impl Wait {
    fn strategy(self) -> WaitStrategy {
        match self {
            Self::Nap(nap, park_after) => WaitStrategy::Nap { nap, park_after },
            Self::SpinPark => WaitStrategy::SpinPark,
            Self::Park => WaitStrategy::Park,
            Self::Poll(busy, idle) => WaitStrategy::Poll { busy, idle },
        }
    }
}

/// Maps a number to a small capacity, or to one above the maximum: the capacities in between only
/// depend on memory.
fn capacity(number: u64) -> usize {
    if number.is_multiple_of(16) { usize::MAX - number as usize % 1024 } else { (number % 2048) as usize }
}

fn overflow((kind, limit): (u8, Duration)) -> Overflow {
    match kind % 6 {
        0 => Overflow::DropNewest,
        1 => Overflow::DropOldest,
        2 => Overflow::Refuse,
        3 => Overflow::Block,
        4 => Overflow::BlockFor(limit),
        _ => Overflow::Close,
    }
}

fn time(seconds: u64) -> SystemTime {
    // A time beyond the range of the system becomes the epoch.
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn check(input: Input) -> Option<()> {
    match input {
        Input::Channel { capacity: size, overflow: policy, wait } => {
            let builder = Channel::builder().capacity(capacity(size)).overflow(overflow(policy));
            let (channel, mut receiver) = builder.wait_strategy(wait.strategy()).build().ok()?;
            channel.write(1_u8).expect("an empty channel has room");
            assert_eq!(receiver.recv(), Ok(1));
        }
        Input::Queue { capacity: size, overflow: policy, wait, name, batch, workers } => {
            let workers = if workers > 1024 { workers } else { workers % 4 };
            let builder = Queue::builder().capacity(capacity(size)).overflow(overflow(policy)).name(name);
            let seen = Collect::new();
            let built = builder
                .wait_strategy(wait.strategy())
                .max_batch(batch)
                .workers(workers)
                .spawn_sink(seen.clone());
            let queue = built.ok()?;
            queue.write(1_u8).expect("an empty queue has room");
            assert!(queue.close_timeout(GUARD).is_done());
            assert_eq!(seen.events(), [1]);
        }
        Input::Journal { capacity: size, gate_limit, start, until } => {
            let builder = Journal::builder().capacity(capacity(size)).gate_limit(gate_limit);
            let journal = builder.sample_time().build().ok()?;
            (0..100_u8).for_each(|n| assert!(journal.publish(n).is_ok()));
            let start = match start {
                (0, _) => Start::Now,
                (1, _) => Start::Oldest,
                (2, count) => Start::Last(count as usize),
                (3, seconds) => Start::Since(time(seconds)),
                (_, place) => Start::At(Sequence::new(place % 128)),
            };
            let subscription = journal.subscription().start(start);
            let subscription = match until {
                (0, _) => subscription,
                (1, seconds) => subscription.until(Until::Time(time(seconds))),
                (_, place) => subscription.until(Until::Sequence(Sequence::new(place))),
            };
            let mut subscriber = subscription.subscribe().ok()?;
            journal.close();
            while subscriber.try_recv().is_ok() {}
            let end = subscriber.try_recv();
            assert!(matches!(end, Err(TryRecvError::Closed)), "read to the end of a closed journal");
        }
        Input::Backoff { base, most, factor, jitter, attempts, elapsed, number } => {
            let backoff = Backoff::new(base, most).factor(factor).jitter(jitter);
            backoff.validate().ok()?;
            assert!(backoff.window(number) <= most);
            let attempt = Attempt::new(number, elapsed, AttemptError::Full);
            if let Next::After(wait) = RetryPolicy::<u8>::failure(&backoff, &0, &attempt) {
                assert!(wait <= most, "{wait:?}");
            }
            let backoff = backoff.max_attempts(attempts).max_elapsed(elapsed);
            let _ = RetryPolicy::<u8>::failure(&backoff, &0, &attempt);
        }
        Input::Breaker { threshold, backoff, attempts, elapsed, number } => {
            let breaker = Breaker::new(threshold, backoff);
            breaker.validate().ok()?;
            let attempt = Attempt::new(number, elapsed, AttemptError::Timeout);
            for _ in 0..4 {
                let _ = RetryPolicy::<u8>::failure(&breaker, &0, &attempt);
                let _ = (breaker.state(), RetryPolicy::<u8>::before(&breaker, &0));
            }
            let breaker = breaker.max_attempts(attempts).max_elapsed(elapsed);
            let _ = RetryPolicy::<u8>::failure(&breaker, &0, &attempt);
        }
        Input::Rate { per_second, burst } => {
            let sink = Collect::new().rate_limit(per_second, burst);
            valid(noop().rate_limit(per_second, burst))?;
            for n in 0..4_u8 {
                sink.write(n).expect("a rate limit filters, and refuses no event");
            }
        }
        Input::Sample { one_in } => {
            let seen = Collect::new();
            let sink = seen.clone().sample(one_in);
            valid(noop().sample(one_in))?;
            for n in 0..8_u8 {
                sink.write(n).expect("a sample filters, and refuses no event");
            }
            assert!(seen.len() <= 8);
        }
        Input::Batch { count, bytes, age } => {
            let seen = Collect::new();
            let size = |n: &u8| usize::from(*n);
            let batch = seen.clone().batch(count).bytes(bytes, size).age(age);
            valid(noop().batch(count).bytes(bytes, size).age(age))?;
            for n in 0..20_u8 {
                batch.write(n).expect("a batch accepts");
            }
            assert!(batch.close_by(Deadline::after(GUARD)).is_done());
            assert_eq!(seen.events().concat(), (0..20).collect::<Vec<u8>>());
        }
        Input::Http { url, name, value, timeout, certificates } => {
            let sink = HttpSink::<u8>::builder(&url).header(&name, &value).timeout(timeout);
            let _ = sink.root_certificates(&certificates).build();
        }
        Input::Deadline { limit } => {
            let deadline = Deadline::after(limit);
            let _ = (deadline.remaining(), deadline.has_passed(), deadline.min(Deadline::NOW));
        }
    }
    Some(())
}

fuzz_target!(|inputs: Vec<Input>| {
    for input in inputs.into_iter().take(8) {
        check(input);
    }
});
