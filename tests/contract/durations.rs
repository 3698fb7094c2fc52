//! Extreme durations and times in every call that takes one: none panics, and each has its meaning.

use buslane::error::ConfigErrorKind;
use buslane::journal::{Entry, Start, Until};
use buslane::queue::Handler;
use buslane::retry::{Backoff, Breaker};
use buslane::testing::{ManualClock, Slow};
use buslane::time::Deadline;
use buslane::time::{Clock, Pause, SystemClock};
use buslane::{
    BoxError, Bus, Channel, Journal, Overflow, Queue, Sink, SinkExt, WaitStrategy, WriteError, noop, sink_fn,
};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use test_support::{GUARD, ends, invalid};

/// Longer than any clock can represent, or close to it.
const LONG: [Duration; 5] = [
    Duration::MAX,
    Duration::new(u64::MAX, 0),
    Duration::new(i64::MAX as u64, 0),
    Duration::from_nanos(u64::MAX),
    Duration::from_secs(1_000 * 365 * 24 * 3600),
];

/// Returns about the latest time that the clock can represent.
fn far() -> Instant {
    let (mut moment, mut step) = (Instant::now(), Duration::MAX);
    while step > Duration::from_secs(1) {
        match moment.checked_add(step) {
            Some(later) => moment = later,
            None => step /= 2,
        }
    }
    moment
}

/// Runs the test for every long duration, on a thread that is abandoned when it hangs.
fn for_each_long(test: impl Fn(Duration) + Clone + Send + 'static) {
    // Side by side: a consumer that polls wakes once a second.
    thread::scope(|scope| {
        for long in LONG {
            let test = test.clone();
            scope.spawn(move || ends(move || test(long)));
        }
    });
}

#[test]
fn deadlines_take_every_duration() {
    for_each_long(|long| {
        let deadline = Deadline::after(long);
        assert!(!deadline.has_passed());
        assert!(deadline.remaining().is_none_or(|left| left > Duration::from_secs(3600)));
        assert_eq!(deadline.min(Deadline::NOW), Deadline::NOW);
    });
    assert!(!Deadline::at(far()).has_passed());
    assert!(Deadline::at(far()).remaining().unwrap() > Duration::from_secs(3600));
    assert_eq!(Deadline::after(Duration::ZERO), Deadline::NOW);
}

#[test]
fn waits_of_a_bus_take_every_duration() {
    for_each_long(|long| {
        let bus = Bus::new();
        let id = bus.add(noop::<u32>().queue(8).unwrap()).unwrap();
        let mut publisher = bus.publisher();
        let _ = publisher.publish(1).unwrap();
        assert!(publisher.flush_timeout(long).is_done());
        assert!(bus.flush_timeout(long).is_done());
        assert!(bus.remove_timeout(id, long).is_ok());
        assert!(bus.close_timeout(long).is_done());
    });
    let bus = Bus::<u32>::new();
    let id = bus.add(noop()).unwrap();
    assert!(bus.flush_timeout(Duration::ZERO).is_done());
    assert!(bus.remove_timeout(id, Duration::ZERO).is_ok());
    assert!(bus.close_timeout(Duration::ZERO).is_done());
}

