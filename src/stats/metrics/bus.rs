//! The families of a bus: the one place that has their names.

use super::family::{Family, Kind, Unit};
use super::label::{Label, LabelKey, labels_of};
use super::measurement::Measurements;
use super::table::{Of, Read, Row, measure};
use crate::stats::snapshot::{SinkSnapshot, Snapshot};
use crate::stats::state::{RetryState, SinkKind, SinkState, SinkStatus, SubscriberState};

impl Snapshot {
    /// Returns every number of the snapshot, with its family and its labels.
    ///
    /// `bus` is the name of the bus, the value of the label `bus`. Measurements of one family are
    /// next to each other, in the order of [`families`](Self::families).
    ///
    /// - A sink that shares its name with another sink of the bus also has the label `id`.
    /// - A subscriber of a journal without a name is only counted, in `buslane_sink_subscribers`.
    ///   Subscribers that share a name also have the label `subscriber_id`.
    /// - There are 29 series for each sink (30 for a journal, one less for an unbounded sink), 8 for
    ///   each named subscriber, 4 for each retry, and 3 for the bus.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, noop};
    /// let bus = Bus::<u32>::new();
    /// bus.add_named("audit", noop())?;
    /// let snapshot = bus.snapshot();
    /// let mut series = snapshot.measurements("telemetry");
    /// assert!(series.any(|it| it.family.name == "buslane_sink_open" && it.value.as_f64() == 1.0));
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    #[must_use]
    pub fn measurements<'a>(&'a self, bus: &'a str) -> Measurements<'a> {
        let mut out = Vec::new();
        let bus =
            Of { state: self, labels: vec![Label::new(LabelKey::Bus, bus)], sink: None, subscriber: None };
        let sinks = sinks(&bus);
        let retries: Vec<_> = sinks.iter().flat_map(retries).collect();
        let subscribers: Vec<_> = sinks.iter().flat_map(subscribers).collect();
        measure(BUS, &[bus], &mut out);
        measure(SINK, &sinks, &mut out);
        measure(RETRY, &retries, &mut out);
        measure(SUBSCRIBER, &subscribers, &mut out);
        Measurements::new(out)
    }

    /// Returns every family that the measurements of a snapshot may have, in their order.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::Snapshot;
    /// for family in Snapshot::families() {
    ///     println!("{} ({}): {}", family.name, family.kind.prometheus_type(), family.help);
    /// }
    /// ```
    pub fn families() -> impl Iterator<Item = &'static Family> + Clone {
        let bus = BUS.iter().map(|row| &row.family);
        let sink = SINK.iter().map(|row| &row.family);
        let retry = RETRY.iter().map(|row| &row.family);
        bus.chain(sink).chain(retry).chain(SUBSCRIBER.iter().map(|row| &row.family))
    }
}

/// Returns the sinks of a bus with their labels.
fn sinks<'a>(bus: &Of<'a, Snapshot>) -> Vec<Of<'a, SinkState>> {
    let sinks: &'a [SinkSnapshot] = &bus.state.sinks;
    let labels = labels_of(LabelKey::Sink, sinks.iter().map(|sink| sink.name.as_str()));
    let labeled = |(sink, (label, is_shared)): (&'a SinkSnapshot, _)| {
        let mut of = bus.part(&sink.state, label);
        if is_shared {
            of.labels.push(Label::new(LabelKey::SinkId, sink.id.0.to_string()));
        }
        of.sink = Some(sink.id);
        of
    };
    sinks.iter().zip(labels).map(labeled).collect()
}

/// Returns the retries of a sink with their labels.
fn retries<'a>(sink: &Of<'a, SinkState>) -> Vec<Of<'a, RetryState>> {
    let retries = sink.state.retries.iter().enumerate();
    retries
        .map(|(position, retry)| sink.part(retry, Label::new(LabelKey::Retry, position.to_string())))
        .collect()
}

/// Returns the subscribers of a sink that have a name, with their labels.
fn subscribers<'a>(sink: &Of<'a, SinkState>) -> Vec<Of<'a, SubscriberState>> {
    let all: &'a [SubscriberState] = &sink.state.subscribers;
    let named = all.iter().filter(|subscriber| subscriber.name.is_some());
    let labels = labels_of(LabelKey::Subscriber, all.iter().filter_map(|it| it.name.as_deref()));
    let labeled = |(subscriber, (label, is_shared)): (&'a SubscriberState, _)| {
        let mut of = sink.part(subscriber, label);
        if is_shared {
            of.labels.push(Label::new(LabelKey::SubscriberId, subscriber.number.to_string()));
        }
        of.subscriber = Some(subscriber.number);
        of
    };
    named.zip(labels).map(labeled).collect()
}

