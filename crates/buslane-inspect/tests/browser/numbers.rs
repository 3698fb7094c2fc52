//! The numbers on the page are those of the snapshot.

use crate::driver::Browser;
use crate::view::{Row, View};
use crate::{end, open, serve};
use buslane::testing::Gate;
use buslane::{Bus, Channel, Journal, Overflow, Queue};
use buslane_inspect::Inspector;
use serde_json::Value;
use std::time::{Duration, Instant};
use test_support::{GUARD, flush};

/// Returns the number in a text such as `1,234`.
#[track_caller]
fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

/// Checks every count of a sink against its details on the page.
#[track_caller]
fn assert_counts(row: &Row, sink: &Value) {
    let count =
        |field: &str| number(row.counts.get(field).unwrap_or_else(|| panic!("no {field} in {row:?}")));
    for field in ["offered", "accepted", "delivered", "filtered", "pending", "depth", "lanes", "high_water"] {
        assert_eq!(count(field), sink[field].as_u64().unwrap(), "{field} of {}", row.sink);
    }
    for kind in ["refused", "dropped"] {
        let reasons = sink[kind].as_object().unwrap();
        assert!(reasons.len() >= 5, "{sink}");
        for (reason, value) in reasons {
            assert_eq!(
                count(&format!("{kind}.{reason}")),
                value.as_u64().unwrap(),
                "{kind} {reason} of {}",
                row.sink
            );
        }
        let total: u64 = reasons.values().filter_map(Value::as_u64).sum();
        assert_eq!(count(kind), total, "{kind} of {}", row.sink);
    }
}

/// Checks the page against a snapshot of a service at rest. All details are open.
#[track_caller]
pub(crate) fn assert_page(view: &View, inspector: &Inspector) {
    let frame = inspector.frame();
    assert_eq!(view.program, frame.program);
    assert!(view.process.starts_with(&format!("pid {}, up ", frame.pid)), "{}", view.process);
    assert_eq!(view.buses.len(), frame.buses.len());
    for bus in &frame.buses {
        for sink in &bus.sinks {
            let row = view.sink(&bus.name, &sink.name);
            assert_counts(row, &serde_json::to_value(sink).unwrap());
            assert!(row.text("kind").starts_with(&sink.kind), "{row:?}");
            assert_eq!(row.text("status"), "", "all sinks are open");
            let depth = row.text("depth").split(' ').next().unwrap();
            assert_eq!(number(depth), sink.depth);
            for subscriber in &sink.subscribers {
                let row = view.subscriber(subscriber.name.as_deref().unwrap());
                assert_eq!(row.text("depth"), format!("{} behind", subscriber.behind));
                assert_eq!(row.text("drops"), subscriber.ledger.dropped.evicted.to_string());
            }
        }
        let total = view.buses.iter().find(|row| row.bus == bus.name).unwrap();
        let depth: u64 = bus.sinks.iter().map(|sink| sink.depth).sum();
        assert_eq!(number(total.text("depth")), depth);
    }
}

/// Opens the details of every sink.
pub(crate) fn open_details(browser: &Browser) {
    browser
        .run("document.querySelectorAll('.open[aria-expanded=false]').forEach(button => button.click())", ());
}

#[test]
fn page_shows_the_numbers_of_the_snapshot() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let bus = Bus::new();
    let queue = Queue::builder().capacity(4096);
    let fails = |n: u64| if n.is_multiple_of(7) { Err("no route to the <warehouse>") } else { Ok(()) };
    let audit = queue.spawn(fails).unwrap();
    bus.add_named("audit", audit.clone()).unwrap();
    let (lossy, receiver) = Channel::lossy(16).unwrap();
    bus.add_named("dashboard", lossy).unwrap();
    let (refusing, refused) = Channel::builder().capacity(8).overflow(Overflow::Refuse).build().unwrap();
    bus.add_named("strict", refusing).unwrap();
    let journal = Journal::new(256).unwrap();
    let mut slow = journal.subscription().name("slow").subscribe().unwrap();
    let mut quick = journal.subscription().name("quick").subscribe().unwrap();
    bus.add_named("history", journal).unwrap();
    let mut publisher = bus.publisher();
    for n in 0..1234 {
        let _ = publisher.publish(n).unwrap();
        quick.recv().unwrap();
    }
    // It learns that it missed events.
    let _ = slow.recv();
    // What the channels hold is never read.
    flush(&audit);

    let serving = serve(&bus);
    open(&browser, serving.at());
    open_details(&browser);
    let view = View::fresh(&browser);
    assert_page(&view, serving.inspector());
    let audit = view.sink("orders", "audit");
    assert_eq!(audit.text("reasons"), "failed 177");
    assert!(audit.text("error").ends_with("no route to the <warehouse>"), "{audit:?}");
    assert_eq!((audit.text("in"), audit.text("out")), ("0", "0"), "at rest");
    assert_eq!(view.sink("orders", "dashboard").text("depth"), "16 of 16");
    assert_eq!(view.sink("orders", "history").text("kind"), "journal, 2 subscribers");
    assert_eq!(view.buses[0].text("about"), "4 sinks, 1 publisher");

    // A sink that leaves, and one that is closed.
    drop(receiver);
    bus.add_named("late", Queue::builder().spawn(drop::<u64>).unwrap()).unwrap();
    let view = View::wait(&browser, |view| view.find("orders", "late").is_some());
    assert!(view.find("orders", "dashboard").is_none(), "{view:?}");
    drop((refused, publisher));
    end(browser);
}

