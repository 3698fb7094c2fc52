//! Warnings come and go with what they are about.

use crate::driver::Browser;
use crate::view::{View, Warned};
use crate::{end, open, serve};
use buslane::testing::Gate;
use buslane::{Bus, Channel, Queue};

#[test]
fn warnings_appear_and_go() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let (bus, gate) = (Bus::new(), Gate::closed());
    let pass = gate.clone();
    let stuck = Queue::builder().capacity(10).spawn(move |_: u64| pass.pass()).unwrap();
    bus.add_named("audit", stuck).unwrap();
    bus.add_named("metrics", Queue::builder().spawn(drop::<u64>).unwrap()).unwrap();
    let serving = serve(&bus);
    open(&browser, serving.at());
    let calm = "return document.getElementById('calm').checkVisibility() && document.getElementById('calm').textContent";
    assert_eq!(browser.run(calm, ()), "No warnings.");
    for n in 0..10 {
        let _ = bus.publish(n).unwrap();
    }
    let place = "orders / audit";
    let view = View::wait(&browser, |view| view.warns("stalled", place) && view.warns("filling", place));
    let filling = view.warnings.iter().find(|warning| warning.kind == "filling").unwrap();
    assert!(filling.text.starts_with("10 events are pending"), "{filling:?}");
    assert!(view.sink("orders", "audit").warned && !view.sink("orders", "metrics").warned, "{view:?}");
    assert_eq!(browser.run(calm, ()), false);
    let title = browser.run("return document.title", ());
    assert!(title.as_str().unwrap().starts_with('('), "{title}");
    // A warning leads to its sink.
    browser.click("#warned .where");
    assert_eq!(View::read(&browser).sink("orders", "audit").counts["pending"], "10");
    gate.open();
    let view = View::wait(&browser, |view| view.warnings.is_empty());
    assert!(view.rows.iter().all(|row| !row.warned), "{view:?}");
    assert_eq!(browser.run(calm, ()), "No warnings.");
    end(browser);
}

/// Returns the text of a warning.
#[track_caller]
fn warned<'a>(view: &'a View, kind: &str, place: &str) -> &'a str {
    let is_wanted = |warning: &&Warned| warning.kind == kind && warning.place == place;
    &view.warnings.iter().find(is_wanted).unwrap_or_else(|| panic!("no {kind} in {view:?}")).text
}

#[test]
fn drops_and_panics_are_told_in_words() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let bus = Bus::new();
    let (lossy, _unread) = Channel::lossy(16).unwrap();
    bus.add_named("dashboard", lossy).unwrap();
    let faulty = Queue::builder().spawn(|n: u64| assert_eq!(n, 0, "no shelf {n}")).unwrap();
    bus.add_named("warehouse", faulty).unwrap();
    let serving = serve(&bus);
    open(&browser, serving.at());
    let (dashboard, warehouse) = ("orders / dashboard", "orders / warehouse");
    // A warning of this kind lasts for as long as more of the same happens.
    let view = View::wait(&browser, |view| {
        let _ = bus.publish(7).unwrap();
        view.warns("drops", dashboard) && view.warns("panic", warehouse)
    });
    assert!(warned(&view, "drops", dashboard).starts_with("dropped "), "{view:?}");
    let text = warned(&view, "panic", warehouse);
    assert!(text.starts_with("the handler panicked ") && text.contains("no shelf 7"), "{text}");
    assert!(view.sink("orders", "dashboard").warned && view.sink("orders", "warehouse").warned);
    // The channel stays full, which is another warning.
    View::wait(&browser, |view| !view.warns("drops", dashboard) && !view.warns("panic", warehouse));
    end(browser);
}
