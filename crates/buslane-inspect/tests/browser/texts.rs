//! Texts of the service stay texts, and fit into a narrow page.

use crate::driver::Browser;
use crate::numbers::open_details;
use crate::view::View;
use crate::{end, open};
use buslane::testing::Gate;
use buslane::{Bus, Journal, Queue};
use buslane_inspect::{At, Inspector, Serving};
use serde_json::Value;

const HOSTILE: [&str; 7] = [
    "<script>window.hit = 1</script>",
    "<img src=x onerror='window.hit = 1'>",
    "\"><svg onload=window.hit=1>",
    "</td></tr></table><h1>gone",
    "two\nlines\tand a tabulator",
    "\u{202e}reversed \u{0} \u{7f} & &lt;",
    "__proto__",
];

/// Returns a text that no page is wide enough for.
fn long() -> String {
    "w".repeat(400)
}

/// Serves buses with hostile names, errors, subscribers and events.
fn hostile(gate: &Gate) -> (Vec<Bus<String>>, Serving) {
    let mut builder = Inspector::builder().program(HOSTILE[0]);
    let mut buses = Vec::new();
    for name in HOSTILE.into_iter().map(str::to_owned).chain([long()]) {
        let bus = Bus::new();
        for sink in HOSTILE.into_iter().map(str::to_owned).chain([long()]) {
            let fails = |event: String| Err::<(), _>(event);
            bus.add_named(&sink, Queue::builder().spawn(fails).unwrap()).unwrap();
        }
        let journal = Journal::new(16).unwrap();
        let held = journal.subscription().name(name.clone()).subscribe().unwrap();
        bus.add_named("journal", journal).unwrap();
        let pass = gate.clone();
        let stuck = Queue::builder()
            .capacity(2)
            .spawn(move |_: String| {
                pass.pass();
                let _ = &held;
            })
            .unwrap();
        bus.add_named(&format!("stuck {name}"), stuck).unwrap();
        builder = builder.tap(&name, &bus, String::clone);
        buses.push(bus);
    }
    let serving = builder.serve(At::Loopback(0)).unwrap();
    (buses, serving)
}

fn publish(buses: &[Bus<String>]) {
    for bus in buses {
        for event in HOSTILE.into_iter().map(str::to_owned).chain([long()]) {
            let _ = bus.publish(event).unwrap();
        }
    }
}

/// Checks that the page has only its own elements, and ran only its own script.
#[track_caller]
fn assert_unharmed(browser: &Browser) {
    assert_eq!(browser.run("return window.hit ?? null", ()), Value::Null);
    let unexpected = "return document.querySelectorAll('img, table h1, [onload], [onerror]').length + document.scripts.length";
    assert_eq!(browser.run(unexpected, ()), 1);
}

#[test]
fn hostile_texts_are_shown_as_they_are() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let gate = Gate::closed();
    let (buses, serving) = hostile(&gate);
    open(&browser, serving.at());
    browser.run("document.querySelector('.bus .push').click()", ());
    View::wait(&browser, |view| view.tap == "waiting for events");
    publish(&buses);
    open_details(&browser);
    let view = View::wait(&browser, |view| view.tapped.len() == 8 && !view.warnings.is_empty());
    let view = View { warnings: view.warnings, ..View::fresh(&browser) };
    assert_eq!(view.program, HOSTILE[0]);
    assert_eq!(view.tapped[..7], HOSTILE.map(str::to_owned));
    for name in HOSTILE {
        assert_eq!(view.sink(name, name).text("name"), name);
        assert!(view.sink(name, name).text("error").ends_with(&long()), "{view:?}");
        assert_eq!(view.subscriber(name).text("name"), name);
        assert!(view.buses.iter().any(|row| row.text("bus") == name), "{name}");
    }
    assert!(view.warnings.iter().any(|warning| warning.place.contains(HOSTILE[0])), "{:?}", view.warnings);
    assert_unharmed(&browser);
    gate.open();
    end(browser);
}

#[test]
fn phone_width_needs_no_sideways_scrolling() {
    let Some(browser) = Browser::start(360, 740) else { return };
    let gate = Gate::closed();
    let (buses, serving) = hostile(&gate);
    publish(&buses);
    open(&browser, serving.at());
    open_details(&browser);
    browser.run("document.querySelector('.bus .push').click()", ());
    View::wait(&browser, |view| view.tap == "waiting for events");
    publish(&buses);
    View::wait(&browser, |view| view.tapped.len() >= 8 && !view.warnings.is_empty());
    let wide = "return [document.documentElement.scrollWidth, ...[...document.querySelectorAll('body *')]
        .filter(node => node.getBoundingClientRect().right > 361 && !node.closest('.error')).map(node => node.className)]";
    for width in [360, 320, 700, 1000, 1280, 1920] {
        browser.resize(width, 740);
        View::fresh(&browser);
        let found = browser.run(&wide.replace("361", &(width + 1).to_string()), ());
        assert_eq!(found, serde_json::json!([width]), "wider than the page");
    }
    gate.open();
    end(browser);
}
