//! What is in the journal: an event with its sender and its receivers.

/// The sender outside of all members.
pub(super) const OUTSIDE: u64 = 0;
/// All members.
const ALL: u64 = 0;
/// All members, and the number of a probe is in the other bits.
const PROBED: u64 = 1 << 63;

/// An event with its sender and its receivers.
pub(super) struct Envelope<E> {
    /// The epoch of the sender when it was published.
    pub(super) from: u64,
    to: u64,
    pub(super) event: E,
}

impl<E> Envelope<E> {
    #[inline]
    pub(super) fn to_all(from: u64, event: E) -> Self {
        Self { from, to: ALL, event }
    }

    /// Creates an envelope to the member with this number.
    pub(super) fn to_member(from: u64, number: u64, event: E) -> Self {
        Self { from, to: number, event }
    }

    /// Creates an envelope to all members, whose acknowledgements a probe collects.
    pub(super) fn probed(from: u64, probe: u64, event: E) -> Self {
        Self { from, to: PROBED | probe, event }
    }

    /// Returns whether it is for the member with this number, whose session has this epoch.
    #[inline]
    pub(super) fn is_for(&self, number: u64, epoch: u64) -> bool {
        if self.to == ALL || self.to & PROBED != 0 { self.from != epoch } else { self.to == number }
    }

    pub(super) fn probe(&self) -> Option<u64> {
        (self.to & PROBED != 0).then_some(self.to & !PROBED)
    }
}
