//! The picture of the README: taken only where `BUSLANE_PICTURE` names a file.

use crate::driver::Browser;
use crate::end;
use crate::view::View;
use buslane::{Bus, Channel, Journal, Queue};
use buslane_inspect::{At, Inspector};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What a slow consumer takes for one event.
fn work(time: Duration) {
    thread::sleep(time);
}

/// Adds sinks that keep up, one that is too slow, one that fails, and a journal with a slow
/// subscriber.
fn add_sinks(bus: &Bus<u64>) {
    let queue = || Queue::builder().capacity(4096);
    bus.add_named("metrics", queue().spawn(drop::<u64>).unwrap()).unwrap();
    let slow = queue().spawn(|_: u64| work(Duration::from_micros(400))).unwrap();
    bus.add_named("audit log", slow).unwrap();
    let fails = |n: u64| if n.is_multiple_of(5000) { Err("503 from hooks.example") } else { Ok(()) };
    bus.add_named("webhook", queue().spawn(fails).unwrap()).unwrap();
    let (dashboard, mut reader) = Channel::lossy(1024).unwrap();
    bus.add_named("dashboard", dashboard).unwrap();
    thread::spawn(move || while reader.recv().is_ok() {});
    let journal = Journal::new(8192).unwrap();
    let mut replica = journal.subscription().name("replica").subscribe().unwrap();
    let mut index = journal.subscription().name("search index").subscribe().unwrap();
    bus.add_named("history", journal).unwrap();
    thread::spawn(move || while replica.recv().is_ok() {});
    thread::spawn(move || {
        while index.recv().is_ok() || !index.state().ended {
            work(Duration::from_micros(200))
        }
    });
}

/// Publishes at a rate that rises and falls.
fn load(bus: &Bus<u64>, phase: f64, ended: &AtomicBool) {
    let (mut publisher, begun, mut n) = (bus.publisher(), Instant::now(), 0);
    while !ended.load(Ordering::Relaxed) {
        let burst = 60.0 + 35.0 * (begun.elapsed().as_secs_f64() / 4.0 + phase).sin();
        for _ in 0..burst as u64 {
            n += 1;
            let _ = publisher.publish(n);
        }
        work(Duration::from_millis(5));
    }
}

#[test]
fn picture_shows_load_drops_and_a_warning() {
    let Some(path) = std::env::var_os("BUSLANE_PICTURE") else { return };
    let Some(browser) = Browser::start(1240, 830) else { return };
    let (bus, ended) = (Bus::new(), Arc::new(AtomicBool::new(false)));
    add_sinks(&bus);
    for phase in [0.0, 1.0] {
        let (bus, ended) = (bus.clone(), ended.clone());
        thread::spawn(move || load(&bus, phase, &ended));
    }
    let builder = Inspector::builder().program("checkout").tap("orders", &bus, |n| format!("order {n}"));
    let serving = builder.serve(At::Loopback(0)).unwrap();
    let light = json!({"features": [{"name": "prefers-color-scheme", "value": "light"}]});
    browser.tools("Emulation.setEmulatedMedia", &light);
    browser.open(&format!("http://{}/", serving.at()));
    // Half a minute of charts.
    for frames in [16, 32] {
        View::wait(&browser, |view| view.frames >= frames);
    }
    View::wait(&browser, |view| !view.buses[0].text("losing").is_empty() && !view.warnings.is_empty());
    // `bash .ci/browser picture` decodes it.
    std::fs::write(path, browser.picture()).unwrap();
    ended.store(true, Ordering::Relaxed);
    end(browser);
}
