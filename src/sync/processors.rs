//! The number of processors that the process may use.
//!
//! That is the least of three numbers:
//! - the online processors;
//! - those on which a thread of the process may run, which is what `taskset` and a container's set
//!   of processors limit;
//! - the quota of processor time of the control group, rounded up.
//!
//! The standard library's `available_parallelism` has two of them, but counts the processors on
//! which the *calling thread* may run: on a pinned thread that is one, whatever the other threads
//! may use, and it knows no other view. It also rounds the quota down, so one and a half processors
//! would be one. It remains the answer on other systems.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "the standard library has no such query"))]

#[cfg(target_os = "linux")]
mod cgroup;

use std::sync::atomic::{AtomicUsize, Ordering};

/// The number, or zero as long as no thread has asked for it. Not part of any protocol, and so not
/// an atomic that models see.
static KNOWN: AtomicUsize = AtomicUsize::new(0);

/// Returns the number of processors that the process may use, at least one. Read at the first call,
/// which reads files; the same at every later one.
pub(crate) fn usable_processors() -> usize {
    // Relaxed: a number, which publishes no other data. Threads that ask at the same time agree on
    // the first one.
    match KNOWN.load(Ordering::Relaxed) {
        0 => {
            let counted = count();
            KNOWN
                .compare_exchange(0, counted, Ordering::Relaxed, Ordering::Relaxed)
                .map_or_else(|first| first, |_| counted)
        }
        known => known,
    }
}

/// Returns whether the process is known to have one processor, without reading a file: then no
/// other thread makes progress while this one spins, or the spin takes it from the same quota.
pub(crate) fn is_known_to_be_one() -> bool {
    KNOWN.load(Ordering::Relaxed) == 1
}

#[cfg(target_os = "linux")]
fn count() -> usize {
    let online = online().unwrap_or_else(available);
    // Miri has no such files, and threads but no process.
    let limits = if cfg!(miri) {
        [None, None]
    } else {
        [allowed(online), cgroup::quota(|path| std::fs::read_to_string(path).ok())]
    };
    limits.into_iter().flatten().fold(online, usize::min)
}

#[cfg(not(target_os = "linux"))]
fn count() -> usize {
    available()
}

fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(target_os = "linux")]
fn online() -> Option<usize> {
    // SAFETY: `sysconf` takes an integer and returns one.
    let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(online).ok().filter(|online| *online > 0)
}

/// Room for 65536 processors: the query fails if there are more than it has room for.
#[cfg(target_os = "linux")]
type Mask = [u64; 1024];

/// Returns the processors on which a thread may run.
#[cfg(target_os = "linux")]
fn affinity(thread: libc::pid_t) -> Option<Mask> {
    let mut mask: Mask = [0; 1024];
    // SAFETY: the mask is of the size given, and any content of it is valid.
    let result = unsafe {
        libc::sched_getaffinity(thread, size_of::<Mask>(), mask.as_mut_ptr().cast::<libc::cpu_set_t>())
    };
    (result == 0).then_some(mask)
}

/// Returns the number of processors on which at least one thread of the process may run.
///
/// A thread that pins itself does not limit the others, and that may be the main thread. A limit
/// that the process was started with holds for each of its threads.
#[cfg(target_os = "linux")]
fn allowed(online: usize) -> Option<usize> {
    let main = libc::pid_t::try_from(std::process::id()).ok()?;
    let others = std::iter::once(()).filter_map(|()| std::fs::read_dir("/proc/self/task").ok()).flatten();
    let others = others.filter_map(|thread| thread.ok()?.file_name().to_str()?.parse().ok());
    let mut all: Mask = [0; 1024];
    let mut count = 0;
    for mask in std::iter::once(main).chain(others).filter_map(affinity) {
        all.iter_mut().zip(mask).for_each(|(all, mask)| *all |= mask);
        count = all.iter().map(|word| word.count_ones() as usize).sum();
        if count >= online {
            // Usually after the main thread, so the others are not even listed.
            break;
        }
    }
    (count > 0).then_some(count)
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
