//! What is wrong with a service, found by comparing its frames.

use crate::frame::{BusFrame, Frame, SinkFrame, SubscriberFrame, Warning, WarningKind};
use buslane::stats::{Dropped, SinkStatus};
use std::collections::{HashMap, VecDeque};

/// The number of frames in a row in which the publishers of a bus must rise.
const RISES: usize = 10;

/// The time after which a pending event, or a worker inside one call, is a warning.
const LONG_MS: u64 = 1000;

/// The share of a sink's room above which it is a warning, in percent.
const FULL_PERCENT: u64 = 80;

/// Compares each frame of a service with the one before it, and puts what is wrong into words.
///
/// One value belongs to one stream of frames. The first frame only has the warnings that one frame
/// shows. A frame of another process begins anew.
///
/// # Examples
/// ```
/// use buslane_inspect::{BusFrame, Frame, SinkFrame, WarningKind, warnings::Watch};
/// let sink = SinkFrame { name: "audit".into(), oldest_ms: Some(2500), ..SinkFrame::default() };
/// let bus = BusFrame { name: "orders".into(), sinks: vec![sink], ..BusFrame::default() };
/// let frame = Frame { buses: vec![bus], ..Frame::default() };
/// let warnings = Watch::new().observe(&frame);
/// assert_eq!(warnings[0].kind, WarningKind::Backlog);
/// assert_eq!(warnings[0].text, "the oldest event has been pending for 2.5 s");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Watch {
    previous: Option<Frame>,
    /// The numbers of publishers of each bus in the last frames, the newest last.
    publishers: HashMap<String, VecDeque<u64>>,
}

impl Watch {
    /// Creates a watch that has seen no frame.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the warnings for a frame, and keeps the frame for the next comparison.
    #[must_use]
    pub fn observe(&mut self, frame: &Frame) -> Vec<Warning> {
        let process = |frame: &Frame| (frame.pid, frame.started_ms);
        let previous = self.previous.take().filter(|previous| process(previous) == process(frame));
        if previous.is_none() {
            self.publishers.clear();
        }
        let mut found = Vec::new();
        for bus in &frame.buses {
            self.publishers_rise(bus, &mut found);
            let before = previous.as_ref().and_then(|previous| {
                let before = previous.buses.iter().find(|before| before.name == bus.name)?;
                Some((before, frame.at_ms.saturating_sub(previous.at_ms)))
            });
            for sink in &bus.sinks {
                let before = before.and_then(|(bus, elapsed)| {
                    Some((bus.sinks.iter().find(|before| before.id == sink.id)?, elapsed))
                });
                Comparison { bus, sink, before, found: &mut found }.run();
            }
        }
        self.publishers.retain(|name, _| frame.buses.iter().any(|bus| bus.name == *name));
        self.previous = Some(frame.clone());
        found
    }

    fn publishers_rise(&mut self, bus: &BusFrame, found: &mut Vec<Warning>) {
        let counts = self.publishers.entry(bus.name.clone()).or_default();
        counts.push_back(bus.publishers);
        if counts.len() <= RISES {
            return;
        }
        if counts.len() > RISES + 1 {
            counts.pop_front();
        }
        if counts.iter().zip(counts.iter().skip(1)).all(|(before, after)| before < after) {
            found.push(Warning {
                bus: bus.name.clone(),
                sink: None,
                kind: WarningKind::Publishers,
                text: format!(
                    "the number of publishers rises with each frame, from {} to {}: drop those that are no longer used",
                    counts[0], bus.publishers
                ),
            });
        }
    }
}

/// One sink, and the same sink in the previous frame of the stream with the time between them.
struct Comparison<'a> {
    bus: &'a BusFrame,
    sink: &'a SinkFrame,
    before: Option<(&'a SinkFrame, u64)>,
    found: &'a mut Vec<Warning>,
}

