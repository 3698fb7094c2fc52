//! Spans, joined with their events by the worker.

use super::{OnDebug, Written, alone, lines_of, records, set_global, spawn};
use buslane_tracing::{Clock, Kind, Record, Text, layer};
use test_support::ends;
use tracing::field::Empty;
use tracing::subscriber::with_default;
use tracing::{Level, Span, debug_span, info, info_span, trace_span};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

/// A format with nothing but the spans and the fields.
const BARE: Text = Text::new().time(false).target(false);

#[test]
fn line_has_the_spans_around_its_event() {
    let lines = lines_of(BARE, || {
        let _outer = info_span!("request", id = 7, path = "/").entered();
        info!("one");
        info_span!("query").in_scope(|| info!("two"));
        info!("three");
    });
    let expected = [
        r#" INFO request{id=7 path="/"}: one"#,
        r#" INFO request{id=7 path="/"}:query: two"#,
        r#" INFO request{id=7 path="/"}: three"#,
    ];
    assert_eq!(lines, expected);
}

#[test]
fn explicit_parents_are_followed() {
    let lines = lines_of(BARE, || {
        let (one, other) = (info_span!("one"), info_span!("other"));
        let _inside = other.enter();
        info!(parent: &one, "in one");
        info!(parent: None, "in none");
        info_span!(parent: &one, "child").in_scope(|| info!("in child"));
        info_span!(parent: None, "root").in_scope(|| info!("in root"));
    });
    assert_eq!(
        lines,
        [" INFO one: in one", " INFO in none", " INFO one:child: in child", " INFO root: in root"]
    );
}

