//! Runs buslane for as long as asked, and fails at the first thing that is not as promised.
//!
//! Publishers run flat out at 2, 4 and 8 threads while sinks of every kind are added, removed,
//! closed, stalled, made to panic and robbed of their readers at random. Every event's checksum and
//! order, every sink's books, every close and flush, the memory and what silence costs are checked.
//! A hang is a failure, too.
//!
//! What is left to chance follows from the seed, which is printed; threads take their turns as they
//! like, so the same seed makes the same decisions and not the same run.

mod bound;
mod clock;
mod event;
mod faults;
mod guest;
mod guests;
mod idle;
mod leak;
mod memory;
mod publish;
mod round;
mod system;
mod watch;

use clap::{Parser, ValueEnum};
use leak::Plant;
use round::Tally;
use std::thread;
use std::time::{Duration, Instant};
use watch::{beat, fail, require};

/// So many rounds are the first ones.
const EARLY: usize = 3;
/// By so much what is in use between two rounds may grow after the first ones: lists of the size of
/// what there once was.
const MOST_LEFT: i64 = 1 << 20;
/// By so much the memory that the system has given may grow after the first ones. It holds what
/// nobody counts: stacks of threads, whatever the allocator needs for itself, pages that a few
/// bytes keep.
const MOST_GROWTH: u64 = 8 << 20;

/// Runs buslane with sinks that come, go, stall, fail and panic, and checks everything.
#[derive(Debug, Parser)]
struct Arguments {
    /// For how long.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What random decisions follow from; printed, and by default another one each time.
    #[arg(long)]
    seed: Option<u64>,
    /// How many threads publish, round by round.
    #[arg(long, value_delimiter = ',', default_value = "2,4,8")]
    publishers: Vec<usize>,
    /// Whether the system has `membarrier`.
    #[arg(long, value_enum, default_value = "there")]
    membarrier: Membarrier,
    /// Holds the process to one processor.
    #[arg(long)]
    one_processor: bool,
    /// Does not judge how much memory the system has given: for sanitizers, which keep what was
    /// freed.
    #[arg(long)]
    any_memory: bool,
    /// Leaks something while sinks are attached. The soak has to fail.
    #[arg(long, value_enum, default_value = "nothing")]
    plant_leak: Plant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Membarrier {
    /// It does, unless `BUSLANE_FENCE=symmetric` says to do without.
    There,
    /// It never did.
    Refused,
    /// It does at first, and then no more.
    Lost,
}

fn main() {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let processors = system::use_processors(if arguments.one_processor { 1 } else { usize::MAX });
    require(!arguments.one_processor || processors == 1, || {
        "one processor alone is not to be had".to_owned()
    });
    println!("seed {seed}, {processors} processors, {arguments:?}");
    if arguments.membarrier == Membarrier::Refused {
        require(system::refuse_membarrier(), || "membarrier cannot be refused here".to_owned());
    }
    // What an allocator keeps follows from what there was at once and on which threads: of no use
    // to somebody who looks for leaks.
    let is_free = !system::keep_little() || arguments.any_memory;
    watch::start();
    let mut random = fastrand::Rng::with_seed(seed);
    let length = Duration::from_secs(arguments.seconds);
    // Each number of publishers has its turn twice at least, and twenty seconds at most.
    let turns = u32::try_from(arguments.publishers.len()).unwrap_or(1).max(1);
    let turn = (length / (2 * turns)).clamp(Duration::from_millis(500), Duration::from_secs(20));
    let begun = Instant::now();
    let mut memory = Memory { is_free, ..Memory::default() };
    let mut total = 0;
    let mut cycle = 0;
    while cycle < 2 || begun.elapsed() + turn * turns <= length {
        faults::a_sink_never_returns();
        faults::no_memory_for_lanes();
        for publishers in &arguments.publishers {
            let mut tally = Tally::default();
            round::run(*publishers, turn, arguments.plant_leak, memory.now, &mut random, &mut tally);
            total += tally.published;
            memory.check();
            println!("{:>5} s, {publishers} publishers: {tally}; {memory}", begun.elapsed().as_secs());
        }
        if cycle == 0 && arguments.membarrier == Membarrier::Lost {
            require(system::refuse_membarrier(), || "membarrier cannot be refused here".to_owned());
            println!("membarrier is gone");
        }
        cycle += 1;
    }
    if let Some(used) = idle::check(arguments.membarrier == Membarrier::Lost) {
        println!("{} µs of processor time in two seconds of silence", used.as_micros());
    }
    beat("end");
    println!("passed: {total} events in {} s, seed {seed}", begun.elapsed().as_secs());
    if watch::pauses() > 0 {
        println!(
            "the process was stopped {} times; deadlines that passed meanwhile do not count",
            watch::pauses()
        );
    }
}

/// What was in use, and what it is compared with.
#[derive(Debug, Default)]
struct Memory {
    is_free: bool,
    rounds: usize,
    first: i64,
    now: i64,
    early: u64,
    resident: Option<u64>,
}

impl Memory {
    fn check(&mut self) {
        self.rounds += 1;
        // A worker that has said that it is done may still be letting go of its lanes.
        let begun = Instant::now();
        loop {
            self.now = memory::in_use();
            if self.rounds <= EARLY || self.now <= self.first + MOST_LEFT || begun.elapsed() > watch::GUARD {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.resident = memory::resident();
        let resident = self.resident.unwrap_or(0);
        // Lists and registers grow to their size in the first rounds.
        if self.rounds <= EARLY {
            self.first = self.first.max(self.now);
            self.early = self.early.max(resident);
        } else if self.now > self.first + MOST_LEFT {
            fail(&format!(
                "{} bytes are in use between two rounds, and {} were at first",
                self.now, self.first
            ));
        } else if resident > self.early + MOST_GROWTH && !self.is_free {
            fail(&format!(
                "{resident} bytes of memory between two rounds, and at most {} at first",
                self.early
            ));
        }
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} KiB left in use", self.now / 1024)?;
        self.resident.map_or(Ok(()), |resident| write!(f, ", {} KiB resident", resident / 1024))
    }
}
