//! Pins each thread to a separate processor while there are enough: two threads on one processor
//! never interleave between two steps.

#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "system calls"))]

/// Returns the processors that the calling thread may run on; none if they are unknown.
#[cfg(target_os = "linux")]
pub(crate) fn allowed() -> Vec<usize> {
    // SAFETY: a set of processors is an array of integers, for which zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: 0 is the calling thread; the set is ours, and has the given size.
    if unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) } != 0 {
        return Vec::new();
    }
    let processors = 0..libc::CPU_SETSIZE as usize;
    // SAFETY: the call above filled the set, and the number is below its size.
    processors.filter(|processor| unsafe { libc::CPU_ISSET(*processor, &set) }).collect()
}

/// Pins the calling thread to one processor, if the system allows it.
#[cfg(target_os = "linux")]
pub(crate) fn stay_on(processor: usize) {
    // SAFETY: as above.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number comes from `allowed`, and is below the set's size.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: 0 is the calling thread; the call only reads the set.
    let _refused = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn allowed() -> Vec<usize> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn stay_on(_processor: usize) {}
