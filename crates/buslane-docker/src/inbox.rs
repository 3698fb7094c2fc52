//! What was read and not forwarded yet: a bounded buffer between the thread that drains the socket
//! and the thread of the monitor.
//!
//! An engine drops events without a trace when a client does not read, and slows every other client
//! down while it waits. So the thread that drains never waits here. When the buffer is full, the
//! oldest events are evicted and counted, and the monitor's thread gets the exact number upstream of
//! the event after them.
//!
//! # Protocol
//! All state is under one lock. Events move in batches, one for each read of the socket, so that an
//! event costs no lock of its own.
//!
//! - I1: a batch that was taken is no longer here, so evicted events are all after the events of the
//!   batch in hand, and before those that are left.
//! - I2: the end of the stream is taken only when every batch was, so nothing that was read is lost
//!   with the connection.
//! - I3: a push notifies if a thread waits; both look under the lock, so no wake-up is lost.
//! - I4: a close drops what is left. It follows a stop or the end of the connection, and what is not
//!   forwarded then is read again by the next connection, since no token is after it.

use crate::attempt::lock;
use crate::error::DockerError;
use crate::event::DockerEvent;
use crate::identity::Identity;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The identities of evicted events that are kept: the first ones, which may be repeated by this
/// replay, and the newest ones, which may be repeated by the next.
const KEPT_IDENTITIES: usize = 1024;
/// The empty batches that are kept for another use.
const KEPT_BATCHES: usize = 4;
/// The most memory of all events in the buffer, in bytes.
pub(crate) const MOST_BYTES: usize = 64 << 20;

/// What one read of the socket contained.
pub(crate) type Batch = VecDeque<Entry>;

pub(crate) enum Entry {
    Event(DockerEvent, Option<Identity>),
    /// An event that the filter of this process does not want: its identity and its time. It proves
    /// what any event does, and takes no room of those that are wanted.
    Unwanted(Option<Identity>, Option<i64>),
    /// A value that is no event, and its hash.
    Undecodable(DockerError, u64),
    /// Evicted events.
    Lost(Lost),
}

/// Events that were evicted.
#[derive(Default)]
pub(crate) struct Lost {
    pub(crate) events: u64,
    first: Vec<Identity>,
    newest: VecDeque<Identity>,
}

impl Lost {
    fn push(&mut self, identity: Identity) {
        if self.first.len() < KEPT_IDENTITIES {
            return self.first.push(identity);
        }
        if self.newest.len() == KEPT_IDENTITIES {
            self.newest.pop_front();
        }
        self.newest.push_back(identity);
    }

    /// Returns the identities of the first and the newest of them, in order.
    pub(crate) fn identities(&self) -> impl Iterator<Item = Identity> {
        self.first.iter().chain(&self.newest).copied()
    }
}

/// Why there is nothing to forward.
pub(crate) enum Nothing {
    TimedOut,
    /// The stream has ended: cleanly, or by a fault.
    Ended(Result<(), DockerError>),
    Closed,
}

pub(crate) struct Inbox {
    /// The most events.
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    batches: VecDeque<Batch>,
    events: usize,
    bytes: usize,
    lost: Lost,
    end: Option<Result<(), DockerError>>,
    is_closed: bool,
    is_awaited: bool,
    empty: Vec<Batch>,
}

impl Entry {
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Event(event, _) => event.size(),
            Self::Unwanted(..) | Self::Undecodable(..) | Self::Lost(_) => size_of::<Self>(),
        }
    }

    fn is_wanted(&self) -> bool {
        !matches!(self, Self::Unwanted(..))
    }
}

impl Inbox {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Returns an empty batch.
    pub(crate) fn batch(&self) -> Batch {
        lock(&self.state).empty.pop().unwrap_or_default()
    }

    /// Adds what was read, and evicts the oldest events if there are too many. Returns `false` if the
    /// inbox is closed.
    pub(crate) fn push(&self, batch: Batch) -> bool {
        let bytes: usize = batch.iter().map(Entry::size).sum();
        let mut evicted = Vec::new();
        let is_awaited = {
            let mut state = lock(&self.state);
            if state.is_closed {
                return false;
            }
            if !batch.is_empty() {
                state.events += count(&batch);
                state.bytes += bytes;
                state.batches.push_back(batch);
                while state.events > self.capacity || state.bytes > MOST_BYTES {
                    let Some(entry) = state.evict() else { break };
                    evicted.push(entry);
                }
            }
            std::mem::take(&mut state.is_awaited)
        };
        if is_awaited {
            self.changed.notify_all();
        }
        // Dropped outside the lock.
        drop(evicted);
        true
    }

    /// Sets the end of the stream. The first one counts.
    pub(crate) fn end(&self, end: Result<(), DockerError>) {
        lock(&self.state).end.get_or_insert(end);
        self.changed.notify_all();
    }

    /// Closes the inbox, and wakes a thread that waits for it.
    pub(crate) fn close(&self) {
        let batches = {
            let mut state = lock(&self.state);
            state.is_closed = true;
            std::mem::take(&mut state.batches)
        };
        self.changed.notify_all();
        drop(batches);
    }

