//! The page in a real headless Chromium, started by `bash .ci/browser`. Without the variable that
//! names a driver each test prints a line and succeeds.

mod driver;
mod example;
mod numbers;
mod picture;
mod restart;
mod table;
mod tap;
mod texts;
mod view;
mod warnings;

use buslane::Bus;
use buslane_inspect::{At, Inspector, Serving};
use driver::Browser;
use std::fmt::Display;
use view::View;

/// Serves one bus, whose events may be tapped, at a free port.
fn serve(bus: &Bus<u64>) -> Serving {
    let builder = Inspector::builder().program("shop").tap("orders", bus, |n| format!("order {n}"));
    builder.serve(At::Loopback(0)).unwrap()
}

/// Opens the page of a service with five frames a second, and waits for two.
fn open(browser: &Browser, at: impl Display) {
    browser.open(&format!("http://{at}/#every=200"));
    View::fresh(browser);
}

/// Checks that the browser found no fault with the page, and ends it.
#[track_caller]
fn end(browser: Browser) {
    assert_eq!(browser.complaints(), [""; 0]);
    drop(browser);
}
