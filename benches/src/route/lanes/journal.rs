//! A route through a journal.

use super::{OPEN, SETTINGS};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use crate::route::{Consumer, Line, Route};
use buslane::journal::Entry;
use buslane::{Journal, WaitStrategy, WriteError};

/// `JournalWriter::try_publish`, again and again, and `Subscriber::recv` of a subscriber that the
/// publisher waits for. With one publisher.
#[derive(Clone, Copy, Debug)]
pub struct Journaled {
    /// The wait strategy of the subscriber.
    pub wait: WaitStrategy,
}

impl Journaled {
    /// No thread ever sleeps.
    pub const SPINNING: Self = Self { wait: WaitStrategy::BusySpin };
    /// The default waiting of a subscriber.
    pub const DEFAULT: Self = Self { wait: WaitStrategy::SpinPark };
}

impl Route for Journaled {
    fn open(
        self,
        publishers: usize,
        mut handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        assert_eq!(publishers, 1, "a journal's writer is one publisher");
        let (mut writer, feed) = Journal::single(CAPACITY).expect(SETTINGS);
        let subscription = feed.subscription().gating().wait_strategy(self.wait);
        let mut subscriber = subscription.subscribe().expect(SETTINGS);
        let consumer = Consumer::spawn(move || {
            while let Ok(Entry::Event(_, event)) = subscriber.recv() {
                handle(&event);
            }
        });
        let send = move |seed: Seed| {
            while let Err(error) = writer.try_publish(seed.event()) {
                assert!(matches!(error, WriteError::Full(_)), "{OPEN}");
                std::hint::spin_loop();
            }
        };
        Line { senders: vec![send], consumer }
    }
}
