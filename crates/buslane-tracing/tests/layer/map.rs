//! Events of the user's own type.

use super::OnDebug;
use buslane::{Bus, Receiver};
use buslane_tracing::map;
use tracing::field::{Field, Visit};
use tracing::subscriber::with_default;
use tracing::{Event, debug, info, warn};
use tracing_subscriber::layer::SubscriberExt;

/// The service's own log record.
#[derive(Clone, Debug, PartialEq)]
enum Noted {
    Slow { millis: u64 },
    Warning(&'static str),
}

#[derive(Default)]
struct Millis(Option<u64>);

impl Visit for Millis {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "millis" {
            self.0 = Some(value);
        }
    }

    fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
        let _ = format!("{value:?}");
    }
}

fn note(event: &Event<'_>) -> Option<Noted> {
    let mut millis = Millis::default();
    event.record(&mut millis);
    match millis.0 {
        Some(millis) => Some(Noted::Slow { millis }),
        None if *event.metadata().level() == tracing::Level::WARN => {
            Some(Noted::Warning(event.metadata().target()))
        }
        None => None,
    }
}

fn noted(log: impl FnOnce()) -> Receiver<Noted> {
    let bus = Bus::new();
    let receiver = bus.subscribe_lossy(64).unwrap();
    with_default(tracing_subscriber::registry().with(map(&bus, note).build()), log);
    receiver
}

#[test]
fn function_makes_typed_events() {
    let mut receiver = noted(|| {
        info!(millis = 20_u64, "request");
        info!("of no interest");
        debug!(millis = 30_u64, "filtered");
        warn!(target: "db", "no answer");
    });
    let expected = [Noted::Slow { millis: 20 }, Noted::Warning("db")];
    assert_eq!(receiver.drain().collect::<Vec<_>>(), expected);
}

#[test]
fn function_that_logs_is_suppressed() {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossy(64).unwrap();
    let built = map(&bus, |event| {
        info!(millis = 1_u64, "from the function");
        note(event)
    });
    with_default(tracing_subscriber::registry().with(built.build()), || {
        info!(millis = 5_u64, value = ?OnDebug(|| info!("nested")));
    });
    assert_eq!(receiver.drain().collect::<Vec<_>>(), [Noted::Slow { millis: 5 }]);
}

#[test]
fn spans_are_not_mapped() {
    let mut receiver =
        noted(|| tracing::info_span!("span", millis = 3_u64).in_scope(|| info!(millis = 4_u64)));
    assert_eq!(receiver.drain().collect::<Vec<_>>(), [Noted::Slow { millis: 4 }]);
}
