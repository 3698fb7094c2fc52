//! The labels of a measurement.

use std::borrow::Cow;
use std::collections::HashMap;

/// One label of a measurement.
///
/// # Examples
/// ```
/// let bus = buslane::Bus::<u32>::new();
/// let snapshot = bus.snapshot();
/// let open = snapshot.measurements("telemetry").next().expect("the state of the bus is the first");
/// let label = &open.labels[0];
/// assert_eq!((label.key.name(), label.value.as_ref()), ("bus", "telemetry"));
/// assert_eq!((label.key.otel_name(), label.otel_value()), ("buslane.bus.name", "telemetry"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Label<'a> {
    /// The key.
    pub key: LabelKey,
    /// The value. It may contain any character but NUL, which some parsers take for the end of a page,
    /// and which is replaced by U+FFFD. A text format has to escape it.
    pub value: Cow<'a, str>,
}

impl<'a> Label<'a> {
    pub(crate) fn new(key: LabelKey, value: impl Into<Cow<'a, str>>) -> Self {
        let mut value = value.into();
        if value.contains('\0') {
            value = value.replace('\0', "\u{fffd}").into();
        }
        Self { key, value }
    }

    /// Returns the label with a copy of its value.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::metrics::Label;
    /// let snapshot = buslane::Bus::<u32>::new().snapshot();
    /// let labels: Vec<Label<'static>> = {
    ///     let name = String::from("telemetry");
    ///     snapshot.measurements(&name).flat_map(|it| it.labels).map(Label::into_owned).collect()
    /// };
    /// assert_eq!(labels[0].value, "telemetry");
    /// ```
    #[must_use]
    pub fn into_owned(self) -> Label<'static> {
        Label { key: self.key, value: self.value.into_owned().into() }
    }

    /// Returns the value as an attribute in OpenTelemetry, whose conventions have names of their own
    /// for some reasons: `queue_full` and `already_shutdown`.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::metrics::LabelKey;
    /// let bus = buslane::Bus::<u32>::new();
    /// bus.add_named("nothing", buslane::noop())?;
    /// let snapshot = bus.snapshot();
    /// let labels = snapshot.measurements("telemetry").flat_map(|it| it.labels);
    /// let full = labels.into_iter().find(|label| label.key == LabelKey::Reason && label.value == "full");
    /// assert_eq!(full.expect("each reason has a series").otel_value(), "queue_full");
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    #[must_use]
    pub fn otel_value(&self) -> &str {
        match (self.key, self.value.as_ref()) {
            (LabelKey::Reason, "full") => "queue_full",
            (LabelKey::Reason, "closed") => "already_shutdown",
            (_, value) => value,
        }
    }
}

/// Returns the labels with this key of all names, each with whether another name has the same label.
///
/// The labels are compared, rather than the names: two names may differ in what a label replaces, and
/// would then be one series.
pub(crate) fn labels_of<'a>(
    key: LabelKey,
    names: impl IntoIterator<Item = &'a str>,
) -> impl Iterator<Item = (Label<'a>, bool)> {
    let labels: Vec<_> = names.into_iter().map(|name| Label::new(key, name)).collect();
    let mut same: HashMap<Cow<'a, str>, usize> = HashMap::new();
    for label in &labels {
        *same.entry(label.value.clone()).or_default() += 1;
    }
    labels.into_iter().map(move |label| {
        let is_shared = same[&label.value] > 1;
        (label, is_shared)
    })
}

/// The key of a label.
///
/// # Examples
/// ```
/// use buslane::stats::metrics::LabelKey;
/// assert_eq!((LabelKey::Reason.name(), LabelKey::Reason.otel_name()), ("reason", "error.type"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LabelKey {
    /// The name that the exporter was given for the bus.
    Bus,
    /// The name of the sink, or the source location where it was added.
    Sink,
    /// The number of the sink's attachment. Only sinks that share a name with another sink of the
    /// bus have it.
    SinkId,
    /// The kind of the sink, as [`SinkKind`](crate::stats::SinkKind) writes it.
    Kind,
    /// Why events were refused or dropped.
    Reason,
    /// The position of the retry in the chain of sinks, the outermost is `0`.
    Retry,
    /// What became of a dead letter.
    Outcome,
    /// The name of the journal's subscriber.
    Subscriber,
    /// The number of the subscriber, which no other subscriber of the journal ever has. Only
    /// subscribers that share a name with another subscriber of the journal have it.
    SubscriberId,
    /// The name that the exporter was given for the monitor.
    Monitor,
    /// The name that the exporter was given for the director.
    Director,
    /// The name of the member.
    Member,
    /// The epoch of the member. Only members whose names are the same once NUL is replaced have it.
    MemberEpoch,
}

impl LabelKey {
    /// Returns the name of the label in Prometheus and in the `metrics` facade.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(buslane::stats::metrics::LabelKey::Sink.name(), "sink");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bus => "bus",
            Self::Sink => "sink",
            Self::SinkId => "id",
            Self::Kind => "kind",
            Self::Reason => "reason",
            Self::Retry => "retry",
            Self::Outcome => "outcome",
            Self::Subscriber => "subscriber",
            Self::SubscriberId => "subscriber_id",
            Self::Monitor => "monitor",
            Self::Director => "director",
            Self::Member => "member",
            Self::MemberEpoch => "member_epoch",
        }
    }

    /// Returns the name of the attribute in OpenTelemetry.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(buslane::stats::metrics::LabelKey::Sink.otel_name(), "buslane.sink.name");
    /// ```
    #[must_use]
    pub const fn otel_name(self) -> &'static str {
        match self {
            Self::Bus => "buslane.bus.name",
            Self::Sink => "buslane.sink.name",
            Self::SinkId => "buslane.sink.id",
            Self::Kind => "buslane.sink.kind",
            Self::Reason => "error.type",
            Self::Retry => "buslane.retry.position",
            Self::Outcome => "buslane.letter.outcome",
            Self::Subscriber => "buslane.subscriber.name",
            Self::SubscriberId => "buslane.subscriber.id",
            Self::Monitor => "buslane.monitor.name",
            Self::Director => "buslane.director.name",
            Self::Member => "buslane.member.name",
            Self::MemberEpoch => "buslane.member.epoch",
        }
    }
}
