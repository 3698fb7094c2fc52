//! What carries the samples of the service: the bus, one of its peers in its place, or nothing.
//!
//! Every peer has the same three listeners as the bus: the histograms, the file, and the alerts. Its
//! publishers never wait, and its listeners wait as their crate does by default. Its counters are
//! written as ledgers, so that the same checks apply. The capacity is that of each channel or ring; of
//! `tracing-appender` that of its only channel. A publisher of `ticklog` has 1 MiB.

mod fan;
mod listener;
mod writer;

use crate::alerts::Alerts;
use crate::json_lines::JsonLines;
use crate::output::Output;
use crate::pipeline::{AGGREGATE, ALERTS, FILE, Finished, Told};
use buslane::queue::Handler;
use buslane::stats::SinkState;
use buslane::{Bus, Publisher};
use demo_support::{Failure, SinkReport};
use fan::{Counts, Fan, One, Share};
use listener::{Flow, Heard, Keeper, Lagging, Polled, listen};
use serde::Serialize;
use std::fmt;
use std::fs::File;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

pub(crate) use writer::Record;

/// The names that `--bus` accepts, for its error.
pub(crate) const NAMES: &str =
    "buslane, crossbeam, crossfire, kanal, std, tokio-broadcast, rtrb, tracing-appender, ticklog or none";

/// What carries the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Carrier {
    Buslane,
    Crossbeam,
    Crossfire,
    Kanal,
    Std,
    TokioBroadcast,
    Rtrb,
    TracingAppender,
    Ticklog,
    /// No samples are made: the run shows what the measurement itself cannot tell apart.
    None,
}

impl Carrier {
    const ALL: [Self; 10] = [
        Self::Buslane,
        Self::Crossbeam,
        Self::Crossfire,
        Self::Kanal,
        Self::Std,
        Self::TokioBroadcast,
        Self::Rtrb,
        Self::TracingAppender,
        Self::Ticklog,
        Self::None,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Buslane => "buslane",
            Self::Crossbeam => "crossbeam",
            Self::Crossfire => "crossfire",
            Self::Kanal => "kanal",
            Self::Std => "std",
            Self::TokioBroadcast => "tokio-broadcast",
            Self::Rtrb => "rtrb",
            Self::TracingAppender => "tracing-appender",
            Self::Ticklog => "ticklog",
            Self::None => "none",
        }
    }
}

impl FromStr for Carrier {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|known| known.name() == text).ok_or(())
    }
}

/// Publishes a sample to the three listeners, without waiting.
pub(crate) trait Publish<E>: Send {
    fn publish(&mut self, event: E, told: &mut Told);
}

/// The publishing half of one worker.
#[expect(clippy::large_enum_variant, reason = "there is one per worker, and no jump to the publisher")]
pub(crate) enum Tap<E: Send + 'static> {
    Bus(Publisher<E>),
    Peer(Box<dyn Publish<E>>),
    /// No sample is made.
    Nothing,
}

impl<E: Clone + Send + 'static> Tap<E> {
    /// The publishers of a bus, for this many workers.
    pub(crate) fn of_bus(bus: &Bus<E>, workers: usize) -> Vec<Self> {
        (0..workers).map(|_| Self::Bus(bus.publisher())).collect()
    }

    /// A publisher that sends each event once, for all listeners.
    fn one(share: Share<E>, send: impl FnMut(E) + Send + 'static) -> Self {
        Self::Peer(Box::new(One::new(send, share)))
    }

    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    #[inline]
    pub(crate) fn publish(&mut self, event: E, told: &mut Told) {
        match self {
            Self::Bus(publisher) => told.note(publisher.publish(event)),
            Self::Peer(peer) => peer.publish(event, told),
            Self::Nothing => told.published += 1,
        }
    }
}

impl<E: Send + 'static> fmt::Debug for Tap<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bus(_) => "Bus",
            Self::Peer(_) => "Peer",
            Self::Nothing => "Nothing",
        })
    }
}

