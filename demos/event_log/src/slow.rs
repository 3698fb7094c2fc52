//! The subscriber that starts later, with the last events, and reads rarely: it lags, and counts
//! what it missed.

use crate::event::Event;
use crate::visit::Visit;
use buslane::Subscriber;
use buslane::journal::Entry;
use demo_support::{Mark, Story};
use std::num::NonZeroU32;
use std::sync::mpsc::Receiver;

/// Reads what is there after every `every` scans, and to the end after the last scan.
pub(crate) fn read(
    mut subscriber: Subscriber<Event>,
    mut visit: Visit,
    every: NonZeroU32,
    scans: &Receiver<()>,
    story: &Story,
) -> Visit {
    let every = every.get() as usize;
    loop {
        let (mut seen, mut missed) = (0_u64, 0);
        // Events published while it reads are for the next time.
        let end = subscriber.next_sequence().get() + subscriber.behind();
        while subscriber.next_sequence().get() < end
            && let Ok(entry) = subscriber.try_recv()
        {
            missed += visit.note(&entry, &subscriber);
            seen += u64::from(matches!(entry, Entry::Event(..)));
        }
        let (mark, end) = (Mark::good_if(missed == 0, Mark::Notice), subscriber.next_sequence());
        story.tell_as(mark, visit.name, format_args!("missed {missed}, read {seen}, up to event {end}"));
        if scans.iter().take(every).count() < every {
            break;
        }
    }
    while let Ok(entry) = subscriber.recv() {
        visit.note(&entry, &subscriber);
    }
    visit.disconnect(subscriber);
    visit
}