#[test]
fn reads_take_every_duration_and_moment() {
    for_each_long(|long| {
        let (channel, mut receiver) = Channel::lossy(8).unwrap();
        let reader = thread::spawn(move || [receiver.recv_timeout(long), receiver.recv_deadline(far())]);
        (0..2).for_each(|n| channel.write(n).unwrap());
        assert_eq!(reader.join().unwrap(), [Ok(0), Ok(1)]);

        let (channel, mut receiver) = Channel::shared_lossy(8).unwrap();
        let reader = thread::spawn(move || [receiver.recv_timeout(long), receiver.recv_deadline(far())]);
        (0..2).for_each(|n| channel.write(n).unwrap());
        assert_eq!(reader.join().unwrap(), [Ok(0), Ok(1)]);
        assert!(channel.flush_timeout(long).is_done());

        let journal = Journal::<u32>::builder().capacity(64).build().unwrap();
        let mut subscriber = journal.subscribe(Start::Oldest).unwrap();
        let reader = thread::spawn(move || {
            let one = subscriber.recv_timeout(long).expect("an event before the timeout");
            let two = subscriber.recv_deadline(far()).expect("an event before the deadline");
            assert!(matches!([one, two], [Entry::Event(_, 0), Entry::Event(_, 1)]));
        });
        (0..2).for_each(|n| assert!(journal.publish(n).is_ok()));
        reader.join().unwrap();
    });
    let (_channel, mut receiver) = Channel::<u32>::lossy(8).unwrap();
    assert!(receiver.recv_timeout(Duration::ZERO).is_err());
    assert!(receiver.recv_deadline(Instant::now()).is_err());
}

#[test]
fn blocking_writes_take_every_duration() {
    for_each_long(|long| {
        let build = || Channel::builder().capacity(1).overflow(Overflow::BlockFor(long)).build().unwrap();
        let (channel, mut receiver) = build();
        let reader = thread::spawn(move || receiver.iter().count());
        (0..20).for_each(|n| channel.write(n).unwrap());
        channel.close();
        assert_eq!(reader.join().unwrap(), 20);
        let (channel, _receiver) = build();
        let bounded = channel.timeout(Duration::from_millis(1));
        bounded.write(1).unwrap();
        assert!(matches!(bounded.write(2), Err(WriteError::Timeout(2))), "the shorter limit applies");

        let (channel, mut receiver) =
            Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
        let reader = thread::spawn(move || receiver.iter().count());
        let patient = channel.clone().timeout(long);
        (0..20).for_each(|n| patient.write(n).unwrap());
        channel.close();
        assert_eq!(reader.join().unwrap(), 20);

        let journal = Journal::builder().capacity(64).gate_limit(long).build().unwrap();
        let mut subscriber = journal.subscription().gating().subscribe().unwrap();
        let reader = thread::spawn(move || (0..200).map_while(|_| subscriber.recv().ok()).count());
        (0..200).for_each(|n| assert!(journal.publish(n).is_ok()));
        assert_eq!(reader.join().unwrap(), 200);
    });
    let (channel, _receiver) =
        Channel::builder().capacity(1).overflow(Overflow::BlockFor(Duration::ZERO)).build().unwrap();
    channel.write(1).unwrap();
    assert!(matches!(channel.write(2), Err(WriteError::Timeout(2))));
}

#[test]
fn queues_take_every_limit() {
    for_each_long(|long| {
        let queue =
            Queue::builder().overflow(Overflow::BlockFor(long)).capacity(1).spawn(|_: u32| {}).unwrap();
        (0..100).for_each(|n| queue.write(n).unwrap());
        assert!(queue.flush_timeout(long).is_done());
        assert!(queue.close_timeout(long).is_done());
    });
}

