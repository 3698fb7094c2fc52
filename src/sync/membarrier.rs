//! The asymmetric fence: free for publishers, paid by the waiting side.
//!
//! Linux's `membarrier(PRIVATE_EXPEDITED)` makes every running thread of the process execute a full
//! barrier, so the frequent side of a store-load handshake needs only a compiler fence. The process
//! decides on its pair at the first use: the system call must be registered, and the environment
//! variable `BUSLANE_FENCE=symmetric` disables it. In models, and where the system call is not
//! granted, both sides are `fence(SeqCst)`.
//!
//! A pair is never mixed: a publisher that runs the compiler fence, and no other, always meets the
//! system call on the other side. If the call fails later (a seccomp filter was installed after the start),
//! [`heavy_fence`] reports it, and the handshake must not rely on the fence.

use super::{MODEL, Ordering, fence};

/// The pair of fences of a handshake, which determines the side that pays.
///
/// # Examples
/// ```
/// use buslane::wait::{FencePair, WaitCell};
/// assert!(FencePair::process() == FencePair::Symmetric || cfg!(target_os = "linux"));
/// assert_eq!(WaitCell::new(FencePair::Symmetric).pair(), FencePair::Symmetric); // works on every system
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "unstable"), expect(unreachable_pub, reason = "public with the feature `unstable`"))]
pub enum FencePair {
    /// Publishers run a compiler fence, waiting sides the system call.
    Asymmetric,
    /// Both sides run `fence(SeqCst)`.
    Symmetric,
}

/// Returns the pair that this process uses wherever it has the choice. Fixed at the first call.
#[inline]
pub(crate) fn process_pair() -> FencePair {
    // A model must behave the same on every system.
    if MODEL { FencePair::Symmetric } else { imp::process_pair() }
}

/// Executes the fence of the frequent side of `pair`.
#[inline(always)]
#[cfg_attr(all(loom, feature = "loom"), track_caller)]
pub(crate) fn light_fence(pair: FencePair) {
    // ORD(membarrier.pair): the light side; pairs with `heavy_fence` of the same pair.
    match pair {
        #[cfg(not(all(loom, feature = "loom")))]
        FencePair::Asymmetric => super::compiler_fence(Ordering::SeqCst),
        #[cfg(all(loom, feature = "loom"))]
        FencePair::Asymmetric => fence(Ordering::SeqCst),
        FencePair::Symmetric => fence(Ordering::SeqCst),
    }
}

/// Executes the fence of the rare side of `pair`.
///
/// Returns `false` if the system call, granted at the start, now fails: the other side may not have
/// been fenced, and the caller must bound its wait by time.
#[must_use]
#[cfg_attr(all(loom, feature = "loom"), track_caller)]
pub(crate) fn heavy_fence(pair: FencePair) -> bool {
    // ORD(membarrier.pair): the heavy side; pairs with `light_fence` of the same pair.
    fence(Ordering::SeqCst);
    match pair {
        FencePair::Symmetric => true,
        FencePair::Asymmetric => imp::expedited_barrier(),
    }
}

/// Executes the fence of the rare side for handshakes that must not fail (seals, removals).
///
/// If the system call stopped working, this waits for a millisecond instead: store buffers drain
/// within microseconds on every known processor, and such a handshake is rare.
#[cfg_attr(all(loom, feature = "loom"), track_caller)]
pub(crate) fn heavy_fence_or_wait(pair: FencePair) {
    if !heavy_fence(pair) {
        std::thread::sleep(std::time::Duration::from_millis(1));
        fence(Ordering::SeqCst);
    }
}

#[cfg(all(target_os = "linux", not(all(loom, feature = "loom"))))]
mod imp {
    #![expect(unsafe_code, reason = "the standard library has no such system call")]

    use super::FencePair;
    use std::sync::OnceLock;

    fn call(command: libc::c_long) -> bool {
        // SAFETY: membarrier takes no pointers; flags and cpu are zero for the commands used here.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    const PRIVATE_EXPEDITED: libc::c_long = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_long = 1 << 4;

    pub(super) fn process_pair() -> FencePair {
        static PAIR: OnceLock<FencePair> = OnceLock::new();
        *PAIR.get_or_init(|| {
            let refused = std::env::var_os("BUSLANE_FENCE").is_some_and(|value| value == "symmetric");
            if !refused && call(REGISTER_PRIVATE_EXPEDITED) && call(PRIVATE_EXPEDITED) {
                FencePair::Asymmetric
            } else {
                FencePair::Symmetric
            }
        })
    }

    pub(super) fn expedited_barrier() -> bool {
        call(PRIVATE_EXPEDITED)
    }
}

#[cfg(not(all(target_os = "linux", not(all(loom, feature = "loom")))))]
mod imp {
    use super::FencePair;

    pub(super) fn process_pair() -> FencePair {
        FencePair::Symmetric
    }

    pub(super) fn expedited_barrier() -> bool {
        true
    }
}