static BUS: &[Row<Snapshot>] = &[
    Row::new(
        ["buslane_bus_open", "buslane.bus.open"],
        Kind::Gauge,
        Unit::None,
        "Whether the bus is open: 1, or 0 after it was closed.",
        Read::Flag(|bus| !bus.closed),
    ),
    Row::new(
        ["buslane_bus_publishers", "buslane.bus.publishers"],
        Kind::UpDownCounter,
        Unit::Publishers,
        "Publishers of the bus.",
        Read::Count(|bus| bus.publishers as u64),
    ),
    Row::new(
        ["buslane_bus_sinks", "buslane.bus.sinks"],
        Kind::UpDownCounter,
        Unit::Sinks,
        "Sinks on the bus.",
        Read::Count(|bus| bus.sinks.len() as u64),
    ),
];

static SINK: &[Row<SinkState>] = &[
    Row::new(
        ["buslane_sink_info", "buslane.sink.info"],
        Kind::Gauge,
        Unit::None,
        "The kind of the sink; always 1.",
        Read::Each(LabelKey::Kind, |sink| vec![(sink.kind.name(), 1)]),
    ),
    Row::new(
        ["buslane_sink_open", "buslane.sink.open"],
        Kind::Gauge,
        Unit::None,
        "Whether the sink is open: 1, or 0 after it was closed.",
        Read::Flag(|sink| sink.status == SinkStatus::Open),
    ),
    Row::new(
        ["buslane_sink_drained", "buslane.sink.drained"],
        Kind::Gauge,
        Unit::None,
        "Whether the sink is closed and empty: 1, or 0 until then.",
        Read::Flag(|sink| sink.status == SinkStatus::Drained),
    ),
    Row::new(
        ["buslane_sink_offered_events_total", "buslane.sink.offered"],
        Kind::Counter,
        Unit::Events,
        "Events that were offered to the sink.",
        Read::Count(|sink| sink.ledger.offered),
    ),
    Row::new(
        ["buslane_sink_accepted_events_total", "buslane.sink.accepted"],
        Kind::Counter,
        Unit::Events,
        "Events that the sink accepted.",
        Read::Count(|sink| sink.ledger.accepted),
    ),
    Row::new(
        ["buslane_sink_refused_events_total", "buslane.sink.refused"],
        Kind::Counter,
        Unit::Events,
        "Events that the sink did not accept, by reason.",
        Read::Each(LabelKey::Reason, |sink| sink.ledger.refused.by_reason().to_vec()),
    ),
    Row::new(
        ["buslane_sink_delivered_events_total", "buslane.sink.delivered"],
        Kind::Counter,
        Unit::Events,
        "Events that were handled without an error, or that a reader took.",
        Read::Count(|sink| sink.ledger.delivered),
    ),
    Row::new(
        ["buslane_sink_filtered_events_total", "buslane.sink.filtered"],
        Kind::Counter,
        Unit::Events,
        "Events that a filter held back from the sink.",
        Read::Count(|sink| sink.ledger.filtered),
    ),
    Row::new(
        ["buslane_sink_dropped_events_total", "buslane.sink.dropped"],
        Kind::Counter,
        Unit::Events,
        "Events that the sink accepted and lost, by reason.",
        Read::Each(LabelKey::Reason, |sink| sink.ledger.dropped.by_reason().to_vec()),
    ),
    Row::new(
        ["buslane_sink_pending_events", "buslane.sink.queue.size"],
        Kind::UpDownCounter,
        Unit::Events,
        "Events that wait in the sink or that it is handling.",
        Read::Count(|sink| sink.ledger.pending),
    ),
    Row::new(
        ["buslane_sink_depth_events", "buslane.sink.queue.depth"],
        Kind::UpDownCounter,
        Unit::Events,
        "Events that wait in the lanes of the sink; of a journal, the lag of its slowest subscriber.",
        Read::Count(|sink| sink.depth),
    ),
    Row::new(
        ["buslane_sink_high_water_events", "buslane.sink.queue.high_water"],
        Kind::Gauge,
        Unit::Events,
        "The most events that the consumer ever found waiting in one lane.",
        Read::Count(|sink| sink.high_water),
    ),
    Row::new(
        ["buslane_sink_lane_capacity_events", "buslane.sink.lane.capacity"],
        Kind::Gauge,
        Unit::Events,
        "The most events that one lane of the sink holds; absent if it is unbounded.",
        Read::Optional(|sink| (sink.capacity > 0).then_some(sink.capacity)),
    ),
    Row::new(
        ["buslane_sink_lanes", "buslane.sink.lanes"],
        Kind::UpDownCounter,
        Unit::Lanes,
        "Private lanes into the sink.",
        Read::Count(|sink| sink.lanes as u64),
    ),
    Row::new(
        ["buslane_sink_backlog_seconds", "buslane.sink.backlog"],
        Kind::Gauge,
        Unit::Seconds,
        "The time for which the sink was not empty, at least; 0 if it is empty.",
        Read::Time(|sink| sink.backlog_for),
    ),
    Row::new(
        ["buslane_sink_oldest_event_seconds", "buslane.sink.oldest_event"],
        Kind::Gauge,
        Unit::Seconds,
        "The age of the oldest pending event, at least; 0 if none is pending.",
        Read::Time(|sink| sink.oldest_for),
    ),
    Row::new(
        ["buslane_sink_in_handler_seconds", "buslane.sink.in_handler"],
        Kind::Gauge,
        Unit::Seconds,
        "The time for which a worker has been inside one call of user code, at least; 0 if none is.",
        Read::Time(|sink| sink.in_handler_for),
    ),
    Row::new(
        ["buslane_sink_batches_total", "buslane.sink.batches"],
        Kind::Counter,
        Unit::Batches,
        "Batches that the workers handled.",
        Read::Count(|sink| sink.batches),
    ),
    Row::new(
        ["buslane_sink_largest_batch_events", "buslane.sink.largest_batch"],
        Kind::Gauge,
        Unit::Events,
        "The most events of one batch.",
        Read::Count(|sink| sink.largest_batch),
    ),
    Row::new(
        ["buslane_sink_batch_time_seconds", "buslane.sink.batch_time"],
        Kind::Gauge,
        Unit::Seconds,
        "The time that the workers have spent in batches until now; short batches are sampled.",
        Read::Time(|sink| Some(sink.batch_time)),
    ),
    Row::new(
        ["buslane_sink_subscribers", "buslane.sink.subscribers"],
        Kind::UpDownCounter,
        Unit::Subscribers,
        "Subscribers of the journal, with and without a name.",
        Read::Optional(|sink| {
            let is_journal = sink.kind == SinkKind::Journal || !sink.subscribers.is_empty();
            is_journal.then_some(sink.subscribers.len() as u64)
        }),
    ),
];