/// A peer in the place of the bus, and its three listeners.
pub(crate) struct Peer<E> {
    ending: Ending,
    alerts: Receiver<Alerts<E>>,
    counts: Receiver<Counts>,
    output: Output,
}

/// The parts that every peer is made of.
struct Parts<E, H> {
    aggregator: H,
    lines: JsonLines,
    keeper: Keeper<E>,
    share: Share<E>,
    capacity: usize,
    workers: usize,
}

/// Lets the listeners drain what was sent, ends them, and returns what they counted.
type Ending = Box<dyn FnOnce() -> Result<Vec<Heard>, Failure>>;

/// The publishing halves of all workers, and the end of the listeners.
type Opened<E> = (Vec<Tap<E>>, Ending);

fn panicked() -> Failure {
    Failure::Broken("a listener panicked".to_owned())
}

/// Waits for listeners with threads of their own, which end when all publishing halves are dropped.
fn joined(threads: Vec<JoinHandle<Heard>>) -> Ending {
    Box::new(|| threads.into_iter().map(|thread| thread.join().map_err(|_| panicked())).collect())
}

impl<E: Record> Peer<E> {
    /// Starts the three listeners, and returns a publishing half for each worker.
    pub(crate) fn start(
        carrier: Carrier,
        (workers, capacity): (usize, usize),
        (output, file): (Output, File),
        aggregator: impl Handler<E>,
        is_alert: impl Fn(&E) -> bool + Send + Sync + 'static,
    ) -> Result<(Self, Vec<Tap<E>>), Failure> {
        let (reports, counts) = channel();
        let (keeper, alerts) = Keeper::new();
        let share = Share { is_alert: Arc::new(is_alert), reports };
        let parts = Parts { aggregator, lines: JsonLines::new(file), keeper, share, capacity, workers };
        let opened = match carrier {
            Carrier::Crossbeam => parts.channels(crossbeam_channel::bounded::<E>),
            Carrier::Crossfire => {
                crossfire::detect_backoff_cfg();
                parts.channels(crossfire::mpsc::bounded_blocking::<E>)
            }
            Carrier::Kanal => parts.channels(kanal::bounded::<E>),
            Carrier::Std => parts.channels(sync_channel::<E>),
            Carrier::TokioBroadcast => parts.broadcast(),
            Carrier::Rtrb => parts.rings(),
            Carrier::TracingAppender => parts.appender(),
            Carrier::Ticklog => parts.logger(),
            Carrier::Buslane | Carrier::None => parts.nothing(),
        };
        let (taps, ending) = opened.map_err(|error| Failure::setup("cannot start a listener", error))?;
        Ok((Self { ending, alerts, counts, output }, taps))
    }

    /// Lets every listener drain what was sent, and reads the counters. The publishing halves are
    /// dropped before.
    pub(crate) fn finish(self) -> Result<Finished<E>, Failure> {
        let mut sent = Counts::default();
        // Ends when the last publishing half has reported.
        self.counts.iter().for_each(|counts| sent.add(&counts));
        let mut sinks = Vec::new();
        for (index, heard) in (self.ending)()?.into_iter().enumerate() {
            let name = [AGGREGATE, FILE, ALERTS][index].to_owned();
            sinks.push(SinkReport { name, state: state(&sent, index, &heard) });
        }
        Ok(Finished {
            close: None,
            sinks,
            alerts: self.alerts.try_recv().unwrap_or_else(|_| Alerts::new()),
            output: self.output,
        })
    }
}

/// The counters of a listener, as a ledger.
fn state(sent: &Counts, index: usize, heard: &Heard) -> SinkState {
    let mut state = SinkState::default();
    let ledger = &mut state.ledger;
    ledger.offered = sent.published;
    ledger.refused.full = sent.refused[index];
    ledger.accepted = sent.published - sent.refused[index];
    ledger.filtered = if index == 2 { sent.filtered + heard.filtered } else { 0 };
    ledger.delivered = heard.delivered;
    ledger.dropped.failed = heard.failed;
    ledger.dropped.evicted = heard.lagged;
    ledger.dropped.full = if heard.drops_uncounted {
        // What did not arrive was dropped: only an event too many can unbalance this ledger.
        sent.published.saturating_sub(heard.delivered + heard.failed + heard.filtered)
    } else {
        heard.dropped
    };
    state.last_error.clone_from(&heard.last_error);
    state.high_water = heard.most;
    state.capacity = heard.capacity;
    state
}