impl Comparison<'_> {
    fn run(&mut self) {
        self.panics();
        self.stalls();
        self.drops();
        self.fills();
        self.closed();
        self.imbalance();
    }

    fn warn(&mut self, kind: WarningKind, text: String) {
        let (bus, sink) = (self.bus.name.clone(), Some(self.sink.name.clone()));
        self.found.push(Warning { bus, sink, kind, text });
    }

    fn panics(&mut self) {
        let panics = self.sink.ledger.dropped.panicked;
        let earlier = self.before.map_or(0, |(before, _)| before.ledger.dropped.panicked);
        if panics > earlier {
            let error = self.sink.last_error.as_deref().and_then(|text| text.lines().next());
            let error = error.unwrap_or("no text");
            let text = format!("the handler panicked {}: {error}", times(panics - earlier));
            self.warn(WarningKind::Panic, text);
        }
    }

    fn stalls(&mut self) {
        let sink = self.sink;
        if let Some(inside) = sink.in_handler_ms.filter(|inside| *inside > LONG_MS) {
            let text = format!("a worker has been inside the handler for {}", seconds(inside));
            self.warn(WarningKind::Busy, text);
        }
        if let Some((before, elapsed)) = self.before {
            // What the consumer does with an event. A full sink still drops new ones.
            let ended = |SinkFrame { ledger, .. }: &SinkFrame| {
                let dropped = ledger.dropped;
                (ledger.delivered, ledger.filtered, dropped.failed, dropped.panicked, dropped.aborted)
            };
            if before.ledger.pending > 0 && sink.ledger.pending > 0 && ended(before) == ended(sink) {
                let text = format!(
                    "nothing was delivered for {} while {} pending",
                    seconds(elapsed),
                    events(sink.ledger.pending)
                );
                self.warn(WarningKind::Stalled, text);
            }
        }
        if let Some(age) = sink.oldest_ms.filter(|age| *age > LONG_MS) {
            let text = format!("the oldest event has been pending for {}", seconds(age));
            self.warn(WarningKind::Backlog, text);
        }
    }

    fn drops(&mut self) {
        let Some((before, elapsed)) = self.before else { return };
        let lost = reasons(&before.ledger.dropped, &self.sink.ledger.dropped);
        if !lost.is_empty() {
            let text = format!("dropped {} in {}", lost.join(", "), seconds(elapsed));
            self.warn(WarningKind::Drops, text);
        }
        for subscriber in &self.sink.subscribers {
            let same = |it: &&SubscriberFrame| it.id == subscriber.id && it.name == subscriber.name;
            let Some(earlier) = before.subscribers.iter().find(same) else { continue };
            let missed = subscriber.ledger.dropped.evicted;
            if missed > earlier.ledger.dropped.evicted {
                let name = subscriber.name.as_deref().unwrap_or("without a name");
                let missed = events_count(missed - earlier.ledger.dropped.evicted);
                self.warn(
                    WarningKind::Drops,
                    format!("subscriber {name} missed {missed} in {}", seconds(elapsed)),
                );
            }
        }
    }

    fn fills(&mut self) {
        let (pending, room) = (self.sink.ledger.pending, self.sink.room());
        if room > 0 && pending > room / 100 * FULL_PERCENT + room % 100 * FULL_PERCENT / 100 {
            let percent = u128::from(pending) * 100 / u128::from(room);
            let text = format!("{} pending, {percent} % of the room for {room}", events(pending));
            self.warn(WarningKind::Filling, text);
        }
    }

    fn closed(&mut self) {
        if self.sink.status != SinkStatus::Open && !self.bus.closed {
            let text = format!("the sink is {}, and the bus is open", self.sink.status);
            self.warn(WarningKind::Closed, text);
        }
    }

    fn imbalance(&mut self) {
        // While events flow, the terms of a ledger are read one after the other.
        let at_rest = self.before.is_some_and(|(before, _)| before.ledger == self.sink.ledger);
        if let Some(Err(imbalance)) = at_rest.then(|| self.sink.ledger.check()) {
            self.warn(WarningKind::Imbalance, imbalance.to_string());
        }
    }
}

/// Returns the reasons for which more events were dropped, each with the number. Panics have a
/// warning of their own.
fn reasons(before: &Dropped, after: &Dropped) -> Vec<String> {
    let counts = [
        ("because the sink was full", before.full, after.full),
        ("evicted by newer ones", before.evicted, after.evicted),
        ("left unread by a receiver", before.receiver_dropped, after.receiver_dropped),
        ("aborted by a close", before.aborted, after.aborted),
        ("with which the handler failed", before.failed, after.failed),
    ];
    let risen = counts.into_iter().filter(|(_, before, after)| after > before);
    risen.map(|(reason, before, after)| format!("{} {reason}", events_count(after - before))).collect()
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}

fn events(count: u64) -> String {
    if count == 1 { "1 event is".to_owned() } else { format!("{count} events are") }
}

fn events_count(count: u64) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{count} events") }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
