//! The view of the events themselves.

use crate::driver::Browser;
use crate::view::View;
use crate::{end, open};
use buslane::{Bus, Queue};
use buslane_inspect::{At, Inspector};
use std::cell::Cell;

/// Returns the events and the losses that the tap counts.
fn counted(view: &View) -> (u64, u64) {
    let number = |text: Option<&str>| text.and_then(|text| text.replace(',', "").parse().ok()).unwrap_or(0);
    let mut words = view.tap.split(' ');
    (number(words.next()), number(words.nth(1)))
}

#[test]
fn tap_shows_events_and_counts_losses() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let (bus, private) = (Bus::new(), Bus::<u64>::new());
    bus.add_named("audit", Queue::builder().spawn(drop::<u64>).unwrap()).unwrap();
    let builder = Inspector::builder().tap("orders & more", &bus, |n| format!("order {n}"));
    let serving = builder.register("private", &private).serve(At::Loopback(0)).unwrap();
    open(&browser, serving.at());
    let buttons = "return [...document.querySelectorAll('.bus .push')].filter(button => button.checkVisibility()).length";
    assert_eq!(browser.run(buttons, ()), 1, "only where it is permitted");
    browser.click(".bus .push");
    View::wait(&browser, |view| view.tap == "waiting for events");
    for n in 1..=3 {
        let _ = bus.publish(n).unwrap();
    }
    let view = View::wait(&browser, |view| view.tapped.len() == 3);
    assert_eq!(view.tapped, ["order 1", "order 2", "order 3"]);

    // No publisher waits for a tap, so that bursts lose events.
    let published = Cell::new(3);
    View::wait(&browser, |view| {
        for _ in 0..2000 {
            let _ = bus.publish(published.replace(published.get() + 1)).unwrap();
        }
        view.tapped.iter().any(|line| line.ends_with(" lost here"))
    });
    let view = View::wait(&browser, |view| {
        let (seen, lost) = counted(view);
        seen + lost == published.get()
    });
    assert!(counted(&view).1 > 0 && view.tapped.len() <= 200, "{}: {:?}", view.tap, view.tapped);

    // Stopped, and started again with a filter.
    browser.click("#tap-start");
    View::wait(&browser, |view| view.tap.starts_with("stopped after "));
    browser.keys("#tap-contains", "order 7");
    browser.click("#tap-start");
    View::wait(&browser, |view| view.tap == "waiting for events");
    for n in 1..=72 {
        let _ = bus.publish(n).unwrap();
    }
    let view = View::wait(&browser, |view| view.tapped.len() == 4);
    assert_eq!(view.tapped, ["order 7", "order 70", "order 71", "order 72"]);

    // A sink of the bus for as long as the panel is open.
    let taps = |view: &View| view.sinks().iter().filter(|name| name.starts_with("tap:")).count();
    View::wait(&browser, |view| taps(view) == 1);
    browser.click("#tap-close");
    let view = View::wait(&browser, |view| taps(view) == 0);
    assert_eq!(view.sinks(), ["audit"]);

    browser.click(".bus .push");
    View::wait(&browser, |view| view.tap == "waiting for events");
    let _ = bus.close();
    View::wait(&browser, |view| view.tap == "ended: the bus is closed");
    end(browser);
}
