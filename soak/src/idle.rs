//! The processor time that all sinks together use in silence.

use crate::event::{Event, Stream};
use crate::system::processor_time;
use crate::watch::{GUARD, beat, fail, pauses, require};
use buslane::journal::Start;
use buslane::{Bus, Channel, Journal, Queue, SinkExt, WaitStrategy};
use std::thread;
use std::time::Duration;

const SILENCE: Duration = Duration::from_secs(2);
/// One fiftieth of one processor, which includes the error of a scheduler's tick.
const MOST: Duration = Duration::from_millis(40);
/// One tenth, for consumers that cannot rely on wake-ups and poll instead.
const MOST_WITHOUT_WAKES: Duration = Duration::from_millis(200);

/// The most silences that are measured.
const SILENCES: usize = 3;

/// Measures the processor time of one silence.
fn silence() -> Option<Duration> {
    let before = processor_time();
    thread::sleep(SILENCE);
    processor_time().zip(before).map(|(after, before)| after - before)
}

/// Measures the processor time of waiting sinks of every kind after a burst. `None` where the
/// system does not report it.
pub(crate) fn check(lost_membarrier: bool) -> Option<Duration> {
    beat("be silent");
    let bus: Bus<Event> = Bus::new();
    let added = |outcome: Result<_, buslane::error::AddError>| {
        outcome.unwrap_or_else(|error| fail(&format!("{error}")));
    };
    for wait in [WaitStrategy::nap(), WaitStrategy::SpinPark, WaitStrategy::Park] {
        let queue = Queue::builder().wait_strategy(wait).spawn(|_: Event| {});
        let queue = queue.unwrap_or_else(|error| fail(&format!("{error}")));
        added(bus.add(queue.filter(|event: &Event| event.number > 0)));
    }
    let (channel, mut receiver) = Channel::lossy(64).unwrap_or_else(|error| fail(&format!("{error}")));
    added(bus.add(channel));
    let journal = Journal::new(64).unwrap_or_else(|error| fail(&format!("{error}")));
    let mut subscriber = journal.subscribe(Start::Now).unwrap_or_else(|error| fail(&format!("{error}")));
    added(bus.add(journal));
    let reader = thread::spawn(move || receiver.iter().count());
    let other = thread::spawn(move || subscriber.iter().count());
    let (mut publishers, mut stream) = ([bus.publisher(), bus.publisher()], Stream::new());
    for _ in 0..100 {
        publishers.iter_mut().for_each(|publisher| drop(publisher.publish(stream.event())));
    }
    require(bus.flush_timeout(GUARD).is_done() || pauses() > 0, || "a flush before the silence".to_owned());
    // A napping worker keeps napping for another ten milliseconds.
    thread::sleep(Duration::from_millis(100));
    let most = if lost_membarrier { MOST_WITHOUT_WAKES } else { MOST };
    let mut used = silence();
    // A wake-up takes longer while other programs use the processors: the least counts.
    for _ in 1..SILENCES {
        if used.is_some_and(|used| used >= most) {
            used = silence().min(used);
        }
    }
    if let Some(used) = used {
        require(used < most, || format!("{used:?} of processor time in {SILENCE:?} of silence"));
    }
    drop(publishers);
    require(bus.close().is_done() || pauses() > 0, || "a close after the silence".to_owned());
    let read = [reader.join(), other.join()];
    require(read.iter().all(|count| matches!(count, Ok(1..))), || "readers that were woken".to_owned());
    used
}
