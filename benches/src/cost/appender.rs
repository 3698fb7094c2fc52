//! `tracing-appender`'s non-blocking writer, as services use it for telemetry.
//!
//! Its worker cannot be called from outside: it runs on the consumer's processor while events are
//! published, and the events wake it. So this figure contains more than the others, as in a
//! service: an allocation for the bytes of each event, and occasionally a wake-up.

use super::{Cost, Singly};
use crate::event::{Event, Seed};
use crate::machine::on_consumer;
use crate::route::Route;
use crate::route::others::Appender;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Returns the lossless writer; after each block, the events that its worker has written are
/// checked.
#[must_use]
pub fn appender() -> impl Cost {
    let written = Arc::new(Mutex::new(Vec::new()));
    let file = written.clone();
    let write = move |event: &Event| file.lock().unwrap_or_else(PoisonError::into_inner).push(*event);
    let (worker, mut send) = on_consumer(|| Appender.open(1, write)).single();
    let (mut sent, mut shown) = (0_u64, 0);
    let sending = Arc::new(AtomicU64::new(0));
    let count = sending.clone();
    Singly {
        receivers: 1,
        publish: move |seed: Seed| {
            send(seed);
            sent += 1;
            count.store(sent, Ordering::Relaxed);
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            let _ = &worker;
            while shown < sending.load(Ordering::Relaxed) {
                for event in written.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                    see(0, event);
                    shown += 1;
                }
                std::hint::spin_loop();
            }
        },
    }
}
