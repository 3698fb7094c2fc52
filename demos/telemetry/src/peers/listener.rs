//! The receiving side of the peers: a thread that calls a handler.

use super::fan::Wanted;
use crate::alerts::Alerts;
use buslane::BoxError;
use buslane::queue::Handler;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// The receiving half of a peer's channel.
pub(crate) trait Flow<E>: Send + 'static {
    /// Waits for an event, as the crate does by default; `None` when all senders are dropped.
    fn wait(&mut self) -> Option<E>;

    /// Takes an event, if there is one.
    fn take(&mut self) -> Option<E>;

    /// Returns the number of events that were overwritten.
    fn lagged(&self) -> u64 {
        0
    }

    /// Returns the number of events that the listener's own filter kept away.
    fn filtered(&self) -> u64 {
        0
    }
}

impl<E: Send + 'static> Flow<E> for crossbeam_channel::Receiver<E> {
    fn wait(&mut self) -> Option<E> {
        self.recv().ok()
    }

    fn take(&mut self) -> Option<E> {
        self.try_recv().ok()
    }
}

impl<E: Send + 'static> Flow<E> for crossfire::Rx<crossfire::mpsc::Array<E>> {
    fn wait(&mut self) -> Option<E> {
        self.recv().ok()
    }

    fn take(&mut self) -> Option<E> {
        self.try_recv().ok()
    }
}

impl<E: Send + 'static> Flow<E> for kanal::Receiver<E> {
    fn wait(&mut self) -> Option<E> {
        self.recv().ok()
    }

    fn take(&mut self) -> Option<E> {
        self.try_recv().ok().flatten()
    }
}

impl<E: Send + 'static> Flow<E> for Receiver<E> {
    fn wait(&mut self) -> Option<E> {
        self.recv().ok()
    }

    fn take(&mut self) -> Option<E> {
        self.try_recv().ok()
    }
}

/// A receiver that counts what was overwritten, with a filter, as its channel has none.
pub(crate) struct Lagging<E> {
    receiver: broadcast::Receiver<E>,
    wanted: Option<Wanted<E>>,
    lagged: u64,
    filtered: u64,
}

impl<E> Lagging<E> {
    pub(crate) fn new(receiver: broadcast::Receiver<E>, wanted: Option<Wanted<E>>) -> Self {
        Self { receiver, wanted, lagged: 0, filtered: 0 }
    }

    /// Returns whether the event passes, and counts it if it does not.
    fn passes(&mut self, event: &E) -> bool {
        let passes = self.wanted.as_ref().is_none_or(|wanted| wanted(event));
        self.filtered += u64::from(!passes);
        passes
    }
}

impl<E: Clone + Send + 'static> Flow<E> for Lagging<E> {
    fn wait(&mut self) -> Option<E> {
        loop {
            match self.receiver.blocking_recv() {
                Ok(event) if self.passes(&event) => return Some(event),
                Ok(_) => {}
                Err(RecvError::Lagged(events)) => self.lagged += events,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn take(&mut self) -> Option<E> {
        loop {
            match self.receiver.try_recv() {
                Ok(event) if self.passes(&event) => return Some(event),
                Ok(_) => {}
                Err(TryRecvError::Lagged(events)) => self.lagged += events,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }

    fn lagged(&self) -> u64 {
        self.lagged
    }

    fn filtered(&self) -> u64 {
        self.filtered
    }
}

/// Rings that are polled: the crate has no waiting of its own.
pub(crate) struct Polled<E> {
    rings: Vec<rtrb::Consumer<E>>,
}

/// The time that a listener sleeps when its rings are empty.
const NAP: Duration = Duration::from_micros(100);

impl<E> Polled<E> {
    pub(crate) fn new(rings: Vec<rtrb::Consumer<E>>) -> Self {
        Self { rings }
    }
}

impl<E: Send + 'static> Flow<E> for Polled<E> {
    fn wait(&mut self) -> Option<E> {
        loop {
            // Before the last look, or an event between the two would be missed.
            let ended = self.rings.iter().all(rtrb::Consumer::is_abandoned);
            if let Some(event) = self.take() {
                return Some(event);
            }
            if ended {
                return None;
            }
            thread::sleep(NAP);
        }
    }

    fn take(&mut self) -> Option<E> {
        self.rings.iter_mut().find_map(|ring| ring.pop().ok())
    }
}

/// What a listener counted.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    pub(crate) lagged: u64,
    /// Events that its own filter kept away.
    pub(crate) filtered: u64,
    /// Events that its peer dropped, without room.
    pub(crate) dropped: u64,
    /// Whether its peer drops events and does not count them.
    pub(crate) drops_uncounted: bool,
    /// The most events that it took without waiting.
    pub(crate) most: u64,
    pub(crate) capacity: u64,
    pub(crate) last_error: Option<String>,
}

impl Heard {
    /// Nothing yet, with this room.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity as u64, ..Self::default() }
    }

    /// Counts what a handler returned for an event.
    pub(crate) fn count(&mut self, result: Result<(), BoxError>) {
        match result {
            Ok(()) => self.delivered += 1,
            Err(error) => {
                self.failed += 1;
                self.last_error = Some(error.to_string());
            }
        }
    }

    /// Keeps the error of a call that is for no single event.
    pub(crate) fn keep(&mut self, result: Result<(), BoxError>) {
        if let Err(error) = result {
            self.last_error = Some(error.to_string());
        }
    }

    /// Ends a batch of this many events, which may be more than there was room for at once.
    pub(crate) fn end_of_batch<E>(&mut self, handler: &mut impl Handler<E>, batch: u64) {
        self.most = self.most.max(batch.min(self.capacity));
        self.keep(handler.end_of_batch());
    }
}

/// Calls the handler for each event, as a queue does, until all senders are dropped.
pub(crate) fn listen<E>(mut handler: impl Handler<E>, mut flow: impl Flow<E>, capacity: usize) -> Heard {
    let mut heard = Heard::new(capacity);
    let mut next = flow.wait();
    while let Some(event) = next {
        let (mut event, mut batch) = (Some(event), 0);
        while let Some(taken) = event {
            batch += 1;
            heard.count(handler.handle(taken));
            event = if batch < heard.capacity { flow.take() } else { None };
        }
        heard.end_of_batch(&mut handler, batch);
        next = flow.wait();
    }
    heard.keep(handler.close());
    (heard.lagged, heard.filtered) = (flow.lagged(), flow.filtered());
    heard
}

/// Keeps the alerts, and hands them in at the end.
pub(crate) struct Keeper<E> {
    alerts: Option<Alerts<E>>,
    reports: Sender<Alerts<E>>,
}

impl<E> Keeper<E> {
    pub(crate) fn new() -> (Self, Receiver<Alerts<E>>) {
        let (reports, received) = channel();
        (Self { alerts: Some(Alerts::new()), reports }, received)
    }
}

impl<E: Send + 'static> Handler<E> for Keeper<E> {
    fn handle(&mut self, event: E) -> Result<(), BoxError> {
        if let Some(alerts) = &mut self.alerts {
            alerts.note(event);
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), BoxError> {
        match self.alerts.take() {
            Some(alerts) => self.reports.send(alerts).map_err(|_| "the report is gone".into()),
            None => Ok(()),
        }
    }
}
