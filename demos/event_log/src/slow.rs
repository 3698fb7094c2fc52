//! The subscriber that comes later, for the last events, and reads seldom: it lags, and is told so.

use crate::event::Event;
use crate::story::Story;
use crate::visit::Visit;
use buslane::Subscriber;
use buslane::journal::Entry;
use std::num::NonZeroU32;
use std::sync::mpsc::Receiver;

/// Reads what is there, again after every so many looks, and to the end when there are no more looks.
pub(crate) fn read(
    mut subscriber: Subscriber<Event>,
    mut visit: Visit,
    every: NonZeroU32,
    looks: &Receiver<()>,
    story: &Story,
) -> Visit {
    let every = every.get() as usize;
    loop {
        let (mut seen, mut missed) = (0_u64, 0);
        // What comes while it reads is for the next time.
        let end = subscriber.next_sequence().get() + subscriber.behind();
        while subscriber.next_sequence().get() < end
            && let Ok(entry) = subscriber.try_recv()
        {
            missed += visit.note(&entry, &subscriber);
            seen += u64::from(matches!(entry, Entry::Event(..)));
        }
        story.tell(
            visit.name,
            format_args!("missed {missed}, read {seen}, up to {}", subscriber.next_sequence()),
        );
        if looks.iter().take(every).count() < every {
            break;
        }
    }
    while let Ok(entry) = subscriber.recv() {
        visit.note(&entry, &subscriber);
    }
    visit.disconnect(subscriber);
    visit
}
