//! The bound for the memory in use while sinks are attached, and the watcher that compares both.
//!
//! The bound is a sum over every object that may be alive: each sink by its kind, capacity and
//! overflow policy, and for each sink one lane per publisher. It counts a superset of the objects
//! that are alive at the time of a sample:
//!
//! - A sink is registered before its creation, until it has ended and every publisher has dropped
//!   its lanes.
//! - A publisher is counted before its creation, until its drop. In a sink that was attached at
//!   that time, its lane is counted while the sink is attached, because the remaining events are
//!   still to be handled.
//! - The register is locked during a sample, so no object is registered or removed between the two
//!   halves of the comparison.
//!
//! An object that is freed slightly after its removal from the register, such as by an ending
//! worker thread, exceeds the bound for a short time. A leak stays. So only [`SAMPLES`] consecutive
//! samples above the bound are a failure.

use crate::event::Event;
use crate::memory;
use crate::watch::fail;
use buslane::stats::SinkState;
use buslane::{Bus, Sink, SinkId};
use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The time between two samples.
const INTERVAL: Duration = Duration::from_millis(100);
/// The number of consecutive samples above the bound that are a failure.
const SAMPLES: u32 = 20;
/// The memory of a round in addition to sinks, lanes and publishers: the bus, its list of sinks,
/// and snapshots and reports in progress.
const ROUND: i64 = 64 << 10;
/// A publisher without lanes, its thread, its vector for batches, and its record here. The bound in
/// `docs::memory` for the first part is 1 KiB.
const PUBLISHER: i64 = 8 << 10;
/// The most dropped publishers whose lanes a bus keeps, by default.
const KEPT: i64 = 16;

/// The maximum memory of one sink.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// The part that is independent of the number of publishers.
    pub(crate) fixed: i64,
    /// The part of each publisher, while its lane may exist.
    pub(crate) lane: i64,
}

/// The number of a sink in the register.
pub(crate) type Account = u64;

/// A path of one thread into the bus with private lanes.
pub(crate) struct Record {
    /// Its index among all publishers.
    number: u64,
    /// The last removal before a completed publish.
    passed: AtomicU64,
}

struct Entry {
    account: Account,
    name: String,
    need: Need,
    /// The number of publishers dropped before the registration: none of them has a lane here.
    gone: u64,
    /// The sink, from its add until it has ended.
    sink: Option<(SinkId, Arc<dyn Sink<Event>>)>,
    /// Returns whether the sink is closed although it is still attached.
    cut_off: Box<dyn Fn() -> bool + Send>,
    /// The removal that detached it, and the number of publishers created until then.
    left: Option<(u64, u64)>,
    ended: bool,
}

#[derive(Default)]
struct Register {
    entries: Vec<Entry>,
    alive: Vec<Arc<Record>>,
    accounts: u64,
    made: u64,
    gone: u64,
    over: u32,
    peak: Peak,
}

/// The distance between the memory and the bound in a round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peak {
    samples: u64,
    /// The sums over all samples.
    used: i64,
    bound: i64,
    /// The most consecutive samples above the bound.
    over: u32,
}

impl fmt::Display for Peak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = 100 * self.used / self.bound.max(1);
        write!(f, "{mean} % of the bound in {} samples", self.samples)?;
        if self.over > 0 { write!(f, ", {} in a row above it", self.over) } else { Ok(()) }
    }
}

/// The objects that are registered in one round.
#[derive(Clone, Default)]
pub(crate) struct Bound(Arc<Shared>);

#[derive(Default)]
struct Shared {
    register: Mutex<Register>,
    /// The number of removals.
    removals: AtomicU64,
}

impl Bound {
    fn lock(&self) -> MutexGuard<'_, Register> {
        self.0.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of removals before a publish that begins now.
    pub(crate) fn removals(&self) -> u64 {
        self.0.removals.load(Ordering::Acquire)
    }

    /// Counts a publisher before its creation.
    pub(crate) fn publisher(&self) -> Arc<Record> {
        let mut register = self.lock();
        let record = Arc::new(Record { number: register.made, passed: AtomicU64::new(self.removals()) });
        register.made += 1;
        register.alive.push(record.clone());
        record
    }

    /// Records the drop of a publisher.
    pub(crate) fn publisher_gone(&self, record: &Arc<Record>) {
        let mut register = self.lock();
        register.alive.retain(|other| !Arc::ptr_eq(other, record));
        register.gone += 1;
    }

    /// Registers a sink before its creation.
    pub(crate) fn open(&self, name: &str, need: Need) -> Account {
        let mut register = self.lock();
        let (account, gone) = (register.accounts, register.gone);
        register.accounts += 1;
        let cut_off: Box<dyn Fn() -> bool + Send> = Box::new(|| false);
        let name = name.to_owned();
        register.entries.push(Entry {
            account,
            name,
            need,
            gone,
            sink: None,
            cut_off,
            left: None,
            ended: false,
        });
        account
    }

    /// Records the add of a sink. `cut_off` returns whether its lanes are closed although it is
    /// still attached.
    pub(crate) fn attached(
        &self,
        account: Account,
        id: SinkId,
        sink: Arc<dyn Sink<Event>>,
        cut_off: Box<dyn Fn() -> bool + Send>,
    ) {
        let mut register = self.lock();
        let entry = register.entry(account);
        entry.sink = Some((id, sink));
        entry.cut_off = cut_off;
    }

