//! What was published of every series, and the totals of counters that began anew.

use buslane::SinkId;
use buslane::stats::metrics::{Family, Kind, Label, Measurement, Unit, Value};
use metrics::{Key, KeyName, Level, Metadata, Recorder};
use std::collections::HashMap;

static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// Labels that the user adds to every series.
pub(crate) type ExtraLabels = Vec<(&'static str, String)>;

/// A series: the name of its family, and its labels.
type Series = (&'static str, Vec<Label<'static>>);

/// What was published until now. It has no handle of a recorder: whether a recorder is the one that a
/// handle came from cannot be told, since another one may be at its address.
#[derive(Default)]
pub(crate) struct Published {
    recorder: Option<RecorderId>,
    counters: HashMap<Series, Total>,
    /// The gauges, with the round in which each was published last.
    gauges: HashMap<Series, (&'static Family, u64)>,
    /// The last round of publishing that was begun, and the last one that was taken.
    begun: u64,
    round: u64,
}

/// A number that a recorder is to be given.
pub(crate) struct Point {
    family: &'static Family,
    labels: Vec<Label<'static>>,
    value: Value,
}

/// What tells one recorder from another: its address, and its size.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecorderId {
    address: usize,
    size: usize,
}

impl RecorderId {
    pub(crate) fn of(recorder: &dyn Recorder) -> Self {
        let address = std::ptr::from_ref(recorder).cast::<()>().addr();
        Self { address, size: size_of_val(recorder) }
    }

    /// Returns whether the recorder may be the one that the facade uses while none is installed.
    /// That one has no fields, and the facade has no other way to tell.
    pub(crate) fn may_be_none(self) -> bool {
        self.size == 0
    }
}

/// The total of a counter: over all sinks that had its labels one after another.
struct Total {
    /// The last values of the sinks that are gone.
    before: u64,
    /// The last value.
    last: u64,
    origin: Origin,
}

/// What a counter counts for: the attachment of a sink, and the number of a subscriber. Another one
/// begins at 0.
type Origin = (Option<SinkId>, Option<u64>);

impl Total {
    fn new() -> Self {
        Self { before: 0, last: 0, origin: (None, None) }
    }

    /// Returns the total with a new value.
    fn advance(&mut self, value: u64, origin: Origin) -> u64 {
        // A monitor or a member of a director has no number: one that comes back shows by its count.
        let may_restart = origin.0.is_none();
        if self.origin != origin || (may_restart && value < self.last) {
            self.before += self.last;
            self.last = 0;
        }
        self.origin = origin;
        // A snapshot that was taken while events flow may be behind the one before by a few events.
        self.last = self.last.max(value);
        self.before + self.last
    }
}

impl Published {
    /// Begins a round, before its measurements are taken. Returns its number.
    pub(crate) fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    /// Takes the measurements of a round, and returns what the recorder is to be given: a gauge that had
    /// no value in this round is set to 0, once.
    ///
    /// Returns nothing if a later round was taken before: the numbers of this one are old.
    pub(crate) fn take(
        &mut self,
        round: u64,
        recorder: RecorderId,
        measured: Vec<Measurement<'static>>,
    ) -> Vec<Point> {
        if round < self.round {
            return Vec::new();
        }
        self.round = round;
        if self.recorder.replace(recorder) != Some(recorder) {
            // Another recorder has none of the gauges that are gone.
            self.gauges.clear();
        }
        let mut points: Vec<_> = measured.into_iter().map(|measurement| self.point(measurement)).collect();
        self.gauges.retain(|(_, labels), (family, last)| {
            if *last != round {
                points.push(Point { family, labels: labels.clone(), value: Value::Integer(0) });
            }
            *last == round
        });
        points
    }

    fn point(&mut self, measurement: Measurement<'static>) -> Point {
        let Measurement { family, labels, value, sink, subscriber, .. } = measurement;
        let series = (family.name, labels.clone());
        let value = match (family.kind, value) {
            (Kind::Counter, Value::Integer(count)) => {
                let total = self.counters.entry(series).or_insert_with(Total::new);
                Value::Integer(total.advance(count, (sink, subscriber)))
            }
            (_, value) => {
                self.gauges.insert(series, (family, self.round));
                value
            }
        };
        Point { family, labels, value }
    }
}

/// Gives the numbers to a recorder, and describes their families.
///
/// The recorder is asked for each series again: it may be another one at the address of an earlier one.
pub(crate) fn give(recorder: &dyn Recorder, points: &[Point], extra: &ExtraLabels) {
    let mut described = None;
    for &Point { family, ref labels, value } in points {
        // The numbers of a family are next to each other.
        if described.replace(family.name) != Some(family.name) {
            describe(recorder, family);
        }
        let key = key(family, labels, extra);
        match (family.kind, value) {
            (Kind::Counter, Value::Integer(count)) => {
                recorder.register_counter(&key, &METADATA).absolute(count);
            }
            (_, value) => recorder.register_gauge(&key, &METADATA).set(value.as_f64()),
        }
    }
}

fn describe(recorder: &dyn Recorder, family: &'static Family) {
    let name = KeyName::from_const_str(family.name);
    let unit = match family.unit {
        Unit::None => None,
        Unit::Seconds => Some(metrics::Unit::Seconds),
        _ => Some(metrics::Unit::Count),
    };
    match family.kind {
        Kind::Counter => recorder.describe_counter(name, unit, family.help.into()),
        _ => recorder.describe_gauge(name, unit, family.help.into()),
    }
}

fn key(family: &'static Family, labels: &[Label<'static>], extra: &ExtraLabels) -> Key {
    // A label of the measurement has precedence: two labels of one name are invalid.
    let is_free = |name: &str| labels.iter().all(|label| label.key.name() != name);
    let own = labels.iter().map(|it| metrics::Label::new(it.key.name(), it.value.clone().into_owned()));
    let extra = extra.iter().filter(|(name, _)| is_free(name));
    let extra = extra.map(|(name, value)| metrics::Label::new(*name, value.clone()));
    Key::from_parts(family.name, own.chain(extra).collect::<Vec<_>>())
}
