//! The age of the oldest pending event of a mailbox, as far as snapshots can know it.
//!
//! Events carry no time, so that a publish reads no clock. Instead each snapshot keeps how many
//! events had entered the mailbox until then. If fewer have left it by now, at least one of those
//! is still pending, and it is at least as old as that snapshot.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most snapshots that are kept. When there are more, every second one is forgotten.
const MOST: usize = 32;

/// The least time between two snapshots that are kept.
const SPACING: Duration = Duration::from_millis(10);

/// Earlier snapshots with events that may still be pending, the oldest first: the time of each, and
/// the number of events that had entered the mailbox.
#[derive(Default)]
pub(super) struct Ages(VecDeque<(Instant, u64)>);

/// What snapshots keep of a backlog: since when they have seen it not drained, with how often the
/// consumer had found nothing, and the age of its events. Allocated when there is a backlog.
#[derive(Default)]
pub(super) struct Backlog(Option<Box<(u64, Instant, Ages)>>);

impl Backlog {
    /// Returns the time since a snapshot first saw the backlog that the consumer has not drained
    /// since, and the age of the oldest event, at least. `emptied` counts how often the consumers
    /// found nothing. The other arguments are those of [`Ages::oldest`].
    pub(super) fn see(
        &mut self,
        emptied: u64,
        (entered, pending): (u64, u64),
    ) -> Option<(Duration, Duration)> {
        if pending == 0 {
            self.0 = None;
            return None;
        }
        let now = Instant::now();
        let (seen, since, ages) =
            &mut **self.0.get_or_insert_with(|| Box::new((emptied, now, Ages::default())));
        if *seen != emptied {
            (*seen, *since) = (emptied, now);
        }
        Some((now.saturating_duration_since(*since), ages.oldest(entered, pending, now)?))
    }
}

impl Ages {
    /// Returns the age of the oldest pending event, at least; `None` if none is pending. `entered`
    /// counts all events that entered the mailbox, `pending` those that have not left it.
    pub(super) fn oldest(&mut self, entered: u64, pending: u64, now: Instant) -> Option<Duration> {
        if pending == 0 {
            // Later events are younger than every snapshot that is kept.
            self.0.clear();
            return None;
        }
        let left = entered.saturating_sub(pending);
        while self.0.front().is_some_and(|(_, then)| *then <= left) {
            self.0.pop_front();
        }
        let oldest = self.0.front().map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at));
        let is_new = self
            .0
            .back()
            .is_none_or(|(at, then)| *then < entered && now.saturating_duration_since(*at) >= SPACING);
        if is_new {
            if self.0.len() >= MOST {
                let mut position = 0;
                self.0.retain(|_| {
                    position += 1;
                    position % 2 == 1
                });
            }
            self.0.push_back((now, entered));
        }
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ages, MOST};
    use std::time::{Duration, Instant};

    #[test]
    fn age_is_that_of_the_first_snapshot_with_the_event() {
        let (mut ages, start) = (Ages::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let age = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(ages.oldest(5, 0, at(0)), None);
        assert_eq!(ages.oldest(7, 2, at(1)), age(0), "two that no snapshot has seen before");
        assert_eq!(ages.oldest(9, 4, at(2)), age(1), "the same two are the oldest");
        assert_eq!(ages.oldest(10, 3, at(3)), age(1), "those of the second snapshot");
        assert_eq!(ages.oldest(20, 10, at(4)), age(0), "all that were seen have left");
        assert_eq!(ages.oldest(20, 0, at(5)), None);
        assert_eq!(ages.oldest(21, 1, at(6)), age(0));
    }

    #[test]
    fn few_snapshots_are_kept_with_the_oldest() {
        let (mut ages, start) = (Ages::default(), Instant::now());
        for second in 0..10_000 {
            let now = start + Duration::from_secs(second);
            assert_eq!(ages.oldest(second + 1, second + 1, now), Some(Duration::from_secs(second)));
            assert!(ages.0.len() <= MOST);
        }
    }
}
