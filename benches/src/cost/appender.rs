//! Writers with a worker of their own, as services use them for telemetry: `tracing-appender`'s
//! non-blocking writer and `ticklog`.
//!
//! The worker cannot be called from outside: it runs on the consumer's processor while events are
//! published. So such a figure contains more than the others, as in a service: lines that move
//! between processors, and for `tracing-appender` an allocation for the bytes of each event, and
//! occasionally a wake-up.

use super::{Cost, Singly};
use crate::event::{Event, Seed};
use crate::machine::on_consumer;
use crate::route::Route;
use crate::route::others::Appender;
use crate::route::ticklog::Ticklog;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Returns `tracing-appender`'s lossless writer.
#[must_use]
pub fn appender() -> impl Cost {
    written(Appender)
}

/// Returns `ticklog`, once in a process.
#[must_use]
pub fn ticklog() -> impl Cost {
    written(Ticklog)
}

/// Returns a route whose worker runs elsewhere; after each block, the events that it has written
/// are checked.
fn written(route: impl Route) -> impl Cost {
    let written = Written::default();
    let file = written.clone();
    let write = move |event: &Event| file.push(*event);
    let (worker, send) = on_consumer(|| route.open(1, write)).single();
    written.after(worker, send)
}

/// The events that a worker has written.
#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<Vec<Event>>>);

impl Written {
    /// Adds an event; called by the worker.
    pub(super) fn push(&self, event: Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    /// Returns the contender that publishes with `send`. Its drain waits until the worker has
    /// written every event, and `worker` is dropped with it.
    pub(super) fn after<W, F: FnMut(Seed)>(self, worker: W, mut send: F) -> impl Cost + use<W, F> {
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
                    for event in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                        see(0, event);
                        shown += 1;
                    }
                    std::hint::spin_loop();
                }
            },
        }
    }
}
