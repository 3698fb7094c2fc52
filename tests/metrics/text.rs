//! The text of a page: all of it, escapes, several buses, and both formats.

use buslane::stats::metrics::{Exposition, Format};
use buslane::{Bus, noop};
use proptest::collection::vec;
use proptest::strategy::Strategy;
use proptest::test_runner::Config;
use test_support::openmetrics::Page;

/// Returns a bus with one sink, which got three events.
fn bus() -> Bus<u32> {
    let bus = Bus::new();
    bus.add_named("a \"b\" \\c\nd", noop()).unwrap();
    (0..3).for_each(|number| assert!(bus.publish(number).unwrap().is_complete()));
    bus
}

#[test]
fn page_of_a_bus_is_complete() {
    let mut text = String::new();
    bus().snapshot().write_openmetrics("telemetry", &mut text).unwrap();
    assert_eq!(text, include_str!("page.txt"), "the page:\n{text}");
}

#[test]
fn page_of_the_older_format_has_the_same_series() {
    let snapshot = bus().snapshot();
    let [new, old] = [Format::OpenMetrics, Format::Prometheus].map(|format| {
        let text = Exposition::new().format(format).bus("telemetry", &snapshot).to_string();
        assert_eq!(text.contains("# EOF") || text.contains("# UNIT"), format == Format::OpenMetrics);
        Page::parse(&text, format)
    });
    assert_eq!(new.series, old.series);
    let names = |page: Page| page.families.into_iter().map(|it| it.name).collect::<Vec<_>>();
    let old_names = names(old).into_iter().map(|name| name.trim_end_matches("_total").to_owned());
    assert_eq!(names(new), old_names.collect::<Vec<_>>());
}

#[test]
fn buses_of_one_page_share_their_families() {
    let (first, second) = (bus(), Bus::<String>::new());
    second.add_named("other", noop()).unwrap();
    let (first, second) = (first.snapshot(), second.snapshot());
    let text = Exposition::new().bus("first", &first).bus("second", &second).to_string();
    let page = Page::parse(&text, Format::OpenMetrics);
    assert_eq!(page.label_values("buslane_bus_sinks", "bus"), ["first", "second"]);
    let offered = "buslane_sink_offered_events_total";
    assert_eq!(page.value(offered, &[("bus", "second"), ("sink", "other")]), Some(0.0));
    assert_eq!(page.label_values(offered, "bus"), ["first", "second"]);
}

#[test]
fn page_without_buses_is_valid() {
    assert_eq!(Page::parse(&Exposition::new().to_string(), Format::OpenMetrics), Page::default());
    assert_eq!(Exposition::new().format(Format::Prometheus).to_string(), "");
}

#[test]
fn format_follows_the_accept_header() {
    for (accept, format) in [
        ("", Format::Prometheus),
        ("*/*", Format::Prometheus),
        ("text/plain;version=0.0.4", Format::Prometheus),
        ("application/openmetrics-text", Format::OpenMetrics),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1", Format::OpenMetrics),
    ] {
        assert_eq!(Format::accepted(accept), format, "{accept}");
        assert!(format.content_type().ends_with("charset=utf-8"));
    }
}

/// Returns names of characters that are special in some format, and of any others.
fn names() -> impl Strategy<Value = String> {
    let special = proptest::sample::select(vec!['"', '\\', '\n', '\r', '\0', '{', '}', ',', '=', ' ', '#']);
    vec(proptest::prop_oneof![special, proptest::char::any()], 0..12)
        .prop_map(|characters| characters.into_iter().collect())
}

proptest::proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn any_name_is_read_back(bus_name in names(), sink in names()) {
        let bus = Bus::<u32>::new();
        bus.add_named(&sink, noop()).unwrap();
        let snapshot = bus.snapshot();
        let text = Exposition::new().bus(&bus_name, &snapshot).to_string();
        // A NUL ends a page in some parsers.
        let [bus_name, sink] = [bus_name, sink].map(|name| name.replace('\0', "\u{fffd}"));
        let page = Page::parse(&text, Format::OpenMetrics);
        let labels = [("bus", bus_name.as_str()), ("sink", sink.as_str())];
        assert_eq!(page.value("buslane_sink_open", &labels), Some(1.0), "{text}");
    }
}
