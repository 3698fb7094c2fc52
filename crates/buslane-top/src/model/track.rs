//! The course of one sink: rates between two frames, and their history.

use crate::reasons::{dropped, refused, total};
use buslane_inspect::SinkFrame;
use std::collections::VecDeque;

/// The number of frames that a history keeps: five minutes at one frame a second.
pub(crate) const LENGTH: usize = 300;

/// What happened at a sink between two frames.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    /// Events offered, per second.
    pub(crate) offered: f64,
    /// Events delivered, per second.
    pub(crate) delivered: f64,
    /// Accepted events that were dropped, for any reason, per second.
    pub(crate) dropped: f64,
    /// Events refused, for any reason, per second.
    pub(crate) refused: f64,
}

/// The counters from which rates are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counters {
    offered: u64,
    delivered: u64,
    dropped: u64,
    refused: u64,
}

/// One frame in a history.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    rates: Option<Rates>,
    depth: Option<u64>,
}

/// The course of one sink.
#[derive(Clone, Debug, Default)]
pub(crate) struct Track {
    counters: Option<Counters>,
    rates: Option<Rates>,
    history: VecDeque<Point>,
}

impl Counters {
    fn of(sink: &SinkFrame) -> Self {
        let ledger = &sink.ledger;
        let (dropped, refused) = (total(&dropped(&ledger.dropped)), total(&refused(&ledger.refused)));
        Self { offered: ledger.offered, delivered: ledger.delivered, dropped, refused }
    }
}

impl Rates {
    /// Returns the rates between two readings, or `None` if no time has passed or a counter has
    /// fallen: then the later reading is not of the same sink.
    fn between(earlier: Counters, later: Counters, milliseconds: u64) -> Option<Self> {
        if milliseconds == 0 {
            return None;
        }
        let seconds = milliseconds as f64 / 1000.0;
        let rate = |earlier: u64, later: u64| Some(later.checked_sub(earlier)? as f64 / seconds);
        Some(Self {
            offered: rate(earlier.offered, later.offered)?,
            delivered: rate(earlier.delivered, later.delivered)?,
            dropped: rate(earlier.dropped, later.dropped)?,
            refused: rate(earlier.refused, later.refused)?,
        })
    }
}

impl std::ops::AddAssign for Rates {
    fn add_assign(&mut self, other: Self) {
        self.offered += other.offered;
        self.delivered += other.delivered;
        self.dropped += other.dropped;
        self.refused += other.refused;
    }
}

impl Track {
    /// Adds a reading, taken this long after the last one. `None` if the service has restarted in
    /// between: its counters began again.
    pub(super) fn observe(&mut self, sink: &SinkFrame, milliseconds: Option<u64>) {
        let counters = Counters::of(sink);
        self.rates = self
            .counters
            .zip(milliseconds)
            .and_then(|(earlier, elapsed)| Rates::between(earlier, counters, elapsed));
        self.counters = Some(counters);
        self.push(Point { rates: self.rates, depth: Some(sink.depth) });
    }

    /// Adds a gap: the service did not answer.
    pub(super) fn gap(&mut self) {
        self.push(Point { rates: None, depth: None });
    }

    fn push(&mut self, point: Point) {
        if self.history.len() == LENGTH {
            self.history.pop_front();
        }
        self.history.push_back(point);
    }

    /// Returns the rates between the last two frames, if both are of the same sink.
    pub(crate) fn rates(&self) -> Option<Rates> {
        self.rates
    }

    /// Returns a figure of each frame, the oldest first.
    pub(crate) fn course(&self, figure: impl Fn(Rates) -> f64) -> Vec<Option<f64>> {
        self.history.iter().map(|point| point.rates.map(&figure)).collect()
    }

    /// Returns the depth at each frame, the oldest first.
    pub(crate) fn depths(&self) -> Vec<Option<f64>> {
        self.history.iter().map(|point| point.depth.map(|depth| depth as f64)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{LENGTH, Rates, Track};
    use buslane_inspect::SinkFrame;

    fn sink(offered: u64, delivered: u64) -> SinkFrame {
        let mut sink = SinkFrame { depth: offered - delivered, ..SinkFrame::default() };
        (sink.ledger.offered, sink.ledger.delivered) = (offered, delivered);
        sink
    }

    #[test]
    fn rates_are_those_of_the_time_that_passed() {
        let mut track = Track::default();
        track.observe(&sink(100, 100), None);
        assert_eq!(track.rates(), None);
        track.observe(&sink(400, 300), Some(2000));
        assert_eq!(track.rates(), Some(Rates { offered: 150.0, delivered: 100.0, ..Rates::default() }));
    }

    #[test]
    fn a_counter_that_falls_gives_no_rate() {
        let mut track = Track::default();
        track.observe(&sink(100, 90), None);
        track.observe(&sink(200, 10), Some(1000));
        assert_eq!(track.rates(), None);
        track.observe(&sink(210, 20), Some(1000));
        assert_eq!(track.rates().map(|rates| rates.delivered), Some(10.0));
    }

    #[test]
    fn a_restart_gives_no_rate() {
        let mut track = Track::default();
        track.observe(&sink(100, 90), None);
        // The new process has counted more than the old one already.
        track.observe(&sink(900, 900), None);
        assert_eq!(track.rates(), None);
        track.observe(&sink(901, 900), Some(0));
        assert_eq!(track.rates(), None);
    }

    #[test]
    fn history_is_bounded_and_keeps_gaps() {
        let mut track = Track::default();
        for offered in 0..LENGTH as u64 {
            track.observe(&sink(offered, 0), Some(1000));
        }
        track.gap();
        let course = track.course(|rates| rates.offered);
        assert_eq!((course.len(), course[LENGTH - 2], course[LENGTH - 1]), (LENGTH, Some(1.0), None));
        assert_eq!(track.depths()[LENGTH - 2..], [Some(LENGTH as f64 - 1.0), None]);
    }
}
