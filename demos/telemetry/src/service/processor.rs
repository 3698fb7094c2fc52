//! Processor time, where the system reports it.

use serde::Serialize;
use std::time::Duration;

/// The processor time of a run, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct ProcessorTime {
    pub(crate) clients: u64,
    /// What publishes, besides the service itself.
    pub(crate) workers: u64,
    /// All other threads: those that receive samples.
    pub(crate) others: u64,
}

/// Returns the processor time of this thread up to now; zero where the system does not report it.
pub(crate) fn of_thread() -> Duration {
    #[cfg(target_os = "linux")]
    return used(nix::sys::resource::UsageWho::RUSAGE_THREAD);
    #[cfg(not(target_os = "linux"))]
    Duration::ZERO
}

/// Returns the processor time of all threads up to now; zero where the system does not report it.
pub(crate) fn of_process() -> Duration {
    #[cfg(target_os = "linux")]
    return used(nix::sys::resource::UsageWho::RUSAGE_SELF);
    #[cfg(not(target_os = "linux"))]
    Duration::ZERO
}

#[cfg(target_os = "linux")]
fn used(whom: nix::sys::resource::UsageWho) -> Duration {
    use nix::sys::time::TimeValLike;
    let time = nix::sys::resource::getrusage(whom)
        .map(|usage| usage.user_time().num_microseconds() + usage.system_time().num_microseconds());
    Duration::from_micros(time.map_or(0, |micros| u64::try_from(micros).unwrap_or(0)))
}
