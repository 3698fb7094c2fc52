//! Measurements in the terms of prometheus-client's encoders.

use buslane::stats::metrics::{Family, Kind, Measurement, Unit, Value};
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry;
use std::fmt;

/// Encodes measurements, all series of a family together.
pub(crate) fn encode(measurements: &[Measurement<'_>], mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let mut families: Vec<&Family> = Vec::new();
    for measurement in measurements {
        if !families.contains(&measurement.family) {
            families.push(measurement.family);
        }
    }
    for family in families {
        let (name, unit) = name_and_unit(family);
        let mut metric = encoder.encode_descriptor(name, family.help, unit.as_ref(), metric_type(family))?;
        for measurement in measurements.iter().filter(|it| it.family == family) {
            encode_series(&mut metric, measurement)?;
        }
    }
    Ok(())
}

/// Returns the name without what the encoder appends to it: the unit, and `_total` to a counter.
fn name_and_unit(family: &Family) -> (&'static str, Option<registry::Unit>) {
    let name = family.base_name();
    let unit = match family.unit {
        Unit::None => return (name, None),
        Unit::Seconds => registry::Unit::Seconds,
        other => registry::Unit::Other(other.name().to_owned()),
    };
    match name.strip_suffix(unit.as_str()).and_then(|name| name.strip_suffix('_')) {
        Some(name) => (name, Some(unit)),
        None => (name, None),
    }
}

fn metric_type(family: &Family) -> MetricType {
    if family.kind == Kind::Counter { MetricType::Counter } else { MetricType::Gauge }
}

fn encode_series(metric: &mut MetricEncoder<'_>, measurement: &Measurement<'_>) -> fmt::Result {
    let labels: Vec<(&str, &str)> =
        measurement.labels.iter().map(|label| (label.key.name(), label.value.as_ref())).collect();
    let mut series = metric.encode_family(&labels)?;
    match (measurement.family.kind, measurement.value) {
        (Kind::Counter, Value::Integer(count)) => series.encode_counter::<NoLabelSet, _, f64>(&count, None),
        (Kind::Counter, value) => series.encode_counter::<NoLabelSet, _, f64>(&value.as_f64(), None),
        (_, Value::Integer(count)) => series.encode_gauge(&count),
        (_, value) => series.encode_gauge(&value.as_f64()),
    }
}
