//! The published events, and the checks of a reader.

use crate::watch::fail;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One event of a stream. A stream is the sequence of one thread through one way of publishing,
/// numbered from 0.
#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) stream: u64,
    pub(crate) number: u64,
    /// Derived from the two fields above, so that a torn or stale event is detected.
    words: [u64; 3],
    /// Some events own memory, so that a leak or a double drop is detected.
    heap: Option<Box<u64>>,
}

fn mix(stream: u64, number: u64, salt: u64) -> u64 {
    let mixed =
        (stream ^ salt).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 31)
}

impl Event {
    /// The most bytes that an event owns.
    pub(crate) const OWNED: usize = size_of::<u64>();

    fn new(stream: u64, number: u64) -> Self {
        let words = [1, 2, 3].map(|salt| mix(stream, number, salt));
        let heap = number.is_multiple_of(8).then(|| Box::new(mix(stream, number, 4)));
        Self { stream, number, words, heap }
    }

    fn is_whole(&self) -> bool {
        let whole = Self::new(self.stream, self.number);
        self.words == whole.words && self.heap == whole.heap
    }
}

/// Creates the events of one stream.
pub(crate) struct Stream {
    id: u64,
    next: u64,
}

impl Stream {
    /// Returns a stream with a unique number.
    pub(crate) fn new() -> Self {
        static STREAMS: AtomicU64 = AtomicU64::new(0);
        Self { id: STREAMS.fetch_add(1, Ordering::Relaxed), next: 0 }
    }

    pub(crate) fn event(&mut self) -> Event {
        let event = Event::new(self.id, self.next);
        self.next += 1;
        event
    }
}

/// The events that all readers of one sink have seen.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<AtomicU64>);

impl Seen {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// Checks the streams of one reader: each in order, no event twice, and none missing where the sink
/// guarantees that.
pub(crate) struct Follower {
    name: String,
    gapless: bool,
    last: HashMap<u64, u64>,
    seen: Seen,
}

impl Follower {
    pub(crate) fn new(name: &str, gapless: bool, seen: &Seen) -> Self {
        Self { name: name.to_owned(), gapless, last: HashMap::new(), seen: seen.clone() }
    }

    pub(crate) fn see(&mut self, event: &Event) {
        let Event { stream, number, .. } = *event;
        if !event.is_whole() {
            fail(&format!("{}: event {number} of stream {stream} is broken", self.name));
        }
        if let Some(last) = self.last.insert(stream, number)
            && (number <= last || (self.gapless && number != last + 1))
        {
            fail(&format!("{}: event {number} of stream {stream} after {last}", self.name));
        }
        self.seen.0.fetch_add(1, Ordering::Release);
    }
}
