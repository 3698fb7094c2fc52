//! What is in a record.

use super::{BEGIN, records};
use buslane_tracing::{Clock, Kind, ManualTime, Record, Value, layer};
use std::error::Error;
use std::fmt;
use test_support::heap::heap_of;
use tracing::{error, info, trace};
use tracing_subscriber::layer::SubscriberExt;

/// Returns the records that `log` leads to.
fn records_of(log: impl FnOnce()) -> Vec<Record> {
    let (bus, mut receiver) = records();
    let layer = layer(&bus).level(tracing::Level::TRACE).clock(Clock::Manual(ManualTime::new(BEGIN))).build();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
    receiver.drain().collect()
}

fn record_of(log: impl FnOnce()) -> Record {
    let mut records = records_of(log);
    assert_eq!(records.len(), 1);
    records.remove(0)
}

fn values(record: &Record) -> Vec<(&'static str, Value<'_>)> {
    record.fields().map(|field| (field.name(), field.value())).collect()
}

#[derive(Debug)]
struct Outer(fmt::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn fields_keep_their_types() {
    let bytes: &[u8] = &[1, 2];
    let error = Outer(fmt::Error);
    let record = record_of(|| {
        info!(
            a = -1_i8,
            b = 2_u64,
            c = i128::MIN,
            d = u128::MAX,
            e = 0.5,
            f = true,
            g = "text",
            h = bytes,
            i = ?Some(1),
            j = %"shown",
            k = &error as &(dyn Error + 'static),
            "message with {} argument",
            1
        );
    });
    let expected = [
        ("message", Value::Debug("message with 1 argument")),
        ("a", Value::I64(-1)),
        ("b", Value::U64(2)),
        ("c", Value::I128(i128::MIN)),
        ("d", Value::U128(u128::MAX)),
        ("e", Value::F64(0.5)),
        ("f", Value::Bool(true)),
        ("g", Value::Str("text")),
        ("h", Value::Bytes(&[1, 2])),
        ("i", Value::Debug("Some(1)")),
        ("j", Value::Debug("shown")),
        ("k", Value::Error("no answer: an error occurred when formatting an argument")),
    ];
    assert_eq!(values(&record), expected);
    assert_eq!(record.value("b"), Some(Value::U64(2)));
    assert_eq!(record.value("z"), None);
}

#[test]
fn record_describes_its_callsite() {
    let record = record_of(|| error!(target: "my_service::db", "no answer"));
    assert_eq!((record.kind(), record.level()), (Kind::Event, &tracing::Level::ERROR));
    assert_eq!((record.target(), record.message()), ("my_service::db", "no answer"));
    assert_eq!(record.timestamp(), BEGIN);
    assert_eq!((record.span(), record.parent()), (None, None));
    assert!(record.file().is_some_and(|file| file.ends_with("records.rs")) && record.line().is_some());
    assert!(record.thread() > 0 && !record.is_truncated());
    let debug = format!("{record:?}");
    assert!(debug.contains("\"message\": Debug(\"no answer\")"), "{debug}");
}

#[test]
fn event_without_fields_has_no_message() {
    let record = record_of(|| info!(answer = 42));
    assert_eq!((record.message(), record.fields().count()), ("", 1));
}

#[test]
fn steps_of_a_span_are_records() {
    let records = records_of(|| {
        let span = tracing::info_span!("request", id = 7, status = tracing::field::Empty);
        span.in_scope(|| info!("inside"));
        span.record("status", 200);
    });
    let kinds: Vec<_> = records.iter().map(Record::kind).collect();
    assert_eq!(kinds, [Kind::NewSpan, Kind::Event, Kind::SpanValues, Kind::SpanClosed]);
    let id = records[0].span();
    assert!(id.is_some() && records.iter().all(|record| record.span() == id));
    assert_eq!(values(&records[0]), [("id", Value::I64(7))]);
    assert_eq!(values(&records[2]), [("status", Value::I64(200))]);
    assert_eq!(records[0].metadata().name(), "request");
}

#[test]
fn long_text_is_kept_whole() {
    let text = "ä".repeat(10_000);
    let record = record_of(|| info!(before = 1, text = &*text, after = 2, "{text}"));
    assert!(!record.is_truncated());
    let copy = record.clone();
    assert!(record.message() == text && copy.value("text") == Some(Value::Str(&text)));
    assert_eq!((record.value("before"), copy.value("after")), (Some(Value::I64(1)), Some(Value::I64(2))));
}

#[test]
fn text_above_the_limit_is_cut_at_a_character() {
    let (bus, mut receiver) = records();
    let built = layer(&bus).spill_limit(0).build();
    let (subscriber, text) = (tracing_subscriber::registry().with(built), "ä".repeat(200));
    tracing::subscriber::with_default(subscriber, || {
        info!(text = &*text, after = 7);
        tracing::dispatcher::get_default(|current| {
            let layer = current.downcast_ref::<buslane_tracing::BusLayer<buslane_tracing::Records<204>>>();
            assert_eq!(layer.unwrap().truncated(), 1);
        });
    });
    let record = receiver.recv().unwrap();
    assert!(record.is_truncated());
    let Some(Value::Str(kept)) = record.value("text") else { panic!("{record:?}") };
    assert!(text.starts_with(kept) && kept.len() > 190, "{kept}");
}

#[test]
fn dropped_records_give_their_bytes_back() {
    let (bus, mut receiver) = records();
    let subscriber = tracing_subscriber::registry().with(layer(&bus).spill_limit(2048).build());
    let text = "x".repeat(1000);
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..100 {
            info!("{text}");
            let record = receiver.recv().unwrap();
            assert!(!record.is_truncated());
            assert_eq!(record.message(), text);
        }
        // Without drops in between, the limit is reached.
        (0..5).for_each(|_| info!("{text}"));
        let cut = receiver.drain().filter(Record::is_truncated).count();
        assert!((3..=4).contains(&cut), "{cut}");
    });
}

