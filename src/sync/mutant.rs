//! Weakens one ordering of a model at run time, to verify that the model then fails.
//!
//! Under loom, atomics and fences are the wrappers in this file. Each access knows its location in
//! the source, so no mutant needs a separate build:
//!
//! - `BUSLANE_WEAKEN="src/ring/spsc.rs:182:27 release"` removes the release half of the access at
//!   that line and column.
//! - `BUSLANE_SITES=file` makes each test append the halves that it reached and that can be
//!   removed.
//!
//! The halves are `acquire` and `release`, `acquire-on-failure` of an exchange, `fence` (the whole
//! fence), and `recheck`, which is not an ordering but the check between announcing a park and
//! parking.
//!
//! Functions whose callers are the sites have `#[track_caller]`: those here, and the fences in
//! `membarrier`. Code outside `sync` calls them directly and needs no such attribute.
//!
//! loom treats `SeqCst` on an access as `AcqRel`, and so does this file.

#![expect(dead_code, reason = "not every atomic uses every operation")]

use loom::sync::atomic as imp;
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::panic::Location;
use std::sync::{Mutex, OnceLock, PoisonError};

pub(crate) use imp::Ordering;

/// The location and half to weaken, and the file in which to record the sites.
struct Plan {
    weakened: Option<(String, String)>,
    sites: Option<String>,
}

fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| Plan {
        weakened: std::env::var("BUSLANE_WEAKEN").ok().map(|text| match text.split_once(' ') {
            Some((place, half)) => (place.to_owned(), half.to_owned()),
            None => panic!("BUSLANE_WEAKEN must be \"file:line:column half\""),
        }),
        sites: std::env::var("BUSLANE_SITES").ok(),
    })
}

/// Records a half in the list of sites, and returns whether it is the one to remove.
fn is_weakened(place: &Location<'_>, half: &str) -> bool {
    let plan = plan();
    if plan.weakened.is_none() && plan.sites.is_none() {
        return false;
    }
    if let Some(file) = &plan.sites {
        note(file, place, half);
    }
    plan.weakened.as_ref().is_some_and(|(weakened, of)| of == half && *weakened == place.to_string())
}

fn note(file: &str, place: &Location<'_>, half: &str) {
    static NOTED: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let line = format!("{} {place} {half}\n", std::thread::current().name().unwrap_or("?"));
    let mut noted = NOTED.lock().unwrap_or_else(PoisonError::into_inner);
    if noted.get_or_insert_default().insert(line.clone()) {
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        written.expect("the file that BUSLANE_SITES names must be writable");
    }
}

fn of_load(place: &Location<'_>, order: Ordering) -> Ordering {
    match order {
        Ordering::Relaxed => order,
        _ if is_weakened(place, "acquire") => Ordering::Relaxed,
        _ => order,
    }
}

fn of_store(place: &Location<'_>, order: Ordering) -> Ordering {
    match order {
        Ordering::Relaxed => order,
        _ if is_weakened(place, "release") => Ordering::Relaxed,
        _ => order,
    }
}

fn of_exchange(place: &Location<'_>, order: Ordering) -> Ordering {
    let (acquires, releases) = match order {
        Ordering::Relaxed => (false, false),
        Ordering::Acquire => (true, false),
        Ordering::Release => (false, true),
        _ => (true, true),
    };
    let acquires = acquires && !is_weakened(place, "acquire");
    let releases = releases && !is_weakened(place, "release");
    match (acquires, releases) {
        (false, false) => Ordering::Relaxed,
        (true, false) => Ordering::Acquire,
        (false, true) => Ordering::Release,
        (true, true) => Ordering::AcqRel,
    }
}

fn of_failure(place: &Location<'_>, order: Ordering) -> Ordering {
    match order {
        Ordering::Relaxed => order,
        _ if is_weakened(place, "acquire-on-failure") => Ordering::Relaxed,
        _ => order,
    }
}

#[track_caller]
pub(crate) fn fence(order: Ordering) {
    if !is_weakened(Location::caller(), "fence") {
        imp::fence(order);
    }
}

/// Calls `check` as [`sync::recheck`](super::recheck) does, unless the check at this location is
/// removed.
#[track_caller]
pub(crate) fn recheck<R: Default>(check: impl FnOnce() -> R) -> R {
    if is_weakened(Location::caller(), "recheck") { R::default() } else { check() }
}

macro_rules! wrap {
    ($name:ident $(<$param:ident>)?, $value:ty) => {
        #[derive(Debug, Default)]
        pub(crate) struct $name $(<$param>)? (imp::$name $(<$param>)?);

        impl $(<$param>)? $name $(<$param>)? {
            pub(crate) fn new(value: $value) -> Self {
                Self(imp::$name::new(value))
            }

            #[track_caller]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.0.load(of_load(Location::caller(), order))
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.0.store(value, of_store(Location::caller(), order));
            }

            #[track_caller]
            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                self.0.swap(value, of_exchange(Location::caller(), order))
            }

            #[track_caller]
            pub(crate) fn compare_exchange(
                &self,
                old: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let place = Location::caller();
                self.0.compare_exchange(old, new, of_exchange(place, success), of_failure(place, failure))
            }

            #[track_caller]
            pub(crate) fn compare_exchange_weak(
                &self,
                old: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let place = Location::caller();
                self.0.compare_exchange_weak(old, new, of_exchange(place, success), of_failure(place, failure))
            }
        }
    };
}

macro_rules! wrap_changes {
    ($name:ident, $value:ty, $($change:ident)*) => {
        impl $name {
            $(
                #[track_caller]
                pub(crate) fn $change(&self, value: $value, order: Ordering) -> $value {
                    self.0.$change(value, of_exchange(Location::caller(), order))
                }
            )*
        }
    };
}

wrap!(AtomicBool, bool);
wrap!(AtomicU64, u64);
wrap!(AtomicUsize, usize);
wrap!(AtomicPtr<T>, *mut T);
wrap_changes!(AtomicU64, u64, fetch_add fetch_sub fetch_or fetch_and fetch_max);
wrap_changes!(AtomicUsize, usize, fetch_add fetch_sub fetch_max);

impl AtomicU64 {
    pub(crate) fn fetch_update(
        &self,
        success: Ordering,
        failure: Ordering,
        change: impl FnMut(u64) -> Option<u64>,
    ) -> Result<u64, u64> {
        self.0.fetch_update(success, failure, change)
    }
}
