//! Finding the next event that passes the bounds and the filter, and the end of the stream.

use super::Subscriber;
use crate::error::RecvError;
use crate::journal::bounds::{Judgement, ask};
use crate::journal::core::JournalCore;
use crate::journal::entry::Sequence;
use crate::journal::seat::Seat;
use crate::ring::blocks::Look;
use std::sync::Arc;

/// The next entry of the stream.
pub(super) enum Found {
    /// A wanted event that has not been taken yet.
    Event,
    Lagged(u64),
    Panicked(Sequence),
}

impl<E: Send + Sync + 'static> Subscriber<E> {
    /// Advances to the next wanted event, but judges no event from position `end` on. Returns `None`
    /// if there is none now, or if there was none when the search began.
    #[inline(never)]
    pub(super) fn find(&mut self, end: u64) -> Result<Option<Found>, RecvError> {
        let mut ran_dry = 0;
        loop {
            if self.ended || self.bounds.end_before(self.reader.position()) {
                return self.end();
            }
            match self.look() {
                Look::Values if self.takes_all => return Ok(Some(Found::Event)),
                // A steady flow of unwanted events would otherwise keep this loop running forever.
                Look::Values if ran_dry > 1 => return Ok(None),
                Look::Values if self.reader.position() >= end => return Ok(None),
                Look::Values => match self.judge() {
                    Ok(Judgement::Within) => return Ok(Some(Found::Event)),
                    Ok(Judgement::Outside) => {
                        self.reader.take(|_, _| ());
                        self.seat.filtered(1);
                        self.seat.set_position(self.reader.position());
                        ran_dry += u32::from(self.reader.is_dry());
                    }
                    Ok(Judgement::End) => return self.end(),
                    Err(_) => {
                        let sequence = Sequence::new(self.reader.position());
                        self.reader.take(|_, _| ());
                        self.went_past_a_panic();
                        self.end_after_the_last();
                        return Ok(Some(Found::Panicked(sequence)));
                    }
                },
                Look::Lagged(events) => {
                    self.seat.lagged(events);
                    self.seat.set_position(self.reader.position());
                    if self.ends_on_lag {
                        self.end_subscription();
                    } else if self.gating {
                        self.gate_moved();
                    }
                    return Ok(Some(Found::Lagged(events)));
                }
                Look::Empty => {
                    let over = self.bounds.remaining().is_some_and(|left| left.is_zero());
                    // An event published before the time passed may have arrived since the poll.
                    if over && !self.reader.has_news() {
                        return self.end();
                    }
                    if !over {
                        return Ok(None);
                    }
                }
                Look::Closed => return self.end(),
            }
        }
    }

    #[cold]
    pub(super) fn went_past_a_panic(&self) {
        self.seat.panicked();
        self.seat.set_position(self.reader.position());
    }

    #[inline]
    fn look(&mut self) -> Look {
        if self.gating && self.reader.known() == 0 {
            // The subscriber has read a whole block, or every event: a publisher may wait for that.
            self.gate_moved();
        }
        self.reader.look()
    }

    /// Reports the position to waiting publishers. Each position is reported once (L4 of the
    /// gates).
    pub(super) fn gate_moved(&mut self) {
        let position = self.seat.position();
        if self.reported_at != Some(position) {
            self.reported_at = Some(position);
            self.shared.gate_moved();
        }
    }

    /// Returns a handle with which another thread makes this subscriber cease to gate.
    pub(crate) fn gate(&self) -> OpenGate<E> {
        OpenGate { shared: self.shared.clone(), seat: self.seat.clone() }
    }

    /// Checks whether the next event is wanted. Returns an error if user code panics. Checks each
    /// event once.
    fn judge(&mut self) -> Result<Judgement, String> {
        let Self { reader, bounds, wanted, judged, .. } = self;
        let position = reader.position();
        match judged.take() {
            Some((at, judgement)) if at == position => judgement,
            _ => {
                let stamp = reader.stamp().unwrap_or(0);
                let judgement = reader.peek(|_, event| ask(bounds, wanted, (position, event), stamp));
                judgement.unwrap_or(Ok(Judgement::Outside))
            }
        }
    }

    /// Ends the subscription and returns [`RecvError::Closed`].
    #[cold]
    fn end<R>(&mut self) -> Result<R, RecvError> {
        if !self.ended {
            self.end_subscription();
        }
        Err(RecvError::Closed)
    }

    /// Ends the subscription right away rather than at the next read: no entry follows the one
    /// about to be returned, and no publisher may wait for a subscriber that need not read again.
    #[cold]
    pub(super) fn end_subscription(&mut self) {
        self.ended = true;
        // Further reads take the slow path through `find`, which reports the end, even if events
        // are known to be there.
        self.takes_all = false;
        self.is_plain = false;
        self.seat.end();
        if self.gating {
            self.gating = false;
            self.shared.gates.remove(&self.seat);
            self.shared.gate_moved();
        }
    }

    /// Ends the subscription if the position is past its last event.
    pub(super) fn end_after_the_last(&mut self) {
        if self.bounds.end_before(self.reader.position()) {
            self.end_subscription();
        }
    }
}

/// The gate of one subscriber, for a thread that ends its hold on publishers.
pub(crate) struct OpenGate<E> {
    shared: Arc<JournalCore<E>>,
    seat: Arc<Seat>,
}

impl<E> OpenGate<E> {
    /// No publisher waits for the subscriber any more. It does nothing for one that is not gating.
    pub(crate) fn open(&self) {
        self.shared.gates.remove(&self.seat);
        self.shared.gate_moved();
    }
}
