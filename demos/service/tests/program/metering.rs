//! The page that a scraper reads.

use crate::client::get;
use crate::support::{Service, ask, count, order, place};
use demo_support::Folder;
use std::collections::{BTreeMap, BTreeSet};

/// Reads a page of OpenMetrics text: each series with its value.
#[track_caller]
fn parse(page: &str) -> BTreeMap<String, f64> {
    let (mut families, mut series) = (BTreeSet::new(), BTreeMap::new());
    assert!(page.ends_with("\n# EOF\n"), "{page}");
    for line in page.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').expect("a type");
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            assert!(families.insert(name.to_owned()), "a family is there twice: {line}");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            let family = name.split('{').next().expect("a name");
            let family = family.strip_suffix("_total").unwrap_or(family);
            assert!(families.contains(family), "no type of {line}");
            let value = value.parse().expect("a number");
            assert!(series.insert(name.to_owned(), value).is_none(), "a series is there twice: {line}");
        }
    }
    series
}

#[test]
fn metrics_agree_with_the_report() {
    let folder = Folder::new();
    let service = Service::start(&folder, &[]);
    place(&service, 25);
    assert_eq!(ask(&service, &get("/orders/77")).0, 404);
    assert_eq!(ask(&service, &order("bolt", 0)).0, 422);
    let (status, page) = ask(&service, &get("/metrics"));
    assert_eq!(status, 200);
    let metrics = parse(&page);
    let report = service.stop();
    // The scrape itself was received, and not answered yet.
    for (series, path, missing) in [
        ("service_requests_total", "/requests/received", 0),
        ("service_answers_total{class=\"2xx\"}", "/requests/answered/0", 1),
        ("service_answers_total{class=\"4xx\"}", "/requests/answered/2", 0),
        ("service_orders_total", "/requests/created", 0),
        (
            "buslane_sink_accepted_events_total{bus=\"audit\",sink=\"audit\"}",
            "/audit/state/ledger/accepted",
            0,
        ),
        ("buslane_sink_accepted_events_total{bus=\"feed\",sink=\"feed\"}", "/feed/state/ledger/accepted", 0),
    ] {
        let value = metrics.get(series).unwrap_or_else(|| panic!("no {series} in {page}"));
        assert_eq!(*value, (count(&report, path) - missing) as f64, "{series}");
    }
    assert_eq!(metrics["service_orders_total"], 25.0);
    // The answer to the scrape and the end were logged later.
    let series = "buslane_sink_accepted_events_total{bus=\"log\",";
    let logged = metrics.iter().find(|(name, _)| name.starts_with(series)).expect("the bus of the log");
    assert!(*logged.1 > 50.0 && *logged.1 < count(&report, "/log/ledger/accepted") as f64, "{logged:?}");
    assert!(metrics["process_cpu_seconds_total"] >= 0.0);
}

#[test]
fn scraper_without_openmetrics_gets_plain_text() {
    let folder = Folder::new();
    let service = Service::start(&folder, &[]);
    let request = get("/metrics").replace("\r\n\r\n", "\r\naccept: text/plain;version=0.0.4\r\n\r\n");
    let (status, page) = ask(&service, &request);
    assert_eq!(status, 200);
    assert!(page.contains("# TYPE service_requests_total counter\n") && !page.contains("# EOF"), "{page}");
    service.stop();
}
