//! A family of metrics: the name, help, type and unit that all its measurements share.

/// A family of metrics: the name, help, type and unit that all its measurements share.
///
/// # Examples
/// ```
/// use buslane::stats::Snapshot;
/// use buslane::stats::metrics::{Kind, Unit};
/// let family = Snapshot::families().find(|it| it.otel_name == "buslane.sink.dropped").expect("it is in the table");
/// assert_eq!(family.name, "buslane_sink_dropped_events_total");
/// assert_eq!(family.base_name(), "buslane_sink_dropped_events");
/// assert_eq!((family.kind, family.unit), (Kind::Counter, Unit::Events));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Family {
    /// The name in Prometheus and in the `metrics` facade. That of a counter ends in `_total`.
    pub name: &'static str,
    /// The name of the instrument in OpenTelemetry.
    pub otel_name: &'static str,
    /// What the family counts or shows, as one sentence.
    pub help: &'static str,
    /// The type.
    pub kind: Kind,
    /// The unit.
    pub unit: Unit,
}

impl Family {
    /// Returns the name without `_total`, for an exporter that appends it to counters itself.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::Snapshot;
    /// let names: Vec<_> = Snapshot::families().map(|family| family.base_name()).collect();
    /// assert!(names.contains(&"buslane_sink_pending_events") && names.contains(&"buslane_sink_offered_events"));
    /// ```
    #[must_use]
    pub fn base_name(&self) -> &'static str {
        self.name.strip_suffix("_total").unwrap_or(self.name)
    }
}

/// The type of a family.
///
/// # Examples
/// ```
/// use buslane::stats::metrics::Kind;
/// assert_eq!([Kind::Counter, Kind::UpDownCounter, Kind::Gauge].map(Kind::prometheus_type), ["counter", "gauge", "gauge"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A count since the sink was added, or since a source or member began. It only grows.
    Counter,
    /// A number that grows and shrinks, and whose sum over sinks is meaningful: a gauge, where a
    /// system has no such type.
    UpDownCounter,
    /// A number that grows and shrinks, and whose sum is not meaningful.
    Gauge,
}

impl Kind {
    /// Returns the type in the text that Prometheus scrapes: `counter` or `gauge`.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(buslane::stats::metrics::Kind::Gauge.prometheus_type(), "gauge");
    /// ```
    #[must_use]
    pub const fn prometheus_type(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::UpDownCounter | Self::Gauge => "gauge",
        }
    }
}

/// The unit of a family.
///
/// # Examples
/// ```
/// use buslane::stats::metrics::Unit;
/// assert_eq!((Unit::Events.name(), Unit::Events.otel_name()), ("events", "{event}"));
/// assert_eq!((Unit::Seconds.name(), Unit::Seconds.otel_name()), ("seconds", "s"));
/// assert_eq!((Unit::None.name(), Unit::None.otel_name()), ("", "1"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// No unit: a state, 0 or 1.
    None,
    /// Attempts to connect or to deliver.
    Attempts,
    /// Batches of events.
    Batches,
    /// Connections.
    Connections,
    /// Errors of one kind: failures, panics, timeouts.
    Errors,
    /// Events.
    Events,
    /// Gaps in a stream of events.
    Gaps,
    /// Private lanes.
    Lanes,
    /// Dead letters.
    Letters,
    /// Members of a director.
    Members,
    /// Packets of a director.
    Packets,
    /// Publishers.
    Publishers,
    /// Seconds.
    Seconds,
    /// Sinks.
    Sinks,
    /// Subscribers of a journal.
    Subscribers,
}

impl Unit {
    /// Returns the plural, which the name of a family ends in; empty for [`Unit::None`].
    ///
    /// # Examples
    /// ```
    /// assert_eq!(buslane::stats::metrics::Unit::Publishers.name(), "publishers");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Attempts => "attempts",
            Self::Batches => "batches",
            Self::Connections => "connections",
            Self::Errors => "errors",
            Self::Events => "events",
            Self::Gaps => "gaps",
            Self::Lanes => "lanes",
            Self::Letters => "letters",
            Self::Members => "members",
            Self::Packets => "packets",
            Self::Publishers => "publishers",
            Self::Seconds => "seconds",
            Self::Sinks => "sinks",
            Self::Subscribers => "subscribers",
        }
    }

    /// Returns the unit in OpenTelemetry, in the notation of UCUM.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(buslane::stats::metrics::Unit::Publishers.otel_name(), "{publisher}");
    /// ```
    #[must_use]
    pub const fn otel_name(self) -> &'static str {
        match self {
            Self::None => "1",
            Self::Attempts => "{attempt}",
            Self::Batches => "{batch}",
            Self::Connections => "{connection}",
            Self::Errors => "{error}",
            Self::Events => "{event}",
            Self::Gaps => "{gap}",
            Self::Lanes => "{lane}",
            Self::Letters => "{letter}",
            Self::Members => "{member}",
            Self::Packets => "{packet}",
            Self::Publishers => "{publisher}",
            Self::Seconds => "s",
            Self::Sinks => "{sink}",
            Self::Subscribers => "{subscriber}",
        }
    }
}
