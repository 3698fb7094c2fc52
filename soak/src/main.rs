//! Runs buslane for the requested time, and fails at the first broken guarantee.
//!
//! Publishers run at full speed on 2, 4 and 8 threads. At random, sinks of every kind are added,
//! removed, closed, stalled, made to panic, or lose their readers. The soak checks every event's
//! checksum and order, every sink's ledger, every close and flush, the memory, and the cost of
//! silence. A hang is a failure, too.
//!
//! The seed determines all random decisions, and is printed. The scheduling of threads is free, so
//! the same seed repeats the decisions but not the run.

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

/// The number of rounds that count as the first ones.
const EARLY: usize = 3;
/// The limit for the growth of the memory in use between two rounds, after the first ones: lists
/// keep their largest size.
const MOST_LEFT: i64 = 1 << 20;
/// The limit for the growth of the system's memory after the first rounds. That memory includes
/// parts that no counter covers: stacks of threads, the allocator's own data, and pages that a few
/// bytes keep.
const MOST_GROWTH: u64 = 8 << 20;

/// Runs buslane with sinks that come, go, stall, fail and panic, and checks everything.
#[derive(Debug, Parser)]
struct Arguments {
    /// The duration in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The seed of the random decisions; printed, and by default different each time.
    #[arg(long)]
    seed: Option<u64>,
    /// The numbers of publishing threads, round by round.
    #[arg(long, value_delimiter = ',', default_value = "2,4,8")]
    publishers: Vec<usize>,
    /// Whether the system has `membarrier`.
    #[arg(long, value_enum, default_value = "there")]
    membarrier: Membarrier,
    /// Pins the process to one processor.
    #[arg(long)]
    one_processor: bool,
    /// Does not check the memory that the system has given: for sanitizers, which keep freed
    /// memory.
    #[arg(long)]
    any_memory: bool,
    /// Leaks memory while sinks are attached. The soak has to fail.
    #[arg(long, value_enum, default_value = "nothing")]
    plant_leak: Plant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Membarrier {
    /// It has, unless `BUSLANE_FENCE=symmetric` disables it.
    There,
    /// It never had.
    Refused,
    /// It has at first, and then no longer.
    Lost,
}

fn main() {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let processors = system::use_processors(if arguments.one_processor { 1 } else { usize::MAX });
    require(!arguments.one_processor || processors == 1, || {
        "the process cannot be pinned to one processor".to_owned()
    });
    println!("seed {seed}, {processors} processors, {arguments:?}");
    if arguments.membarrier == Membarrier::Refused {
        require(system::refuse_membarrier(), || "membarrier cannot be refused here".to_owned());
    }
    // An allocator keeps memory by the peak use of each thread, which does not indicate a leak.
    let is_free = !system::keep_little() || arguments.any_memory;
    watch::start();
    let mut random = fastrand::Rng::with_seed(seed);
    let length = Duration::from_secs(arguments.seconds);
    // Each number of publishers runs twice at least, and for twenty seconds at most.
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
            println!("membarrier is now refused");
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

/// The memory in use, and the values that it is compared with.
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
        // A worker that has reported its end may still drop its lanes.
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
        // Lists and registers reach their size in the first rounds.
        if self.rounds <= EARLY {
            self.first = self.first.max(self.now);
            self.early = self.early.max(resident);
        } else if self.now > self.first + MOST_LEFT {
            fail(&format!(
                "{} bytes are in use between two rounds, and {} were in use at first",
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
