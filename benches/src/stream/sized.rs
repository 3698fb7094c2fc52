//! Payloads of other sizes.

use super::{Counter, Singly, Stream, spin};
use crate::event::Payload;
use crate::event::{Event, Seed};
use crate::sizes::{Carrier, pack, unpack};
use std::sync::Arc;

/// A carrier of payloads; both sides spin.
#[must_use]
pub fn sized<E: Payload, C: Carrier<E>>() -> impl Stream {
    let report = Arc::default();
    let (mut sender, mut receiver) = C::open();
    let consumer = spin(&report, move |counter: &mut Counter| {
        C::take(&mut receiver, |payload| counter.see(&unpack(payload)))
    });
    let send = move |seed: Seed| {
        let Event { seq, last, .. } = seed.event();
        let mut left = Some(pack(seq, last != 0));
        while let Some(payload) = left {
            left = C::try_send(&mut sender, payload);
            if left.is_some() {
                std::hint::spin_loop();
            }
        }
    };
    Singly::new(send, report, Some(consumer))
}
