//! The minimal handshake: each of two threads stores to its own word, fences, and loads the other
//! thread's word.

#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "the system call itself"))]

use crate::rounds::{Apart, play, rounds};
use std::sync::atomic::{AtomicUsize, Ordering, compiler_fence, fence};

/// The fence between a thread's store and its load.
type Fence = fn();

fn nothing() {}

fn light() {
    compiler_fence(Ordering::SeqCst);
}

fn full() {
    fence(Ordering::SeqCst);
}

#[cfg(target_os = "linux")]
mod system {
    const PRIVATE_EXPEDITED: libc::c_long = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_long = 1 << 4;

    fn membarrier(command: libc::c_long) -> bool {
        // SAFETY: membarrier takes no pointers; flags and cpu are zero for the commands used here.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    pub(super) fn is_granted() -> bool {
        membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED)
    }

    pub(super) fn heavy() {
        super::full();
        assert!(membarrier(PRIVATE_EXPEDITED), "membarrier was granted before");
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn is_granted() -> bool {
        false
    }

    pub(super) fn heavy() {}
}

/// The number of words of each thread. A thread visits them all in one round, during which the two
/// threads drift apart and together.
const WORDS: usize = 32;

/// Returns how often neither thread saw the other's store.
fn missed(what: &str, first: Fence, second: Fence) -> usize {
    let line = || -> Vec<Apart<AtomicUsize>> { (0..WORDS).map(|_| Apart::default()).collect() };
    let (words, seen) = ([line(), line()], [line(), line()]);
    let mut missed = 0;
    let part = |own: usize, fence: Fence| {
        let (words, seen) = (&words, &seen);
        Box::new(move |round| {
            for at in 0..WORDS {
                words[own][at].0.store(round + 1, Ordering::Relaxed);
                fence();
                seen[own][at].0.store(words[1 - own][at].0.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        })
    };
    let played = play(rounds(5), vec![part(0, first), part(1, second)], |round| {
        let saw = |thread: usize, at: usize| seen[thread][at].0.load(Ordering::Relaxed) == round + 1;
        missed += (0..WORDS).filter(|at| !saw(0, *at) && !saw(1, *at)).count();
    });
    eprintln!("store buffering, {what}: neither saw the other {missed} times in {}", played * WORDS);
    missed
}

#[test]
fn fences_make_one_of_two_stores_visible() {
    // The misses without a fence show how significant the rounds with a fence are on this machine.
    missed("no fence", nothing, nothing);
    missed("compiler fences", light, light);
    missed("a compiler fence and a full one", light, full);
    assert_eq!(missed("full fences", full, full), 0);
    if system::is_granted() {
        assert_eq!(missed("a compiler fence and membarrier", light, system::heavy), 0);
    } else {
        eprintln!("store buffering: the system refuses membarrier, so the asymmetric pair was not tried");
    }
}