#[test]
fn waiting_strategies_take_every_duration() {
    for_each_long(|long| {
        let brief = Duration::from_millis(1);
        for wait in [
            WaitStrategy::Nap { nap: long, park_after: brief },
            WaitStrategy::Nap { nap: brief, park_after: long },
            WaitStrategy::Nap { nap: long, park_after: Duration::ZERO },
            WaitStrategy::Poll { busy: brief, idle: long },
        ] {
            let queue = Queue::builder().wait_strategy(wait).spawn(|_: u32| {}).unwrap();
            queue.write(1).unwrap();
            assert!(queue.flush_timeout(long).is_done(), "{wait:?}");
            assert!(queue.close_timeout(long).is_done(), "{wait:?}");
        }
        // Only a publish can end the wait of this reader: the channel stays open until all events
        // are read.
        for park_after in [brief, long] {
            let wait = WaitStrategy::Nap { nap: long, park_after };
            let (channel, mut receiver) = Channel::builder().wait_strategy(wait).build().unwrap();
            let (tell, told) = mpsc::channel();
            let reader = thread::spawn(move || receiver.iter().for_each(|n: u32| tell.send(n).unwrap()));
            for n in 0..2 {
                // The reader's strategy takes real time to reach the step after `park_after`, and
                // no observable state marks that step.
                thread::sleep(3 * brief);
                channel.write(n).unwrap();
                assert_eq!(told.recv_timeout(GUARD), Ok(n), "{wait:?}");
            }
            drop(channel);
            reader.join().unwrap();
        }
    });
    let zero = Duration::ZERO;
    for wait in
        [WaitStrategy::Nap { nap: zero, park_after: zero }, WaitStrategy::Poll { busy: zero, idle: zero }]
    {
        let built = Channel::<u32>::builder().wait_strategy(wait).build();
        assert_eq!(invalid(built), ConfigErrorKind::Interval);
    }
}

#[test]
fn retries_take_every_duration() {
    for_each_long(|long| {
        // Each wait is as long as possible, and a hurrying clock skips it.
        let failing = || sink_fn(|_: &u32| Err("no route"));
        let backoff = || Backoff::new(long, long).max_attempts(5);
        assert!(failing().retry(backoff()).clock(ManualClock::hurrying()).write(1).is_err());
        let steep = Backoff::new(Duration::from_nanos(1), long).factor(f64::MAX);
        assert!(steep.window(9) <= long);
        let patient = Backoff::new(Duration::from_secs(1), long).max_elapsed(long).max_attempts(5);
        assert!(failing().retry(patient).clock(ManualClock::hurrying()).write(1).is_err());

        let clock = ManualClock::hurrying();
        let breaker = Breaker::new(1, long).clock(clock.clone()).max_attempts(3).max_elapsed(long);
        assert!(failing().retry(breaker).clock(clock).write(1).is_err());

        // A close ends a wait that would otherwise never end.
        let queue = failing().retry(Backoff::new(long, long)).queue(8).unwrap();
        queue.write(1).unwrap();
        assert!(!queue.close_timeout(Duration::from_millis(1)).is_done());
    });
    assert_eq!(invalid(Backoff::new(Duration::ZERO, Duration::MAX).validate()), ConfigErrorKind::Backoff);
    let never = Backoff::default().max_elapsed(Duration::ZERO);
    assert!(sink_fn(|_: &u32| Err("no route")).retry(never).write(1).is_err());
}

#[test]
fn combinators_take_every_duration() {
    for_each_long(|long| {
        let (channel, mut receiver) = Channel::lossy(8).unwrap();
        let batch = channel.batch(2).age(long).queue(8).unwrap();
        (0..2).for_each(|n| batch.write(n).unwrap());
        assert_eq!(receiver.recv().unwrap(), [0, 1]);
        batch.write(2).unwrap();
        assert!(batch.close_timeout(long).is_done());
        assert_eq!(receiver.recv().unwrap(), [2]);

        let slow = Arc::new(Slow::new(noop::<u32>(), long, SystemClock));
        let writer = thread::spawn({
            let slow = slow.clone();
            move || slow.write(1)
        });
        let _ = slow.close_by(Deadline::after(long));
        assert!(writer.join().unwrap().is_err());
        let hurried = Slow::new(noop::<u32>(), long, ManualClock::hurrying());
        if long < LONG[2] {
            assert!(hurried.write(1).is_ok());
        }
    });
    let aged = noop::<Vec<u32>>().batch(2).age(Duration::ZERO);
    assert_eq!(invalid(aged.queue(1)), ConfigErrorKind::BatchAge);
    for rate in [f64::MIN_POSITIVE, 1e-300, 1e300, f64::MAX] {
        let clock = ManualClock::new();
        let limited = noop::<u32>().rate_limit(rate, u64::MAX).clock(clock.clone());
        limited.write(1).unwrap();
        clock.advance(Duration::MAX);
        limited.write(1).unwrap();
    }
}

