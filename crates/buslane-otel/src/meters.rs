//! The counters and states of a bus as OpenTelemetry instruments.

mod totals;

use buslane::Bus;
use buslane::stats::Snapshot;
use buslane::stats::metrics::{Family, Kind, Label, Measurement, Unit, Value};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, AsyncInstrumentBuilder, Meter};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use totals::Totals;

/// The age after which a snapshot is not reused, even by an instrument that has not used it yet.
const STALE: Duration = Duration::from_millis(500);

/// Registers the instruments of a bus: every number of its [`Snapshot`], under the attribute
/// `buslane.bus.name`.
///
/// Names, units and attributes are in the [table of this crate](crate#instruments). All instruments
/// are observable ones: the SDK reads them when it collects, and a publisher pays nothing. The values
/// are counts since the sink was added, which the SDK turns into deltas where the exporter asks for
/// them.
///
/// - **One snapshot for each collection**: the first instrument takes it, and the others reuse it.
///   It reads the ledger of every sink; readers that collect at the same time may take one for each
///   instrument.
/// - **Several buses** on one meter share the instruments. Give each bus another `name`, since equal
///   names are equal series, of which the SDK keeps one value.
/// - **The bus is held weakly**. When it is gone, its series end, and another bus may take the name.
///   The SDK cannot remove a callback: one for each instrument stays, so this is for buses that live
///   long. Where an exporter asks for deltas, give the name to another bus after a collection in
///   between.
/// - **A sink or subscriber that is gone**: its gauges have no series from then on, and its counters
///   keep their value. One that comes back under the same name continues them, so a counter never
///   falls. A subscriber that has read more than the one before it when it is collected first is taken
///   for the same one. Of each instrument, the 64 series that ended last are kept.
/// - **Identical instruments** of another version of this crate are a conflict, which the SDK logs.
///
/// # Examples
/// ```
/// use buslane::{Bus, noop};
/// use buslane_otel::opentelemetry::metrics::MeterProvider;
/// use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
///
/// let exporter = InMemoryMetricExporter::default(); // or that of opentelemetry-otlp
/// let provider = SdkMeterProvider::builder().with_reader(PeriodicReader::builder(exporter.clone()).build()).build();
///
/// let bus = Bus::new();
/// bus.add_named("audit", noop())?;
/// buslane_otel::observe(&provider.meter("buslane"), "orders", &bus);
/// bus.publish(7)?;
///
/// provider.force_flush()?;
/// let metrics = exporter.get_finished_metrics()?;
/// let names: Vec<_> = metrics[0].scope_metrics().flat_map(|scope| scope.metrics()).map(|it| it.name()).collect();
/// assert!(names.contains(&"buslane.sink.delivered"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn observe<E: Send + 'static>(meter: &Meter, name: &str, bus: &Bus<E>) {
    let (name, bus) = (name.to_owned(), bus.downgrade());
    observe_with(meter, Snapshot::families(), move |each| {
        let snapshot = bus.snapshot();
        if let Some(snapshot) = &snapshot {
            snapshot.measurements(&name).for_each(each);
        }
        snapshot.is_some()
    });
}

