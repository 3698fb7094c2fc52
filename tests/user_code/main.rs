//! User code calls the crate again, from every place where the crate calls user code.
//!
//! `call_sites` lists the places, and `operations` lists the calls. Each place runs with each
//! operation: no call waits for itself. Each place panics once: afterward the state is as before.

mod after_panic;
mod call_sites;
mod destructors;
mod events;
mod operations;
mod retries;
mod sinks;
mod thread_end;
mod workers;
mod world;

use call_sites::Place;
use operations::OPERATIONS;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;
use test_support::limit;
use world::{Trap, World};

/// The limit of one case. The calls inside a case have the limit [`world::LIMIT`], which is longer.
const WATCHDOG: Duration = limit::scaled(Duration::from_secs(10));

/// Runs a case on a separate thread. `Err` reports its failure, or that it hangs.
fn watched(case: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let (sender, ended) = channel();
    let thread = thread::spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(case));
        let _ = sender.send(());
        outcome
    });
    match ended.recv_timeout(WATCHDOG) {
        Ok(()) => thread.join().and_then(|outcome| outcome).map_err(|payload| {
            let text = payload.downcast_ref::<String>().cloned();
            text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_else(|| String::from("a panic"))
        }),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(String::from("it hangs")),
    }
}

fn check_all(cases: impl Iterator<Item = (String, Box<dyn FnOnce() + Send>)>) {
    // The cases run in sequence, and each hanging case takes as long as its watchdog.
    let mut failures = Vec::new();
    let mut count = 0;
    for (name, case) in cases {
        count += 1;
        if let Err(text) = watched(case) {
            failures.push(format!("{name}: {text}"));
        }
    }
    assert!(failures.is_empty(), "{} of {count} cases:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn no_operation_in_user_code_waits_for_itself() {
    let only = std::env::var("BUSLANE_PLACE").unwrap_or_default();
    let cases = call_sites::all().filter(|place| place.name.contains(&only)).flat_map(|place| {
        OPERATIONS.iter().map(move |(name, operation)| {
            let Place { name: place_name, room, run } = place;
            let case = move || {
                let world = World::new(room);
                let trap = Trap::new(&world, *operation);
                run(&world, &trap);
                trap.wait();
            };
            (format!("{place_name} / {name}"), Box::new(case) as Box<dyn FnOnce() + Send>)
        })
    });
    check_all(cases);
}

#[test]
fn user_code_panic_leaves_the_state_unchanged() {
    let only = std::env::var("BUSLANE_PLACE").unwrap_or_default();
    let cases = call_sites::all().filter(|place| place.name.contains(&only)).map(|place| {
        let Place { name, room, run } = place;
        let case = move || {
            let world = World::new(room);
            let trap = Trap::new(&world, |_| panic!("user code"));
            let _ = catch_unwind(AssertUnwindSafe(|| run(&world, &trap)));
            trap.wait_reached();
            world.check_it_works();
        };
        (name.to_owned(), Box::new(case) as Box<dyn FnOnce() + Send>)
    });
    check_all(cases);
}