#[test]
fn error_with_a_circle_of_sources_ends() {
    #[derive(Debug)]
    struct Circle;
    impl fmt::Display for Circle {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("again")
        }
    }
    impl Error for Circle {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&Self)
        }
    }
    let record = record_of(|| info!(error = &Circle as &(dyn Error + 'static)));
    let Some(Value::Error(text)) = record.value("error") else { panic!("{record:?}") };
    assert!(text.starts_with("again: again: ") && text.len() < 200, "{text}");
}

#[test]
fn debug_that_fails_keeps_what_it_wrote() {
    struct Half;
    impl fmt::Debug for Half {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            Err(fmt::Error)
        }
    }
    let record = record_of(|| info!(half = ?Half, after = 1));
    assert_eq!(values(&record), [("half", Value::Debug("half")), ("after", Value::I64(1))]);
}

#[test]
fn record_takes_four_cache_lines() {
    assert_eq!(size_of::<Record>(), 256);
}

#[test]
fn event_allocates_nothing_on_its_thread() {
    let (bus, mut receiver) = records();
    let subscriber = tracing_subscriber::registry().with(layer(&bus).level(tracing::Level::INFO).build());
    let name = String::from("a name");
    tracing::subscriber::with_default(subscriber, || {
        let log = || {
            let _span = tracing::info_span!("request", id = 7).entered();
            info!(count = 1, ratio = 0.5, name = &*name, value = ?Some(3), "took {} ms", 20);
            trace!("disabled");
        };
        // The first events register the callsites, and give the thread its lanes.
        (0..100).for_each(|_| log());
        receiver.drain().for_each(drop);
        let (heap, ()) = heap_of(|| (0..100).for_each(|_| log()));
        assert_eq!(heap.allocations, 0, "{heap:?}");
    });
}