/// A sink that always reports `Full`.
struct Full;

impl<E> Sink<E> for Full {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        Err(WriteError::Full(event))
    }
}

#[test]
fn ticks_take_every_moment() {
    for now in [far(), Instant::now()] {
        for long in LONG {
            let batch = noop::<Vec<u32>>().batch(8).age(long);
            batch.write(1).unwrap();
            let next = batch.tick(now);
            assert!(next.is_none_or(|next| next >= now));
            // A refused batch is offered again after a short time.
            let full = SinkExt::<Vec<u32>>::batch(Full, 1).age(long);
            let _ = full.write(1);
            let next = full.tick(now);
            assert!(next.is_none_or(|next| next >= now));
            // A failed event is deferred for as long as the policy demands.
            let policy = Backoff::new(long, long);
            let keyed = sink_fn(|_: &u32| Err("no route")).retry_by_key(|n| *n, policy);
            keyed.write(1).unwrap();
            keyed.tick(now);
            assert!(!keyed.close_by(Deadline::NOW).is_done());
        }
    }
    // A handler that requests its next tick at the latest possible time.
    struct Patient;
    impl Handler<u32> for Patient {
        fn handle(&mut self, _: u32) -> Result<(), BoxError> {
            Ok(())
        }
        fn tick(&mut self, _: Instant) -> Option<Instant> {
            Some(far())
        }
    }
    let queue = Queue::builder().spawn_handler(Patient).unwrap();
    queue.write(1).unwrap();
    assert!(ends(move || queue.close()).is_done());
}

#[test]
fn journals_take_every_time() {
    let times = |mut step: Duration, later: bool| {
        let mut time = SystemTime::now();
        while step > Duration::from_secs(1) {
            match if later { time.checked_add(step) } else { time.checked_sub(step) } {
                Some(found) => time = found,
                None => step /= 2,
            }
        }
        time
    };
    let (first, last) = (times(Duration::MAX, false), times(Duration::MAX, true));
    ends(move || {
        for journal in [
            Journal::<SystemTime>::builder().sample_time().build().unwrap(),
            Journal::builder().time_by(|time: &SystemTime| *time).build().unwrap(),
        ] {
            for time in [first, SystemTime::UNIX_EPOCH, last] {
                journal.publish(time).unwrap();
                for start in [first, SystemTime::UNIX_EPOCH, last] {
                    for until in [first, SystemTime::UNIX_EPOCH, last] {
                        let subscription = journal.subscription().start(Start::Since(start));
                        let subscribed = subscription.until(Until::Time(until)).subscribe();
                        // An end before the start is an error.
                        assert_eq!(subscribed.is_err(), until < start);
                        let Ok(mut subscriber) = subscribed else { continue };
                        let _ = subscriber.try_iter().count();
                        let _ = subscriber.recv_timeout(Duration::from_nanos(1));
                    }
                }
            }
        }
    });
}

#[test]
fn clocks_take_every_duration() {
    for_each_long(|long| {
        let clock = ManualClock::new();
        let begun = clock.now();
        for _ in 0..3 {
            let before = (clock.now(), clock.passed());
            clock.advance(long);
            assert!(clock.now() >= before.0 && clock.passed() >= before.1);
        }
        assert_eq!(clock.now(), begun + clock.passed());
        assert!(clock.passed() > Duration::from_secs(100 * 365 * 24 * 3600));
        let pause = Arc::new(Pause::new());
        clock.wait_until(begun, &pause);
        ManualClock::hurrying().wait_until(far(), &pause);
        pause.interrupt();
        SystemClock.wait_until(far(), &pause);
        assert!(!pause.wait(Deadline::after(long), || false));
    });
    let clock = ManualClock::new();
    clock.advance(Duration::ZERO);
    assert_eq!(clock.passed(), Duration::ZERO);
}
