//! A publisher makes no system call while its consumer is awake: the kernel is the judge.
//!
//! The publishing thread enters seccomp's strict mode, in which any system call but `read`,
//! `write`, `_exit` and `sigreturn` kills it, publishes a million events, and leaves by the bare
//! exit call. All of this happens in a child process, this test binary started again, since such a
//! thread can neither be joined nor unwound.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#![expect(unsafe_code, reason = "system calls")]

use buslane::{Bus, Overflow, Publisher, Queue, SinkExt, WaitStrategy, sink_fn};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use test_support::{GUARD, assert_balanced, process, wait_for};

const EVENTS: u64 = 1_000_000;
/// What the child's process ends with, where the test harness itself would end with 0 or 101.
const PASSED: u8 = 40;
const NOT_GRANTED: u8 = 41;

/// How far the publishing thread is.
const STARTING: u64 = 0;
const REFUSED: u64 = 1;
const INSIDE: u64 = 2;
const LEAVING: u64 = 3;

/// Makes the kernel kill this thread at its next system call. `false` when the kernel does not do
/// that.
fn enter_strict_mode() -> bool {
    // SAFETY: takes no pointers; it concerns the calling thread only.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) == 0 }
}

/// Ends this thread and nothing else: no destructor, no unwinding, no word to the standard library.
fn leave() -> ! {
    loop {
        // SAFETY: ends the calling thread, whose stack is kept to the end of the process: it is
        // never joined.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
}

fn own_id() -> i64 {
    // SAFETY: takes and returns numbers.
    unsafe { libc::syscall(libc::SYS_gettid) }
}

/// Runs `publish` on a thread in strict mode; whether it came to its end. `None` when there is no
/// such mode.
fn in_strict_mode(publish: impl FnOnce() + Send + 'static) -> Option<bool> {
    let (state, id) = (Arc::new(AtomicU64::new(STARTING)), Arc::new(AtomicI64::new(0)));
    let (own_state, own) = (state.clone(), id.clone());
    drop(thread::spawn(move || {
        own.store(own_id(), Ordering::Release);
        if !enter_strict_mode() {
            own_state.store(REFUSED, Ordering::Release);
            return;
        }
        own_state.store(INSIDE, Ordering::Release);
        publish();
        own_state.store(LEAVING, Ordering::Release);
        leave();
    }));
    wait_for(|| state.load(Ordering::Acquire) != STARTING);
    if state.load(Ordering::Acquire) == REFUSED {
        return None;
    }
    // Killed or gone: either way the kernel forgets the thread.
    let task = format!("/proc/self/task/{}", id.load(Ordering::Acquire));
    wait_for(|| state.load(Ordering::Acquire) == LEAVING || !Path::new(&task).exists());
    Some(state.load(Ordering::Acquire) == LEAVING)
}

/// A bus on which everything is that needs no system call.
fn bus(wait: WaitStrategy) -> (Bus<u64>, [Queue<u64>; 3]) {
    let bus = Bus::new();
    let queue =
        |overflow| Queue::builder().overflow(overflow).wait_strategy(wait).spawn(|_: u64| {}).unwrap();
    let queues = [Overflow::DropNewest, Overflow::DropOldest, Overflow::Refuse].map(queue);
    let [newest, oldest, refusing] = queues.clone();
    bus.add(newest).unwrap();
    bus.add(oldest).unwrap();
    bus.add(refusing.filter(|_: &u64| true)).unwrap();
    let last = AtomicU64::new(0);
    bus.add(sink_fn(move |event: &u64| last.store(*event, Ordering::Relaxed))).unwrap();
    (bus, queues)
}

/// The child's part: `None` when there is no strict mode.
fn publish_without_system_calls(
    wait: WaitStrategy,
    publish: impl FnOnce(&Bus<u64>) -> Box<dyn FnMut(u64) + Send>,
) -> Option<()> {
    let (bus, queues) = bus(wait);
    let mut publish = publish(&bus);
    let survived = in_strict_mode(move || {
        (0..EVENTS).for_each(&mut publish);
        // Its destructor is not this test's affair.
        std::mem::forget(publish);
    })?;
    assert!(survived, "the kernel killed the publisher for a system call");
    for queue in &queues {
        assert!(queue.flush_timeout(GUARD).is_done());
        let ledger = assert_balanced(&queue.state());
        assert_eq!((ledger.offered, ledger.pending), (EVENTS, 0));
        assert!(ledger.delivered > 0);
    }
    Some(())
}

/// Runs `body` in a process of its own, which is this test alone in this binary again.
fn in_child(test: &str, body: impl FnOnce() -> Option<()>) {
    let Some(child) = process::in_child(module_path!(), test) else {
        let code = if body().is_some() { PASSED } else { NOT_GRANTED };
        // Not by returning: the harness would say what it thinks of it.
        std::process::exit(code.into());
    };
    match child.status.code().map(u8::try_from) {
        Some(Ok(PASSED)) => {}
        Some(Ok(NOT_GRANTED)) => println!("no strict mode on this system: nothing was tested"),
        _ => panic!("{}\n{}", child.status, String::from_utf8_lossy(&child.stderr)),
    }
}

/// Never parks within the time of a test, as it never does while events flow: whoever preempts us
/// must not matter.
fn nap() -> WaitStrategy {
    WaitStrategy::Nap { nap: Duration::from_micros(100), park_after: Duration::from_secs(3600) }
}

fn publisher(mut publisher: Publisher<u64>) -> Box<dyn FnMut(u64) + Send> {
    Box::new(move |event| assert!(publisher.publish(event).is_ok()))
}

#[test]
fn publisher_makes_no_system_call_for_pollers() {
    in_child("publisher_makes_no_system_call_for_pollers", || {
        publish_without_system_calls(WaitStrategy::poll(), |bus| publisher(bus.publisher()))
    });
}

#[test]
fn publisher_makes_no_system_call_for_nappers() {
    in_child("publisher_makes_no_system_call_for_nappers", || {
        publish_without_system_calls(nap(), |bus| publisher(bus.publisher()))
    });
}

#[test]
fn batches_and_list_changes_need_no_system_call() {
    in_child("batches_and_list_changes_need_no_system_call", || {
        publish_without_system_calls(WaitStrategy::poll(), |bus| {
            let (mut publisher, changing) = (bus.publisher(), bus.clone());
            // The publisher meets a changed list again and again.
            drop(thread::spawn(move || {
                while let Ok(id) = changing.add(sink_fn(|_: &u64| {})) {
                    changing.remove(id).unwrap();
                    thread::yield_now();
                }
            }));
            Box::new(move |event| {
                let published = if event % 2 == 0 {
                    publisher.publish_batch([event]).is_ok()
                } else {
                    publisher.try_publish(event).is_ok()
                };
                assert!(published);
            })
        })
    });
}

#[test]
fn strict_mode_detects_a_system_call() {
    in_child("strict_mode_detects_a_system_call", || {
        let survived = in_strict_mode(thread::yield_now)?;
        assert!(!survived, "the test would see nothing");
        Some(())
    });
}
