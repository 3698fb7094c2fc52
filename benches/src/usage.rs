//! What the process has cost the machine so far.

use nix::sys::resource::{Usage as Counters, UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use std::ops::Sub;

/// Of all threads of the process together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, the system's included, in nanoseconds.
    pub cpu: i64,
    /// How often a thread went to sleep by itself.
    pub sleeps: i64,
}

impl Usage {
    /// Up to now.
    ///
    /// # Panics
    /// When the system does not say.
    #[must_use]
    pub fn now() -> Self {
        let counters = getrusage(UsageWho::RUSAGE_SELF).expect("every process can be asked");
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
