//! The numbers of a monitor as measurements, for exporters.

use super::state::{MonitorSnapshot, MonitorState};
use crate::stats::metrics::{Family, Kind, Label, LabelKey, Measurements, Of, Read, Row, Unit, measure};

impl MonitorSnapshot {
    /// Returns every number of the snapshot, with its family and its labels.
    ///
    /// `monitor` is the name of the monitor, the value of the label `monitor`.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::Monitor;
    /// use buslane::stats::metrics::Exposition;
    /// use buslane::testing::{Collect, Script};
    /// let (script, seen) = (Script::new().connect().event(1), Collect::new());
    /// let monitor = Monitor::builder(script).spawn_events(seen.clone())?;
    /// seen.wait_for(1);
    /// assert!(monitor.stop().is_done());
    /// let snapshot = monitor.snapshot();
    /// let page = Exposition::new().measurements(snapshot.measurements("docker")).to_string();
    /// assert!(page.contains("buslane_monitor_forwarded_events_total{monitor=\"docker\"} 1\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn measurements<'a>(&'a self, monitor: &'a str) -> Measurements<'a> {
        let mut out = Vec::new();
        let of = Of {
            state: self,
            labels: vec![Label::new(LabelKey::Monitor, monitor)],
            sink: None,
            subscriber: None,
        };
        measure(MONITOR, &[of], &mut out);
        Measurements::new(out)
    }

    /// Returns every family that the measurements of a monitor have, in their order.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::MonitorSnapshot;
    /// assert!(MonitorSnapshot::families().any(|family| family.name == "buslane_monitor_live"));
    /// ```
    pub fn families() -> impl Iterator<Item = &'static Family> + Clone {
        MONITOR.iter().map(|row| &row.family)
    }
}

static MONITOR: &[Row<MonitorSnapshot>] = &[
    Row::new(
        ["buslane_monitor_live", "buslane.monitor.live"],
        Kind::Gauge,
        Unit::None,
        "Whether a connection is live: 1 or 0.",
        Read::Flag(|monitor| monitor.state == MonitorState::Live),
    ),
    Row::new(
        ["buslane_monitor_stopped", "buslane.monitor.stopped"],
        Kind::Gauge,
        Unit::None,
        "Whether the monitor has stopped for good: 1 or 0.",
        Read::Flag(|monitor| matches!(monitor.state, MonitorState::Stopped(_))),
    ),
    Row::new(
        ["buslane_monitor_state_seconds", "buslane.monitor.state"],
        Kind::Gauge,
        Unit::Seconds,
        "The time since the monitor entered its state.",
        Read::Time(|monitor| Some(monitor.state_for)),
    ),
    Row::new(
        ["buslane_monitor_attempts_total", "buslane.monitor.attempts"],
        Kind::Counter,
        Unit::Attempts,
        "Attempts to connect.",
        Read::Count(|monitor| monitor.attempts),
    ),
    Row::new(
        ["buslane_monitor_connections_total", "buslane.monitor.connections"],
        Kind::Counter,
        Unit::Connections,
        "Connections that were live.",
        Read::Count(|monitor| monitor.connects),
    ),
    Row::new(
        ["buslane_monitor_errors_total", "buslane.monitor.errors"],
        Kind::Counter,
        Unit::Errors,
        "Failures, by what failed: the connection, the source with a panic, or storing the token.",
        Read::Each(LabelKey::Reason, |monitor| {
            vec![
                ("connection", monitor.failures),
                ("panicked", monitor.source_panics),
                ("store", monitor.store_failures),
            ]
        }),
    ),
    Row::new(
        ["buslane_monitor_gaps_total", "buslane.monitor.gaps"],
        Kind::Counter,
        Unit::Gaps,
        "Gaps in the stream of events, without those that the sink caused.",
        Read::Count(|monitor| monitor.gaps),
    ),
    Row::new(
        ["buslane_monitor_read_events_total", "buslane.monitor.read"],
        Kind::Counter,
        Unit::Events,
        "Events that the source read.",
        Read::Count(|monitor| monitor.events),
    ),
    Row::new(
        ["buslane_monitor_forwarded_events_total", "buslane.monitor.forwarded"],
        Kind::Counter,
        Unit::Events,
        "Events that the sink accepted.",
        Read::Count(|monitor| monitor.forwarded),
    ),
    Row::new(
        ["buslane_monitor_refused_events_total", "buslane.monitor.refused"],
        Kind::Counter,
        Unit::Events,
        "Events that the sink refused.",
        Read::Count(|monitor| monitor.refused),
    ),
    Row::new(
        ["buslane_monitor_dropped_events_total", "buslane.monitor.dropped"],
        Kind::Counter,
        Unit::Events,
        "Events that the sink lost, by reason: accepted and dropped at once, or lost by a panic.",
        Read::Each(LabelKey::Reason, |monitor| {
            vec![("sink", monitor.dropped), ("panicked", monitor.panicked)]
        }),
    ),
    Row::new(
        ["buslane_monitor_skipped_events_total", "buslane.monitor.skipped"],
        Kind::Counter,
        Unit::Events,
        "Events that did not become part of the stream, by reason.",
        Read::Each(LabelKey::Reason, |monitor| {
            vec![("duplicate", monitor.duplicates), ("undecodable", monitor.undecodable)]
        }),
    ),
];
