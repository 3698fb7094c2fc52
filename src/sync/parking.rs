//! Parking the calling thread, with a handle for whoever wakes it.
//!
//! Outside the models this is `std::thread::park`. Under loom it is made of loom's mutex and condvar: loom's own
//! `park` loses its token when the target yields, and its `unpark` adds an order between threads that the real one
//! does not give.

use std::time::Duration;

#[cfg(not(all(loom, feature = "loom")))]
mod imp {
    use super::Duration;

    /// Wakes the thread that made it.
    #[derive(Clone, Debug)]
    pub(crate) struct Unparker(std::thread::Thread);

    impl Unparker {
        pub(crate) fn current() -> Self {
            Self(std::thread::current())
        }

        pub(crate) fn unpark(&self) {
            self.0.unpark();
        }

        /// Parks the calling thread, which must be the one that made `self`. May return for no reason.
        pub(crate) fn park(&self, limit: Option<Duration>) {
            match limit {
                Some(limit) => std::thread::park_timeout(limit),
                None => std::thread::park(),
            }
        }
    }
}

#[cfg(all(loom, feature = "loom"))]
mod imp {
    use super::Duration;
    use loom::sync::{Arc, Condvar, Mutex};

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
            *self.0.0.lock().unwrap() = true;
            self.0.1.notify_one();
        }

        pub(crate) fn park(&self, _limit: Option<Duration>) {
            let mut token = self.0.0.lock().unwrap();
            while !*token {
                token = self.0.1.wait(token).unwrap();
            }
            *token = false;
        }
    }
}

pub(crate) use imp::Unparker;
