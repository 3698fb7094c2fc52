//! The processor time of this process, and of other processes.

use nix::sys::resource::{Usage as Counters, UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use std::fs;
use std::ops::Sub;
use std::time::Instant;

/// The usage of all threads of the process together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, including the system's, in nanoseconds.
    pub cpu: i64,
    /// The number of voluntary sleeps.
    pub sleeps: i64,
}

impl Usage {
    /// Returns the usage up to now.
    ///
    /// # Panics
    /// If the system does not report it.
    #[must_use]
    pub fn now() -> Self {
        Self::of(UsageWho::RUSAGE_SELF)
    }

    fn of(whom: UsageWho) -> Self {
        let counters = getrusage(whom).expect("the usage of a process");
        let nanoseconds = |time: TimeVal| time.num_microseconds() * 1_000;
        let cpu =
            |counters: &Counters| nanoseconds(counters.user_time()) + nanoseconds(counters.system_time());
        Self { cpu: cpu(&counters), sleeps: counters.voluntary_context_switches() }
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { cpu: self.cpu - before.cpu, sleeps: self.sleeps - before.sleeps }
    }
}

/// The load of other processes during a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Others {
    since: Instant,
    /// Processor time of all processes, stolen by the host, and of this process and the children
    /// that it has waited for.
    all: f64,
    stolen: f64,
    ours: f64,
}

/// A tick of `/proc/stat`, in seconds.
const TICK: f64 = 0.01;

impl Others {
    /// Starts now; `None` where the system does not report the load.
    #[must_use]
    pub fn begin() -> Option<Self> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        // user, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen.
        let ticks = text.lines().next()?.split_whitespace().skip(1).map(|ticks| ticks.parse::<f64>().ok());
        let ticks: Vec<f64> = ticks.collect::<Option<_>>()?;
        let [user, nice, system, _, _, interrupts, soft, stolen, ..] = ticks[..] else { return None };
        let ours = Usage::now().cpu + Usage::of(UsageWho::RUSAGE_CHILDREN).cpu;
        Some(Self {
            since: Instant::now(),
            all: (user + nice + system + interrupts + soft) * TICK,
            stolen: stolen * TICK,
            ours: ours as f64 / 1e9,
        })
    }

    /// Returns the number of processors that other processes have used since then, and the number
    /// that the host took away.
    #[must_use]
    pub fn end(self) -> Option<(f64, f64)> {
        let now = Self::begin()?;
        let seconds = (now.since - self.since).as_secs_f64();
        let others = (now.all - self.all) - (now.ours - self.ours);
        Some(((others / seconds).max(0.0), (now.stolen - self.stolen) / seconds))
    }
}
