//! The table: many sinks, sorting, filtering, the keyboard, and what a screen reader is told.

use crate::driver::Browser;
use crate::view::View;
use crate::{end, open, serve};
use buslane::{Bus, Channel, Queue};
use serde_json::{Value, json};

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

#[test]
fn hundred_sinks_are_drawn_in_place() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let bus = Bus::new();
    let receivers: Vec<_> = (0..100)
        .map(|n| {
            let (channel, receiver) = Channel::lossy(64).unwrap();
            bus.add_named(&format!("sink {n}"), channel).unwrap();
            receiver
        })
        .collect();
    let serving = serve(&bus);
    open(&browser, serving.at());
    browser.run(
        "window.long = 0;
         new PerformanceObserver(list => { window.long += list.getEntries().length; }).observe({ type: 'longtask' });
         document.querySelectorAll('tr.sink').forEach(row => { row.marked = true; });",
        (),
    );
    for n in 0..5 {
        let _ = bus.publish(n).unwrap();
    }
    let view = View::fresh(&browser);
    assert_eq!(view.rows.len(), 100);
    assert!(view.rows.iter().all(|row| row.text("depth") == "5 of 64"), "{:?}", view.rows[0]);
    let marked =
        browser.run("return [...document.querySelectorAll('tr.sink')].filter(row => row.marked).length", ());
    assert_eq!(marked, 100, "each row is the one of before");
    println!("tasks of more than 50 ms in two frames: {}", browser.run("return window.long", ()));
    drop(receivers);
    end(browser);
}

#[test]
fn columns_sort_and_text_filters() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let bus = Bus::new();
    let mut receivers = Vec::new();
    for (name, capacity) in [("metrics", 100), ("audit", 2), ("Billing", 50)] {
        let (channel, receiver) = Channel::lossy(capacity).unwrap();
        bus.add_named(name, channel).unwrap();
        receivers.push(receiver);
    }
    for n in 0..100 {
        let _ = bus.publish(n).unwrap();
    }
    let serving = serve(&bus);
    open(&browser, serving.at());
    let sinks = |browser: &Browser| View::read(browser).sinks().join(" ");
    assert_eq!(sinks(&browser), "metrics audit Billing");
    for expected in ["metrics Billing audit", "audit Billing metrics", "metrics audit Billing"] {
        browser.click("[data-sort=depth]");
        assert_eq!(sinks(&browser), expected);
    }
    browser.click("[data-sort=drops]");
    assert_eq!(sinks(&browser), "audit Billing metrics");
    browser.click("[data-sort=sink]");
    assert_eq!(sinks(&browser), "audit Billing metrics");
    let sorted = "return [...document.querySelectorAll('[aria-sort]')].map(head => `${head.textContent} ${head.ariaSort}`)";
    assert_eq!(browser.run(sorted, ()), json!(["Sink ascending"]));

    browser.keys("#filter", "bILL");
    let view = View::read(&browser);
    assert_eq!((view.sinks(), view.shown.as_str()), (vec!["Billing"], "1 of 3 sinks"));
    browser.keys("#filter", "x");
    let view = View::read(&browser);
    assert_eq!((view.sinks().len(), view.none.as_str()), (0, "No sink matches the filter."));
    browser.run("document.getElementById('filter').value = ''; document.getElementById('filter').dispatchEvent(new Event('input'))", ());
    assert_eq!(View::fresh(&browser).sinks().len(), 3);
    end(browser);
}

/// Presses the tabulator until an element that matches the selector has the focus.
#[track_caller]
fn tab_to(browser: &Browser, selector: &str) {
    let reached = |browser: &Browser| {
        browser.run("return document.activeElement.matches(arguments[0])", selector) == true
    };
    assert!(
        (0..40).any(|_| {
            browser.press(TAB);
            reached(browser)
        }),
        "the keyboard does not reach {selector}"
    );
}

#[test]
fn keyboard_sorts_and_opens_details() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let bus = Bus::new();
    for name in ["first", "second"] {
        bus.add_named(name, Queue::builder().spawn(drop::<u64>).unwrap()).unwrap();
    }
    let serving = serve(&bus);
    open(&browser, serving.at());
    tab_to(&browser, "[data-sort=sink]");
    browser.press(ENTER);
    browser.press(ENTER);
    assert_eq!(View::read(&browser).sinks(), ["second", "first"]);
    tab_to(&browser, "[data-sink=first] .open");
    browser.press(ENTER);
    assert_eq!(View::read(&browser).sink("orders", "first").counts["offered"], "0");
    // A moved row keeps the focus.
    browser.run("document.querySelector('[data-sort=sink]').click()", ());
    View::fresh(&browser);
    browser.press(ENTER);
    let view = View::read(&browser);
    assert_eq!(view.sinks(), ["first", "second"]);
    assert!(view.sink("orders", "first").counts.is_empty(), "{view:?}");
    end(browser);
}

/// Counts the nodes of a role in the tree that a screen reader gets.
fn roles(browser: &Browser, role: &str) -> usize {
    let tree = browser.tools("Accessibility.getFullAXTree", &json!({}));
    let nodes = tree["nodes"].as_array().expect("nodes").iter();
    nodes.filter(|node| node["ignored"] != true && node["role"]["value"].as_str() == Some(role)).count()
}

#[test]
fn screen_reader_gets_a_table_at_every_width() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let bus = Bus::new();
    for name in ["first", "second"] {
        bus.add_named(name, Queue::builder().spawn(drop::<u64>).unwrap()).unwrap();
    }
    let serving = serve(&bus);
    open(&browser, serving.at());
    for width in [1280, 360] {
        browser.resize(width, 740);
        View::fresh(&browser);
        assert_eq!(roles(&browser, "table"), 1, "at {width}");
        assert_eq!(roles(&browser, "columnheader"), 8, "at {width}");
        assert_eq!(roles(&browser, "rowheader"), 3, "at {width}: the bus and two sinks");
        assert_eq!(roles(&browser, "row"), 4, "at {width}");
    }
    let live = "return [...document.querySelectorAll('[aria-live], [role=status]')].map(node => node.id)";
    assert_eq!(browser.run(live, ()), json!(["announced", "warned"]));
    let unnamed = "return [...document.querySelectorAll('button, input')].filter(node => node.checkVisibility() && !(node.textContent.trim() || node.labels?.length)).length";
    assert_eq!(browser.run(unnamed, Value::Null), 0);
    end(browser);
}
