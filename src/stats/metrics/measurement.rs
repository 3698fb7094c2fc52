//! One number of a snapshot, with its family and its labels.

use super::family::Family;
use super::label::Label;
use crate::stats::snapshot::SinkId;
use std::fmt;
use std::iter::FusedIterator;
use std::vec;

/// One number of a snapshot: a series of a family.
///
/// # Examples
/// ```
/// let bus = buslane::Bus::<u32>::new();
/// let _publisher = bus.publisher();
/// let snapshot = bus.snapshot();
/// let publishers = snapshot.measurements("telemetry").find(|it| it.family.name == "buslane_bus_publishers");
/// assert_eq!(publishers.map(|it| it.value.as_f64()), Some(1.0));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Measurement<'a> {
    /// The family.
    pub family: &'static Family,
    /// The labels, the name of the bus first. No two measurements of a snapshot have the same family
    /// and labels.
    pub labels: Vec<Label<'a>>,
    /// The number.
    pub value: Value,
    /// The attachment of the sink that the number is of, if it is of a sink. A counter with the same
    /// labels and another attachment began anew: the sink was removed, and one of the same name was
    /// added.
    pub sink: Option<SinkId>,
    /// The number of the journal's subscriber that the number is of, if it is of a subscriber. A
    /// counter with the same labels and another subscriber began anew, too.
    pub subscriber: Option<u64>,
}

impl Measurement<'_> {
    /// Returns the measurement with copies of the values of its labels, which outlives the snapshot.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::metrics::Measurement;
    /// let bus = buslane::Bus::<u32>::new();
    /// let kept: Vec<Measurement<'static>> =
    ///     bus.snapshot().measurements("telemetry").map(Measurement::into_owned).collect();
    /// assert_eq!(kept.len(), 3);
    /// ```
    #[must_use]
    pub fn into_owned(self) -> Measurement<'static> {
        let labels = self.labels.into_iter().map(Label::into_owned).collect();
        Measurement { labels, ..self }
    }
}

/// The number of a measurement.
///
/// Counters and sums are integers, times are floating-point numbers: the values of a family are all
/// of the same variant.
///
/// # Examples
/// ```
/// use buslane::stats::metrics::Value;
/// assert_eq!(Value::Integer(3).to_string(), "3");
/// assert_eq!(Value::Float(0.25).to_string(), "0.25");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A count, a number of things, or a state: 0 or 1.
    Integer(u64),
    /// A time in seconds.
    Float(f64),
}

impl Value {
    /// Returns the number as a floating-point number, rounded if it exceeds 2^53.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(buslane::stats::metrics::Value::Integer(3).as_f64(), 3.0);
    /// ```
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Integer(count) => count as f64,
            Self::Float(number) => number,
        }
    }
}

/// Writes the number as every text format reads it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(count) => write!(f, "{count}"),
            Self::Float(number) => write!(f, "{number}"),
        }
    }
}

/// The measurements of a snapshot, those of one family next to each other.
///
/// [`Snapshot::measurements`](crate::stats::Snapshot::measurements) returns it.
///
/// # Examples
/// ```
/// let bus = buslane::Bus::<u32>::new();
/// let snapshot = bus.snapshot();
/// let names: Vec<_> = snapshot.measurements("telemetry").map(|it| it.family.name).collect();
/// assert_eq!(names, ["buslane_bus_open", "buslane_bus_publishers", "buslane_bus_sinks"]);
/// ```
#[derive(Clone, Debug)]
pub struct Measurements<'a>(vec::IntoIter<Measurement<'a>>);

impl<'a> Measurements<'a> {
    pub(crate) fn new(measurements: Vec<Measurement<'a>>) -> Self {
        Self(measurements.into_iter())
    }
}

impl<'a> Iterator for Measurements<'a> {
    type Item = Measurement<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Measurements<'_> {}

impl FusedIterator for Measurements<'_> {}
