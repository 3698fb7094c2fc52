//! One round: publishers at full speed on a bus whose sinks come, go, stall, panic and lose their
//! readers.

use crate::bound::{Bound, Peak};
use crate::guest::{Guest, check_close};
use crate::guests;
use crate::leak::Plant;
use crate::memory;
use crate::publish::{Job, Thread};
use crate::watch::{GUARD, beat, fail, in_time, pauses, require};
use buslane::Bus;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// The number of sinks at a time.
const GUESTS: usize = 8;

/// The counts of all operations.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) published: u64,
    added: u64,
    removed: u64,
    closed: u64,
    stalls: u64,
    panics: u64,
    lost_readers: u64,
    killed_publishers: u64,
    flushes: u64,
    snapshots: u64,
    peak: Peak,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events; sinks: {} added, {} removed, {} closed; {} stalls, {} panics, {} readers gone, {} publishers killed; \
             {} flushes, {} snapshots; memory: {}",
            self.published,
            self.added,
            self.removed,
            self.closed,
            self.stalls,
            self.panics,
            self.lost_readers,
            self.killed_publishers,
            self.flushes,
            self.snapshots,
            self.peak
        )
    }
}

struct Round<'a> {
    job: Job,
    guests: Vec<Guest>,
    threads: Vec<Thread>,
    random: &'a mut fastrand::Rng,
    tally: &'a mut Tally,
}

/// Runs for `length`, and checks everything at the end. `base` is the memory in use at the end of
/// the last round.
pub(crate) fn run(
    publishers: usize,
    length: Duration,
    plant: Plant,
    base: i64,
    random: &mut fastrand::Rng,
    tally: &mut Tally,
) {
    // Memory of an earlier scenario that is yet to be freed must not hide a leak of this round.
    let base = memory::in_use().min(base);
    let (bus, bound) = (Bus::new(), Bound::default());
    let watcher = bound.watch(&bus, base);
    let job = Job { bus, bound, plant, published: Arc::default() };
    let threads = (0..publishers).map(|_| Thread::start(&job, random.u64(..))).collect();
    let mut round = Round { job, guests: Vec::new(), threads, random, tally };
    let begun = Instant::now();
    while begun.elapsed() < length {
        round.step();
        thread::sleep(Duration::from_micros(round.random.u64(..4_000)));
    }
    round.tally.peak = watcher.stop();
    round.end();
}

impl Round<'_> {
    fn step(&mut self) {
        let choice = self.random.u8(..100);
        match choice {
            _ if self.guests.is_empty() => self.add(),
            0..16 if self.guests.len() < GUESTS => self.add(),
            0..24 => self.remove(),
            24..29 => self.close_one(),
            29..55 => {
                let stall = Duration::from_micros(self.random.u64(1..20_000));
                beat("stall a reader");
                self.any().mischief.stall(stall);
                self.tally.stalls += 1;
            }
            55..75 => {
                beat("make a reader panic");
                self.any().mischief.panic();
                self.tally.panics += 1;
            }
            75..78 => {
                beat("send a reader away");
                self.any().mischief.leave();
                self.tally.lost_readers += 1;
            }
            78..80 => self.kill(),
            80..84 => self.flush(),
            _ => self.snapshot(),
        }
    }

    fn any(&mut self) -> &Guest {
        let at = self.random.usize(..self.guests.len());
        &self.guests[at]
    }

    fn add(&mut self) {
        beat("add a sink");
        let guest = guests::any(&self.job.bus, &self.job.bound, self.job.plant, self.random);
        self.guests.push(guest);
        self.tally.added += 1;
    }

    fn remove(&mut self) {
        let guest = self.guests.swap_remove(self.random.usize(..self.guests.len()));
        beat(&format!("remove a {}", guest.name));
        guest.leave(&self.job.bus, false);
        self.tally.removed += 1;
    }

    fn close_one(&mut self) {
        let guest = self.guests.swap_remove(self.random.usize(..self.guests.len()));
        beat(&format!("close a {}", guest.name));
        guest.leave(&self.job.bus, true);
        self.tally.closed += 1;
    }

    fn kill(&mut self) {
        beat("kill a publisher");
        let at = self.random.usize(..self.threads.len());
        let seed = self.random.u64(..);
        self.threads.swap_remove(at).die();
        self.threads.push(Thread::start(&self.job, seed));
        self.tally.killed_publishers += 1;
    }

    fn flush(&mut self) {
        beat("flush");
        let before = pauses();
        let report = self.job.bus.flush_timeout(GUARD);
        in_time(report.is_done(), before, || format!("{report}\n{}", self.job.bus.snapshot()));
        self.tally.flushes += 1;
    }

    fn snapshot(&mut self) {
        beat("take a snapshot");
        let snapshot = self.job.bus.snapshot();
        require(!snapshot.closed, || "the bus is closed".to_owned());
        require(snapshot.sinks.len() <= self.guests.len(), || format!("too many sinks: {snapshot}"));
        self.tally.snapshots += 1;
    }

    fn end(self) {
        let Self { job: Job { bus, published, .. }, guests, threads, tally, .. } = self;
        beat("stop the publishers");
        threads.into_iter().for_each(Thread::stop);
        tally.published += published.load(Ordering::Relaxed);
        beat("close the bus");
        let before = pauses();
        check_close("the bus", &bus.close_timeout(GUARD), before);
        for guest in guests {
            beat(&format!("end a {}", guest.name));
            guest.end();
        }
        for sink in bus.snapshot().sinks {
            if let Err(imbalance) = sink.state.ledger.check() {
                fail(&format!("{}: {imbalance}", sink.name));
            }
        }
    }
}
