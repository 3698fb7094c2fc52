//! A service with load and faults, to look at: buses `orders` and `private`.
//!
//! `cargo run -p buslane-inspect --example inspect -- 127.0.0.1:9000 --faults`, then open
//! `http://127.0.0.1:9000/`. It ends when its standard input ends.

use buslane::{Bus, Channel, Journal, Overflow, Queue};
use buslane_inspect::{At, Inspector};
use std::error::Error;
use std::io::{Read, Write, stdin, stdout};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

const USAGE: &str =
    "usage: inspect AT [--sinks N] [--rate EVENTS_PER_SECOND] [--events N] [--hostile] [--faults]";

struct Arguments {
    at: At,
    /// Queues on the bus `orders`.
    sinks: u64,
    /// Events per second of each bus; 0 leaves the service at rest.
    rate: u64,
    /// Events that are published before the load begins.
    events: u64,
    /// Whether names and events are made to break a page or a terminal.
    hostile: bool,
    /// Whether there are sinks that are slow, fail, panic and overflow.
    faults: bool,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let (orders, private) = (Bus::<u64>::new(), Bus::<u64>::new());
    for number in 0..arguments.sinks {
        let name = if arguments.hostile { hostile(number) } else { format!("worker-{number:03}") };
        orders.add_named(
            &name,
            Queue::builder().capacity(1024).overflow(Overflow::DropNewest).spawn(|_| ())?,
        )?;
    }
    let journal = Journal::new(1024)?;
    let mut audit = journal.subscription().name("audit").subscribe()?;
    let _behind = journal.subscription().name("behind").subscribe()?;
    private.add_named("history", journal)?;
    thread::spawn(move || while audit.recv().is_ok() {});
    // A reader that never reads.
    let (forgotten, _receiver) = Channel::lossy(64)?;
    if arguments.faults {
        faults(&orders)?;
        orders.add_named("forgotten", forgotten)?;
    }

    let text = if arguments.hostile { "<script>alert(1)</script>\u{1b}[2J" } else { "order" };
    let inspector = Inspector::builder().program("example");
    let inspector = inspector.tap("orders", &orders, move |number| format!("{text} {number}"));
    let serving = inspector.register("private", &private).serve(arguments.at)?;

    for bus in [&orders, &private] {
        let mut publisher = bus.publisher();
        (0..arguments.events).try_for_each(|number| publisher.publish(number).map(drop))?;
        if !arguments.faults {
            let _ = bus.flush_timeout(Duration::from_secs(10));
        }
    }
    println!("serving at {}", serving.at());
    stdout().flush()?;
    for bus in [orders.clone(), private.clone()].into_iter().filter(|_| arguments.rate > 0) {
        thread::spawn(move || load(&bus, arguments.rate));
    }
    stdin().read_to_end(&mut Vec::new())?;
    drop(serving);
    // A handler that is in the middle of a long call does not delay the end.
    std::process::exit(0)
}

/// Publishes at about a rate, in a burst each ten milliseconds.
fn load(bus: &Bus<u64>, rate: u64) {
    let mut publisher = bus.publisher();
    let mut number = 0;
    loop {
        for _ in 0..rate.div_ceil(100) {
            if publisher.publish(number).is_err() {
                return;
            }
            number += 1;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Adds sinks with which something is wrong.
fn faults(bus: &Bus<u64>) -> Result<(), Box<dyn Error>> {
    let queue = || Queue::builder().capacity(256).overflow(Overflow::DropNewest);
    bus.add_named("slow", queue().spawn(|_| thread::sleep(Duration::from_millis(50)))?)?;
    bus.add_named("stuck", queue().spawn(|_| thread::sleep(Duration::from_secs(3600)))?)?;
    bus.add_named(
        "failing",
        queue().spawn(|number| if number % 10 == 0 { Err("no route to host") } else { Ok(()) })?,
    )?;
    std::panic::set_hook(Box::new(|_| ()));
    bus.add_named(
        "panicking",
        queue().spawn(|number| assert_ne!(number % 100, 7, "an event that ends in 07"))?,
    )?;
    Ok(())
}

fn hostile(number: u64) -> String {
    let names = [
        "<script>document.title='owned'</script>",
        "\"'&amp;\u{202e}\u{1b}[31m",
        "a\nb\tc",
        "",
        "\u{1f980}\u{4e2d}\u{6587}",
    ];
    let name = names[usize::try_from(number).unwrap_or_default() % names.len()];
    if number < names.len() as u64 { name.to_owned() } else { format!("{name}{number}") }
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let at = given.next().ok_or(USAGE)?.parse()?;
    let mut arguments = Arguments { at, sinks: 3, rate: 1000, events: 0, hostile: false, faults: false };
    while let Some(argument) = given.next() {
        let mut number = || given.next().and_then(|value| value.parse().ok()).ok_or(USAGE);
        match argument.as_str() {
            "--sinks" => arguments.sinks = number()?,
            "--rate" => arguments.rate = number()?,
            "--events" => arguments.events = number()?,
            "--hostile" => arguments.hostile = true,
            "--faults" => arguments.faults = true,
            _ => return Err(USAGE.into()),
        }
    }
    Ok(arguments)
}
