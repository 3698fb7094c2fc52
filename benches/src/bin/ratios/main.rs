//! Ratios between `buslane` and its peers, each with its 95 % interval.
//!
//! ```text
//! cargo run -p benches --profile bench --bin ratios
//! cargo run -p benches --profile bench --bin ratios -- --quick
//! cargo run -p benches --profile bench --bin ratios -- journal [--quick] [publish] [drop] [read] [stream] [publishers]
//! ```
//! Takes about a minute, or about ten seconds, on a machine with two processors that do nothing else; with `journal`,
//! some minutes, or half a minute, for all its parts. How the samples are taken is told in `benches::paired`; what they
//! hold, in `benches::cost`, `benches::stream` and their like. A ratio of costs below 1, and one of rates above 1, is in
//! favour of `buslane`.

mod bus;
mod journal;
mod table;

use benches::machine::{NEAR, Ping, pin_producer, placement, processors};
use benches::{CAPACITY, alone};
use std::process::ExitCode;
use std::time::Duration;

/// How much is measured.
struct Effort {
    rounds: usize,
    cost: Duration,
    stream: Duration,
    /// How many blocks make a sample in a process of its own.
    blocks: u64,
    race: Duration,
}

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = alone::answer(&words) {
        return code;
    }
    let millis = Duration::from_millis;
    let given = words.len();
    words.retain(|word| word != "--quick");
    let effort = if words.len() == given {
        Effort { rounds: 31, cost: millis(12), stream: millis(40), blocks: 256, race: millis(100) }
    } else {
        Effort { rounds: 15, cost: millis(2), stream: millis(6), blocks: 64, race: millis(20) }
    };
    let parts = match words.split_first() {
        None => None,
        Some((journal, parts)) if journal == "journal" => match journal::parts(parts) {
            Some(parts) => Some(parts),
            None => return usage(),
        },
        Some(_) => return usage(),
    };
    let Some((producer, consumer)) = processors() else {
        eprintln!("two processors are needed");
        return ExitCode::FAILURE;
    };
    let mut ping = Ping::new();
    pin_producer();
    let now = ping.measure();
    println!("processors {} and {}: {now:.0} ns one way, {}", producer.id, consumer.id, placement(now));
    println!("near: below {NEAR:.0} ns. Intervals: 95 %, bootstrap. Event: 32 bytes. Capacity: {CAPACITY}.");
    match parts {
        None => bus::compare(&effort, &mut ping),
        Some(parts) => parts.into_iter().for_each(|part| part(&effort, &mut ping)),
    }
    let now = ping.measure();
    println!("\nat the end: {now:.0} ns one way, {}", placement(now));
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: ratios [--quick] [journal {}]",
        journal::PARTS.map(|(name, _)| format!("[{name}]")).join(" ")
    );
    ExitCode::from(2)
}
