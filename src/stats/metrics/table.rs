//! The rows of the tables of families: what a family is, and how it is read from a state.

use super::family::{Family, Kind, Unit};
use super::label::{Label, LabelKey};
use super::measurement::{Measurement, Value};
use crate::stats::snapshot::SinkId;
use std::time::Duration;

/// A family, and how its measurements are read from a state.
pub(crate) struct Row<T: 'static> {
    pub(crate) family: Family,
    read: Read<T>,
}

/// A state, and what all measurements of it have in common.
pub(crate) struct Of<'a, T> {
    pub(crate) state: &'a T,
    pub(crate) labels: Vec<Label<'a>>,
    pub(crate) sink: Option<SinkId>,
    pub(crate) subscriber: Option<u64>,
}

impl<'a, T> Of<'a, T> {
    /// Returns a state that is part of this one, with one label more.
    pub(crate) fn part<S>(&self, state: &'a S, label: Label<'a>) -> Of<'a, S> {
        let mut labels = self.labels.clone();
        labels.push(label);
        Of { state, labels, sink: self.sink, subscriber: self.subscriber }
    }
}

/// Appends the measurements of every state, those of one family next to each other.
pub(crate) fn measure<'a, T>(rows: &'static [Row<T>], of: &[Of<'a, T>], out: &mut Vec<Measurement<'a>>) {
    for row in rows {
        for state in of {
            row.measure(state, out);
        }
    }
}

/// How the measurements of a family are read from a state.
pub(crate) enum Read<T> {
    /// One number.
    Count(fn(&T) -> u64),
    /// One number, or no series for a state that has none.
    Optional(fn(&T) -> Option<u64>),
    /// 1 or 0.
    Flag(fn(&T) -> bool),
    /// A time, 0 where there is none.
    Time(fn(&T) -> Option<Duration>),
    /// A number for each value of a label.
    Each(LabelKey, fn(&T) -> Vec<(&'static str, u64)>),
}

impl<T> Row<T> {
    /// `names` are those for Prometheus and for OpenTelemetry.
    pub(crate) const fn new(
        names: [&'static str; 2],
        kind: Kind,
        unit: Unit,
        help: &'static str,
        read: Read<T>,
    ) -> Self {
        let [name, otel_name] = names;
        Self { family: Family { name, otel_name, help, kind, unit }, read }
    }

    /// Appends the measurements of the family.
    fn measure<'a>(&'static self, of: &Of<'a, T>, out: &mut Vec<Measurement<'a>>) {
        let (family, state) = (&self.family, of.state);
        let (sink, subscriber) = (of.sink, of.subscriber);
        let one = |value| Measurement { family, labels: of.labels.clone(), value, sink, subscriber };
        match &self.read {
            Read::Count(read) => out.push(one(Value::Integer(read(state)))),
            Read::Optional(read) => out.extend(read(state).map(|count| one(Value::Integer(count)))),
            Read::Flag(read) => out.push(one(Value::Integer(u64::from(read(state))))),
            Read::Time(read) => {
                out.push(one(Value::Float(read(state).unwrap_or_default().as_secs_f64())));
            }
            Read::Each(key, read) => out.extend(read(state).into_iter().map(|(name, count)| {
                let mut measurement = one(Value::Integer(count));
                measurement.labels.push(Label::new(*key, name));
                measurement
            })),
        }
    }
}
