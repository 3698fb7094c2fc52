//! The page survives a service that is killed and started again.

use crate::driver::Browser;
use crate::example::Example;
use crate::numbers::open_details;
use crate::view::View;
use crate::{end, open};
use buslane_inspect::Frame;
use buslane_inspect::client::{Client, Target};
use serde_json::json;

/// Remembers each rate that is shown with a sign.
const WATCH: &str = "window.negative = [];
    new MutationObserver(() => {
      for (const part of document.querySelectorAll('[data-field=in], [data-field=out], [data-field=losing]')) {
        if (/[-\u{2212}]/.test(part.textContent)) window.negative.push(part.textContent);
      }
    }).observe(document.getElementById('sinks'), { subtree: true, childList: true, characterData: true });";

fn snapshot(at: &str) -> Frame {
    Client::connect(at.parse::<Target>().unwrap()).unwrap().snapshot().unwrap()
}

/// Returns the total of a count over all sinks: in the snapshot, and on the page.
fn offered(frame: &Frame, view: &View) -> (u64, u64) {
    let sinks = frame.buses.iter().flat_map(|bus| &bus.sinks);
    let shown = view.rows.iter().filter_map(|row| row.counts.get("offered"));
    (
        sinks.map(|sink| sink.ledger.offered).sum(),
        shown.map(|text| text.replace(',', "").parse::<u64>().unwrap()).sum(),
    )
}

/// Waits until the page shows what the service at rest reports.
#[track_caller]
fn wait_equal(browser: &Browser, at: &str) -> u64 {
    let mut total = 0;
    test_support::wait_for(|| {
        open_details(browser);
        let (before, view, after) = (snapshot(at), View::read(browser), snapshot(at));
        total = offered(&before, &view).0;
        total > 0 && offered(&before, &view) == (total, total) && offered(&after, &view).0 == total
    });
    total
}

#[test]
fn page_survives_a_killed_service() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let example = Example::start("127.0.0.1:0", &["--events", "5000", "--rate", "0"]);
    let at = example.at.clone();
    open(&browser, &at);
    let first = wait_equal(&browser, &at);
    browser.run(WATCH, ());

    drop(example);
    let view = View::wait(&browser, |view| view.state == "lost");
    assert!(view.connection.starts_with("connection lost"), "{}", view.connection);
    View::wait(&browser, |view| view.connection.contains(" s ago, next try in "));
    assert!(!view.rows.is_empty(), "the last numbers stay");

    let example = Example::start(&at, &["--events", "50", "--rate", "0"]);
    let view = View::wait(&browser, |view| view.state == "connected" && !view.notice.is_empty());
    assert!(
        view.notice.contains(" restarted at ") && view.notice.ends_with("counters begin at zero."),
        "{}",
        view.notice
    );
    let second = wait_equal(&browser, &at);
    assert!(second < first, "{second} after {first}");
    View::fresh(&browser);
    assert_eq!(browser.run("return window.negative", ()), json!([]));
    drop(example);
    end(browser);
}
