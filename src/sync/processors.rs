//! How many processors there are.
#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "a question that the standard library does not ask")
)]

/// The number of processors that are on line, at least one.
///
/// The standard library's `available_parallelism` says on how many the *calling thread* may run:
/// one, on a pinned thread, which says nothing of those that it shares the machine with.
pub(crate) fn online_processors() -> usize {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: `sysconf` takes a number and returns one.
        let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
        if let Ok(online @ 1..) = usize::try_from(online) {
            return online;
        }
    }
    std::thread::available_parallelism().map_or(1, usize::from)
}
