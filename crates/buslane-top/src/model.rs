//! What is known of the service: the last frame, and the course of each of its sinks.

pub(crate) mod track;

use crate::source::Update;
use buslane_inspect::{BusFrame, Frame, SinkFrame};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;
use track::{Rates, Track};

/// The number of frames for which room for their warnings is kept, so that the table below them does
/// not move with each frame.
const STEADY: usize = 10;

/// One sink, across frames.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The name of the bus.
    pub(crate) bus: String,
    /// The number of earlier buses with that name.
    nth: usize,
    /// The id of the sink on that bus.
    pub(crate) sink: u64,
}

/// Whether frames arrive.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Link {
    /// Frames arrive.
    #[default]
    Live,
    /// The service has not answered since then, for this reason.
    Lost { reason: String, since: Instant },
    /// No further frame arrives, for this reason.
    Ended(String),
}

/// What is known of the service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    frame: Option<Arc<Frame>>,
    tracks: HashMap<Key, Track>,
    link: Link,
    /// What the recording reports.
    note: Option<String>,
    restarts: u64,
    warnings: VecDeque<usize>,
}

/// A sink in the last frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) bus: &'a BusFrame,
    nth: usize,
    pub(crate) sink: &'a SinkFrame,
    pub(crate) track: Option<&'a Track>,
}

impl Row<'_> {
    pub(crate) fn key(&self) -> Key {
        Key { bus: self.bus.name.clone(), nth: self.nth, sink: self.sink.id }
    }

    /// Returns the rates between the last two frames, if both are of the same sink.
    pub(crate) fn rates(&self) -> Option<Rates> {
        self.track.and_then(Track::rates)
    }
}

/// Lists the sinks of a frame, each with its key.
fn sinks(frame: &Frame) -> impl Iterator<Item = (Key, &BusFrame, &SinkFrame)> {
    frame.buses.iter().enumerate().flat_map(move |(place, bus)| {
        let nth = frame.buses[..place].iter().filter(|earlier| earlier.name == bus.name).count();
        bus.sinks.iter().map(move |sink| (Key { bus: bus.name.clone(), nth, sink: sink.id }, bus, sink))
    })
}

impl Model {
    /// Takes in what the source reports.
    pub(crate) fn apply(&mut self, update: Update, now: Instant) {
        match update {
            Update::Frame(frame) => self.observe(*frame),
            Update::Lost(reason) => {
                let since = match self.link {
                    Link::Lost { since, .. } => since,
                    _ => {
                        self.tracks.values_mut().for_each(Track::gap);
                        now
                    }
                };
                self.link = Link::Lost { reason, since };
            }
            Update::Ended(reason) => self.link = Link::Ended(reason),
            Update::Note(note) => self.note = Some(note),
        }
    }

    fn observe(&mut self, frame: Frame) {
        let elapsed = match self.frame.as_deref() {
            Some(last) if (last.pid, last.started_ms) == (frame.pid, frame.started_ms) => {
                // `None` if the clock was set back.
                frame.at_ms.checked_sub(last.at_ms)
            }
            Some(_) => {
                self.restarts += 1;
                None
            }
            None => None,
        };
        let mut earlier = std::mem::take(&mut self.tracks);
        self.tracks = sinks(&frame)
            .map(|(key, _, sink)| {
                let mut track = earlier.remove(&key).unwrap_or_default();
                track.observe(sink, elapsed);
                (key, track)
            })
            .collect();
        if self.warnings.len() == STEADY {
            self.warnings.pop_front();
        }
        self.warnings.push_back(frame.warnings.len());
        self.frame = Some(Arc::new(frame));
        self.link = Link::Live;
    }

    /// Returns the last frame.
    pub(crate) fn frame(&self) -> Option<&Frame> {
        self.frame.as_deref()
    }

    /// Returns whether frames arrive.
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// Returns what the recording reports.
    pub(crate) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Returns how often the service was seen to have restarted.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Returns the most warnings of one of the last frames.
    pub(crate) fn room_for_warnings(&self) -> usize {
        self.warnings.iter().copied().max().unwrap_or(0)
    }

