//! What the process asks of its system: fewer processors, no `membarrier`, how much processor time
//! it has used, and memory back.
#![expect(unsafe_code, reason = "system calls that the standard library does not offer")]

use std::time::Duration;

/// Holds the process to its first so many processors, and says how many it got: threads inherit
/// that from this one.
pub(crate) fn use_processors(wanted: usize) -> usize {
    let processors = core_affinity::get_core_ids().unwrap_or_default();
    match processors.first() {
        Some(first) if wanted == 1 && core_affinity::set_for_current(*first) => 1,
        _ => processors.len(),
    }
}

/// From here on the system refuses `membarrier` to every thread of this process. Whether it does.
#[cfg(target_os = "linux")]
pub(crate) fn refuse_membarrier() -> bool {
    // Loads the number of the system call, and refuses that one. The architecture is our own.
    let load = libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    let compare = libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: libc::SYS_membarrier as u32 };
    let refuse = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x0005_0000 | libc::ENOSYS as u32 };
    let allow = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000 };
    let mut filter = [load, compare, refuse, allow];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    const SET_MODE_FILTER: libc::c_long = 1;
    const ALL_THREADS: libc::c_long = 1;
    // SAFETY: takes numbers.
    let no_more = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0;
    // SAFETY: the program and its filter live until the call returns, which copies them.
    no_more
        && unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, ALL_THREADS, &raw const program) == 0 }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn refuse_membarrier() -> bool {
    false
}

/// From here on the allocator keeps little of what is freed: its thresholds stay what they are at
/// first, where otherwise each arena may keep twice the largest piece that was ever freed, and
/// `malloc_trim` does not reach the end of an arena. Whether it can be told.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_little() -> bool {
    // SAFETY: takes numbers.
    unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, 128 << 10) == 1 }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_little() -> bool {
    false
}

/// Has the allocator return to the system the pages that it keeps of what was freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn give_back() {
    // SAFETY: takes a number.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back() {}

/// The processor time that this process has used, all its threads together; `None` where the system
/// does not say.
#[cfg(target_os = "linux")]
pub(crate) fn processor_time() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for the time of the call.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    (done == 0).then(|| Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn processor_time() -> Option<Duration> {
    None
}