/// Returns the milliseconds of a text such as `1.5 s`; of a dash, 0.
#[track_caller]
fn milliseconds(text: &str) -> f64 {
    if text == "–" {
        return 0.0;
    }
    let (number, unit) = text.split_once(' ').unwrap_or_else(|| panic!("{text} is no time"));
    let factor = match unit {
        "ms" => 1.0,
        "s" => 1000.0,
        _ => panic!("{text} is too long for this test"),
    };
    number.parse::<f64>().unwrap_or_else(|_| panic!("{text} is no time")) * factor
}

#[test]
fn row_tells_who_is_slow_and_that_it_is_closed() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let (bus, gate) = (Bus::new(), Gate::closed());
    let pass = gate.clone();
    bus.add_named("slow", Queue::builder().spawn(move |_: u64| pass.pass()).unwrap()).unwrap();
    for n in 0..3 {
        let _ = bus.publish(n).unwrap();
    }
    gate.wait_reached(1);
    let serving = serve(&bus);
    open(&browser, serving.at());
    open_details(&browser);
    let begun = Instant::now();
    let is_alarmed = |field: &str| {
        let alarm = format!("return document.querySelectorAll('tr.sink [data-field={field}].alarm').length");
        browser.run(&alarm, ())
    };
    let view = View::wait(&browser, |view| {
        let slow = view.sink("orders", "slow");
        [slow.text("oldest"), slow.text("handler")].into_iter().all(|text| milliseconds(text) >= 1000.0)
    });
    assert_eq!((is_alarmed("oldest"), is_alarmed("handler")), (1.into(), 1.into()), "{view:?}");
    let slow = view.sink("orders", "slow");
    // What a frame told before the details were opened may be older than `begun`, but not by much.
    let most = begun.elapsed() + GUARD;
    assert!(milliseconds(slow.text("handler")) <= most.as_secs_f64() * 1000.0, "{slow:?}");
    assert_eq!(slow.text("status"), "");
    assert!(view.warns("busy", "orders / slow"), "{view:?}");
    assert_eq!(bus.close_timeout(Duration::from_millis(1)).unfinished, ["slow"]);
    let is =
        |view: &View, status| view.find("orders", "slow").is_some_and(|row| row.text("status") == status);
    View::wait(&browser, |view| is(view, " closed"));
    gate.open();
    let view = View::wait(&browser, |view| is(view, " drained"));
    let slow = view.sink("orders", "slow");
    assert_eq!((slow.text("oldest"), slow.text("handler")), ("–", "–"), "{slow:?}");
    let snapshot = serving.inspector().frame();
    let state = snapshot.buses[0].sinks.iter().find(|sink| sink.name == "slow").unwrap();
    assert_eq!(number(&slow.counts["batches"]), state.batches);
    assert_eq!(number(&slow.counts["largest_batch"]), state.largest_batch);
    end(browser);
}

#[test]
fn rates_rise_with_events_and_return_to_zero() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let bus = Bus::new();
    bus.add_named("audit", Queue::builder().spawn(drop::<u64>).unwrap()).unwrap();
    let serving = serve(&bus);
    open(&browser, serving.at());
    open_details(&browser);
    let peak = |view: &View| view.sink("orders", "audit").counts["peak"].clone();
    assert_eq!(peak(&View::fresh(&browser)), "peak 0");
    for n in 0..500 {
        let _ = bus.publish(n).unwrap();
    }
    let view =
        View::wait(&browser, |view| peak(view) != "peak 0" && view.sink("orders", "audit").text("in") == "0");
    assert_eq!(view.sink("orders", "audit").text("out"), "0");
    assert_eq!(view.buses[0].text("in"), "0");
    // The events are in the chart.
    let paths = browser.run("return [...document.querySelectorAll('tr.sink td.chart path.in')].map(path => path.getAttribute('d'))", ());
    assert!(paths[0].as_str().unwrap().contains(" 4.0"), "{paths}");
    end(browser);
}

#[test]
fn pause_holds_the_display_and_resumes() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let bus = Bus::new();
    bus.add_named("audit", Queue::builder().spawn(drop::<u64>).unwrap()).unwrap();
    let serving = serve(&bus);
    open(&browser, serving.at());
    open_details(&browser);
    browser.click("#pause");
    for n in 0..500 {
        let _ = bus.publish(n).unwrap();
    }
    let offered = |view: &View| view.sink("orders", "audit").counts["offered"].clone();
    let view = View::fresh(&browser);
    assert_eq!((offered(&view).as_str(), view.connection.as_str()), ("0", "connected, display paused"));
    // What is sorted meanwhile is the old frame, too.
    browser.click("[data-sort=in]");
    assert_eq!(offered(&View::read(&browser)), "0");
    browser.click("#pause");
    let view = View::read(&browser);
    assert_eq!((offered(&view).as_str(), view.connection.as_str()), ("500", "connected"));
    assert_ne!(
        view.sink("orders", "audit").counts["peak"],
        "peak 0",
        "the chart has the frames of the pause"
    );
    end(browser);
}