impl<E: Record, H: Handler<E>> Parts<E, H> {
    /// Starts the listeners with one flow each.
    fn listen<F: Flow<E>>(
        aggregator: H,
        lines: JsonLines,
        keeper: Keeper<E>,
        capacity: usize,
        flows: [F; 3],
    ) -> std::io::Result<Ending> {
        let [first, second, third] = flows;
        let thread = |name: &str| Builder::new().name(name.to_owned());
        Ok(joined(vec![
            thread(AGGREGATE).spawn(move || listen(aggregator, first, capacity))?,
            thread(FILE).spawn(move || listen(lines, second, capacity))?,
            thread(ALERTS).spawn(move || listen(keeper, third, capacity))?,
        ]))
    }

    /// A channel for each listener.
    fn channels<S, R>(self, open: impl Fn(usize) -> (S, R)) -> std::io::Result<Opened<E>>
    where
        S: fan::Offer<E> + Clone,
        R: Flow<E>,
    {
        let Self { aggregator, lines, keeper, share, capacity, workers } = self;
        let [(first, one), (second, two), (third, three)] = [(); 3].map(|()| open(capacity));
        let listeners = Self::listen(aggregator, lines, keeper, capacity, [one, two, three])?;
        let tap = |_| {
            let senders = [first.clone(), second.clone(), third.clone()];
            Tap::Peer(Box::new(Fan::new(senders, share.clone())))
        };
        Ok(((0..workers).map(tap).collect(), listeners))
    }

    /// One broadcast channel. It has no filter, so the listener of the alerts receives everything.
    fn broadcast(self) -> std::io::Result<Opened<E>> {
        let Self { aggregator, lines, keeper, share, capacity, workers } = self;
        let (sender, one) = tokio::sync::broadcast::channel::<E>(capacity);
        let flow = |filter| Lagging::new(one.resubscribe(), filter);
        let flows = [flow(None), flow(None), flow(Some(share.is_alert.clone()))];
        drop(one);
        let listeners = Self::listen(aggregator, lines, keeper, capacity, flows)?;
        let tap = |_| {
            let sender = sender.clone();
            Tap::one(share.clone(), move |event| {
                // It fails only without a receiver, and a receiver ends after the last publisher.
                let _ = sender.send(event);
            })
        };
        Ok(((0..workers).map(tap).collect(), listeners))
    }

    /// A ring from each worker to each listener.
    fn rings(self) -> std::io::Result<Opened<E>> {
        let Self { aggregator, lines, keeper, share, capacity, workers } = self;
        let (mut taps, mut flows) = (Vec::new(), [(); 3].map(|()| Vec::new()));
        for _ in 0..workers {
            let mut producers = Vec::new();
            for consumers in &mut flows {
                let (producer, consumer) = rtrb::RingBuffer::new(capacity);
                producers.push(producer);
                consumers.push(consumer);
            }
            if let Ok(producers) = <[_; 3]>::try_from(producers) {
                taps.push(Tap::Peer(Box::new(Fan::new(producers, share.clone())) as Box<dyn Publish<E>>));
            }
        }
        let listeners = Self::listen(aggregator, lines, keeper, capacity, flows.map(Polled::new))?;
        Ok((taps, listeners))
    }

    /// No listeners: the aggregator hands in an empty summary.
    fn nothing(self) -> std::io::Result<Opened<E>> {
        let Self { mut aggregator, workers, .. } = self;
        let closed = aggregator.close();
        closed.map_err(std::io::Error::other)?;
        Ok(((0..workers).map(|_| Tap::Nothing).collect(), joined(Vec::new())))
    }
}
