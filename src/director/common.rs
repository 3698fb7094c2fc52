//! What all members of a director share, apart from the list of them.

use super::envelope::Envelope;
use super::flight::GivenUp;
use super::key::Epoch;
use super::letters::DeadPacket;
use super::packet::{PacketCore, PacketEvent};
use super::probes::Probes;
use super::timers::Timers;
use crate::journal::Feed;
use crate::retry::Backoff;
use crate::sink::Sink;
use crate::sync::{AtomicU64, Ordering};
use crate::wait::WaitList;
use crate::wait::context::{UserCode, discard, discard_each, user_code};
use std::mem::needs_drop;
use std::sync::Arc;

pub(super) struct Common<E: Clone + Send + Sync + 'static> {
    pub(super) feed: Feed<Envelope<E>>,
    pub(super) timers: Arc<Timers>,
    pub(super) backoff: Backoff,
    pub(super) letters: Option<Arc<dyn Sink<DeadPacket<E>>>>,
    pub(super) probes: Probes,
    /// Where threads wait for the end of workers: one list, since each has room for 16 threads.
    pub(super) ended: WaitList,
    /// Letters that the sink did not accept.
    pub(super) letters_refused: AtomicU64,
    /// Unicasts and root events to a member that had left when they were published.
    pub(super) orphans: AtomicU64,
}

impl<E: Clone + Send + Sync + 'static> Common<E> {
    /// Writes a packet that was given up to the sink of dead letters.
    pub(super) fn write_letter(&self, epoch: Epoch, given_up: GivenUp<E>) {
        let GivenUp { packet, attempts, acked, error } = given_up;
        let Some(letters) = &self.letters else {
            self.discard_packets([packet]);
            return;
        };
        let letter = DeadPacket::new(packet, epoch, attempts, acked, error);
        let is_accepted = match user_code(|| letters.write(letter)) {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                discard(error);
                false
            }
            Err(_) => false,
        };
        if !is_accepted {
            // Relaxed: the count publishes nothing.
            self.letters_refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Drops packets. The destructors of their events are user code.
    pub(super) fn discard_packets(&self, packets: impl IntoIterator<Item = Arc<PacketCore<E>>>) {
        for packet in packets {
            if !needs_drop::<E>() {
                continue;
            }
            match Arc::try_unwrap(packet) {
                Ok(packet) => discard_each(packet.events),
                Err(shared) => {
                    // Another owner has it, which may be gone before this one.
                    let _user_code = UserCode::enter();
                    discard(shared);
                }
            }
        }
    }

    pub(super) fn discard_events(&self, events: impl IntoIterator<Item = PacketEvent<E>>) {
        discard_each(events);
    }
}