    /// Lists the sinks, in the order of the service.
    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        let Some(frame) = &self.frame else { return Vec::new() };
        sinks(frame)
            .map(|(key, bus, sink)| Row { bus, nth: key.nth, sink, track: self.tracks.get(&key) })
            .collect()
    }

    /// Returns the sums of the rates of all sinks; `None` before the second frame of a service.
    pub(crate) fn totals(&self) -> Option<Rates> {
        let mut rates = self.tracks.values().filter_map(Track::rates).peekable();
        rates.peek()?;
        let mut totals = Rates::default();
        rates.for_each(|rates| totals += rates);
        Some(totals)
    }
}

#[cfg(test)]
mod tests {
    use super::track::Rates;
    use super::{Link, Model};
    use crate::source::Update;
    use buslane_inspect::{BusFrame, Frame, SinkFrame};
    use std::time::Instant;

    fn frame(started_ms: u64, at_ms: u64, offered: &[u64]) -> Frame {
        let bus = |(place, offered): (usize, &u64)| {
            let mut sink = SinkFrame { id: 1, ..SinkFrame::default() };
            sink.ledger.offered = *offered;
            BusFrame {
                name: if place < 2 { "orders" } else { "audit" }.into(),
                sinks: vec![sink],
                ..BusFrame::default()
            }
        };
        Frame {
            pid: 7,
            started_ms,
            at_ms,
            buses: offered.iter().enumerate().map(bus).collect(),
            ..Frame::default()
        }
    }

    fn observe(model: &mut Model, frame: Frame) {
        model.apply(Update::Frame(Box::new(frame)), Instant::now());
    }

    fn rates(model: &Model) -> Vec<Option<f64>> {
        model.rows().iter().map(|row| row.rates().map(|rates| rates.offered)).collect()
    }

    #[test]
    fn buses_with_the_same_name_are_told_apart() {
        let mut model = Model::default();
        observe(&mut model, frame(0, 1000, &[10, 500, 0]));
        assert_eq!((rates(&model), model.totals()), (vec![None; 3], None));
        observe(&mut model, frame(0, 2000, &[20, 505, 7]));
        assert_eq!(rates(&model), [Some(10.0), Some(5.0), Some(7.0)]);
        assert_eq!(model.totals(), Some(Rates { offered: 22.0, ..Rates::default() }));
    }

    #[test]
    fn a_restarted_service_begins_without_rates() {
        let mut model = Model::default();
        observe(&mut model, frame(0, 1000, &[10]));
        observe(&mut model, frame(5, 2000, &[90]));
        assert_eq!((rates(&model), model.restarts()), (vec![None], 1));
        observe(&mut model, frame(5, 3000, &[91]));
        assert_eq!((rates(&model), model.restarts()), (vec![Some(1.0)], 1));
        // A clock that was set back gives no rate, either.
        observe(&mut model, frame(5, 2500, &[95]));
        assert_eq!((rates(&model), model.restarts()), (vec![None], 1));
    }

    #[test]
    fn a_lost_service_keeps_its_figures_and_the_time() {
        let mut model = Model::default();
        observe(&mut model, frame(0, 1000, &[10]));
        let since = Instant::now();
        model.apply(Update::Lost("gone".into()), since);
        model.apply(Update::Lost("still gone".into()), Instant::now());
        assert_eq!(model.link(), &Link::Lost { reason: "still gone".into(), since });
        // One gap, however often the service does not answer.
        assert_eq!(model.rows()[0].track.unwrap().depths(), [Some(0.0), None]);
        observe(&mut model, frame(0, 3000, &[30]));
        assert_eq!((rates(&model), model.link()), (vec![Some(10.0)], &Link::Live));
    }

    #[test]
    fn a_removed_sink_leaves_nothing() {
        let mut model = Model::default();
        observe(&mut model, frame(0, 1000, &[10, 20, 30]));
        observe(&mut model, frame(0, 2000, &[10]));
        assert_eq!((model.rows().len(), model.tracks.len()), (1, 1));
    }
}