    /// Takes the oldest batch, upstream of it the events that were evicted before it. The batch that
    /// was in hand must be empty; it is used again.
    pub(crate) fn take(&self, hand: &mut Batch, limit: Duration) -> Result<(), Nothing> {
        let mut until = None;
        let mut state = lock(&self.state);
        loop {
            if state.is_closed {
                return Err(Nothing::Closed);
            }
            if state.lost.events > 0 {
                let lost = std::mem::take(&mut state.lost);
                hand.push_back(Entry::Lost(lost));
                return Ok(());
            }
            if let Some(mut batch) = state.batches.pop_front() {
                state.events -= count(&batch);
                state.bytes -= batch.iter().map(Entry::size).sum::<usize>();
                std::mem::swap(&mut batch, hand);
                if state.empty.len() < KEPT_BATCHES {
                    state.empty.push(batch);
                }
                return Ok(());
            }
            if let Some(end) = &state.end {
                return Err(Nothing::Ended(end.clone()));
            }
            let now = Instant::now();
            let until = *until.get_or_insert(now.checked_add(limit));
            let left = until.map_or(limit, |until| until.saturating_duration_since(now));
            if left.is_zero() {
                return Err(Nothing::TimedOut);
            }
            state.is_awaited = true;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Returns the number of events that are wanted.
fn count(batch: &Batch) -> usize {
    batch.iter().filter(|entry| entry.is_wanted()).count()
}

impl State {
    /// Evicts the oldest event.
    fn evict(&mut self) -> Option<Entry> {
        let batch = self.batches.front_mut()?;
        let entry = batch.pop_front()?;
        if batch.is_empty() {
            let batch = self.batches.pop_front();
            if self.empty.len() < KEPT_BATCHES {
                self.empty.extend(batch);
            }
        }
        self.bytes -= entry.size();
        if entry.is_wanted() {
            self.events -= 1;
            self.lost.events += 1;
        }
        if let Entry::Event(_, Some(identity)) = &entry {
            self.lost.push(*identity);
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Entry, Inbox, Nothing};
    use crate::identity::Identity;
    use std::time::Duration;

    fn batch(times: std::ops::Range<i64>) -> Batch {
        times
            .map(|time| {
                let json = format!(r#"{{"Type":"volume","timeNano":{time}}}"#);
                let event = serde_json::from_str(&json).unwrap();
                let identity = Identity::of(&event);
                Entry::Event(event, identity)
            })
            .collect()
    }

    /// Takes everything: times of events, and negative numbers of lost ones.
    fn taken(inbox: &Inbox) -> Vec<i64> {
        let (mut all, mut hand) = (Vec::new(), Batch::new());
        while inbox.take(&mut hand, Duration::ZERO).is_ok() {
            while let Some(entry) = hand.pop_front() {
                all.push(match entry {
                    Entry::Event(event, _) => event.outline.time_nano,
                    Entry::Lost(lost) => -(lost.events as i64),
                    Entry::Undecodable(..) | Entry::Unwanted(..) => 0,
                });
            }
        }
        all
    }

    #[test]
    fn full_inbox_evicts_the_oldest_and_counts_them() {
        let inbox = Inbox::new(10);
        assert!(inbox.push(batch(1..5)) && inbox.push(batch(5..9)));
        assert_eq!(taken(&inbox), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(inbox.push(batch(1..8)) && inbox.push(batch(8..16)));
        assert_eq!(taken(&inbox), [-5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert!(inbox.push(batch(1..31)));
        assert_eq!(taken(&inbox).first(), Some(&-20), "a batch may be larger than the inbox");
    }

    #[test]
    fn evicted_events_are_after_the_batch_in_hand() {
        let (inbox, mut hand) = (Inbox::new(4), Batch::new());
        assert!(inbox.push(batch(1..4)));
        assert!(inbox.take(&mut hand, Duration::ZERO).is_ok());
        assert!(inbox.push(batch(4..10)));
        assert_eq!(hand.len(), 3);
        hand.clear();
        assert!(inbox.take(&mut hand, Duration::ZERO).is_ok());
        let Some(Entry::Lost(lost)) = hand.pop_front() else { panic!("no gap") };
        assert_eq!((lost.events, lost.identities().count()), (2, 2));
        assert_eq!(taken(&inbox), [6, 7, 8, 9]);
    }

    #[test]
    fn unwanted_events_evict_none_and_are_not_counted() {
        let inbox = Inbox::new(10);
        assert!(inbox.push(batch(1..5)));
        for _ in 0..20 {
            assert!(inbox.push(Batch::from([Entry::Unwanted(None, None)])));
        }
        assert_eq!(taken(&inbox).into_iter().filter(|time| *time != 0).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(inbox.push(batch(1..5)) && inbox.push(Batch::from([Entry::Unwanted(None, None)])));
        assert!(inbox.push(batch(5..20)));
        assert_eq!(taken(&inbox)[..2], [-9, 10]);
    }

    #[test]
    fn memory_of_events_is_bounded() {
        let inbox = Inbox::new(usize::MAX);
        for _ in 0..70 {
            let json = format!(r#"{{"Type":"{}"}}"#, "x".repeat(1 << 20));
            let entry = Entry::Event(serde_json::from_str(&json).unwrap(), None);
            assert!(inbox.push(Batch::from([entry])));
        }
        let taken = taken(&inbox);
        assert!(taken[0] <= -6 && taken.len() as i64 - 1 - taken[0] == 70, "{taken:?}");
    }

    #[test]
    fn end_comes_after_everything_that_was_read() {
        let (inbox, mut hand) = (Inbox::new(4), Batch::new());
        assert!(inbox.push(batch(1..4)));
        inbox.end(Ok(()));
        assert!(inbox.take(&mut hand, Duration::MAX).is_ok());
        hand.clear();
        for _ in 0..2 {
            assert!(matches!(inbox.take(&mut hand, Duration::MAX), Err(Nothing::Ended(Ok(())))));
        }
        inbox.close();
        assert!(!inbox.push(batch(1..2)));
        assert!(matches!(inbox.take(&mut hand, Duration::MAX), Err(Nothing::Closed)));
    }
}
