//! Reads that end where a wait would begin.
//!
//! The HTTP client returns one chunk of a body at a time, and an engine puts each event into one
//! chunk. To decode and hand over everything that one call of the system has read at once, the reader
//! must know when the next chunk would need another call. So while it has bytes in hand, the
//! connection refuses to wait, which the client passes on as an error and survives.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Whether a read may wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace(Arc<AtomicBool>);

impl Pace {
    /// Lets reads wait, or lets them fail with [`ErrorKind::WouldBlock`] where they would wait.
    pub(crate) fn refuse_waits(&self, refuse: bool) {
        // Relaxed: the thread that reads sets it.
        self.0.store(refuse, Ordering::Relaxed);
    }
}

impl<In: Transport> Connector<In> for Pace {
    type Out = Paced<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Paced<In>>, Error> {
        Ok(chained.map(|inner| Paced { inner, pace: self.clone() }))
    }
}

/// A connection whose reads may be told not to wait.
#[derive(Debug)]
pub(crate) struct Paced<T> {
    inner: T,
    pace: Pace,
}

impl<T: Transport> Transport for Paced<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if self.pace.0.load(Ordering::Relaxed) {
            return Err(Error::Io(ErrorKind::WouldBlock.into()));
        }
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
