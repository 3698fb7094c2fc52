//! A processor for each thread, so far as there are enough: two threads that share one never meet
//! in the middle.

#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "system calls"))]

/// The processors that the calling thread may run on; none where that is not known.
#[cfg(target_os = "linux")]
pub(crate) fn allowed() -> Vec<usize> {
    // SAFETY: a set of processors is an array of integers, for which zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: 0 is the calling thread; the set is ours, and as large as we say.
    if unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) } != 0 {
        return Vec::new();
    }
    let processors = 0..libc::CPU_SETSIZE as usize;
    // SAFETY: the set was filled, and the number lies below its size.
    processors.filter(|processor| unsafe { libc::CPU_ISSET(*processor, &set) }).collect()
}

/// Keeps the calling thread on one processor, if the system lets it.
#[cfg(target_os = "linux")]
pub(crate) fn stay_on(processor: usize) {
    // SAFETY: as above.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number comes from `allowed`, and lies below the set's size.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: 0 is the calling thread; the set is only read.
    let _refused = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn allowed() -> Vec<usize> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn stay_on(_processor: usize) {}
