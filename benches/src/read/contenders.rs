//! The contenders.
#![expect(clippy::missing_panics_doc, reason = "a contender that fails ends the bench")]

use super::{Readers, Seen};
use crate::CAPACITY;
use crate::event::Event;
use buslane::journal::{Entry, Start};
use buslane::{Journal, Subscriber};

const OPEN: &str = "the journal is open";
const SETTINGS: &str = "the settings are valid";

/// Readers of one kind.
struct Alike<F, X, R> {
    fill: F,
    readers: Vec<X>,
    read: R,
}

impl<F: FnMut(Event), X, R: FnMut(&mut X, &mut Seen)> Readers for Alike<F, X, R> {
    fn count(&self) -> usize {
        self.readers.len()
    }

    #[inline(never)]
    fn fill(&mut self, first: u64, count: u64) {
        for seq in first..first + count {
            (self.fill)(Event::new(seq));
        }
    }

    #[inline(always)]
    fn read(&mut self) -> Seen {
        let mut seen = Seen::default();
        for reader in &mut self.readers {
            (self.read)(reader, &mut seen);
        }
        seen
    }
}

/// The harness alone: a sequence of events, which are summed.
#[must_use]
pub fn slice() -> impl Readers {
    struct Slice(Vec<Event>);
    impl Readers for Slice {
        fn count(&self) -> usize {
            1
        }

        fn fill(&mut self, first: u64, count: u64) {
            self.0.clear();
            self.0.extend((first..first + count).map(Event::new));
        }

        #[inline(always)]
        fn read(&mut self) -> Seen {
            let mut seen = Seen::default();
            self.0.iter().for_each(|event| seen.see(event));
            seen
        }
    }
    Slice(Vec::with_capacity(CAPACITY))
}

/// Subscribers of a journal with one publisher.
fn subscribers(count: usize, read: impl FnMut(&mut Subscriber<Event>, &mut Seen)) -> impl Readers {
    let (mut writer, feed) = Journal::single(CAPACITY).expect(SETTINGS);
    let readers = (0..count).map(|_| feed.subscribe(Start::Now).expect(SETTINGS)).collect();
    let fill = move |event| {
        writer.publish(event).expect(OPEN);
    };
    Alike { fill, readers, read }
}

/// `Subscriber::try_recv`, which clones.
#[must_use]
pub fn try_recv(count: usize) -> impl Readers {
    subscribers(count, |subscriber, seen| {
        while let Ok(Entry::Event(_, event)) = subscriber.try_recv() {
            seen.see(&event);
        }
    })
}

/// `Subscriber::try_recv_with`, in place.
#[must_use]
pub fn try_recv_with(count: usize) -> impl Readers {
    subscribers(
        count,
        |subscriber, seen| {
            while let Ok(Entry::Event(..)) = subscriber.try_recv_with(|event| seen.see(event)) {}
        },
    )
}

/// `Subscriber::try_recv_slice`, slices in place.
#[must_use]
pub fn try_recv_slice(count: usize) -> impl Readers {
    subscribers(count, |subscriber, seen| {
        while let Ok(Entry::Event(_, events)) = subscriber.try_recv_slice() {
            events.iter().for_each(|event| seen.see(event));
        }
    })
}

/// `tokio::sync::broadcast`, event by event: it has no batches.
#[must_use]
pub fn tokio(count: usize) -> impl Readers {
    let (sender, first) = tokio::sync::broadcast::channel::<Event>(CAPACITY);
    let mut readers = vec![first];
    readers.resize_with(count, || sender.subscribe());
    let fill = move |event| {
        sender.send(event).expect("there are receivers");
    };
    let read = |receiver: &mut tokio::sync::broadcast::Receiver<Event>, seen: &mut Seen| {
        while let Ok(event) = receiver.try_recv() {
            seen.see(&event);
        }
    };
    Alike { fill, readers, read }
}

type Words = [u64; 4];

fn photon_subscribers(
    count: usize,
    read: impl FnMut(&mut photon_ring::Subscriber<Words>, &mut Seen),
) -> impl Readers {
    let (mut publisher, subscribable) = photon_ring::channel::<Words>(CAPACITY);
    let readers = (0..count).map(|_| subscribable.subscribe()).collect();
    Alike { fill: move |event: Event| publisher.publish(event.into()), readers, read }
}

/// `photon-ring`, event by event.
#[must_use]
pub fn photon(count: usize) -> impl Readers {
    photon_subscribers(count, |subscriber, seen| {
        while let Ok(words) = subscriber.try_recv() {
            seen.see(&words.into());
        }
    })
}

/// `photon-ring`, into a buffer of 64.
#[must_use]
pub fn photon_batch(count: usize) -> impl Readers {
    let mut buffer = [[0; 4]; 64];
    photon_subscribers(count, move |subscriber, seen| {
        loop {
            let count = subscriber.recv_batch(&mut buffer);
            if count == 0 {
                return;
            }
            buffer[..count].iter().for_each(|words| seen.see(&Event::from(*words)));
        }
    })
}
