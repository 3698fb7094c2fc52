//! How a subscriber finds the next event that it wants, and its end.

use super::Subscriber;
use crate::error::RecvError;
use crate::journal::bounds::{Judgement, ask};
use crate::journal::entry::Sequence;
use crate::ring::blocks::Look;

/// What a subscriber finds next.
pub(super) enum Found {
    /// An event that is wanted; it is still to be taken.
    Event,
    Lagged(u64),
    Panicked(Sequence),
}

impl<E: Send + Sync + 'static> Subscriber<E> {
    /// Goes on to the next event that is wanted; `None` when nothing is there now, or nothing was when it began.
    #[inline(never)]
    pub(super) fn find(&mut self) -> Result<Option<Found>, RecvError> {
        let mut ran_dry = 0;
        loop {
            if self.ended || self.bounds.end_before(self.reader.position()) {
                return self.end();
            }
            match self.look() {
                Look::Values if self.takes_all => return Ok(Some(Found::Event)),
                // What comes while nothing of it is wanted could keep us here for ever.
                Look::Values if ran_dry > 1 => return Ok(None),
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
                        self.finish_behind_the_last();
                        return Ok(Some(Found::Panicked(sequence)));
                    }
                },
                Look::Lagged(events) => {
                    self.seat.lagged(events);
                    self.seat.set_position(self.reader.position());
                    if self.ends_on_lag {
                        self.finish();
                    } else if self.gating {
                        self.gate_moved();
                    }
                    return Ok(Some(Found::Lagged(events)));
                }
                Look::Empty => {
                    let over = self.bounds.remaining().is_some_and(|left| left.is_zero());
                    // What was published before the time was over may have come since the look.
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
            // A block is done, or all there is: a publisher may wait for that.
            self.gate_moved();
        }
        self.reader.look()
    }

    /// Reports its position to publishers that wait. Each position is reported once (L4 of the gates).
    pub(super) fn gate_moved(&mut self) {
        let position = self.seat.position();
        if self.reported_at != Some(position) {
            self.reported_at = Some(position);
            self.shared.gate_moved();
        }
    }

    /// Whether the next event is wanted; an error when the user's code panics. Asks about each event once.
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

    /// Nothing follows.
    #[cold]
    fn end<R>(&mut self) -> Result<R, RecvError> {
        if !self.ended {
            self.finish();
        }
        Err(RecvError::Closed)
    }

    /// Nothing will follow what is about to be told: nobody is to wait for this subscriber, which need not look once more.
    #[cold]
    pub(super) fn finish(&mut self) {
        self.ended = true;
        // Also what is known to be there goes through `find`, and no further.
        self.takes_all = false;
        self.is_plain = false;
        self.seat.end();
        if self.gating {
            self.gating = false;
            self.shared.gates.remove(&self.seat);
            self.shared.gate_moved();
        }
    }

    /// Finishes if the place says that nothing follows.
    pub(super) fn finish_behind_the_last(&mut self) {
        if self.bounds.end_before(self.reader.position()) {
            self.finish();
        }
    }
}
