//! What the operating system measures: processor time, priorities and system calls.
//!
//! Each test that depends on its whole process runs in a child process. Tests that occupy a
//! processor or measure all threads run one at a time.
#![cfg(target_os = "linux")]

mod idle;
mod idle_consumers;
mod priority;
mod system_calls;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Returns the guard of a test that must not run at the same time as another test of this kind.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
