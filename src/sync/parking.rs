//! Parking of the calling thread, with a handle for the thread that wakes it.
//!
//! Outside the models this is `std::thread::park`. In models it consists of a mutex and a condvar:
//!
//! - loom's own `park` loses its token when the target yields, and its `unpark` adds an ordering
//!   between threads that the real one does not give.
//! - shuttle's `park` may return spuriously, which would hide a lost wake-up.

use std::time::Duration;

#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
mod imp {
    use super::Duration;

    /// A handle that wakes the thread which created it.
    #[derive(Clone, Debug)]
    pub(crate) struct Unparker(std::thread::Thread);

    impl Unparker {
        pub(crate) fn current() -> Self {
            Self(std::thread::current())
        }

        pub(crate) fn unpark(&self) {
            self.0.unpark();
        }

        /// Parks the calling thread, which must be the one that created `self`. May return
        /// spuriously.
        pub(crate) fn park(&self, limit: Option<Duration>) {
            match limit {
                Some(limit) => std::thread::park_timeout(limit),
                None => std::thread::park(),
            }
        }
    }
}

#[cfg(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))]
mod imp {
    use super::super::checker::sync::{Arc, Condvar, Mutex};
    use super::super::lock;
    use super::Duration;
    use std::sync::PoisonError;

    #[derive(Clone)]
    pub(crate) struct Unparker(Arc<(Mutex<bool>, Condvar)>);

    impl std::fmt::Debug for Unparker {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Unparker")
        }
    }

    impl Unparker {
        pub(crate) fn current() -> Self {
            Self(Arc::new((Mutex::new(false), Condvar::new())))
        }

        pub(crate) fn unpark(&self) {
            *lock(&self.0.0) = true;
            self.0.1.notify_one();
        }

        pub(crate) fn park(&self, _limit: Option<Duration>) {
            let mut token = lock(&self.0.0);
            while !*token {
                token = self.0.1.wait(token).unwrap_or_else(PoisonError::into_inner);
            }
            *token = false;
        }
    }
}

pub(crate) use imp::Unparker;
