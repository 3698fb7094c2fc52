//! The number of processors of the machine.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "the standard library has no such query"))]

/// Returns the number of online processors, at least one.
///
/// The standard library's `available_parallelism` counts the processors on which the *calling
/// thread* may run. On a pinned thread that is one, whatever the other threads may use.
pub(crate) fn online_processors() -> usize {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: `sysconf` takes an integer and returns one.
        let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
        if let Ok(online @ 1..) = usize::try_from(online) {
            return online;
        }
    }
    std::thread::available_parallelism().map_or(1, usize::from)
}
