//! Events of other sizes, from one publisher to one consumer.
//!
//! A [`Carrier`] moves one payload of any kind. The payload is created where it is sent, and the
//! consumer reads all of it. A payload carries its number and a mark in the last one of a transfer.
//!
//! For events that are created before the timed part see [`carried`](crate::cost::moved::carried).

mod carriers;

use crate::event::{Event, Payload};

pub use carriers::{
    Crossbeam, Crossfire, Drained, Fanring, Kanal, Lane, NexusSpsc, Rapidfire, Rtrb, Std, TokioMpsc, Yring,
};

/// A path for payloads from one sender to one receiver, with room for
/// [`CAPACITY`](crate::CAPACITY) of them.
pub trait Carrier<E: Payload>: 'static {
    /// The sending half.
    type Sender: Send + 'static;
    /// The receiving half.
    type Receiver: Send + 'static;

    /// Returns both halves.
    fn open() -> (Self::Sender, Self::Receiver);

    /// Sends the payload, or gives it back if there is no room.
    fn try_send(sender: &mut Self::Sender, payload: E) -> Option<E>;

    /// Takes the available payloads, or only the first, and returns whether there was one.
    fn take(receiver: &mut Self::Receiver, see: impl FnMut(&E)) -> bool;
}

/// Returns the payload with this number, marked if it is the last one.
#[inline(always)]
pub(crate) fn pack<E: Payload>(seq: u64, last: bool) -> E {
    E::of(seq << 1 | u64::from(last))
}

/// Reads the whole payload, and returns its event: one that is never published, if a part has
/// changed.
#[inline(always)]
pub(crate) fn unpack(payload: &impl Payload) -> Event {
    let packed = payload.event();
    if packed.last != 0 { packed } else { Event { last: packed.seq & 1, ..Event::new(packed.seq >> 1) } }
}

#[cfg(test)]
mod tests {
    use super::{Carrier, pack, unpack};
    use super::{
        Crossbeam, Crossfire, Drained, Fanring, Kanal, Lane, NexusSpsc, Rapidfire, Rtrb, Std, TokioMpsc,
        Yring,
    };
    use crate::cost::{Meter as Cost, moved};
    use crate::event::{Event, Payload};
    use crate::stream::{self, Meter};
    use std::sync::Arc;

    #[test]
    fn packed_number_and_mark_come_back() {
        let ending = Event::new(5).ending();
        assert_eq!(unpack(&pack::<Event>(5, true)), ending);
        assert_eq!(unpack(&pack::<[u64; 8]>(5, true)), ending);
        assert_eq!(unpack(&pack::<Arc<[u8]>>(5, false)), Event::new(5));
        assert_eq!(unpack(&[1_u64, 1]).last, u64::MAX);
    }

    fn check<E: Payload, C: Carrier<E>>() {
        Cost::new(moved::carried::<E, C>()).time(3000);
        let mut meter = Meter::new(stream::sized::<E, C>());
        assert_eq!(meter.transfer(3000).handled, 3000);
    }

    #[test]
    fn every_carrier_carries_every_size() {
        fn sizes<C>()
        where
            C: Carrier<[u64; 8]> + Carrier<[u64; 512]> + Carrier<Arc<[u8]>>,
        {
            check::<[u64; 8], C>();
            check::<[u64; 512], C>();
            check::<Arc<[u8]>, C>();
        }
        sizes::<Lane>();
        sizes::<Drained>();
        sizes::<Rtrb>();
        sizes::<NexusSpsc>();
        sizes::<Yring>();
        sizes::<Fanring>();
        sizes::<Crossfire>();
        sizes::<Crossbeam>();
        sizes::<Kanal>();
        sizes::<Rapidfire>();
        sizes::<Std>();
        sizes::<TokioMpsc>();
    }
}
