//! Events of a running bus, shown to a reader for as long as the reader is connected.
//!
//! A tap is a bounded channel that drops the newest event when it is full. Publishers never wait for
//! it, and never wake its reader, which polls. Sampling is on the publishers' side: an event that is
//! not wanted is not even cloned. Rendering and the search for a text are on the server's thread.

use crate::release::Releases;
use buslane::error::TryRecvError;
use buslane::{Bus, Channel, Receiver, SinkExt, WeakBus};
use serde::Serialize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The most taps of one bus at a time.
const MOST: usize = 4;

/// The events that each publisher may have in a tap.
const CAPACITY: usize = 256;

/// The settings of a tap.
pub(crate) struct TapSettings {
    /// One in this many events of each publisher is shown.
    pub(crate) every: u64,
}

/// Why a tap cannot be opened.
pub(crate) enum TapError {
    Unknown,
    NotPermitted,
    TooMany,
    Gone,
    Refused(String),
}

/// An open tap. Its drop removes it from the bus.
pub(crate) trait Tap: Send {
    /// Returns the name of the sink that the tap is on the bus.
    fn sink(&self) -> &str;

    /// Takes the next event; as JSON, or the text of what went wrong.
    fn next(&mut self) -> Taken;

    /// Returns the number of events that were dropped because the tap was full.
    fn lost(&self) -> u64;
}

/// What a tap has for its reader.
pub(crate) enum Taken {
    Event(Result<String, String>),
    Nothing,
    /// The bus is closed, and all its events were taken.
    Closed,
    /// The bus is gone.
    Gone,
}

type Render<E> = dyn Fn(&E) -> Result<String, serde_json::Error> + Send + Sync;

/// A bus that may be tapped.
pub(crate) struct Permitted<E: Send + 'static> {
    pub(crate) bus: WeakBus<E>,
    render: Arc<Render<E>>,
    open: Arc<AtomicUsize>,
}

/// The number of the last tap, for the names of the sinks. One bus may be registered more than once,
/// and with more than one inspector.
static LAST: AtomicU64 = AtomicU64::new(0);

impl<E: Send + 'static> Permitted<E> {
    pub(crate) fn new<T: Serialize>(bus: &Bus<E>, render: impl Fn(&E) -> T + Send + Sync + 'static) -> Self {
        Self::rendered(bus, Arc::new(move |event| serde_json::to_string(&render(event))))
    }

    fn rendered(bus: &Bus<E>, render: Arc<Render<E>>) -> Self {
        Self { bus: bus.downgrade(), render, open: Arc::default() }
    }

    /// Puts a tap on the bus.
    pub(crate) fn open(&self, settings: &TapSettings, releases: &Releases) -> Result<Box<dyn Tap>, TapError> {
        let place = Place::take(&self.open).ok_or(TapError::TooMany)?;
        let refused = |error: &dyn std::fmt::Display| TapError::Refused(error.to_string());
        let (channel, receiver) = Channel::lossy(CAPACITY).map_err(|error| refused(&error))?;
        let name = format!("tap:{}", LAST.fetch_add(1, Ordering::Relaxed) + 1);
        let release = releases.begin().map_err(|error| refused(&error))?;
        // The user may drop all other handles meanwhile, so that this one is the last.
        let bus = self.bus.upgrade().ok_or(TapError::Gone)?;
        let added = release.with(bus, |bus| match settings.every {
            0 | 1 => bus.add_named(&name, channel),
            every => bus.add_named(&name, channel.sample(every)),
        });
        added.map_err(|error| refused(&error))?;
        let (bus, render) = (self.bus.clone(), self.render.clone());
        Ok(Box::new(Open { receiver: Some(receiver), bus, render, name, place: Some(place) }))
    }
}

impl<E: Serialize + Send + 'static> Permitted<E> {
    pub(crate) fn json(bus: &Bus<E>) -> Self {
        Self::rendered(bus, Arc::new(|event| serde_json::to_string(event)))
    }
}

/// One of the taps that a bus may have.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Option<Self> {
        let more = |count: usize| (count < MOST).then_some(count + 1);
        open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(open.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Open<E: Send + 'static> {
    /// `None` only while it is dropped.
    receiver: Option<Receiver<E>>,
    bus: WeakBus<E>,
    render: Arc<Render<E>>,
    name: String,
    /// `None` only while it is dropped.
    place: Option<Place>,
}

impl<E: Send + 'static> Tap for Open<E> {
    fn sink(&self) -> &str {
        &self.name
    }

    fn next(&mut self) -> Taken {
        let Some(receiver) = &mut self.receiver else { return Taken::Gone };
        match receiver.try_recv() {
            Ok(event) => {
                let render = &self.render;
                // The event's drop is user code, too.
                let rendered = catch_unwind(AssertUnwindSafe(move || render(&event)));
                Taken::Event(match rendered {
                    Ok(text) => text.map_err(|error| error.to_string()),
                    Err(_) => Err("the rendering of the event panicked".to_owned()),
                })
            }
            Err(TryRecvError::Empty) => Taken::Nothing,
            Err(_) => {
                if self.bus.snapshot().is_some() {
                    Taken::Closed
                } else {
                    Taken::Gone
                }
            }
        }
    }

    fn lost(&self) -> u64 {
        self.receiver.as_ref().map_or(0, Receiver::lost)
    }
}

impl<E: Send + 'static> Drop for Open<E> {
    fn drop(&mut self) {
        // A client that sees the sink gone may open another tap.
        self.place = None;
        let receiver = self.receiver.take();
        // The drop of the receiver closes the tap and drops unread events, which is user code. The
        // snapshot then takes the closed sink off the bus. An upgraded handle would do that at
        // once, and might be the last one, whose drop waits for all sinks of the bus.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            drop(receiver);
            let _ = self.bus.snapshot();
        }));
    }
}
