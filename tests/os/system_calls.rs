//! A publisher makes no system call while its consumer is awake, as the kernel verifies.
//!
//! The publishing thread enters seccomp's strict mode, in which any system call except `read`,
//! `write`, `_exit` and `sigreturn` kills it. It publishes a million events, and leaves through the
//! bare exit call. Such a thread can neither be joined nor unwound, so all of this happens in a
//! child process, which is this test binary started again.
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
/// The exit status of the child; the test harness itself exits with 0 or 101.
const PASSED: u8 = 40;
const NOT_GRANTED: u8 = 41;

/// The progress of the publishing thread.
const STARTING: u64 = 0;
const REFUSED: u64 = 1;
const INSIDE: u64 = 2;
const LEAVING: u64 = 3;

/// Makes the kernel kill this thread at its next system call. Returns `false` if the kernel does
/// not support that.
fn enter_strict_mode() -> bool {
    // SAFETY: takes no pointers; it affects only the calling thread.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) == 0 }
}

/// Ends only this thread: no destructor, no unwinding, no notice to the standard library.
fn leave() -> ! {
    loop {
        // SAFETY: ends the calling thread, whose stack stays mapped to the end of the process: the
        // thread is never joined.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
}

fn own_id() -> i64 {
    // SAFETY: takes and returns numbers.
    unsafe { libc::syscall(libc::SYS_gettid) }
}

/// Runs `publish` on a thread in strict mode, and returns whether it completed. `None` if there is
/// no such mode.
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
    // The thread was killed or has ended: in both cases the kernel removes its entry.
    let task = format!("/proc/self/task/{}", id.load(Ordering::Acquire));
    wait_for(|| state.load(Ordering::Acquire) == LEAVING || !Path::new(&task).exists());
    Some(state.load(Ordering::Acquire) == LEAVING)
}

/// Returns a bus with every sink that needs no system call.
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

/// Runs the child's part. `None` if there is no strict mode.
fn publish_without_system_calls(
    wait: WaitStrategy,
    publish: impl FnOnce(&Bus<u64>) -> Box<dyn FnMut(u64) + Send>,
) -> Option<()> {
    let (bus, queues) = bus(wait);
    let mut publish = publish(&bus);
    let survived = in_strict_mode(move || {
        (0..EVENTS).for_each(&mut publish);
        // The publisher's destructor is no part of this test.
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

/// Runs `body` in a separate process, which runs only this test of this binary.
fn in_child(test: &str, body: impl FnOnce() -> Option<()>) {
    let Some(child) = process::in_child(module_path!(), test) else {
        let code = if body().is_some() { PASSED } else { NOT_GRANTED };
        // A return would let the harness print its own result.
        std::process::exit(code.into());
    };
    match child.status.code().map(u8::try_from) {
        Some(Ok(PASSED)) => {}
        Some(Ok(NOT_GRANTED)) => println!("no strict mode on this system: nothing was tested"),
        _ => panic!("{}\n{}", child.status, String::from_utf8_lossy(&child.stderr)),
    }
}

/// Returns a strategy that never parks within the duration of a test, as it never does while events
/// flow: preemption must not matter.
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
            // The publisher repeatedly meets a changed list.
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
        assert!(!survived, "the test cannot detect a system call");
        Some(())
    });
}
