//! Processor time of this process, where the system reports it.

use std::time::Duration;

/// Returns the processor time of all threads up to now; zero where the system does not report it.
pub(crate) fn time() -> Duration {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::resource::{UsageWho, getrusage};
        use nix::sys::time::TimeValLike;
        let time = getrusage(UsageWho::RUSAGE_SELF)
            .map(|usage| usage.user_time().num_microseconds() + usage.system_time().num_microseconds());
        Duration::from_micros(time.map_or(0, |micros| u64::try_from(micros).unwrap_or(0)))
    }
    #[cfg(not(target_os = "linux"))]
    Duration::ZERO
}