/// Registers the instruments of other measurements, such as those of a
/// [`Director`](buslane::director::Director) or a [`Monitor`](buslane::source::Monitor).
///
/// At each collection `measure` calls its argument with each measurement; those of other families than
/// `families` are ignored. When it returns `false`, what it measures is gone: it is dropped, and the
/// series end. It runs on the thread that collects, under no lock of this crate. If it panics, the
/// counters keep their values in that collection, and the other series are missing.
///
/// # Examples
/// ```
/// use buslane::director::{Director, DirectorSnapshot};
/// use buslane_otel::opentelemetry::metrics::MeterProvider;
/// use opentelemetry_sdk::metrics::SdkMeterProvider;
/// let provider = SdkMeterProvider::builder().build(); // with your reader
/// let director = Director::<u32>::new()?;
/// buslane_otel::observe_with(&provider.meter("buslane"), DirectorSnapshot::families(), move |each| {
///     let snapshot = director.snapshot();
///     snapshot.measurements("replicas").for_each(each);
///     !snapshot.is_closed
/// });
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
pub fn observe_with(
    meter: &Meter,
    families: impl IntoIterator<Item = &'static Family>,
    measure: impl Fn(&mut dyn FnMut(Measurement<'_>)) -> bool + Send + Sync + 'static,
) {
    let source = Arc::new(Source::new(Arc::new(measure)));
    for family in families {
        let (name, source) = (family.otel_name, &source);
        // An instrument that is dropped keeps its callback.
        match (family.kind, family.unit) {
            (Kind::Counter, _) => {
                let _ = described(meter.u64_observable_counter(name), family, source, whole).build();
            }
            (Kind::UpDownCounter, _) => {
                let _ = described(meter.i64_observable_up_down_counter(name), family, source, signed).build();
            }
            (_, Unit::Seconds) => {
                let _ = described(meter.f64_observable_gauge(name), family, source, Value::as_f64).build();
            }
            _ => {
                let _ = described(meter.u64_observable_gauge(name), family, source, whole).build();
            }
        }
    }
}

fn whole(value: Value) -> u64 {
    match value {
        Value::Integer(count) => count,
        // No family with such values has an instrument of integers. The cast saturates.
        other => other.as_f64() as u64,
    }
}

fn signed(value: Value) -> i64 {
    i64::try_from(whole(value)).unwrap_or(i64::MAX)
}

/// Completes an instrument: its unit, its description, and how it is read.
fn described<'a, I, M: 'static>(
    instrument: AsyncInstrumentBuilder<'a, I, M>,
    family: &'static Family,
    source: &Arc<Source>,
    convert: fn(Value) -> M,
) -> AsyncInstrumentBuilder<'a, I, M> {
    let source = source.clone();
    // An exporter to Prometheus makes a `_ratio` of a gauge with the unit `1`, which a state is not.
    let instrument = match family.unit {
        Unit::None => instrument,
        unit => instrument.with_unit(unit.otel_name()),
    };
    let callback = move |observer: &dyn AsyncInstrument<M>| {
        for (value, attributes) in source.numbers(family).iter().flat_map(|numbers| numbers.iter()) {
            observer.observe(convert(*value), attributes);
        }
    };
    instrument.with_description(family.help).with_callback(callback)
}

type Measure = Arc<dyn Fn(&mut dyn FnMut(Measurement<'_>)) -> bool + Send + Sync>;

/// The series of one family: their values, and their attributes.
type Numbers = Vec<(Value, Vec<KeyValue>)>;

/// What the instruments of one bus read.
///
/// The lock is held for moments, and never while the measure or the SDK is called.
struct Source(Mutex<State>);

struct State {
    /// `None` if what it measures is gone.
    measure: Option<Measure>,
    totals: Totals,
    latest: Option<Latest>,
    /// The number of readings that were begun, and the latest one whose numbers are taken.
    begun: u64,
    taken: u64,
}

/// The numbers of one snapshot.
struct Latest {
    taken: Instant,
    families: HashMap<&'static str, Series>,
}

/// The series of one family.
#[derive(Default)]
struct Series {
    /// Whether the instrument has read this snapshot. Its next read belongs to another collection.
    used: bool,
    numbers: Arc<Numbers>,
}

impl Latest {
    fn serves(&self, family: &Family) -> bool {
        let used = self.families.get(family.otel_name).is_some_and(|series| series.used);
        !used && self.taken.elapsed() < STALE
    }
}

impl Source {
    fn new(measure: Measure) -> Self {
        let (measure, totals) = (Some(measure), Totals::default());
        Self(Mutex::new(State { measure, totals, latest: None, begun: 0, taken: 0 }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code under the lock leaves the state half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the numbers of a family for this collection, or `None` if there are none any more.
    fn numbers(&self, family: &Family) -> Option<Arc<Numbers>> {
        let (measure, reading) = {
            let mut state = self.lock();
            if state.latest.as_ref().is_some_and(|latest| latest.serves(family)) {
                return state.serve(family);
            }
            state.begun += 1;
            (state.measure.clone()?, state.begun)
        };
        let mut measured = Vec::new();
        let mut add = |measurement: Measurement<'_>| measured.push(measurement.into_owned());
        // A panic would end every collection of the SDK, which holds a lock here.
        let exists = catch_unwind(AssertUnwindSafe(|| measure(&mut add))).ok();
        let mut state = self.lock();
        let gone = if exists == Some(false) {
            state.latest = None;
            state.totals = Totals::default();
            state.measure.take()
        } else {
            state.take(reading, if exists.is_some() { measured } else { Vec::new() });
            None
        };
        let numbers = state.serve(family);
        drop(state);
        // The last one drops the measure, which is the user's.
        drop((measure, gone));
        numbers
    }
}

impl State {
    /// Takes the numbers of a reading, unless those of a later one are here: its counters would fall.
    fn take(&mut self, reading: u64, measured: Vec<Measurement<'static>>) {
        if self.measure.is_none() || reading < self.taken {
            return;
        }
        let mut numbers: HashMap<&'static str, Numbers> = HashMap::new();
        let Self { totals, .. } = self;
        for Measurement { family, labels, value, sink, .. } in measured {
            let attributes = attributes(&labels);
            let value = match (family.kind, value) {
                (Kind::Counter, Value::Integer(count)) => {
                    Value::Integer(totals.advance(family.otel_name, labels, count, sink))
                }
                (_, value) => value,
            };
            numbers.entry(family.otel_name).or_default().push((value, attributes));
        }
        totals.end_round(|family, labels, total| {
            numbers.entry(family).or_default().push((Value::Integer(total), attributes(labels)));
        });
        let series = |numbers| Series { used: false, numbers: Arc::new(numbers) };
        let families = numbers.into_iter().map(|(family, numbers)| (family, series(numbers))).collect();
        self.latest = Some(Latest { taken: Instant::now(), families });
        self.taken = reading;
    }

    /// Returns the latest numbers of a family, and notes that its instrument has read them.
    fn serve(&mut self, family: &Family) -> Option<Arc<Numbers>> {
        let series = self.latest.as_mut()?.families.entry(family.otel_name).or_default();
        series.used = true;
        Some(series.numbers.clone())
    }
}

fn attributes(labels: &[Label<'_>]) -> Vec<KeyValue> {
    let pair = |label: &Label<'_>| KeyValue::new(label.key.otel_name(), label.otel_value().to_owned());
    labels.iter().map(pair).collect()
}