    /// Records that the sink is detached, by a removal or by its own close.
    pub(crate) fn left(&self, account: Account) {
        let mut register = self.lock();
        self.leave(&mut register, account);
    }

    fn leave(&self, register: &mut Register, account: Account) {
        let made = register.made;
        let entry = register.entry(account);
        if entry.left.is_none() {
            let removal = self.0.removals.fetch_add(1, Ordering::AcqRel) + 1;
            entry.left = Some((removal, made));
        }
    }

    /// Records that the sink has ended, and its readers are dropped.
    pub(crate) fn ended(&self, account: Account) {
        let mut register = self.lock();
        self.leave(&mut register, account);
        let entry = register.entry(account);
        entry.ended = true;
        let sink = entry.sink.take();
        // Unlocks the register before a sink is dropped.
        drop(register);
        drop(sink);
    }

    /// Watches until [`Watcher::stop`]; `base` is the memory in use before the round.
    pub(crate) fn watch(&self, bus: &Bus<Event>, base: i64) -> Watcher {
        let stop = Arc::new(AtomicBool::new(false));
        let (bound, bus, stopped) = (self.clone(), bus.clone(), stop.clone());
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                bound.sample(&bus, base);
                thread::park_timeout(INTERVAL);
            }
        });
        Watcher { bound: self.clone(), stop, thread }
    }

    fn sample(&self, bus: &Bus<Event>, base: i64) {
        let mut register = self.lock();
        // The bound comes first. Under the lock no object is registered after it, and memory freed
        // after it does not matter: a query of a sink's state frees the lanes that its readers have
        // finished, and the snapshot frees the lanes that publishers have returned.
        let bound = register.bound();
        let on_bus: HashSet<SinkId> = bus.snapshot().sinks.into_iter().map(|sink| sink.id).collect();
        // An attached sink of the register was added before, so a sink that is not listed has left.
        let gone = |entry: &&Entry| {
            let listed = entry.sink.as_ref().is_none_or(|(id, _)| on_bus.contains(id));
            entry.left.is_none() && (!listed || (entry.cut_off)())
        };
        let left: Vec<Account> = register.entries.iter().filter(gone).map(|entry| entry.account).collect();
        left.into_iter().for_each(|account| self.leave(&mut register, account));
        drop(on_bus);
        let used = memory::in_use() - base;
        let over = if used > bound { register.over + 1 } else { 0 };
        register.over = over;
        let peak = &mut register.peak;
        (peak.samples, peak.used, peak.bound) = (peak.samples + 1, peak.used + used, peak.bound + bound);
        peak.over = peak.over.max(over);
        if over == SAMPLES {
            fail(&format!(
                "{used} bytes are in use, and at most {bound} are needed, in {SAMPLES} samples in a row:\n{register}"
            ));
        }
    }
}

impl Register {
    fn entry(&mut self, account: Account) -> &mut Entry {
        let found = self.entries.iter_mut().find(|entry| entry.account == account);
        found.unwrap_or_else(|| fail("a sink that is not in the register"))
    }

    /// Returns the maximum of the memory in use. Drops the entries of ended sinks without lanes.
    fn bound(&mut self) -> i64 {
        let Self { entries, alive, made, .. } = self;
        // The lanes that the bus keeps for its next publishers were made for earlier ones, and are
        // counted for each sink below.
        let mut sum = ROUND + (alive.len() as i64 + KEPT) * PUBLISHER;
        entries.retain(|entry| {
            let lanes = entry.lanes(alive, *made);
            let fixed = if entry.ended { 0 } else { entry.need.fixed };
            sum += fixed + lanes as i64 * entry.need.lane;
            !entry.ended || lanes > 0
        });
        sum
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} publishers", self.alive.len())?;
        for entry in &self.entries {
            let (Need { fixed, lane }, lanes) = (entry.need, entry.lanes(&self.alive, self.made));
            let state = match entry.left {
                _ if entry.ended => "ended",
                Some(_) => "detached",
                None => "attached",
            };
            write!(f, "\n{}, {state}: {fixed} bytes and {lanes} lanes of {lane} bytes", entry.name)?;
        }
        Ok(())
    }
}

impl Entry {
    /// Returns the maximum number of lanes.
    fn lanes(&self, alive: &[Arc<Record>], made: u64) -> u64 {
        match self.left {
            None => made - self.gone,
            Some((removal, made)) => {
                let holds = |record: &&Arc<Record>| {
                    record.number < made && record.passed.load(Ordering::Acquire) < removal
                };
                let held = alive.iter().filter(holds).count() as u64;
                (held + self.unread(made)).min(made - self.gone)
            }
        }
    }

    /// Returns the maximum number of lanes that readers have not finished, in a detached sink.
    fn unread(&self, made: u64) -> u64 {
        let Some((_, sink)) = &self.sink else { return 0 };
        let mut state = SinkState::default();
        sink.describe(&mut state);
        if state.ledger.pending > 0 { made - self.gone } else { state.lanes as u64 }
    }
}

impl Record {
    /// Records that a publish which began after this number of removals has ended.
    pub(crate) fn pass(&self, removals: u64) {
        if self.passed.load(Ordering::Relaxed) != removals {
            self.passed.store(removals, Ordering::Release);
        }
    }
}

/// The thread that takes the samples of a round.
pub(crate) struct Watcher {
    bound: Bound,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Watcher {
    /// Ends the watch.
    pub(crate) fn stop(self) -> Peak {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            fail("the watcher of the memory panicked");
        }
        self.bound.lock().peak
    }
}