static RETRY: &[Row<RetryState>] = &[
    Row::new(
        ["buslane_retry_attempts_total", "buslane.retry.attempts"],
        Kind::Counter,
        Unit::Attempts,
        "Attempts after the first attempt of an event.",
        Read::Count(|retry| retry.retried),
    ),
    Row::new(
        ["buslane_retry_given_up_events_total", "buslane.retry.given_up"],
        Kind::Counter,
        Unit::Events,
        "Events that the policy of the retry gave up.",
        Read::Count(|retry| retry.given_up),
    ),
    Row::new(
        ["buslane_retry_letters_total", "buslane.retry.letters"],
        Kind::Counter,
        Unit::Letters,
        "Dead letters, by what became of them.",
        Read::Each(LabelKey::Outcome, |retry| {
            vec![("sent", retry.letters_sent), ("lost", retry.letters_lost)]
        }),
    ),
];

static SUBSCRIBER: &[Row<SubscriberState>] = &[
    Row::new(
        ["buslane_subscriber_lag_events", "buslane.subscriber.lag"],
        Kind::Gauge,
        Unit::Events,
        "Events that the subscriber has not read yet.",
        Read::Count(|subscriber| subscriber.behind),
    ),
    Row::new(
        ["buslane_subscriber_offered_events_total", "buslane.subscriber.offered"],
        Kind::Counter,
        Unit::Events,
        "Events published since the position where the subscriber began.",
        Read::Count(|subscriber| subscriber.ledger.offered),
    ),
    Row::new(
        ["buslane_subscriber_delivered_events_total", "buslane.subscriber.delivered"],
        Kind::Counter,
        Unit::Events,
        "Events that the subscriber read.",
        Read::Count(|subscriber| subscriber.ledger.delivered),
    ),
    Row::new(
        ["buslane_subscriber_filtered_events_total", "buslane.subscriber.filtered"],
        Kind::Counter,
        Unit::Events,
        "Events that the filter of the subscriber held back.",
        Read::Count(|subscriber| subscriber.ledger.filtered),
    ),
    Row::new(
        ["buslane_subscriber_missed_events_total", "buslane.subscriber.missed"],
        Kind::Counter,
        Unit::Events,
        "Events that were overwritten before the subscriber read them.",
        Read::Count(|subscriber| subscriber.ledger.dropped.evicted),
    ),
    Row::new(
        ["buslane_subscriber_panicked_events_total", "buslane.subscriber.panicked"],
        Kind::Counter,
        Unit::Events,
        "Events whose clone or filter panicked.",
        Read::Count(|subscriber| subscriber.ledger.dropped.panicked),
    ),
    Row::new(
        ["buslane_subscriber_gating", "buslane.subscriber.gating"],
        Kind::Gauge,
        Unit::None,
        "Whether publishers wait for the subscriber: 1 or 0.",
        Read::Flag(|subscriber| subscriber.gating),
    ),
    Row::new(
        ["buslane_subscriber_ended", "buslane.subscriber.ended"],
        Kind::Gauge,
        Unit::None,
        "Whether the subscriber has reached its end: 1 or 0.",
        Read::Flag(|subscriber| subscriber.ended),
    ),
];
