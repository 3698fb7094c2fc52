//! An idle bus uses no processor time: measured over two seconds of silence, in a separate process.
//!
//! The test measures processor time, so a loaded machine does not matter; the sleep only lets time
//! pass.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "a system call that the standard library does not offer")]

use buslane::{Bus, Channel, Journal, Queue, SinkExt, WaitStrategy};
use std::thread;
use std::time::Duration;
use test_support::{limit, process};

const SILENCE: Duration = Duration::from_secs(2);

/// Returns the processor time that all threads of this process have used.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for the duration of the call.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(done, 0);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Measures the processor time in silence with consumers of the given wait strategy.
type Silence = fn(WaitStrategy) -> Duration;

/// Returns the processor time of four waiting subscribers of a journal in silence.
fn used_by_subscribers(wait: WaitStrategy) -> Duration {
    let journal = Journal::new(64).unwrap();
    let readers = [false, false, true, true].map(|gating| {
        let subscription = journal.subscription().wait_strategy(wait);
        let subscription = if gating { subscription.gating() } else { subscription };
        let mut subscriber = subscription.subscribe().unwrap();
        thread::spawn(move || subscriber.iter().count())
    });
    (0..100).for_each(|n| assert!(journal.publish(n).is_ok()));
    while journal.state().depth > 0 {
        thread::yield_now();
    }
    let before = processor_time();
    // The silence whose processor time is measured.
    thread::sleep(SILENCE);
    let used = processor_time() - before;
    assert!(journal.publish(100).is_ok());
    journal.close();
    readers.into_iter().for_each(|reader| assert!(reader.join().unwrap() > 0));
    used
}

/// Returns the processor time of a bus with queues, a receiver with a waiting thread, and two
/// publishers in silence, as printed by the child.
fn used_in_silence(wait: WaitStrategy) -> Duration {
    let bus: Bus<u64> = Bus::new();
    for _ in 0..3 {
        bus.add(Queue::builder().wait_strategy(wait).spawn(|_: u64| {}).unwrap().filter(|_: &u64| true))
            .unwrap();
    }
    let (channel, mut receiver) = Channel::builder().wait_strategy(wait).build().unwrap();
    bus.add(channel).unwrap();
    let reader = thread::spawn(move || receiver.iter().count());
    let mut publishers = [bus.publisher(), bus.publisher()];
    publishers.iter_mut().for_each(|publisher| assert!(publisher.publish(1).is_ok()));
    assert!(bus.flush_timeout(limit::scaled(Duration::from_secs(30))).is_done());
    let before = processor_time();
    // The silence whose processor time is measured.
    thread::sleep(SILENCE);
    let used = processor_time() - before;
    assert!(publishers[0].publish(2).is_ok());
    assert!(bus.close().is_done());
    assert_eq!(reader.join().unwrap(), 3);
    used
}

/// Returns the processor time as a percentage of the silence, measured in a process that does
/// nothing else.
fn percent(test: &str, silence: Silence, wait: WaitStrategy) -> f64 {
    let Some(child) = process::in_child(module_path!(), test) else {
        eprintln!("used {}", silence(wait).as_nanos());
        std::process::exit(0);
    };
    let text = String::from_utf8_lossy(&child.stderr).into_owned();
    assert!(child.status.success(), "{text}");
    let used = text.lines().find_map(|line| line.strip_prefix("used ")).expect("the child's line");
    let percent = 100.0 * used.parse::<f64>().unwrap() / SILENCE.as_nanos() as f64;
    println!("{wait:?}: {percent:.3} % of a processor, four idle consumers");
    percent
}

#[test]
fn napping_consumers_use_no_idle_processor_time() {
    let used = percent("napping_consumers_use_no_idle_processor_time", used_in_silence, WaitStrategy::nap());
    assert!(used < 0.5, "{used} %");
}

#[test]
fn spin_park_consumers_use_no_idle_processor_time() {
    let used =
        percent("spin_park_consumers_use_no_idle_processor_time", used_in_silence, WaitStrategy::SpinPark);
    assert!(used < 0.5, "{used} %");
}

#[test]
fn parked_consumers_use_no_idle_processor_time() {
    let used = percent("parked_consumers_use_no_idle_processor_time", used_in_silence, WaitStrategy::Park);
    assert!(used < 0.5, "{used} %");
}

#[test]
fn polling_consumer_uses_at_most_1_percent_when_idle() {
    // Four consumers poll; the documented figure is for one.
    let used =
        percent("polling_consumer_uses_at_most_1_percent_when_idle", used_in_silence, WaitStrategy::poll())
            / 4.0;
    assert!(used <= 1.0, "{used} %");
}

#[test]
fn napping_subscribers_use_no_idle_processor_time() {
    let used =
        percent("napping_subscribers_use_no_idle_processor_time", used_by_subscribers, WaitStrategy::nap());
    assert!(used < 0.5, "{used} %");
}

#[test]
fn spin_park_subscribers_use_no_idle_processor_time() {
    let name = "spin_park_subscribers_use_no_idle_processor_time";
    let used = percent(name, used_by_subscribers, WaitStrategy::SpinPark);
    assert!(used < 0.5, "{used} %");
}

#[test]
fn parked_subscribers_use_no_idle_processor_time() {
    let used =
        percent("parked_subscribers_use_no_idle_processor_time", used_by_subscribers, WaitStrategy::Park);
    assert!(used < 0.5, "{used} %");
}

#[test]
fn polling_subscriber_uses_at_most_1_percent_idle() {
    let name = "polling_subscriber_uses_at_most_1_percent_idle";
    let used = percent(name, used_by_subscribers, WaitStrategy::poll()) / 4.0;
    assert!(used <= 1.0, "{used} %");
}