#[test]
fn later_values_replace_earlier_ones() {
    let lines = lines_of(BARE, || {
        let span = info_span!("request", status = Empty, attempt = 1).entered();
        info!("1");
        span.record("status", 200);
        info!("2");
        span.record("attempt", 2);
        span.record("status", 201);
        info!("3");
    });
    let expected = [
        " INFO request{attempt=1}: 1",
        " INFO request{attempt=1 status=200}: 2",
        " INFO request{attempt=2 status=201}: 3",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn span_is_known_on_other_threads() {
    let written = Written::start(BARE);
    written.log(|| {
        let span = info_span!("shared", n = 1);
        let threads = (0..4).map(|_| {
            let span = span.clone();
            spawn(move || (0..200).for_each(|n| span.in_scope(|| info!(n, "in it"))))
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let lines = written.close();
    assert_eq!(lines.len(), 800);
    assert!(lines.iter().all(|line| line.starts_with(" INFO shared{n=1}: in it n=")), "{lines:?}");
}

#[test]
fn disabled_spans_are_left_out() {
    let written = Written::start(BARE);
    let built = layer(&written.bus).clock(Clock::None).level(Level::INFO).build();
    with_default(tracing_subscriber::registry().with(built), || {
        let _outer = info_span!("outer").entered();
        let middle = debug_span!("middle").entered();
        let _inner = info_span!("inner").entered();
        info!("event");
        info!(parent: middle.id(), "explicit");
    });
    assert_eq!(written.close(), [" INFO outer:inner: event", " INFO explicit"]);
}

#[test]
fn spans_can_be_switched_off() {
    alone(module_path!(), "spans_can_be_switched_off", || {
        let (bus, mut receiver) = records();
        set_global(layer(&bus).spans(false));
        let span = info_span!("request");
        span.in_scope(|| info!("event"));
        // No layer is interested in the span, so it does not exist.
        assert!(span.is_disabled());
        let records: Vec<Record> = receiver.drain().collect();
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].kind(), records[0].span()), (Kind::Event, None));
    });
}

#[test]
fn each_layer_knows_its_own_spans() {
    let (one, other) = (Written::start(BARE), Written::start(BARE));
    let subscriber = tracing_subscriber::registry()
        .with(layer(&one.bus).clock(Clock::None).level(Level::INFO).build())
        .with(layer(&other.bus).clock(Clock::None).level(Level::TRACE).build());
    with_default(subscriber, || {
        let _outer = info_span!("outer").entered();
        let _inner = trace_span!("inner").entered();
        info!("event");
    });
    assert_eq!(one.close(), [" INFO outer: event"]);
    assert_eq!(other.close(), [" INFO outer:inner: event"]);
}

/// Rows 12 and 15: a span that lives as long as a connection keeps nothing of its events.
#[test]
fn long_span_holds_nothing_of_its_events() {
    let (bus, mut receiver) = records();
    let subscriber = tracing_subscriber::registry().with(layer(&bus).build());
    let handle = with_default(subscriber, || {
        let span = info_span!("connection").entered();
        (0..1000).for_each(|_| info!("event"));
        receiver.drain().for_each(drop);
        let (heap, ()) = test_support::heap::heap_of(|| (0..1000).for_each(|_| info!("event")));
        assert_eq!((heap.allocations, heap.bytes), (0, 0));
        span.exit()
    });
    drop(handle);
    assert_eq!(receiver.drain().last().map(|record| record.kind()), Some(Kind::SpanClosed));
}

/// Row 16: a `Debug` implementation may use the span in which it is recorded.
#[test]
fn debug_of_a_value_may_use_its_span() {
    alone(module_path!(), "debug_of_a_value_may_use_its_span", || {
        let written = Written::start(BARE);
        set_global(layer(&written.bus));
        ends(|| {
            let span = info_span!("request", value = Empty);
            span.in_scope(|| {
                let value = OnDebug(|| {
                    Span::current().record("value", 1);
                    info_span!("nested").in_scope(|| info!("nested"));
                });
                Span::current().record("value", tracing::field::debug(&value));
                info!(?value, "event");
            });
        });
        assert_eq!(written.close(), [" INFO request{value=formatted}: event value=formatted"]);
    });
}

#[test]
fn span_of_a_lost_record_is_shown_as_unknown() {
    let written = Written::start(BARE);
    // The bus has no sink when the span begins.
    let quiet = buslane::Bus::<Record>::new();
    let built = layer::<204>(&quiet).clock(Clock::None).build();
    with_default(tracing_subscriber::registry().with(built), || {
        let _span = info_span!("lost", n = 1).entered();
        let relay = written.bus.clone();
        quiet.add(buslane::sink_fn(move |record: &Record| drop(relay.publish(record.clone())))).unwrap();
        info!("event");
    });
    assert_eq!(written.close(), [" INFO ?: event"]);
}

#[test]
fn events_of_a_closed_span_keep_its_name() {
    // Another thread logs in the span, and its event is published after the close of the span.
    let (bus, mut receiver) = records();
    let subscriber = tracing_subscriber::registry().with(layer(&bus).clock(Clock::None).build());
    with_default(subscriber, || info_span!("request", id = 7).in_scope(|| info!("event")));
    let written = Written::start(BARE);
    let mut records: Vec<Record> = receiver.drain().collect();
    records.sort_by_key(|record| record.kind() == Kind::Event);
    assert_eq!(records.last().map(Record::kind), Some(Kind::Event));
    records.into_iter().for_each(|record| drop(written.bus.publish(record)));
    assert_eq!(written.close(), [" INFO request{id=7}: event"]);
}

#[test]
fn threads_that_move_a_span_keep_their_own() {
    let written = Written::start(BARE);
    written.log(|| {
        let span = info_span!("moved");
        let _here = span.enter();
        let moved = span.clone();
        let other = spawn(move || {
            info!("before");
            moved.in_scope(|| info!("inside"));
            info!("after");
        });
        other.join().unwrap();
    });
    assert_eq!(written.close(), [" INFO before", " INFO moved: inside", " INFO after"]);
}

#[test]
fn layer_has_a_filter_of_its_own_type() {
    let (bus, _receiver) = records();
    let built: tracing_subscriber::filter::Filtered<_, buslane_tracing::Levels, Registry> =
        layer(&bus).build();
    assert_eq!(built.inner().suppressed(), 0);
}
